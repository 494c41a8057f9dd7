"""Conditions in the language that Argo Rollouts uses, and what must not be reachable through them."""

import math

import pytest

from tidegate.model.expressions import ExpressionError, condition


@pytest.mark.parametrize(
    ("text", "result", "want"),
    [
        ("result == true", True, True),
        ("result == false", True, False),
        ("result > 1", 5.0, True),
        ("result[0] >= 0.95", [0.95], True),
        ("result[-1] < 2", [5, 1], True),
        ("result.a.b[1] == 'x'", {"a": {"b": ["y", "x"]}}, True),
        ('result["a"] != 2', {"a": 1}, True),
        ("all(result.values, {# > 1})", {"values": [2, 3]}, True),
        ("any(result, # > 2) && none(result, {# > 3})", [1, 3], True),
        ("len(filter(result, {# > 1})) == 2", [1, 2, 3], True),
        ("count(result, {# > 1}) == 2 and one(result, # == 1)", [1, 2, 3], True),
        ("2 in result", [1.0, 2.0], True),
        ("4 not in result", [1.0, 2.0], True),
        ("!(result > 1) || result == 5", 5, True),
        ("not (result > 1)", 5, False),
        ("1 + 2 * 3 == 7 && 2 ** 3 ** 2 == 512 && -2 ** 2 == -4", None, True),
        ("7 / 2 == 3.5 && 7 % 4 == 3 && 1_000 == 1e3", None, True),
        ("result > 0.05 ? false : true", 0.01, True),
        ("default(result, 0) < 0.05", None, True),
        ("(result ?? 3) == 3", None, True),
        ("isNil(result) || result < 1", None, True),
        ("len(result) == 0 || result[0] < 1", [], True),
        ("isNaN(result) || isInf(result)", math.nan, True),
        ("asInt('3') == 3 && asFloat('1.5') == 1.5", None, True),
        ("result[1:] == [2, 3]", [1, 2, 3], True),
        ("true || result.x", None, True),
    ],
)
def test_conditions(text: str, result: object, want: bool) -> None:
    assert condition(text).holds(result) is want


@pytest.mark.parametrize(
    ("text", "listed", "missing"),
    [
        ("result < 5", False, False),
        ("isNil(result) || result < 5", False, True),
        ("default(result, 0) < 5", False, True),
        ("result [0] < 5", True, False),
        ("len( result ) == 0 || result[0] < 5", True, True),
        ("all(result, {# < 5})", True, False),
        ("5 not in result", True, False),
    ],
)
def test_what_a_condition_takes_its_result_for(text: str, listed: bool, missing: bool) -> None:
    assert condition(text).reads_list() is listed
    assert condition(text).handles_missing() is missing
    assert condition(text) is condition(text)


@pytest.mark.parametrize(
    ("text", "result", "words"),
    [
        ("result", 1, "expected true or false, got int"),
        ("unknown > 1", 1, "unknown name unknown"),
        ("result.Name() == 'hi'", True, "expected an operator or the end"),
        ("asInt(result) == 1.1", "1.1", "asInt"),
        ("result[0] > 1", [], "index 0 is out of range: the result has 0"),
        ("result > 1", None, "cannot join nil and int"),
        ("result > 1", "5", "cannot join str and int"),
        ("result >", 1, "expected a value, found its end"),
        ("result @ 1", 1, "`@` is not understood"),
        ("(result > 1", 1, "expected `\\)`"),
        ("__import__('os')", 1, "unknown name __import__"),
        ("result.__class__ == 1", 1, "int has no field __class__"),
        ("isNaN(result, 1)", 1, "takes 1 value"),
    ],
)
def test_what_cannot_be_said(text: str, result: object, words: str) -> None:
    with pytest.raises(ExpressionError, match=words):
        condition(text).holds(result)
