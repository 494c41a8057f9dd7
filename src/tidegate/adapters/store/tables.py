"""The tables, in portable SQL. A `document` is a model value's plain form as JSON, `version` says which form."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

states = Table(
    "states",
    metadata,
    Column("agent", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("host", Text, nullable=False, default=""),
    Column("version", Integer, nullable=False),
    Column("document", Text, nullable=False),
    PrimaryKeyConstraint("agent", "environment", "host"),
)

events = Table(
    "events",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("agent", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("host", Text, nullable=False, default=""),
    Column("version", Integer, nullable=False),
    Column("document", Text, nullable=False),
    Index("events_of_key", "agent", "environment", "host", "seq"),
    sqlite_autoincrement=True,
)

intents = Table(
    "intents",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("agent", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("host", Text, nullable=False, default=""),
    Column("version", Integer, nullable=False),
    Column("document", Text, nullable=False),
    Column("answered", Boolean, nullable=False, default=False),
    Index("intents_open", "answered", "agent", "environment", "host"),
)

answers = Table(
    "answers",
    metadata,
    Column("intent", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("document", Text, nullable=False),
)

lease = Table(
    "lease",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("expires_at", Float, nullable=False),
)

blocks = Table(
    "blocks",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("agent", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("host", Text, nullable=False, default=""),
    Column("first_at", Float, nullable=False),
    Column("last_at", Float, nullable=False),
    Column("entries", Integer, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Index("blocks_of_key", "agent", "environment", "host", "last_at"),
)

releases = Table(
    "releases",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("agent", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("release_version", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("document", Text, nullable=False),
    UniqueConstraint("agent", "id"),
)

revisions = Table(
    "revisions",
    metadata,
    Column("agent", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("host", Text, nullable=False, default=""),
    Column("number", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("document", Text, nullable=False),
    PrimaryKeyConstraint("agent", "environment", "host", "number"),
)

fleets = Table(
    "fleets",
    metadata,
    Column("agent", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("document", Text, nullable=False),
    PrimaryKeyConstraint("agent", "environment"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("agent", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("open", Boolean, nullable=False),
    Column("release", Text, nullable=False, default=""),
    Column("cancelled_by", Text, nullable=False, default=""),
    Column("version", Integer, nullable=False),
    Column("document", Text, nullable=False),
    PrimaryKeyConstraint("agent", "environment", "number"),
    Index("deliveries_open", "open", "environment"),
    Index("deliveries_of_release", "agent", "release"),
)

evidence = Table(
    "evidence",
    metadata,
    Column("agent", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("document", Text, nullable=False),
    PrimaryKeyConstraint("agent", "stage", "key"),
)
"""What a stage found out, by the fingerprint of its inputs: a delivery with the same inputs uses it again."""

pulses = Table(
    "pulses",
    metadata,
    Column("agent", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("instance", Text, nullable=False),
    Column("last_at", Float, nullable=False),
    Column("version", Integer, nullable=False),
    Column("document", Text, nullable=False),
    PrimaryKeyConstraint("agent", "environment", "instance"),
)

records = Table(
    "records",
    metadata,
    Column("agent", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("instance", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("document", Text, nullable=False),
    PrimaryKeyConstraint("agent", "environment", "instance"),
)
"""What each instance says of itself."""

contents = Table(
    "contents",
    metadata,
    Column("agent", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("instance", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    PrimaryKeyConstraint("agent", "environment", "instance", "digest"),
)
"""Files of the configuration that each instance runs with, by SHA-256."""

orders = Table(
    "orders",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("open", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    Column("document", Text, nullable=False),
    Index("orders_open", "open"),
)

runs = Table(
    "runs",
    metadata,
    Column("order_id", Text, nullable=False),
    Column("due", Float, nullable=False),
    Column("agent", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("instance", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("document", Text, nullable=False),
    PrimaryKeyConstraint("order_id", "due", "agent", "environment", "instance"),
)
"""What became of each order, by due time and instance."""

listening = Table(
    "listening",
    metadata,
    Column("name", Text, primary_key=True),
    Column("since", Float, nullable=True),
    Column("at", Float, nullable=False),
)
"""One row, of whoever hears heartbeats."""

folded = Table("folded", metadata, Column("record", Text, primary_key=True))
"""Records of the reserve that are in the tables already: folding one in twice does nothing."""

switches = Table(
    "switches",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("document", Text, nullable=False),
)
"""A row while a switch is on."""

outbox = Table(
    "outbox",
    metadata,
    Column("receiver", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
)
"""The last event that each receiver of notices was told."""

audit = Table(
    "audit",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("document", Text, nullable=False),
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
)
"""The chain of model/audit.py. `document` is hashed as it stands here."""

audit_head = Table(
    "audit_head",
    metadata,
    Column("name", Text, primary_key=True),
    Column("seq", Integer, nullable=False),
    Column("hash", Text, nullable=False),
)
"""One row: the last entry. On a server it is locked by whoever adds one, so that the chain has no forks."""

tokens = Table(
    "tokens",
    metadata,
    Column("id", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("document", Text, nullable=False),
)
"""Tokens of the API: digests, never the tokens."""
