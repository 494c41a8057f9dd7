"""Releases that add a route, move one to another port or reach another port of the instance, on a real gateway."""

from __future__ import annotations

import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.host import LISTEN, Host, until
from tests.engine import Engine

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]
MORE = LISTEN + 1
ROUTE = 'listen: "${LISTEN:-18080}", target: 8080}'


def test_routes_come_move_and_go_with_releases(engine: Engine, tmp_path: Path) -> None:
    first = Host(engine, tmp_path)
    added, moved = tmp_path / "added.yaml", tmp_path / "moved.yaml"
    added.write_text(first.spec.read_text().replace(ROUTE, ROUTE + f"\n  - {{listen: {MORE}, target: 8080}}"))
    moved.write_text(first.spec.read_text().replace("18080", str(MORE)))
    first.deployed("1.0.0")
    with first.load() as load:
        first.version("1.1.0")
        aborted = replace(first, spec=added).begin("deploy", ANALYSE="120s", VERSION="1.1.0")
        until(lambda: answers(engine, MORE) == 200)
        assert first.tidegate("abort", "--reason", "not yet").code == 0
        assert aborted.wait().code == 3
        assert answers(engine, MORE) == 0, "a route that stable lacks goes with the candidate"
        replace(first, spec=added).deployed("1.1.0")
        assert answers(engine, MORE) == 200
    assert load.report["lost"] == 0, load.report
    with first.load(MORE) as load:
        replace(first, spec=moved).deployed("1.2.0")
    assert load.report["lost"] == 0, load.report
    until(lambda: answers(engine, LISTEN) == 0)


def answers(engine: Engine, port: int) -> int:
    """The status that a port answers with; 0 where nobody listens."""
    try:
        with urllib.request.urlopen(f"http://{engine.address}:{port}/", timeout=15) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
