"""docs/how-to/migrating.md: every key of ours that it names exists, and no row is without an answer."""

import re
from pathlib import Path

import pytest

from tidegate.spec import explain_key

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "migrating.md").read_text()
TOOLS = ("docker commands", "Watchtower", "docker-rollout", "Kamal", "Docker Swarm", "Argo Rollouts", "Flagger")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("|") and not line.startswith(("|---", "| there "))
]


def keys(text: str) -> list[str]:
    """The keys of the spec that a cell names; commands are checked with those of every page (test_docs.py)."""
    named = re.findall(r"`([^`]+)`", text)
    return [one for one in named if re.match(r"[a-z_.\[\]]+\Z", one)]


def test_every_tool_has_its_table() -> None:
    headings = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    assert [next(tool for tool in TOOLS if heading.startswith(tool)) for heading in headings] == list(TOOLS)
    assert len(ROWS) > 80


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_every_key_of_ours_exists(row: list[str]) -> None:
    there, here, _ = row
    assert there
    assert keys(here) or "tidegate" in here or here in ("none", "nothing to do"), "say where it goes, or none"
    for key in keys(here):
        explain_key(key)
