"""Replay: what another policy would have said of a recorded rollout, and when.

The same functions judge here as in a rollout, block by block. What cannot be replayed: traffic (its weights were those
of the recorded rollout, whatever the policy would have done), and metrics that nobody measured then: those are named,
and say nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tidegate.core import analysis, asked
from tidegate.core.series import CANDIDATE, STABLE
from tidegate.model.event import Event, EventKind
from tidegate.model.observation import Block
from tidegate.model.release import Image, Release, Revision
from tidegate.model.rollout import ENDED, Phase, Rollout
from tidegate.model.spec import Analysis, Canary, OnFail, Rollback
from tidegate.model.verdict import Outcome, Verdict
from tidegate.model.workload import Route, Workload

WATCHED = frozenset({Phase.PROGRESSING, Phase.VERIFYING, Phase.PROMOTING})


@dataclass(frozen=True)
class Span:
    """When a rollout was watched, and what became of it. Times are unix seconds; `until` None: it is still watched.

    `stable` is the number that stable's instances carried, None where nothing served. `decided` is when it turned back.
    `asked` is what was asked of metric sources (core.asked); empty where that was not kept.
    """

    candidate: Revision
    stable: int | None
    began: float
    until: float | None
    end: Phase | None
    decided: float | None
    because: str
    asked: str = ""


@dataclass(frozen=True)
class Recording:
    """A span with what was measured: `past` before it (stable alone), `blocks` within it."""

    span: Span
    past: Sequence[Block]
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Replayed:
    """What a policy would have said. `decision`: rolled back, paused, promoted, or undecided at the end of what was
    recorded; `after_s` seconds after the watching began. `notices`: when metrics that do not act failed first.
    `caution`: why what it says of a metric may be about other data; empty where nothing speaks for that."""

    decision: str
    after_s: float
    because: str
    verdict: Verdict
    notices: tuple[str, ...] = ()
    caution: str = ""


def spans(revisions: Sequence[Revision], events: Sequence[Event]) -> list[Span]:
    """Every rollout that came far enough to be watched, oldest first."""
    by_number, stable, found = {one.number: one for one in revisions}, None, []
    for number in sorted({event.revision for event in events if event.revision in by_number}):
        moves = [one for one in events if one.kind is EventKind.PHASE and one.revision == number]
        began = next((move for move in moves if _to(move) in WATCHED), None)
        ended = next((move for move in moves if _to(move) in ENDED), None)
        turned = next((move for move in moves if _to(move) is Phase.REVERTING), None)
        if began is not None:
            last = ended or turned
            found.append(
                Span(
                    candidate=by_number[number],
                    stable=stable,
                    began=began.at,
                    until=turned.at if turned else (ended.at if ended else None),
                    end=_to(ended) if ended else None,
                    decided=turned.at if turned else None,
                    because=(turned or last or moves[-1]).because,
                    asked=str(began.data.get("asked", "")),
                )
            )
        if ended is not None and _to(ended) is Phase.PROMOTED:
            stable = by_number[number].runs_as
    return found


def _to(move: Event) -> Phase | None:
    value = move.data.get("to")
    return Phase(value) if value in set(Phase) else None


def replay(recording: Recording, policy: Analysis) -> Replayed:
    """Judge what was recorded by another policy, until it would have turned back or paused.

    A metric that was measured by another query or source then, or not at all, has no data.
    """
    if not recording.span.asked:
        said = _replay(recording, policy)
        names = ", ".join(dict.fromkeys(name for name, _, _ in asked.questions(policy)))
        return replace(said, caution=names and f"by which queries was not kept, so it may be other data: {names}")
    unlike = asked.unlike(recording.span.asked, policy)
    past, blocks = asked.without(recording.past, unlike), asked.without(recording.blocks, unlike)
    said = _replay(
        Recording(recording.span, past, blocks), replace(policy, judges=asked.lenient(policy.judges, unlike))
    )
    return replace(said, caution="; ".join(f"{name} says nothing: {why}" for name, why in unlike.items()))


def _replay(recording: Recording, policy: Analysis) -> Replayed:
    span, blocks = recording.span, recording.blocks
    rollout = Rollout("replay", span.candidate, Canary(), policy, Rollback(), span.began, Phase.PROGRESSING)
    rollout = analysis.begin(rollout, span.began, recording.past, span.stable)
    notices: dict[str, None] = {}
    sure, why = False, ""  # a proof that was there once is a proof
    verdict = analysis.judge(rollout, 0, span.began, True)
    for block in blocks:
        rollout = analysis.take(rollout, (block,), span.stable)
        verdict = analysis.judge(rollout, 0, block.at, True)
        rollout = replace(rollout, verdict=verdict)
        if not sure:
            sure, why = analysis.proven(rollout)
        failed = [one for one in verdict.metrics if one.outcome is Outcome.FAIL]
        told = [one for one in failed if one.observed or one.on_fail is OnFail.NOTIFY]
        notices |= {f"{block.at - span.began:.0f} s: {m.because}": None for m in told if _first(m.metric, notices)}
        worst = {one.on_fail for one in failed if one not in told}
        if worst:
            decision = "rolled back" if OnFail.ABORT in worst else "paused"
            return Replayed(decision, block.at - span.began, verdict.because, verdict, tuple(notices))
    after = blocks[-1].at - span.began if blocks else 0.0
    if verdict.outcome is Outcome.PASS and sure and blocks:
        return Replayed("promoted", after, why or verdict.because, verdict, tuple(notices))
    because = why if verdict.outcome is Outcome.PASS and not sure else verdict.because
    return Replayed("undecided", after, because if blocks else "nothing was recorded", verdict, tuple(notices))


def of_series(blocks: Sequence[Block], policy: Analysis) -> Replayed:
    """Judge a series that was recorded elsewhere. What precedes the candidate's first value is stable's past."""
    begins = next((block.at for block in blocks if _has(block, CANDIDATE)), blocks[0].at if blocks else 0.0)
    past = [block for block in blocks if block.at < begins]
    rest = blocks[len(past) :]
    stable = STABLE if any(_has(block, STABLE) for block in blocks) else None
    began = rest[0].at - rest[0].duration_s if rest else begins
    base = Workload(routes=(Route(0, 0),))
    candidate = Revision(CANDIDATE, "series", Release("", "series", "", Image(""), base), base)
    return _replay(Recording(Span(candidate, stable, began, None, None, None, ""), past, rest), policy)


def _has(block: Block, revision: int) -> bool:
    return revision in block.traffic or any(revision in known for known in block.values.values())


def _first(metric: str, notices: dict[str, None]) -> bool:
    return not any(notice.partition(" s: ")[2].startswith(f"{metric}:") for notice in notices)
