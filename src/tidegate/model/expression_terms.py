"""Operators and functions of conditions, on the values that a metric source answers. See model.expressions."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Value = Any  # number, text, bool, None, or lists and mappings of them


class ExpressionError(ValueError):
    """The condition cannot be read, or does not fit the result it was given."""


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _numbers(name: str, apply: Callable[[float, float], Value]) -> Callable[[Value, Value], Value]:
    def checked(left: Value, right: Value) -> Value:
        same_text = isinstance(left, str) and isinstance(right, str) and name in {"+", "<", ">", "<=", ">="}
        if not same_text and not (_is_number(left) and _is_number(right)):
            raise ExpressionError(f"`{name}` cannot join {kind_of(left)} and {kind_of(right)}")
        try:
            return apply(left, right)
        except (ZeroDivisionError, OverflowError) as error:
            raise ExpressionError(f"`{name}`: {error}") from None

    return checked


def kind_of(value: Value) -> str:
    return "nil" if value is None else type(value).__name__


def _divide(left: float, right: float) -> float:
    if right == 0:
        return math.nan if left == 0 or math.isnan(left) else math.copysign(math.inf, left)
    return left / right


def _equal(left: Value, right: Value) -> bool:
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    return bool(left == right)


def contains(left: Value, right: Value) -> bool:
    if right is None:
        return False
    if isinstance(right, str) or not isinstance(right, Sequence | Mapping):
        raise ExpressionError(f"`in` needs a list or a map, got {kind_of(right)}")
    if isinstance(right, Mapping):
        return left in right
    return any(_equal(left, item) for item in right)


# Operator -> (binding power, function). Powers follow expr-lang; `**` and `^` bind to the right.
BINARY: Mapping[str, tuple[int, Callable[[Value, Value], Value]]] = {
    "==": (20, _equal),
    "!=": (20, lambda left, right: not _equal(left, right)),
    "<": (20, _numbers("<", operator.lt)),
    ">": (20, _numbers(">", operator.gt)),
    "<=": (20, _numbers("<=", operator.le)),
    ">=": (20, _numbers(">=", operator.ge)),
    "in": (20, contains),
    "+": (30, _numbers("+", operator.add)),
    "-": (30, _numbers("-", operator.sub)),
    "*": (60, _numbers("*", operator.mul)),
    "/": (60, _numbers("/", _divide)),
    "%": (60, _numbers("%", math.fmod)),
    "**": (100, _numbers("**", operator.pow)),
    "^": (100, _numbers("^", operator.pow)),
}
OR, AND, COALESCE, NOT, SIGN = 10, 15, 500, 50, 90
PREDICATES = ("all", "any", "none", "one", "filter", "map", "count")


def _as_int(value: Value) -> int:
    try:
        if isinstance(value, str):
            return int(value, 10)
        if _is_number(value):
            return int(value)
    except (ValueError, OverflowError) as error:
        raise ExpressionError(f"asInt: {error}") from None
    raise ExpressionError(f"asInt cannot take {kind_of(value)}")


def _as_float(value: Value) -> float:
    try:
        if isinstance(value, str) or _is_number(value):
            return float(value)
    except (ValueError, OverflowError) as error:
        raise ExpressionError(f"asFloat: {error}") from None
    raise ExpressionError(f"asFloat cannot take {kind_of(value)}")


def _on_float(name: str, test: Callable[[float], bool]) -> Callable[[Value], bool]:
    def checked(value: Value) -> bool:
        if not _is_number(value):
            raise ExpressionError(f"{name} needs a number, got {kind_of(value)}")
        return test(value)

    return checked


def _length(value: Value) -> int:
    if isinstance(value, str | Sequence | Mapping):
        return len(value)
    raise ExpressionError(f"len needs text, a list or a map, got {kind_of(value)}")


def _absolute(value: Value) -> Value:
    if not _is_number(value):
        raise ExpressionError(f"abs needs a number, got {kind_of(value)}")
    return abs(value)


FUNCTIONS: Mapping[str, Callable[..., Value]] = {
    "len": _length,
    "isNaN": _on_float("isNaN", math.isnan),
    "isInf": _on_float("isInf", math.isinf),
    "isNil": lambda value: value is None,
    "default": lambda value, other: other if value is None else value,
    "asInt": _as_int,
    "asFloat": _as_float,
    "abs": _absolute,
}
ARITY = {"default": 2}


def truth(value: Value) -> bool:
    if not isinstance(value, bool):
        raise ExpressionError(f"expected true or false, got {kind_of(value)}")
    return value


def item(value: Value, index: Value) -> Value:
    if isinstance(value, Mapping):
        return value.get(index)
    if isinstance(value, Sequence) and not isinstance(value, str) and isinstance(index, int):
        if -len(value) <= index < len(value):
            return value[index]
        raise ExpressionError(f"index {index} is out of range: the result has {len(value)} value(s)")
    raise ExpressionError(f"cannot take [{index}] of {kind_of(value)}")


def part(value: Value, start: Value, stop: Value) -> Value:
    if isinstance(value, Sequence):
        return value[start:stop]
    raise ExpressionError(f"cannot slice {kind_of(value)}")


def member(value: Value, name: Value) -> Value:
    if isinstance(value, Mapping):
        return value.get(name)
    raise ExpressionError(f"{kind_of(value)} has no field {name}")


def over(name: str, values: Value, test: Callable[[Value], Value]) -> Value:
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise ExpressionError(f"{name} needs a list, got {kind_of(values)}")
    match name:
        case "all":
            return all(truth(test(item)) for item in values)
        case "any":
            return any(truth(test(item)) for item in values)
        case "none":
            return not any(truth(test(item)) for item in values)
        case "one":
            return sum(truth(test(item)) for item in values) == 1
        case "count":
            return sum(truth(test(item)) for item in values)
        case "filter":
            return [item for item in values if truth(test(item))]
        case _:
            return [test(item) for item in values]
