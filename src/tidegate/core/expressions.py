"""Conditions such as `result[0] >= 0.95 && !isNaN(result[0])`: a small, safe part of Argo Rollouts' language.

expr-lang's operators, literals, indexing, `len`, `all`/`any`/`none`/`one`/`filter`/`map`/`count` with a predicate in
braces (`#` is the element), and Argo's functions asInt, asFloat, isNaN, isInf, isNil, default (argo-rollouts 9f8d111d8,
utils/evaluate). A condition must give true or false. Nothing else can be reached: no attributes of objects, no calls.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Value = Any  # what a metric source answered: number, text, bool, None, or lists and mappings of them
Scope = Mapping[str, Value]
Node = Callable[[Scope], Value]

TOKEN = re.compile(
    r"""\s*(?:(?P<number>(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')"""
    r"""|(?P<name>[A-Za-z_$][\w$]*)|(?P<mark>&&|\|\||\?\?|\*\*|[<>=!]=|[-+*/%^<>!?:.,()\[\]{}\#]))"""
)


class ExpressionError(ValueError):
    """The condition cannot be read, or does not fit the result it was given."""


@dataclass(frozen=True)
class Condition:
    """A condition that was read: `holds(result)` says whether it is true."""

    text: str
    node: Node

    def holds(self, result: Value) -> bool:
        """True or false; ExpressionError where the condition cannot be applied to this result."""
        try:
            value = self.node({"result": result})
        except ExpressionError as error:
            raise ExpressionError(f"condition `{self.text}`: {error}") from None
        if not isinstance(value, bool):
            raise ExpressionError(f"condition `{self.text}`: expected true or false, got {type(value).__name__}")
        return value

    def handles_missing(self) -> bool:
        """Whether it speaks of missing values itself."""
        return bool(re.search(r"\b(isNaN|isNil|default|nil)\b|\?\?", self.text))


def condition(text: str) -> Condition:
    """Read a condition. ExpressionError names what was not understood, and where."""
    reader = _Reader(text)
    node = reader.expression(0)
    reader.end()
    return Condition(text, node)


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _numbers(name: str, apply: Callable[[float, float], Value]) -> Callable[[Value, Value], Value]:
    def checked(left: Value, right: Value) -> Value:
        same_text = isinstance(left, str) and isinstance(right, str) and name in {"+", "<", ">", "<=", ">="}
        if not same_text and not (_is_number(left) and _is_number(right)):
            raise ExpressionError(f"`{name}` cannot join {_kind(left)} and {_kind(right)}")
        try:
            return apply(left, right)
        except (ZeroDivisionError, OverflowError) as error:
            raise ExpressionError(f"`{name}`: {error}") from None

    return checked


def _kind(value: Value) -> str:
    return "nil" if value is None else type(value).__name__


def _divide(left: float, right: float) -> float:
    if right == 0:
        return math.nan if left == 0 or math.isnan(left) else math.copysign(math.inf, left)
    return left / right


def _equal(left: Value, right: Value) -> bool:
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    return bool(left == right)


def _contains(left: Value, right: Value) -> bool:
    if right is None:
        return False
    if isinstance(right, str) or not isinstance(right, Sequence | Mapping):
        raise ExpressionError(f"`in` needs a list or a map, got {_kind(right)}")
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
    "in": (20, _contains),
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
    raise ExpressionError(f"asInt cannot take {_kind(value)}")


def _as_float(value: Value) -> float:
    try:
        if isinstance(value, str) or _is_number(value):
            return float(value)
    except (ValueError, OverflowError) as error:
        raise ExpressionError(f"asFloat: {error}") from None
    raise ExpressionError(f"asFloat cannot take {_kind(value)}")


def _on_float(name: str, test: Callable[[float], bool]) -> Callable[[Value], bool]:
    def checked(value: Value) -> bool:
        if not _is_number(value):
            raise ExpressionError(f"{name} needs a number, got {_kind(value)}")
        return test(value)

    return checked


def _length(value: Value) -> int:
    if isinstance(value, str | Sequence | Mapping):
        return len(value)
    raise ExpressionError(f"len needs text, a list or a map, got {_kind(value)}")


def _absolute(value: Value) -> Value:
    if not _is_number(value):
        raise ExpressionError(f"abs needs a number, got {_kind(value)}")
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


class _Reader:
    """Precedence climbing over the tokens of one condition; gives closures over the scope."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.tokens: list[tuple[str, str]] = []
        end = len(text.rstrip())
        while self.at < end:
            match = TOKEN.match(text, self.at)
            if not match:
                raise ExpressionError(f"condition `{text}`: `{text[self.at :].strip()[:1]}` is not understood")
            self.tokens.append((str(match.lastgroup), match.group(str(match.lastgroup))))
            self.at = match.end()
        self.tokens.append(("end", ""))
        self.at = 0

    def fail(self, wanted: str) -> ExpressionError:
        found = self.tokens[self.at][1] or "its end"
        return ExpressionError(f"condition `{self.text}`: expected {wanted}, found {found}")

    def peek(self) -> str:
        kind, text = self.tokens[self.at]
        return "" if kind == "text" else text

    def take(self, mark: str) -> bool:
        if self.peek() == mark and self.tokens[self.at][0] != "end":
            self.at += 1
            return True
        return False

    def need(self, mark: str) -> None:
        if not self.take(mark):
            raise self.fail(f"`{mark}`")

    def end(self) -> None:
        if self.tokens[self.at][0] != "end":
            raise self.fail("an operator or the end")

    def expression(self, power: int) -> Node:
        left = self.unary()
        while True:
            mark = self.peek()
            if mark in ("||", "or") and power <= OR:
                left = self._either(left)
            elif mark in ("&&", "and") and power <= AND:
                left = self._both(left)
            elif mark == "??" and power <= COALESCE:
                left = self._coalesced(left)
            elif mark == "not" and power <= BINARY["in"][0] and self.tokens[self.at + 1][1] == "in":
                self.at += 2
                left = _inverted(_joined(left, self.expression(BINARY["in"][0] + 1), _contains))
            elif mark in BINARY and power <= BINARY[mark][0]:
                self.at += 1
                strength, apply = BINARY[mark]
                left = _joined(left, self.expression(strength + (mark not in ("**", "^"))), apply)
            elif mark == "?" and power == 0:
                left = self._choice(left)
            else:
                return left

    def _either(self, left: Node) -> Node:
        self.at += 1
        right = self.expression(OR + 1)
        return lambda scope: _truth(left(scope)) or _truth(right(scope))

    def _both(self, left: Node) -> Node:
        self.at += 1
        right = self.expression(AND + 1)
        return lambda scope: _truth(left(scope)) and _truth(right(scope))

    def _coalesced(self, left: Node) -> Node:
        self.at += 1
        right = self.expression(COALESCE + 1)

        def first(scope: Scope) -> Value:
            value = left(scope)
            return right(scope) if value is None else value

        return first

    def _choice(self, test: Node) -> Node:
        self.need("?")
        yes = self.expression(0)
        self.need(":")
        no = self.expression(0)
        return lambda scope: yes(scope) if _truth(test(scope)) else no(scope)

    def unary(self) -> Node:
        if self.take("!") or self.take("not"):
            return _inverted(self.expression(NOT))
        if self.take("-"):
            value = self.expression(SIGN)
            return _joined(lambda scope: 0, value, BINARY["-"][1])
        if self.take("+"):
            return self.expression(SIGN)
        return self.postfix(self.primary())

    def primary(self) -> Node:
        kind, text = self.tokens[self.at]
        self.at += 1
        if kind == "number":
            plain = text.replace("_", "")
            number: Value = int(plain) if plain.isdigit() else float(plain)
            return lambda scope: number
        if kind == "text":
            inner = re.sub(r"\\(.)", r"\1", text[1:-1])
            return lambda scope: inner
        if kind == "name":
            return self._named(text)
        if text == "(":
            node = self.expression(0)
            self.need(")")
            return node
        if text == "[":
            items = self._list("]")
            return lambda scope: [item(scope) for item in items]
        if text == "#":
            return _lookup("#")
        self.at -= 1
        raise self.fail("a value")

    def _named(self, name: str) -> Node:
        constants = {"true": True, "false": False, "nil": None}
        if name in constants:
            return lambda scope: constants[name]
        if name == "result":
            return _lookup("result")
        if name in PREDICATES and self.peek() == "(":
            return self._predicate(name)
        if name in FUNCTIONS and self.take("("):
            arguments = self._list(")")
            if len(arguments) != ARITY.get(name, 1):
                raise ExpressionError(f"condition `{self.text}`: {name} takes {ARITY.get(name, 1)} value(s)")
            return lambda scope: FUNCTIONS[name](*(argument(scope) for argument in arguments))
        raise ExpressionError(f"condition `{self.text}`: unknown name {name}")

    def _list(self, close: str) -> list[Node]:
        items: list[Node] = []
        while not self.take(close):
            items.append(self.expression(0))
            if self.peek() != close:
                self.need(",")
        return items

    def _predicate(self, name: str) -> Node:
        self.need("(")
        values = self.expression(0)
        self.need(",")
        braces = self.take("{")
        test = self.expression(0)
        if braces:
            self.need("}")
        self.need(")")
        return lambda scope: _over(name, values(scope), lambda item: test({**scope, "#": item}))

    def postfix(self, node: Node) -> Node:
        while True:
            if self.take("["):
                node = self._index(node)
            elif self.peek() == "." and self.tokens[self.at + 1][0] == "name":
                self.at += 2
                name = self.tokens[self.at - 1][1]
                node = _joined(node, lambda scope, name=name: name, _member)  # type: ignore[misc]
            else:
                return node

    def _index(self, node: Node) -> Node:
        start: Node = lambda scope: None  # noqa: E731
        if self.peek() != ":":
            start = self.expression(0)
            if self.take("]"):
                return _joined(node, start, _item)
        self.need(":")
        stop: Node = lambda scope: None  # noqa: E731
        if self.peek() != "]":
            stop = self.expression(0)
        self.need("]")
        return lambda scope: _slice(node(scope), start(scope), stop(scope))


def _joined(left: Node, right: Node, apply: Callable[[Value, Value], Value]) -> Node:
    return lambda scope: apply(left(scope), right(scope))


def _inverted(node: Node) -> Node:
    return lambda scope: not _truth(node(scope))


def _lookup(name: str) -> Node:
    def find(scope: Scope) -> Value:
        if name not in scope:
            raise ExpressionError(f"`{name}` has no value here")
        return scope[name]

    return find


def _truth(value: Value) -> bool:
    if not isinstance(value, bool):
        raise ExpressionError(f"expected true or false, got {_kind(value)}")
    return value


def _item(value: Value, index: Value) -> Value:
    if isinstance(value, Mapping):
        return value.get(index)
    if isinstance(value, Sequence) and not isinstance(value, str) and isinstance(index, int):
        if -len(value) <= index < len(value):
            return value[index]
        raise ExpressionError(f"index {index} is out of range: the result has {len(value)} value(s)")
    raise ExpressionError(f"cannot take [{index}] of {_kind(value)}")


def _slice(value: Value, start: Value, stop: Value) -> Value:
    if isinstance(value, Sequence):
        return value[start:stop]
    raise ExpressionError(f"cannot slice {_kind(value)}")


def _member(value: Value, name: Value) -> Value:
    if isinstance(value, Mapping):
        return value.get(name)
    raise ExpressionError(f"{_kind(value)} has no field {name}")


def _over(name: str, values: Value, test: Callable[[Value], Value]) -> Value:
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise ExpressionError(f"{name} needs a list, got {_kind(values)}")
    match name:
        case "all":
            return all(_truth(test(item)) for item in values)
        case "any":
            return any(_truth(test(item)) for item in values)
        case "none":
            return not any(_truth(test(item)) for item in values)
        case "one":
            return sum(_truth(test(item)) for item in values) == 1
        case "count":
            return sum(_truth(test(item)) for item in values)
        case "filter":
            return [item for item in values if _truth(test(item))]
        case _:
            return [test(item) for item in values]
