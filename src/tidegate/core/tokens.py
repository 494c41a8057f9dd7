"""Making and revoking tokens of the API: what is checked, and what the audit log says. Pure; chance is an argument."""

from dataclasses import dataclass

from tidegate.model.access import BOUND, AccessToken, Role, digest_of
from tidegate.model.audit import Act
from tidegate.model.errors import UsageError

DAY_S = 86400.0
LONGEST_S = 400 * DAY_S
DEFAULT_S = 90 * DAY_S


@dataclass(frozen=True)
class Wanted:
    """What a token is to be: its name is in every log, its life in seconds."""

    name: str
    role: Role
    seconds: float = DEFAULT_S
    agent: str = ""
    environment: str = ""


def make(wanted: Wanted, secret: tuple[str, str], by: str, now: float) -> AccessToken:
    """The token to keep, of a fresh secret (model.access.new_secret). Raises UsageError."""
    identity, text = secret
    if not 60 <= wanted.seconds <= LONGEST_S:
        raise UsageError("a token lives between a minute and 400 days", hint="--expires 90d")
    if wanted.role in BOUND and not (wanted.agent and wanted.environment):
        raise UsageError(
            f"a token with the role {wanted.role} is for one agent in one environment",
            hint="--agent NAME -e ENVIRONMENT say which",
        )
    until = now + wanted.seconds
    return AccessToken(
        identity, wanted.name, wanted.role, digest_of(text), now, until, by, wanted.agent, wanted.environment
    )


def made(token: AccessToken, because: str, via: str) -> Act:
    """What the audit log says of a new one."""
    data = {"token": token.id, "role": token.role.value, "agent": token.agent, "environment": token.environment}
    expires = {"expires_at": token.expires_at}
    return Act(token.created_at, token.created_by, "token-create", token.name, because, via, {**data, **expires})


def revoked(token: AccessToken, by: str, now: float, because: str, via: str) -> Act:
    """What the audit log says of one that was revoked."""
    return Act(now, by, "token-revoke", token.name, because, via, {"token": token.id})
