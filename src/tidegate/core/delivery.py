"""What follows for a delivery: which stages begin, what became of those that ran, and when its rollout is asked for.

Pure, like the rollout's own decisions. A stage's work is begun only after the decision to begin it was stored, and is
found again by its name; so a controller that was killed goes on at the unfinished stage.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from tidegate.core.deploying import deployment
from tidegate.core.releasing import make_release
from tidegate.model.delivery import (
    Delivery,
    DeliveryDecision,
    DeliveryFacts,
    DeliveryPhase,
    StageRecord,
    StageState,
)
from tidegate.model.event import Datum, Event, EventKind
from tidegate.model.evidence import Evidence
from tidegate.model.intent import Intent
from tidegate.model.release import Provenance, Release
from tidegate.model.stages import StageName
from tidegate.model.verdict import Outcome

NEEDS: Mapping[StageName, tuple[StageName, ...]] = {
    StageName.SOURCE: (),
    StageName.SCAN: (StageName.SOURCE,),
    StageName.UNIT: (StageName.SOURCE,),
    StageName.BUILD: (StageName.SOURCE,),
    StageName.INSPECT: (StageName.BUILD,),
    StageName.INTEGRATE: (StageName.SCAN, StageName.UNIT, StageName.INSPECT),
    StageName.COMPATIBILITY: (StageName.SCAN, StageName.UNIT, StageName.INSPECT),
    StageName.PROTOCOL: (StageName.SCAN, StageName.UNIT, StageName.INSPECT),
    StageName.CHAOS: (StageName.INTEGRATE, StageName.COMPATIBILITY, StageName.PROTOCOL),
    StageName.BASELINE: (StageName.INTEGRATE, StageName.COMPATIBILITY, StageName.PROTOCOL),
    StageName.ROLLOUT: (StageName.CHAOS, StageName.BASELINE),
}
"""What each stage waits for. Where a stage is off, what needs it waits for what it would have waited for."""

BREAKING = "breaking-change"
"""The rule of a finding in the release notes."""
MOST_TOLD = 500
MOST_ATTEMPTS = 3
"""Of a repeatable stage whose outcome is unknown."""
AGAIN_S = 5.0
STOP_S = 15.0
"""Work that is told to end at its deadline says so itself; when even that is not seen in this time, nobody knows."""
STATES = {
    Outcome.PASS: StageState.PASSED,
    Outcome.FAIL: StageState.FAILED,
    Outcome.INCONCLUSIVE: StageState.INCONCLUSIVE,
}


def needed_by(name: StageName) -> tuple[StageName, ...]:
    """A stage and all that it waits for, in order: what `tidegate stage NAME` goes through."""
    wanted = {name}
    for one in reversed(StageName):
        if one in wanted:
            wanted.update(NEEDS[one])
    return tuple(one for one in StageName if one in wanted)


def could_begin(delivery: Delivery) -> tuple[StageName, ...]:
    """Stages that wait for nothing but the budget: whoever decides looks at the inputs of these."""
    if delivery.phase.ended or _worst(delivery) is not StageState.PASSED:
        return ()
    waiting = (one for one in delivery.stages if one.state is StageState.WAITING)
    return tuple(one.name for one in waiting if all(_passed(delivery, need) for need in NEEDS[one.name]))


def _passed(delivery: Delivery, name: StageName) -> bool:
    record = delivery.stage(name)
    if record is None:
        return all(_passed(delivery, need) for need in NEEDS[name])
    return record.state is StageState.PASSED


def rollout_intent(delivery: Delivery) -> str:
    """Id of the intent that asks for the rollout. It follows from the state, so a crash never asks twice."""
    return f"{delivery.key}:rollout"


def decide_delivery(state: Delivery, facts: DeliveryFacts) -> DeliveryDecision:
    """The next state, what is to be kept and asked, and what to tell."""
    if state.phase.ended:
        return DeliveryDecision(state)
    turn = _Turn(state, facts)
    turn.take()
    turn.take_rollout()
    if facts.cancelled_by and not _rolling(turn.state):
        turn.cancel()
    else:
        turn.begin()
        turn.end()
    return turn.decision()


def _rolling(delivery: Delivery) -> bool:
    record = delivery.stage(StageName.ROLLOUT)
    return record is not None and record.state is StageState.RUNNING


def _worst(delivery: Delivery) -> StageState:
    """FAILED before INCONCLUSIVE before anything else."""
    states = {one.state for one in delivery.stages}
    order = (StageState.FAILED, StageState.INCONCLUSIVE, StageState.CANCELLED)
    return next((one for one in order if one in states), StageState.PASSED)


@dataclass
class _Turn:
    """One decision in the making."""

    state: Delivery
    facts: DeliveryFacts
    kept: dict[StageName, Evidence] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    intents: list[Intent] = field(default_factory=list)
    release: Release | None = None

    def take(self) -> None:
        """Store what became of the stages that ran."""
        for record in self._in(StageState.RUNNING):
            evidence = self.facts.done.get(record.name)
            late = self.facts.now - record.started_at > record.bounds.timeout_s + STOP_S
            if evidence is None and late and record.name is not StageName.ROLLOUT:
                because = f"no end within {record.bounds.timeout_s:g} s, and it could not be stopped in time"
                evidence = Evidence(Outcome.INCONCLUSIVE, because, hint=f"stages.{record.name}.timeout allows more")
            if evidence is not None:
                self._over(record, evidence)

    def _over(self, record: StageRecord, evidence: Evidence) -> None:
        now = self.facts.now
        unknown = evidence.outcome is Outcome.INCONCLUSIVE
        if unknown and record.repeatable and record.attempt < MOST_ATTEMPTS:
            again = replace(record, state=StageState.WAITING, attempt=record.attempt + 1, not_before=now + AGAIN_S)
            self._put(replace(again, because=evidence.because), f"{evidence.because}; again in {AGAIN_S:g} s")
            return
        self._finish(replace(record, ended_at=now), evidence)
        self.kept[record.name] = evidence

    def _finish(self, record: StageRecord, evidence: Evidence) -> None:
        if evidence.commit is not None:
            broken = (finding.message for finding in evidence.findings if finding.rule == BREAKING)
            self.state = replace(self.state, commit=evidence.commit, breaking="; ".join(broken)[:MOST_TOLD])
        if evidence.image is not None:
            self.state = replace(self.state, image=evidence.image)
        state = STATES[evidence.outcome]
        over = replace(record, state=state, because=evidence.because, hint=evidence.hint, log=evidence.log)
        self._put(over, evidence.because, **_facts_of(evidence))
        for warning in evidence.warnings:
            self._tell(over, warning, warning=True)

    def take_rollout(self) -> None:
        """The rollout's end is the stage's."""
        record, seen = self.state.stage(StageName.ROLLOUT), self.facts.rollout
        if record is None or record.state is not StageState.RUNNING:
            return
        if seen.state.over:
            self._put(replace(record, state=seen.state, ended_at=self.facts.now, because=seen.because), seen.because)

    def begin(self) -> None:
        """Reuse what was found out before from the same inputs; begin what the budget allows."""
        for name in could_begin(self.state):
            record, inputs = self.state.stage(name), self.facts.inputs.get(name)
            assert record is not None
            if name is StageName.ROLLOUT:
                self._ask_for_rollout(record)
            elif inputs is None or self.facts.now < record.not_before:
                continue
            elif inputs.known is not None and inputs.known.outcome is Outcome.PASS:
                now = self.facts.now
                known = replace(inputs.known, because=f"reused, the inputs are the same: {inputs.known.because}")
                self._finish(replace(record, key=inputs.key, reused=True, started_at=now, ended_at=now), known)
            elif self._affordable(record):
                running = replace(record, state=StageState.RUNNING, key=inputs.key, started_at=self.facts.now)
                again = f", attempt {record.attempt}" if record.attempt > 1 else ""
                self._put(running, f"begins{again}")

    def _affordable(self, record: StageRecord) -> bool:
        running, budget = list(self._in(StageState.RUNNING)), self.facts.budget
        cpus = sum(one.bounds.cpus for one in running) + record.bounds.cpus
        memory = sum(one.bounds.memory_bytes for one in running) + record.bounds.memory_bytes
        return not running or (cpus <= budget.cpus and memory <= budget.memory_bytes)

    def _ask_for_rollout(self, record: StageRecord) -> None:
        state, now = self.state, self.facts.now
        assert state.image is not None
        assert state.commit is not None
        spec, commit = state.spec, state.commit
        provenance = Provenance(commit.id, commit.repository, spec.source.branch, now, state.by, state.breaking)
        workload = replace(spec.workload, image=state.image.reference)
        version = spec.build.version if spec.build is not None and spec.build.version else commit.version
        release = make_release(spec.agent, state.image, workload, provenance, version)
        self.release, self.state = release, replace(state, release=release)
        place = spec.environments[state.key.agent.environment]
        action = deployment(spec, place, release, automatic=state.automatic, delivery=state.key.number)
        self.intents.append(Intent(rollout_intent(state), state.key.agent, action, state.by, now, state.reason))
        because = f"release {release.id} is {release.image.reference}; its rollout is asked for"
        self._put(replace(record, state=StageState.RUNNING, started_at=now), because, release=release.id)

    def cancel(self) -> None:
        """Nothing begins any more; what runs is told to end."""
        because = f"cancelled by {self.facts.cancelled_by}"
        for record in (*self._in(StageState.RUNNING), *self._in(StageState.WAITING)):
            self._put(replace(record, state=StageState.CANCELLED, ended_at=self.facts.now, because=because), because)
        self._close(DeliveryPhase.CANCELLED, because)

    def end(self) -> None:
        """The delivery is over when every stage passed, or when one did not and no other runs any more."""
        worst = _worst(self.state)
        if worst is StageState.PASSED:
            if all(one.state is StageState.PASSED for one in self.state.stages):
                reused = sum(one.reused for one in self.state.stages)
                count = len(self.state.stages)
                told = f"all {count} stages passed" + (f", {reused} of them reused" if reused else "")
                self._close(DeliveryPhase.PASSED, told)
        elif not list(self._in(StageState.RUNNING)):
            record = next(one for one in self.state.stages if one.state is worst)
            self._close(DeliveryPhase(worst.value), f"{record.name} {worst}: {record.because}")

    def _close(self, phase: DeliveryPhase, because: str) -> None:
        self.state = replace(self.state, phase=phase, because=because, ended_at=self.facts.now)

    def _in(self, state: StageState) -> Iterator[StageRecord]:
        return (one for one in self.state.stages if one.state is state)

    def _put(self, record: StageRecord, because: str, **data: Datum) -> None:
        stages = tuple(record if one.name is record.name else one for one in self.state.stages)
        self.state = replace(self.state, stages=stages)
        took = {"took_s": round(record.ended_at - record.started_at, 3)} if record.state.over else {}
        self._tell(record, because, **took, **data)

    def _tell(self, record: StageRecord, because: str, **data: Datum) -> None:
        about = {"stage": record.name.value, "state": record.state.value, "delivery": self.state.key.number}
        agent = self.state.key.agent
        self.events.append(Event(self.facts.now, agent, EventKind.STAGE, because, data={**about, **data}))

    def decision(self) -> DeliveryDecision:
        """What came out."""
        return DeliveryDecision(
            self.state, self.kept, self.release, tuple(self.intents), tuple(self.events), self._wake_at()
        )

    def _wake_at(self) -> float | None:
        """When time alone could change the decision."""
        running = [one for one in self._in(StageState.RUNNING) if one.name is not StageName.ROLLOUT]
        ends = [one.started_at + one.bounds.timeout_s + STOP_S for one in running]
        ends += [one.not_before for one in self._in(StageState.WAITING) if one.not_before > self.facts.now]
        return min(ends, default=None)


def _facts_of(evidence: Evidence) -> dict[str, Datum]:
    """What an event tells beside the sentence."""
    told: dict[str, Datum] = {}
    if evidence.commit is not None:
        told["commit"] = evidence.commit.id
    if evidence.image is not None:
        told["image"] = evidence.image.reference
    return told
