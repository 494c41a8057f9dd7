"""Replay of whole rollouts from the journal: the same policy says the same, another says what it would."""

from dataclasses import replace
from pathlib import Path

from tests.memory import KEY, QUICK, WATCH, Tidegate
from tidegate.adapters.platform.memory.world import Behaviour
from tidegate.core.replay import Recording, Replayed, Span, replay, spans
from tidegate.model.judges import Flagger, FlaggerAnalysis, FlaggerMetric, Judges
from tidegate.model.judging import SequentialMetric
from tidegate.model.metering import Form
from tidegate.model.spec import Analyse, Analysis, Mode, Sequential, SetWeight, ThresholdMetric

SLOW = replace(QUICK, steps=(SetWeight(10), Analyse(60.0), SetWeight(50), Analyse(30.0)))
WORLD = {
    "1.0.0": Behaviour(error_share=0.005),
    "bad": Behaviour(error_share=0.1),
    "good": Behaviour(error_share=0.005),
}


async def recorded(tide: Tidegate) -> list[Recording]:
    journal = tide.state.journal
    await tide.loop.sampler.save()
    found = spans(await journal.revisions(KEY), await tide.events())
    return [await _with_blocks(tide, span) for span in found]


async def _with_blocks(tide: Tidegate, span: Span) -> Recording:
    until = span.until if span.until is not None else float("inf")
    blocks = await tide.state.journal.blocks(KEY, span.began - 900.0, until)
    past = [block for block in blocks if block.at <= span.began]
    return Recording(span, past, blocks[len(past) :])


async def played(path: Path, analysis: Analysis, *versions: str) -> tuple[Tidegate, list[Recording]]:
    tide = await Tidegate.begin(path / "t.db", WORLD, strategy=SLOW, analysis=analysis)
    await tide.deployed("1.0.0")
    await tide.play(lambda turn: False, limit_s=120)
    for version in versions:
        await tide.deployed(version)
    return tide, await recorded(tide)


async def test_the_same_policy_decides_the_same_at_the_same_time(tmp_path: Path) -> None:
    shipped = Analysis()
    _, found = await played(tmp_path, shipped, "bad", "good")
    bad, good = found[1], found[2]
    assert bad.span.decided is not None
    said = replay(bad, shipped)
    assert said.decision == "rolled back"
    assert abs(said.after_s - (bad.span.decided - bad.span.began)) <= 1.5
    first = bad.span.because.partition("; evidence")[0]
    assert first.partition(" in ")[0] == said.because.partition(" in ")[0], "the same numbers of errors"
    assert replay(good, shipped).decision == "promoted"


async def test_another_policy_says_what_it_would_have_done(tmp_path: Path) -> None:
    watching = replace(WATCH, mode=Mode.OBSERVE)
    _, found = await played(tmp_path, watching, "bad")
    bad = found[-1]
    assert bad.span.decided is None, "observing acts on nothing"

    def by(policy: Analysis) -> Replayed:
        return replay(bad, policy)

    rule = FlaggerMetric("request-success-rate", minimum=99.0, query="success_rate")
    flagger = by(Analysis((), None, judges=Judges(flagger=Flagger(FlaggerAnalysis((rule,), 5), 10.0))))
    sequential = by(Analysis((), Sequential()))
    assert flagger.decision == sequential.decision == "rolled back"
    assert sequential.after_s < flagger.after_s
    assert by(Analysis((), None)).decision == "promoted"


async def test_what_never_was_watched_has_no_span(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", {"1.0.0": Behaviour(exits_after_s=0.1)})
    await tide.deployed("1.0.0")
    assert await recorded(tide) == []


async def test_other_data_under_the_same_name_is_never_judged_and_said(tmp_path: Path) -> None:
    """Memory has no metric sources, so the values are written into what was recorded."""
    metric = ThresholdMetric("load", "stats", "cpu_share", failure_condition="result > 0.9", interval_s=1.0)
    _, found = await played(tmp_path, replace(WATCH, metrics=(*WATCH.metrics, metric)), "good")
    blocks = [replace(block, values={"load": {2: 0.95}}, missing={}) for block in found[-1].blocks]
    recording = replace(found[-1], blocks=blocks)

    def by(one: ThresholdMetric) -> Replayed:
        return replay(recording, Analysis((one,), None))

    same = by(metric)
    assert (same.decision, same.caution) == ("rolled back", "")
    assert by(replace(metric, failure_condition="result > 0.99")).decision == "promoted", "limits may differ"
    gateways = replace(metric, source="gateway", query="error_share")
    assert by(gateways) == replace(by(gateways), decision="promoted", caution=""), "the gateway was always measured"
    for other in (replace(metric, query="memory_share"), replace(metric, source="prom"), replace(metric, name="new")):
        said = by(other)
        assert said.decision == "undecided"
        assert said.caution.startswith(
            f"{other.source}/{other.name} says nothing: `{other.query}` was not measured then"
        )
        assert ("but `cpu_share` of stats" in said.caution) == (other.name == "load")
        assert f"{other.name}: no data from source {other.source}" in said.because
    rule = FlaggerMetric("load", maximum=0.5, source="stats", query="memory_share")
    strict = Flagger(FlaggerAnalysis((rule,), 1), 5.0, compat=True)
    assert replay(recording, Analysis((), None, judges=Judges(flagger=strict))).decision == "undecided"
    mean = SequentialMetric("load", "stats", "cpu_share", Form.MEAN, most=1.0)
    assert "`cpu_share as mean` was not measured" in replay(recording, Analysis((), None, streams=(mean,))).caution

    unknown = replay(replace(recording, span=replace(recording.span, asked="")), Analysis((metric,), None))
    assert unknown.decision == "rolled back"
    assert unknown.caution == "by which queries was not kept, so it may be other data: load"
