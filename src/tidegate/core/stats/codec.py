"""State as JSON and back, bit for bit: Python writes a float with the digits that give the same float again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, get_type_hints

import numpy as np

from tidegate.core.stats.arrays import as_array

State = TypeVar("State")


def _read(kind: Any) -> tuple[tuple[str, Any], ...]:
    hints = get_type_hints(kind)
    classes = ((item.name, hints[item.name]) for item in fields(kind))
    return tuple((name, hint if isinstance(hint, type) and is_dataclass(hint) else None) for name, hint in classes)


_parts: Callable[[Any], tuple[tuple[str, Any], ...]] = cache(_read)
"""The fields of a class, each with its own class where it is a state too; looked up once: it takes longest of all."""


class Plain(dict[str, Any]):
    """A state in plain form, never written to. While it lives it remembers the state: reading it again costs more than
    a second's evidence does."""

    state: Any = None


def to_json(state: Any) -> dict[str, Any]:
    """A state (frozen dataclass of arrays and states) as plain lists and dicts; inf and NaN never occur in one."""
    out = Plain()
    for name, kind in _parts(type(state)):
        value = getattr(state, name)
        if kind is not None:
            out[name] = to_json(value)
        else:
            array = as_array(value)
            if not np.isfinite(array).all():
                raise ValueError(f"{type(state).__name__}.{name} is not finite, so it cannot be kept")
            out[name] = array.tolist()
    out.state = state
    return out


def from_json(kind: type[State], plain: Any) -> State:
    """The state again. Raises ValueError that names what is missing or unknown."""
    parts = _parts(kind)
    if not isinstance(plain, dict) or plain.keys() != {name for name, _ in parts}:
        names = ", ".join(name for name, _ in parts)
        raise ValueError(f"{kind.__name__}: expected the fields {names}, got {plain!r:.80}")
    return kind(
        **{name: as_array(plain[name]) if part is None else from_json(part, plain[name]) for name, part in parts}
    )


def revive(fresh: State, plain: Any) -> State:
    """The state again; `fresh` where another Tidegate kept it in another form: the evidence then begins anew."""
    if isinstance(plain, Plain) and isinstance(plain.state, type(fresh)):
        return plain.state
    try:
        state = from_json(type(fresh), plain)
    except (TypeError, ValueError):
        return fresh
    return state if _alike(fresh, state) else fresh


def _alike(fresh: Any, state: Any) -> bool:
    """Whether all arrays have the shapes that they begin with; what begins empty may have any."""
    for name, kind in _parts(type(fresh)):
        one, other = getattr(fresh, name), getattr(state, name)
        if kind is not None:
            if not _alike(one, other):
                return False
        elif as_array(one).size and as_array(one).shape != as_array(other).shape:
            return False
    return True
