"""One module a migration; adapters/store/migrate.py lists their numbers."""
