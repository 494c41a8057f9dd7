"""State as JSON and back, bit for bit: Python writes a float with the digits that give the same float again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, get_type_hints

import numpy as np

from tidegate.core.stats.arrays import as_array

State = TypeVar("State")
_hints: Callable[[Any], dict[str, Any]] = cache(get_type_hints)
"""Looked up once a class: it takes longer than all the rest."""


def to_json(state: Any) -> dict[str, Any]:
    """A state (frozen dataclass of arrays and states) as plain lists and dicts; inf and NaN never occur in one."""
    out: dict[str, Any] = {}
    for item in fields(state):
        value = getattr(state, item.name)
        if is_dataclass(value):
            out[item.name] = to_json(value)
        else:
            array = as_array(value)
            if not np.all(np.isfinite(array)):
                raise ValueError(f"{type(state).__name__}.{item.name} is not finite, so it cannot be kept")
            out[item.name] = array.tolist()
    return out


def from_json(kind: type[State], plain: Any) -> State:
    """The state again. Raises ValueError that names what is missing or unknown."""
    hints = _hints(kind)
    names = [item.name for item in fields(kind)]  # type: ignore[arg-type]
    if not isinstance(plain, dict) or set(plain) != set(names):
        raise ValueError(f"{kind.__name__}: expected the fields {', '.join(names)}, got {plain!r:.80}")
    parts: dict[str, Any] = {}
    for name in names:
        hint = hints[name]
        parts[name] = (
            from_json(hint, plain[name]) if isinstance(hint, type) and is_dataclass(hint) else as_array(plain[name])
        )
    return kind(**parts)


def revive(fresh: State, plain: Any) -> State:
    """The state again; `fresh` where another Tidegate kept it in another form: the evidence then begins anew."""
    try:
        state = from_json(type(fresh), plain)
    except (TypeError, ValueError):
        return fresh
    return state if _alike(fresh, state) else fresh


def _alike(fresh: Any, state: Any) -> bool:
    """Whether all arrays have the shapes that they begin with; what begins empty may have any."""
    for item in fields(fresh):
        one, other = getattr(fresh, item.name), getattr(state, item.name)
        if is_dataclass(one):
            if not _alike(one, other):
                return False
        elif as_array(one).size and as_array(one).shape != as_array(other).shape:
            return False
    return True
