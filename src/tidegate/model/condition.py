"""Conditions over a measurement: "result > 0.02", "0.1 <= result && result < 3", "isNaN(result)".

The grammar is Argo Rollouts' as far as one number goes: result (or result[0]), numbers, + - *, comparisons (also
chained), && || ! (or and, or, not), isNaN, isInf. Nothing else is reachable from a condition.
Source: https://argo-rollouts.readthedocs.io/en/stable/features/analysis/
"""

import ast
import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

LONGEST = 200

_COMPARE: dict[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_COMBINE: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
}
_ASK: dict[str, Callable[[float], bool]] = {"isNaN": math.isnan, "isInf": math.isinf}
_WORDS = ((re.compile(r"&&"), " and "), (re.compile(r"\|\|"), " or "), (re.compile(r"!(?!=)"), " not "))


@dataclass(frozen=True)
class Condition:
    """A condition that was read. `text` is as a person wrote it."""

    text: str
    test: Callable[[float], bool]

    def holds(self, result: float) -> bool:
        """Whether the measurement meets the condition. Comparisons with NaN are false, as in IEEE 754."""
        return self.test(result)


def parse_condition(text: str) -> Condition:
    """Read a condition. Raises ValueError that says what is wrong with it."""
    if not text.strip():
        raise ValueError("a condition is empty")
    if len(text) > LONGEST:
        raise ValueError(f"a condition is longer than {LONGEST} characters")
    source = text.strip()
    for pattern, word in _WORDS:
        source = pattern.sub(word, source)
    try:
        tree = ast.parse(source.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError("a condition reads like result > 0.02") from None
    return Condition(text, _truth(tree.body))


def _truth(node: ast.expr) -> Callable[[float], bool]:
    match node:
        case ast.BoolOp(op=ast.And(), values=values):
            parts = [_truth(value) for value in values]
            return lambda result: all(part(result) for part in parts)
        case ast.BoolOp(values=values):
            parts = [_truth(value) for value in values]
            return lambda result: any(part(result) for part in parts)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            inner = _truth(operand)
            return lambda result: not inner(result)
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            return _chain(left, ops, comparators)
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in _ASK:
            ask, value = _ASK[name], _number(argument)
            return lambda result: ask(value(result))
        case _:
            raise ValueError("a condition compares result with a number: result > 0.02")


def _chain(left: ast.expr, ops: list[ast.cmpop], comparators: list[ast.expr]) -> Callable[[float], bool]:
    values = [_number(part) for part in (left, *comparators)]
    unknown = [op for op in ops if type(op) not in _COMPARE]
    if unknown:
        raise ValueError("compare with < <= > >= == !=")
    tests = [_COMPARE[type(op)] for op in ops]

    def test(result: float) -> bool:
        numbers = [value(result) for value in values]
        return all(compare(numbers[i], numbers[i + 1]) for i, compare in enumerate(tests))

    return test


def _number(node: ast.expr) -> Callable[[float], float]:
    match node:
        case ast.Name(id="result") | ast.Subscript(value=ast.Name(id="result"), slice=ast.Constant(value=0)):
            return lambda result: result
        case ast.Constant(value=bool()):
            raise ValueError("result is a number: compare it with a number")
        case ast.Constant(value=int(value) | float(value)) if abs(value) <= 1e300:
            constant = float(value)
            return lambda result: constant
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _number(operand)
            return lambda result: -inner(result)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _COMBINE:
            combine, first, second = _COMBINE[type(op)], _number(left), _number(right)
            return lambda result: combine(first(result), second(result))
        case ast.Name(id=name):
            raise ValueError(f"{name} is unknown: a condition knows only result")
        case _:
            raise ValueError("a condition knows result, numbers, + - * and comparisons")
