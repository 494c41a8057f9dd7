"""Who runs what: the instances that should report, joined with what they reported."""

from dataclasses import replace

from tests.memory import KEY, release, workload
from tidegate.core.roster import RosterRow, roster
from tidegate.model.heartbeat import AgentHealth, AgentStatus, Listening, Pulse
from tidegate.model.release import Revision
from tidegate.model.rollout import AgentState, Retiring
from tidegate.views.lines import plain
from tidegate.views.roster import STALE_S, as_of, listening_line, roster_lines

NOW = 1000.0
HEARD = Listening(0.0, NOW)


def revision(number: int, version: str) -> Revision:
    return Revision(number, "prod", release(version, workload()), workload())


STATE = AgentState(KEY, 3, stable=revision(2, "1.1.0"), replicas=2)


def pulse(name: str, version: str = "1.1.0", number: int = 2, **changes: object) -> Pulse:
    known = Pulse(KEY, name, number, version, AgentStatus.OK, 9, 5.0, 900.0, 900.0, NOW - 1)
    return replace(known, **changes)  # type: ignore[arg-type]


def rows(state: AgentState, *pulses: Pulse, listening: Listening = HEARD) -> dict[str, RosterRow]:
    return {row.instance: row for row in roster(state, {one.instance: one for one in pulses}, listening)}


def test_whoever_should_be_there_is_there_also_when_it_never_reported() -> None:
    told = rows(STATE, pulse("agent.prod.r2.1"))
    assert list(told) == ["agent.prod.r2.1", "agent.prod.r2.2"]
    assert (told["agent.prod.r2.1"].health, told["agent.prod.r2.1"].silent_s) == (AgentHealth.ALIVE, 1.0)
    assert (told["agent.prod.r2.2"].health, told["agent.prod.r2.2"].last_at) == (AgentHealth.UNKNOWN, None)


def test_another_version_or_revision_than_desired_is_drift() -> None:
    told = rows(STATE, pulse("agent.prod.r2.1", "1.0.9"), pulse("agent.prod.r2.2", number=1))
    assert [row.drifted for row in told.values()] == [True, True]
    assert told["agent.prod.r2.1"].desired == "1.1.0"
    assert not rows(STATE, pulse("agent.prod.r2.1"))["agent.prod.r2.1"].drifted


def test_those_that_left_are_left_out_and_strangers_are_shown() -> None:
    gone, still = pulse("agent.prod.r1.1", last_at=100.0), pulse("agent.prod.r1.2", "1.0.0", 1)
    stranger = pulse("laptop", last_at=100.0)
    told = rows(STATE, gone, still, stranger)
    assert list(told) == ["agent.prod.r2.1", "agent.prod.r2.2", "agent.prod.r1.2", "laptop"]
    assert told["laptop"].health is AgentHealth.GONE
    assert told["laptop"].track == ""


def test_retiring_instances_are_expected_and_a_decommissioned_agent_expects_nobody() -> None:
    leaving = replace(STATE, retiring=(Retiring(revision(1, "1.0.0"), ("agent.prod.r1.1",), NOW),))
    assert rows(leaving)["agent.prod.r1.1"].track == "retiring"
    assert rows(replace(STATE, decommissioned=True)) == {}


def test_the_table() -> None:
    told = roster(
        STATE,
        {
            "agent.prod.r2.1": pulse("agent.prod.r2.1", "1.0.9", message="queue is long", last_at=NOW - 70),
        },
        HEARD,
    )
    lines = plain(roster_lines([(KEY, told)], NOW)).splitlines()
    assert "1.0.9 (should be 1.1.0)" in lines[1]
    assert "gone" in lines[1]
    assert "1 min 10 s ago" in lines[1]
    assert lines[1].endswith("queue is long")
    assert "unknown" in lines[2]
    assert "never" in lines[2]


def test_a_reader_believes_only_a_fresh_listener() -> None:
    assert as_of(HEARD, NOW + STALE_S) == HEARD
    stale = as_of(HEARD, NOW + STALE_S + 1)
    assert stale.since is None
    assert listening_line(stale).startswith("nobody listens")
    assert listening_line(HEARD) == ""
