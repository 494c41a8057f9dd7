"""What looks like a secret is shown only to those who may deploy it anyway."""

from collections.abc import Mapping
from typing import Any

from tidegate.model.access import Right
from tidegate.model.secrecy import looks_secret, value_looks_secret
from tidegate.server.api.parts import Caller

HIDDEN = "(hidden)"


def shown_to(caller: Caller, plain: Any) -> Any:
    """Plain data as this caller may see it."""
    return plain if caller.token.may(Right.DELIVER) else _masked(plain, "")


def _masked(plain: Any, name: str) -> Any:
    if isinstance(plain, Mapping):
        return {key: _masked(value, str(key)) for key, value in plain.items()}
    if isinstance(plain, list | tuple):
        return [_masked(one, name) for one in plain]
    if isinstance(plain, str) and _secret(name, plain):
        return HIDDEN
    return plain


def _secret(name: str, value: str) -> bool:
    """Digests and ids are random too, and no secrets: names of the environment's variables are written large."""
    return looks_secret(name, value) if name.isupper() else " " not in value and _by_form(name, value)


def _by_form(name: str, value: str) -> bool:
    harmless = name in ("id", "release", "config_digest", "manifest_digest", "commit", "configuration", "intent")
    return not harmless and not value.startswith("sha256:") and value_looks_secret(value)
