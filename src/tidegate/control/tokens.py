"""What agents authenticate with: derived from a key and never stored.

    PREFIX BASE64URL( HMAC-SHA256(key, DOMAIN NUL fields) fields )        fields: texts with a NUL between two

| prefix | whose | fields |
|---|---|---|
| tga_ | every instance of an agent in an environment | agent, environment |
| tge_ | enrolment: whoever shows it in time gets a credential of its own | agent, environment, last second, nonce |
| tgi_ | one instance's own credential | agent, environment, instance (for OpAMP: its uid) |

A token says whose it is, so that a forged one is refused before anything else of a request is read. The file may hold
several keys, one a line: the first makes tokens, all of them verify, so that a key can be replaced without a gap.
"""

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tidegate.model.errors import TidegateError
from tidegate.model.release import AgentKey

FILE = "agents.key"
LONGEST = 1024
_MAC = hashlib.sha256().digest_size


class TokenKeyError(TidegateError):
    """The file with the key cannot be used."""

    code = "token-key"


class Grant(StrEnum):
    """What a token is for; the value is its prefix."""

    AGENT = "tga_"
    ENROLMENT = "tge_"
    INSTANCE = "tgi_"


_DOMAINS = {
    Grant.AGENT: b"tidegate agent token 1",
    Grant.ENROLMENT: b"tidegate enrolment token 1",
    Grant.INSTANCE: b"tidegate instance credential 1",
}


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whose token it was. `instance` is set for an instance's own credential."""

    key: AgentKey
    grant: Grant = Grant.AGENT
    instance: str = ""


class Tokens:
    """Makes and verifies tokens. Its repr shows no key."""

    def __init__(self, *keys: bytes) -> None:
        if not keys or any(len(key) < 32 for key in keys):
            raise TokenKeyError("a key for agents' tokens needs 32 bytes at least")
        self._keys = keys

    @classmethod
    def at(cls, folder: Path) -> "Tokens":
        """With the keys in a folder; the first use makes one, readable for this user only. Raises TokenKeyError."""
        file = folder / FILE
        try:
            if not file.exists():
                _make(file)
            if file.stat().st_mode & 0o077:
                raise TokenKeyError(f"{file} can be read by others", hint=f"chmod 600 {file}")
            lines = file.read_text().split()
            return cls(*(bytes.fromhex(line) for line in lines))
        except OSError as error:
            raise TokenKeyError(f"{file}: {error.strerror}", hint="the state's folder must be writable") from None
        except ValueError:
            hint = f"restore it from a backup, or remove it: agents get new tokens when they are made anew ({file})"
            raise TokenKeyError(f"{file} holds no keys (hexadecimal, one a line)", hint=hint) from None

    def make(self, key: AgentKey) -> str:
        """The token of an agent in an environment: always the same for the same key file."""
        return self._token(Grant.AGENT, (key.agent, key.environment))

    def enrolment(self, key: AgentKey, until: float) -> str:
        """A token to enrol with, good until a moment (unix seconds)."""
        return self._token(Grant.ENROLMENT, (key.agent, key.environment, f"{until:.0f}", secrets.token_hex(8)))

    def credential(self, key: AgentKey, instance: str) -> str:
        """One instance's own: always the same for the same key file."""
        return self._token(Grant.INSTANCE, (key.agent, key.environment, instance))

    def of_instance(self, name: str) -> str:
        """The token of the agent that an instance belongs to (agent.environment.rREVISION.INDEX)."""
        agent, environment, *_ = name.split(".")
        return self.make(AgentKey(agent, environment))

    def verify(self, token: str, now: float) -> Bearer | None:
        """Whose token it is, or None for one that was not made here, or not for this time (`now`, unix seconds).

        Takes the same time for every wrong one.
        """
        grant = next((grant for grant in Grant if token.startswith(grant)), None)
        if grant is None or len(token) > LONGEST:
            return None
        text = token.removeprefix(grant)
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            fields = raw[_MAC:].decode().split("\0")
        except (binascii.Error, ValueError):
            return None
        good = [hmac.compare_digest(_mac(key, grant, raw[_MAC:]), raw[:_MAC]) for key in self._keys]
        return _bearer(grant, fields, now) if any(good) else None

    def _token(self, grant: Grant, fields: Sequence[str]) -> str:
        said = "\0".join(fields).encode()
        return grant + base64.urlsafe_b64encode(_mac(self._keys[0], grant, said) + said).rstrip(b"=").decode()


def _bearer(grant: Grant, fields: Sequence[str], now: float) -> Bearer | None:
    """What a genuine token says; its fields were written here."""
    key = AgentKey(fields[0], fields[1])
    match grant:
        case Grant.AGENT:
            return Bearer(key)
        case Grant.ENROLMENT:
            return Bearer(key, grant) if now <= float(fields[2]) else None
        case Grant.INSTANCE:
            return Bearer(key, grant, fields[2])


def _mac(key: bytes, grant: Grant, said: bytes) -> bytes:
    return hmac.digest(key, _DOMAINS[grant] + b"\0" + said, "sha256")


def _make(file: Path) -> None:
    """Make the file whole or not at all; of several that try at once, one wins and all use its key."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(handle, "w") as stream:
            stream.write(secrets.token_hex(32) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(draft, file)
        except FileExistsError:
            return
    finally:
        draft.unlink(missing_ok=True)
