"""The reference pages say what the code does."""

import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import tidegate
from tidegate.cli.problems import problem_of
from tidegate.cli.reference import markdown
from tidegate.model.errors import Exit, TidegateError

DOCS = Path(__file__).parents[2] / "docs" / "reference"


def every_module() -> None:
    """Import all there is, so that every error is known."""
    for module in pkgutil.walk_packages(tidegate.__path__, "tidegate."):
        if ".migrations" not in module.name:
            import_module(module.name)


def kinds(error: type[TidegateError] = TidegateError) -> Iterator[type[TidegateError]]:
    yield error
    for kind in error.__subclasses__():
        yield from kinds(kind)


def test_the_command_line_is_documented_as_it_is() -> None:
    written = (DOCS / "cli.md").read_text()
    assert written == markdown(), "run: python -m tidegate.cli.reference > docs/reference/cli.md"


def test_every_error_code_has_a_section() -> None:
    sections = set(re.findall(r"^## (\S+)$", (DOCS / "errors.md").read_text(), re.MULTILINE))
    every_module()
    codes = {kind.code for kind in kinds()} | {"timed-out", "internal"}
    assert codes <= sections, f"no section for {sorted(codes - sections)}"
    assert sections <= codes, f"no such code: {sorted(sections - codes)}"


@pytest.mark.parametrize("page", ["cli.md", "errors.md"])
def test_every_exit_code_is_documented(page: str) -> None:
    text = (DOCS / page).read_text()
    assert all(f"| {int(code)} |" in text for code in Exit)


def test_an_unexpected_exception_is_told_in_one_line() -> None:
    problem = problem_of(KeyError("x"))
    assert problem["title"] == "internal"
    assert "\n" not in problem["detail"]
    assert problem["exit_code"] == 1
