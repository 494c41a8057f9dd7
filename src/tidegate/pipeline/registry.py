"""Every stage that there is, in one place; and which of them a delivery goes through."""

from collections.abc import Iterable

from tidegate.core.delivery import needed_by
from tidegate.model import codec
from tidegate.model.delivery import StageRecord
from tidegate.model.errors import UsageError
from tidegate.model.spec import Spec
from tidegate.model.stages import StageName
from tidegate.model.workload import fingerprint
from tidegate.pipeline import build, inspect, scan, source, unit
from tidegate.pipeline.stage import Candidate, Stage

STAGES: dict[StageName, Stage] = {
    stage.name: stage for stage in (source.STAGE, scan.STAGE, unit.STAGE, build.STAGE, inspect.STAGE)
}
"""All but the rollout, which is not run here: the environment's own loop carries it out."""


def records(spec: Spec) -> tuple[StageRecord, ...]:
    """A whole delivery: every stage that is on in the spec, then the rollout."""
    return (*_records(spec, STAGES), StageRecord(StageName.ROLLOUT))


def records_for(spec: Spec, name: StageName) -> tuple[StageRecord, ...]:
    """One stage with all that it needs. Raises UsageError when it is off."""
    found = _records(spec, needed_by(name))
    if not any(record.name is name for record in found):
        known = ", ".join(record.name for record in _records(spec, STAGES))
        raise UsageError(f"stage {name} is off in {spec.file}", hint=f"those that are on: {known}")
    return found


def _records(spec: Spec, names: Iterable[StageName]) -> tuple[StageRecord, ...]:
    on = ((STAGES[name], STAGES[name].bounds(spec)) for name in StageName if name in STAGES and name in set(names))
    return tuple(StageRecord(stage.name, bounds, stage.repeatable(spec)) for stage, bounds in on if bounds is not None)


def key_of(stage: Stage, candidate: Candidate) -> str:
    """The fingerprint of everything that the stage's outcome depends on; the delivery's own number for one that is
    never reused.
    """
    inputs = stage.inputs(candidate)
    if inputs is None:
        return f"d{candidate.key.number}.{candidate.key.agent.environment}"
    return fingerprint([stage.name.value, candidate.versions.get("tidegate", ""), codec.dump(dict(inputs))])
