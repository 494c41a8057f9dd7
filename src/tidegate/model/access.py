"""Who may do what by the HTTP API: tokens with a role, each role a set of rights, some bound to one agent.

A token is shown once, when it is made. What is kept is its SHA-256: 256 random bits need no slow hash.
"""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

PREFIX = "tgt_"
LONGEST = 128


class Role(StrEnum):
    """What a token is for."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"
    AGENT = "agent"
    CI = "ci"


class Right(StrEnum):
    """What a route needs: to look, to bring a release, to steer what runs, to report as an agent, to administer."""

    READ = "read"
    DELIVER = "deliver"
    STEER = "steer"
    REPORT = "report"
    ADMINISTER = "administer"


RIGHTS: Mapping[Role, frozenset[Right]] = {
    Role.VIEWER: frozenset({Right.READ}),
    Role.OPERATOR: frozenset({Right.READ, Right.DELIVER, Right.STEER}),
    Role.ADMIN: frozenset({Right.READ, Right.DELIVER, Right.STEER, Right.ADMINISTER}),
    Role.AGENT: frozenset({Right.REPORT}),
    Role.CI: frozenset({Right.READ, Right.DELIVER}),
}
"""An agent reports and sees nothing; CI brings releases and looks, but moves no traffic by hand."""

BOUND = frozenset({Role.AGENT, Role.CI})
"""Roles whose tokens name an agent and an environment: whoever steals one reaches nothing else."""


@dataclass(frozen=True)
class AccessToken:
    """A token as it is kept; times are unix seconds. `id` is public, `digest` the SHA-256 of the whole token.

    `agent` and `environment` bound what it reaches; empty means any.
    """

    id: str
    name: str
    role: Role
    digest: str
    created_at: float
    expires_at: float
    created_by: str = ""
    agent: str = ""
    environment: str = ""
    revoked_at: float | None = None

    def holds(self, now: float) -> bool:
        """Whether it is neither expired nor revoked."""
        return self.revoked_at is None and now < self.expires_at

    def may(self, right: Right) -> bool:
        """Whether its role has the right, wherever."""
        return right in RIGHTS[self.role]

    def reaches(self, agent: str, environment: str) -> bool:
        """Whether it is for this agent in this environment."""
        return self.agent in ("", agent) and self.environment in ("", environment)


def new_secret() -> tuple[str, str]:
    """A fresh token's public id, and its whole text."""
    identity = secrets.token_hex(6)
    return identity, f"{PREFIX}{identity}_{secrets.token_urlsafe(32)}"


def id_of(text: str) -> str | None:
    """The public id of a token's text; None for what cannot be one."""
    identity, separator, secret = text.removeprefix(PREFIX).partition("_")
    well_formed = text.startswith(PREFIX) and len(text) <= LONGEST and bool(separator and secret)
    return identity if well_formed and identity.isascii() and identity.isalnum() else None


def digest_of(text: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
