"""The reason tree: the decision, each metric with its numbers and samples, and what would have changed it."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.memory import KEY, QUICK, Tidegate
from tidegate.adapters.platform.memory.world import Behaviour
from tidegate.core.explain import Reason, Side, reasons
from tidegate.model.judges import Flagger, FlaggerAnalysis, FlaggerMetric, Judges
from tidegate.model.rollout import AgentState
from tidegate.model.spec import Analyse, Analysis, Mode, Sequential, SetWeight, ThresholdMetric

ERRORS = ThresholdMetric("errors", failure_condition="result > 0.02", failure_limit=1, interval_s=1.0)
SLOW = replace(QUICK, steps=(SetWeight(10), Analyse(40.0)))


async def tree(path: Path, analysis: Analysis, bad: Behaviour) -> Reason:
    tide = await Tidegate.begin(path / "t.db", {"bad": bad}, strategy=SLOW, analysis=analysis)
    await tide.deployed("1.0.0")
    await tide.play(lambda turn: False, limit_s=60)
    turn = await tide.deployed("bad")
    found = reasons(turn.decision.state)
    stored = await tide.state.store.load(KEY)
    assert stored is not None
    assert found is not None
    assert reasons(stored) == found, "the tree comes from the stored state alone"
    return found


def flat(reason: Reason) -> Iterator[Reason]:
    yield reason
    for one in reason.below:
        yield from flat(one)


async def test_a_threshold_is_explained_down_to_its_samples(tmp_path: Path) -> None:
    found = await tree(tmp_path, Analysis((ERRORS,), None), Behaviour(error_share=0.3))
    assert found.side is Side.AGAINST
    assert "errors: " in found.text
    nothing_beside, metric = found.below
    assert nothing_beside.text.startswith("compared with nothing that ran beside it")
    assert metric.side is Side.AGAINST
    numbers, changed = metric.below
    assert numbers.text == "2 of 2 measurements failed (result > 0.02), every 1 s"
    assert len(numbers.below) == 2
    assert all("errors in" in sample.text for sample in numbers.below)
    assert (changed.text, changed.changed) == ("failure_limit is 1; 2 or more would have let it pass", True)


async def test_evidence_is_explained_with_its_parts_and_the_limit_that_would_not_have_been_reached(
    tmp_path: Path,
) -> None:
    found = await tree(tmp_path, Analysis((), Sequential()), Behaviour(error_share=0.3))
    texts = [one.text for one in flat(found)]
    assert "compared with stable, revision 1 (1.0.0), in the same seconds" in texts
    assert any(text.startswith("errors: evidence ") and re.search(r"\d+% of what decides", text) for text in texts)
    [changed] = [one.text for one in flat(found) if one.changed]
    assert "limit 100: an alpha below " in changed
    assert any("1.25 times stable's share are " in text for text in texts)


async def test_a_hard_fact_says_that_it_is_one_and_which_limit_it_broke(tmp_path: Path) -> None:
    found = await tree(tmp_path, Analysis((ERRORS,), None), Behaviour(heartbeat_s=1.0, quiet_after_s=3.0))
    hard = found.below[0]
    assert hard.text == "a hard fact: it needs no statistics"
    assert [one.text for one in hard.below] == [
        "heartbeat_deadline is three of its own intervals; a longer one would have waited"
    ]


async def test_observing_and_judges_are_told_apart(tmp_path: Path) -> None:
    rule = FlaggerAnalysis((FlaggerMetric("request-success-rate", minimum=99.0, query="success_rate"),), 2)
    watched = Analysis((), None, Mode.OBSERVE, judges=Judges(flagger=Flagger(rule, 5.0)))
    found = await tree(tmp_path, watched, Behaviour(error_share=0.3))
    texts = [one.text for one in flat(found)]
    assert found.side is Side.FOR, "it was promoted"
    assert "mode observe: verdicts are told, and act on nothing" in texts
    assert any(text.startswith("request-success-rate: ") and text.endswith(" samples") for text in texts)
    assert any(text.startswith("canary 7") for text in texts), texts


def test_nothing_was_ever_rolled_out() -> None:
    assert reasons(AgentState(KEY)) is None
