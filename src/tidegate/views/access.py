"""Tokens of the API, and the audit log."""

import json
from collections.abc import Sequence
from typing import Any

from tidegate.model.access import AccessToken
from tidegate.model.audit import Entry
from tidegate.views.lines import Line, Span, date, first_line, table

TONES = {"in force": "green", "expired": "yellow", "revoked": "red"}


def standing(token: AccessToken, now: float) -> str:
    """In force, expired or revoked."""
    if token.revoked_at is not None:
        return "revoked"
    return "in force" if token.holds(now) else "expired"


def token_data(token: AccessToken, now: float) -> dict[str, Any]:
    """A token as plain data; its digest stays where it is."""
    return {
        "id": token.id,
        "name": token.name,
        "role": token.role.value,
        "agent": token.agent,
        "environment": token.environment,
        "created_at": token.created_at,
        "created_by": token.created_by,
        "expires_at": token.expires_at,
        "revoked_at": token.revoked_at,
        "standing": standing(token, now),
    }


def token_lines(tokens: Sequence[AccessToken], now: float) -> tuple[Line, ...]:
    """A table."""
    rows = [
        (
            token.id,
            Span(token.name, "bold"),
            token.role.value,
            f"{token.agent}.{token.environment}" if token.agent or token.environment else "",
            date(token.expires_at),
            Span(standing(token, now), TONES[standing(token, now)]),
        )
        for token in tokens
    ]
    return table(rows, ("id", "name", "role", "bound to", "expires", ""))


def entry_data(entry: Entry) -> dict[str, Any]:
    """An entry of the audit log as plain data. `document` is what was hashed, to the byte."""
    return {
        "sequence": entry.sequence,
        **json.loads(entry.document),
        "document": entry.document,
        "previous": entry.previous,
        "hash": entry.hash,
    }


def audit_lines(entries: Sequence[Entry]) -> tuple[Line, ...]:
    """A table: who did what to what, and why."""
    rows = []
    for entry in entries:
        act = json.loads(entry.document)
        who = f"{act['by']} ({act['via']})"
        rows.append((str(entry.sequence), date(act["at"]), who, act["what"], act["on"], first_line(act["because"])))
    return table(rows, ("number", "at", "who", "did", "to", "why"))
