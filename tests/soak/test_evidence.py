"""Every fault that evidence has to find, one that begins late, and twenty healthy releases: one policy file for all."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.e2e.evidence import FAULTS, deployed, watched
from tests.e2e.host import Host, until
from tests.engine import Engine
from tests.soak.conftest import MINUTES, Budget

pytestmark = [pytest.mark.engine]
RELEASES = 20
LEAST = RELEASES if MINUTES >= 30 else 3
"""A soak of the default length plays all of them, however slow the machine is."""
DIED: list[tuple[float, float]] = []
"""When a candidate that dies by itself was there (unix seconds)."""


@pytest.fixture(scope="module")
def host(session_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with watched(session_engine, tmp_path_factory.mktemp("evidence")) as (host, load):
        yield host
    print(f"{load.report['requests']} requests, {load.report['lost']} lost")
    dying = [at for at in load.report["lost_at"] if any(began <= at <= ended for began, ended in DIED)]
    assert load.report["lost"] == len(dying), load.report["lost_reasons"]


def test_twenty_healthy_releases_in_a_row_by_the_policy_of_the_faults(host: Host, budget: Budget) -> None:
    left, done = budget("evidence"), 0
    while done < RELEASES and (left() or done < LEAST):
        done += 1
        ended = deployed(host, f"1.1.{done}")
        assert ended.code == 0, f"healthy release {done} of {RELEASES}: {ended}"
    print(f"{done} healthy releases, none taken back")


def test_a_fresh_baseline_is_what_a_fault_is_measured_by(host: Host) -> None:
    """As many instances of stable's release as of the candidate's, started with them, and gone with them."""
    ended = deployed(host, "3.0.0", ANALYSE="4m", BASELINE="true", ERRORS="0.05")
    assert ended.code == 3, ended
    told = host.explained()
    assert FAULTS["errors x5"].told_by(told["reasons"][0]), told["reasons"]
    texts = [one["text"] for one in told["tree"]["below"]]
    assert any(text.startswith("compared with a fresh baseline of ") for text in texts), texts
    until(lambda: len(host.instances()) == 3, 60)
    assert len({name.split(".")[2] for name in host.instances()}) == 1, host.instances()


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found(host: Host, fault: str) -> None:
    found, began = FAULTS[fault], time.time()
    ended = deployed(host, f"2.0.{list(FAULTS).index(fault)}", ANALYSE="4m", **found.variables)
    assert ended.code == 3, ended
    told = host.explained()
    if found.dies:
        DIED.append((began, time.time()))
    assert found.told_by(told["reasons"][0]), told["reasons"]
    print(f"{fault}: decided after {told['seconds_to_decide']:.0f} s: {told['reasons'][0]}")


def test_a_fault_that_begins_late_is_found_soon_after(host: Host) -> None:
    """At minute 3 of a soak of 30 minutes; earlier in a shorter one."""
    begins = min(180.0, MINUTES * 6)
    ended = deployed(host, "2.1.0", 900.0, ERRORS="0.05", FAULT_AFTER=str(begins), ANALYSE="10m")
    assert ended.code == 3, ended
    told = host.explained()
    assert "errors in" in told["reasons"][0], told["reasons"]
    assert told["seconds_to_decide"] >= begins
    print(f"a fault at {begins:.0f} s: decided after {told['seconds_to_decide']:.0f} s: {told['reasons'][0]}")
