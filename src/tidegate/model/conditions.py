"""Conditions over a measurement: "result < 0.02 && result >= 0". A safe subset of expressions, never eval.

Operators: comparison, `&&` `||` `!` (or and/or/not), arithmetic, numbers, `result`, and the functions isNaN, isInf, len
and default. The spelling is that of Argo Rollouts' conditions (https://argo-rollouts.readthedocs.io/en/stable/features/analysis/).
"""

import ast
import math
import operator
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

Value = float | bool

_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "isNaN": math.isnan,
    "isInf": math.isinf,
    "len": len,
    "abs": abs,
    "default": lambda value, other: other if value is None or value != value else value,
}
MAX_LENGTH = 500


class ConditionError(ValueError):
    """The condition is not one; the message says where and what is allowed."""


def evaluate(condition: str, **names: Any) -> bool:
    """Whether the condition holds. Division by zero counts as NaN, and every comparison with NaN is false.

    Raises ConditionError when the text is no condition or names something unknown.
    """
    try:
        return bool(_value(parse(condition), names))
    except ZeroDivisionError:
        return False
    except (TypeError, IndexError, OverflowError) as error:
        raise ConditionError(f"'{condition}': {error}") from error


@lru_cache(maxsize=512)
def parse(condition: str) -> ast.expr:
    """The condition's tree, checked to hold nothing but what evaluate understands. Raises ConditionError."""
    if len(condition) > MAX_LENGTH:
        raise ConditionError(f"a condition of {len(condition)} characters; at most {MAX_LENGTH} are allowed")
    text = condition.replace("&&", " and ").replace("||", " or ")
    text = re.sub(r"!(?!=)", " not ", text).strip()
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ConditionError(f"'{condition}' is no condition; write for example 'result < 0.02'") from error
    for node in ast.walk(tree):
        _check(node, condition)
    return tree


def _check(node: ast.AST, condition: str) -> None:
    match node:
        case ast.Constant(value=bool() | int() | float()) | ast.Name() | ast.Load():
            return
        case ast.Call(func=ast.Name(id=name), keywords=[]) if name in _FUNCTIONS:
            return
        case ast.Compare(ops=ops) if all(type(op) in _COMPARE for op in ops):
            return
        case ast.BinOp(op=op) if type(op) in _ARITHMETIC:
            return
        case ast.BoolOp() | ast.UnaryOp(op=ast.Not() | ast.USub() | ast.UAdd()) | ast.Subscript():
            return
        case ast.And() | ast.Or() | ast.Not() | ast.USub() | ast.UAdd() | ast.cmpop() | ast.operator():
            return
    raise ConditionError(
        f"'{condition}': {type(node).__name__} is not allowed; use result, numbers, comparisons, && || ! and "
        + ", ".join(sorted(_FUNCTIONS))
    )


def _value(node: ast.AST, names: dict[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            if name not in names and name not in _FUNCTIONS:
                raise ConditionError(f"'{name}' is unknown here; known: {', '.join(sorted(names))}")
            return names.get(name)
        case ast.BoolOp(op=ast.And(), values=values):
            return all(_value(value, names) for value in values)
        case ast.BoolOp(values=values):
            return any(_value(value, names) for value in values)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _value(operand, names)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, names)
        case ast.UnaryOp(operand=operand):
            return _value(operand, names)
        case ast.BinOp(left=left, op=op, right=right):
            return _ARITHMETIC[type(op)](_value(left, names), _value(right, names))
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            values = [_value(side, names) for side in (left, *comparators)]
            return all(_COMPARE[type(op)](a, b) for op, a, b in zip(ops, values[:-1], values[1:], strict=True))
        case ast.Call(func=ast.Name(id=name), args=args):
            return _FUNCTIONS[name](*(_value(argument, names) for argument in args))
        case ast.Subscript(value=value, slice=index):
            inner = _value(value, names)
            position = int(_value(index, names))
            return inner[position] if isinstance(inner, list | tuple) else ([inner][position])
    raise ConditionError(f"{type(node).__name__} is not allowed in a condition")
