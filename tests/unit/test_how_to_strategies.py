"""The how-to pages of the strategies hold specs that load."""

from pathlib import Path

import pytest

from tidegate.spec import parse_spec

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"


@pytest.mark.parametrize("page", ["canary", "blue-green", "rolling"])
def test_the_pages_spec_loads(page: str) -> None:
    [block] = (HOW_TO / f"{page}.md").read_text().split("```yaml\n")[1:]
    spec = parse_spec(block.partition("```")[0])
    assert type(spec.strategy).__name__.lower() == page.replace("-", "")
