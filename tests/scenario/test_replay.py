"""Replay of whole rollouts from the journal: the same policy says the same, another says what it would."""

from dataclasses import replace
from pathlib import Path

from tests.memory import KEY, QUICK, WATCH, Tidegate
from tidegate.adapters.platform.memory.world import Behaviour
from tidegate.core.replay import Recording, Replayed, Span, replay, spans
from tidegate.model.judges import Flagger, FlaggerAnalysis, FlaggerMetric, Judges
from tidegate.model.spec import Analyse, Analysis, Mode, Sequential, SetWeight

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
