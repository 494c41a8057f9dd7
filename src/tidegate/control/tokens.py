"""Tokens: one for each agent in an environment, derived from a key and never stored.

    tga_ BASE64URL( HMAC-SHA256(key, "tidegate agent token 1" NUL agent NUL environment) agent NUL environment )

A token says whose it is, so that a forged one is refused before anything else of a request is read. The file may hold
several keys, one a line: the first makes tokens, all of them verify, so that a key can be replaced without a gap.
"""

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from tidegate.model.errors import TidegateError
from tidegate.model.release import AgentKey

PREFIX = "tga_"
FILE = "agents.key"
LONGEST = 1024
_DOMAIN = b"tidegate agent token 1"
_MAC = hashlib.sha256().digest_size


class TokenKeyError(TidegateError):
    """The file with the key cannot be used."""

    code = "token-key"


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
        whose = _whose(key)
        mac = _mac(self._keys[0], whose)
        return PREFIX + base64.urlsafe_b64encode(mac + whose).rstrip(b"=").decode()

    def of_instance(self, name: str) -> str:
        """The token of the agent that an instance belongs to (agent.environment.rREVISION.INDEX)."""
        agent, environment, *_ = name.split(".")
        return self.make(AgentKey(agent, environment))

    def verify(self, token: str) -> AgentKey | None:
        """Whose token it is, or None for one that was not made here. Takes the same time for every wrong one."""
        if not token.startswith(PREFIX) or len(token) > LONGEST:
            return None
        text = token.removeprefix(PREFIX)
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            agent, environment = raw[_MAC:].decode().split("\0")
        except (binascii.Error, ValueError):
            return None
        good = [hmac.compare_digest(_mac(key, raw[_MAC:]), raw[:_MAC]) for key in self._keys]
        return AgentKey(agent, environment) if any(good) else None


def _whose(key: AgentKey) -> bytes:
    return f"{key.agent}\0{key.environment}".encode()


def _mac(key: bytes, whose: bytes) -> bytes:
    return hmac.digest(key, _DOMAIN + b"\0" + whose, "sha256")


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
