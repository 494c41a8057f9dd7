"""Stores of state, events, intents and the lease: SQLAlchemy Core on SQLite (default) or PostgreSQL.

SQL only here, portable; nothing here decides. `opening.open_state` is the way in.
"""
