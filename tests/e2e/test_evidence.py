"""Evidence on a real host under load: a fault is found, and a healthy release passes, by one policy file.

The other faults, and twenty healthy releases in a row, are in tests/soak/test_evidence.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.evidence import FAULTS, deployed, watched
from tests.e2e.host import Host, until
from tests.engine import Engine

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def host(session_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """One host for all of the tests here."""
    with watched(session_engine, tmp_path_factory.mktemp("evidence")) as (host, load):
        yield host
    assert load.report["lost"] == 0, load.report["lost_reasons"]


def test_a_fault_is_found_and_explained_by_its_numbers(host: Host) -> None:
    found = FAULTS["errors x5"]
    done = deployed(host, "2.0.0", ANALYSE="4m", **found.variables)
    assert done.code == 3, done
    told = host.explained()
    assert found.told_by(told["reasons"][0]), told["reasons"]
    assert "against a limit of 100" in told["reasons"][0]
    assert any("compared with stable, revision 1 (1.0.0)" in one["text"] for one in told["tree"]["below"])


def test_a_healthy_release_passes_by_the_same_policy_and_replay_says_the_same(host: Host) -> None:
    done = deployed(host, "1.0.1")
    assert done.code == 0, done
    until(lambda: _replayed(host)["1.0.1"] == "promoted", 30)  # the last blocks are kept some seconds after the end
    said = _replayed(host)
    assert {decision for version, decision in said.items() if version.startswith("2.")} == {"rolled back"}


def _replayed(host: Host) -> dict[str, str]:
    """What each version's rollout comes to by the policy that it had."""
    replayed = host.tidegate("replay", "--all", "--json", "--policy", str(host.spec))
    assert replayed.code == 0, replayed
    return {one["title"].partition("(")[2].rstrip(")"): one["decision"] for one in replayed.data["replayed"]}
