"""Errors for a person: what, how to mend it, where it is explained; with --json the same as a problem object."""

import json
import os
import sys
import traceback
from typing import Any

import typer

from tidegate.model.errors import DOCS, Exit, SpecError, TidegateError

REPORT = "this is a fault of Tidegate: run it again with TIDEGATE_DEBUG=1 and report what it prints"


def report(error: Exception, as_json: bool) -> int:
    """Tell an error on stderr and give the exit code."""
    if os.environ.get("TIDEGATE_DEBUG") == "1":
        traceback.print_exception(error, file=sys.stderr)
    problem = problem_of(error)
    if as_json:
        print(json.dumps(problem, ensure_ascii=False), file=sys.stderr)
    else:
        print(text_of(problem), file=sys.stderr)
    return int(problem["exit_code"])


def problem_of(error: Exception) -> dict[str, Any]:
    """The error as RFC 9457 has it (type, title, detail), with hint and exit code beside it."""
    match error:
        case SpecError(problems=problems):
            details = [
                {"file": p.file, "line": p.line, "key": p.key, "message": p.message, "hint": p.hint} for p in problems
            ]
            return {**_problem(error.anchor, error.code, error.message, error.hint, error.exit_code), "errors": details}
        case TidegateError():
            return _problem(error.anchor, error.code, error.message, error.hint, error.exit_code)
        case typer.TyperException():
            wrong = getattr(error, "format_message", lambda: str(error))()
            return _problem(f"{DOCS}#usage", "usage", wrong, "tidegate --help, or tidegate COMMAND --help", Exit.USAGE)
        case TimeoutError():
            return _problem(f"{DOCS}#timed-out", "timed-out", str(error) or "it took too long", "", Exit.TIMED_OUT)
        case _:
            detail = f"{type(error).__name__}: {error}".rstrip(": ").split("\n", 1)[0]
            return _problem(f"{DOCS}#internal", "internal", detail, REPORT, Exit.ERROR)


def _problem(anchor: str, code: str, detail: str, hint: str, exit_code: Exit) -> dict[str, Any]:
    return {"type": anchor, "title": code, "detail": detail, "hint": hint, "exit_code": int(exit_code)}


def text_of(problem: dict[str, Any]) -> str:
    """The problem for a person."""
    lines = [f"error: {problem['detail']}"]
    if problem["hint"]:
        lines.append(f"hint: {problem['hint']}")
    return "\n".join([*lines, f"see: {problem['type']}"])
