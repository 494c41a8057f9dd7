"""Conditions such as `result[0] >= 0.95 && !isNaN(result[0])`: a small, safe part of Argo Rollouts' language.

expr-lang's operators, literals, indexing, `len`, `all`/`any`/`none`/`one`/`filter`/`map`/`count` with a predicate in
braces (`#` is the element), and Argo's functions asInt, asFloat, isNaN, isInf, isNil, default (argo-rollouts 9f8d111d8,
utils/evaluate). A condition must give true or false. Nothing else can be reached: no attributes of objects, no calls.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from tidegate.model.expression_terms import (
    AND,
    ARITY,
    BINARY,
    COALESCE,
    FUNCTIONS,
    NOT,
    OR,
    PREDICATES,
    SIGN,
    ExpressionError,
    Value,
    contains,
    item,
    member,
    over,
    part,
    truth,
)

__all__ = ["Condition", "ExpressionError", "Value", "condition"]

Scope = Mapping[str, Value]
Node = Callable[[Scope], Value]

TOKEN = re.compile(
    r"""\s*(?:(?P<number>(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')"""
    r"""|(?P<name>[A-Za-z_$][\w$]*)|(?P<mark>&&|\|\||\?\?|\*\*|[<>=!]=|[-+*/%^<>!?:.,()\[\]{}\#]))"""
)


LISTED = re.compile(r"\bresult\s*\[|\bin\s+result\b|\b(?:len|all|any|none|one|filter|map|count)\s*\(\s*result\b")


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
        return bool(re.search(r"\b(isNaN|isNil|default|nil)\b|\?\?|\blen\s*\(\s*result\b", self.text))

    def reads_list(self) -> bool:
        """Whether it takes the result for a list, as Argo's Prometheus gives it, and not for one number."""
        return bool(LISTED.search(self.text))


def holds(text: str, value: float) -> bool:
    """Whether a condition holds for one measured number, which it may call `result` or, as Argo does, `result[0]`.

    Raises ExpressionError.
    """
    read = condition(text)
    return read.holds([value] if read.reads_list() else value)


@lru_cache(maxsize=512)
def condition(text: str) -> Condition:
    """Read a condition. ExpressionError names what was not understood, and where."""
    reader = _Reader(text)
    node = reader.expression(0)
    reader.end()
    return Condition(text, node)


class _Reader:
    """Precedence climbing over the tokens of one condition; gives closures over the scope."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.tokens: list[tuple[str, str]] = []
        self.kinds: dict[Node, str] = {}
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
                left = _inverted(_joined(left, self.expression(BINARY["in"][0] + 1), contains))
            elif mark in BINARY and power <= BINARY[mark][0]:
                self.at += 1
                strength, apply = BINARY[mark]
                right = self.expression(strength + (mark not in ("**", "^")))
                if mark in ("==", "!=") and {self.kinds.get(left), self.kinds.get(right)} == {"number", "text"}:
                    raise ExpressionError(f"condition `{self.text}`: `{mark}` of a number and a text")
                left = _joined(left, right, apply)
            elif mark == "?" and power == 0:
                left = self._choice(left)
            else:
                return left

    def _either(self, left: Node) -> Node:
        self.at += 1
        right = self.expression(OR + 1)
        return lambda scope: truth(left(scope)) or truth(right(scope))

    def _both(self, left: Node) -> Node:
        self.at += 1
        right = self.expression(AND + 1)
        return lambda scope: truth(left(scope)) and truth(right(scope))

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
        return lambda scope: yes(scope) if truth(test(scope)) else no(scope)

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
            return self._known("number", lambda scope: number)
        if kind == "text":
            inner = re.sub(r"\\(.)", r"\1", text[1:-1])
            return self._known("text", lambda scope: inner)
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
            call: Node = lambda scope: FUNCTIONS[name](*(argument(scope) for argument in arguments))  # noqa: E731
            return self._known("number", call) if name in ("asInt", "asFloat") else call
        raise ExpressionError(f"condition `{self.text}`: unknown name {name}")

    def _known(self, kind: str, node: Node) -> Node:
        """What a node gives, where that is known before it is asked: expr-lang compares no number with a text."""
        self.kinds[node] = kind
        return node

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
        return lambda scope: over(name, values(scope), lambda item: test({**scope, "#": item}))

    def postfix(self, node: Node) -> Node:
        while True:
            if self.take("["):
                node = self._index(node)
            elif self.peek() == "." and self.tokens[self.at + 1][0] == "name":
                self.at += 2
                name = self.tokens[self.at - 1][1]
                node = _joined(node, lambda scope, name=name: name, member)  # type: ignore[misc]
            else:
                return node

    def _index(self, node: Node) -> Node:
        start: Node = lambda scope: None  # noqa: E731
        if self.peek() != ":":
            start = self.expression(0)
            if self.take("]"):
                return _joined(node, start, item)
        self.need(":")
        stop: Node = lambda scope: None  # noqa: E731
        if self.peek() != "]":
            stop = self.expression(0)
        self.need("]")
        return lambda scope: part(node(scope), start(scope), stop(scope))


def _joined(left: Node, right: Node, apply: Callable[[Value, Value], Value]) -> Node:
    return lambda scope: apply(left(scope), right(scope))


def _inverted(node: Node) -> Node:
    return lambda scope: not truth(node(scope))


def _lookup(name: str) -> Node:
    def find(scope: Scope) -> Value:
        if name not in scope:
            raise ExpressionError(f"`{name}` has no value here")
        return scope[name]

    return find
