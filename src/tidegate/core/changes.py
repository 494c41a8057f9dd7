"""Changing frozen values. Pure."""

from dataclasses import replace
from typing import Any, TypeVar

T = TypeVar("T")


def changed(thing: T, **fields: Any) -> T:
    """The thing with these fields; the thing itself where they are so already: most decisions change nothing."""
    if all(getattr(thing, name) == value for name, value in fields.items()):
        return thing
    return replace(thing, **fields)  # type: ignore[type-var]
