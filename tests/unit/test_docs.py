"""What the documents promise: links that lead somewhere, commands, options, targets and files that exist."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from bench.rows import in_page
from tidegate.cli.app import make_app
from tidegate.core.transitions import mermaid
from tidegate.model.rollout import Phase

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
IDS = [str(page.relative_to(ROOT)) for page in PAGES]
GLOBAL = {"--help", "-h", "--version"}
GENERATED = {"docs/reference/cli.md", "docs/reference/spec.md"}
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LOOSE = re.compile(r"^((?:    .*\n)+)|`([^`\n]+)`", re.MULTILINE)


def slug(heading: str) -> str:
    """A heading's anchor. Source: github.com's rule (lower case, no punctuation, hyphens for spaces)."""
    plain = re.sub(r"[`*]|\[([^]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")


def links(page: Path) -> Iterator[str]:
    without_code = re.sub(r"^```.*?^```|`[^`\n]*`", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(r"\]\(([^)\s]+)\)", without_code)


def snippets(page: Path) -> Iterator[str]:
    """What a person may type: lines of a shell's blocks, indented ones, and words between backticks."""
    text = page.read_text()
    for language, block in FENCED.findall(text):
        if language in ("", "sh"):
            yield from block.splitlines()
    for indented, inline in LOOSE.findall(FENCED.sub("", text)):
        yield from (indented or inline).splitlines()


def command_lines(page: Path) -> Iterator[list[str]]:
    """Each `tidegate ...`, as words, without what a shell would take off it."""
    for line in snippets(page):
        found = re.match(r"\s*(?:\$ )?tidegate ([a-z].*)", line)
        if found:
            text = re.split(r"\s+#|\s{2,}|[;|>,]|&&", found.group(1))[0]
            yield [word.strip("[]") for word in re.sub(r'"[^"]*"', "TEXT", text).split()]


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} leads nowhere"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            assert anchor in {slug(heading) for heading in headings}, f"{link}: {target.name} has no such heading"


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_command_and_option_exists(page: Path) -> None:
    if str(page.relative_to(ROOT)) in GENERATED:
        return
    root: Any = typer.main.get_command(make_app())
    for words in command_lines(page):
        if words[0].isupper():
            continue
        said = " ".join(words)
        command, rest = root, words
        while rest and hasattr(command, "commands") and rest[0].isascii() and not rest[0].startswith("-"):
            if rest[0].isupper() or rest[0] == "...":
                break
            assert rest[0] in command.commands, f"tidegate {said}: no command {rest[0]}"
            command, rest = command.commands[rest[0]], rest[1:]
        known = GLOBAL | {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
        for word in rest:
            if re.match(r"--?[a-z]", word):
                assert word.partition("=")[0] in known, f"tidegate {said}: no option {word}"


def test_the_commands_are_really_looked_at() -> None:
    seen = {words[0] for page in PAGES for words in command_lines(page)}
    assert {"deliver", "undo", "gateway", "adopt", "doctor", "lint"} <= seen


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_target_of_make_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    said = {name for line in snippets(page) for name in re.findall(r"^\s*make ([a-z-]+)", line)}
    assert said <= targets, f"no such target: {sorted(said - targets)}"


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_file_named_exists(page: Path) -> None:
    for inline in re.findall(r"`([^`\s]+)`", page.read_text()):
        placeholder = "NAME" in inline or "NOUN" in inline
        if re.match(r"(src|tests|docs|scripts|bench|examples)/[\w./-]+$", inline) and not placeholder:
            assert (ROOT / inline).exists(), f"{inline} is not there"


def test_the_architecture_names_files_that_exist() -> None:
    text = (DOCS / "architecture.md").read_text()
    named = set(re.findall(r"`((?:\w+/)+\w+\.py|\w+/(?:\w+/)+)`", text))
    assert len(named) > 20
    roots = (ROOT / "src" / "tidegate", ROOT)
    missing = [name for name in named if not any((root / name).exists() for root in roots)]
    assert not missing


def test_the_diagram_of_phases_is_the_table() -> None:
    text = (DOCS / "architecture.md").read_text()
    drawn = re.search(r"<!-- transitions -->\n```mermaid\n(.*?)\n```\n<!-- /transitions -->", text, re.DOTALL)
    assert drawn
    assert drawn.group(1) == mermaid(), "put what core.transitions.mermaid() gives between the two marks"


def test_every_phase_is_explained() -> None:
    text = (DOCS / "architecture.md").read_text()
    rows = re.findall(r"^\| ([a-z_, ]+) \|", text, re.MULTILINE)
    explained = {name.strip() for row in rows for name in row.split(",")}
    assert {str(phase) for phase in Phase} <= explained


def test_the_index_names_every_page() -> None:
    named = {(DOCS / link).resolve() for link in links(DOCS / "index.md")}
    named |= {(DOCS / "adr" / link).resolve() for link in links(DOCS / "adr" / "index.md")}
    pages = {page.resolve() for page in DOCS.rglob("*.md")} - {(DOCS / "index.md").resolve()}
    assert not {str(page.relative_to(ROOT)) for page in pages - named}


def test_records_of_decisions_are_numbered_without_a_gap() -> None:
    numbers = sorted(int(page.name[:4]) for page in (DOCS / "adr").glob("0*.md"))
    assert numbers == list(range(1, len(numbers) + 1))
    for page in (DOCS / "adr").glob("0*.md"):
        text = page.read_text()
        assert text.startswith(f"# {int(page.name[:4])}. ")
        assert all(f"**{part}.**" in text for part in ("Context", "Decision", "Consequences"))


def test_the_page_on_performance_shows_what_was_measured() -> None:
    page = (DOCS / "explanation" / "performance.md").read_text()
    assert "| decision to last request, p99 |" in page
    assert in_page(page, "release") == page
