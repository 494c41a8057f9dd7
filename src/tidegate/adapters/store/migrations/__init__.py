"""Alembic migrations. One that was released never changes."""
