"""A delivery as it is asked for: which stages it goes through, and what it would do."""

from dataclasses import dataclass, replace

from tidegate.model.delivery import Delivery, DeliveryKey, StageRecord
from tidegate.model.errors import UsageError
from tidegate.model.release import AgentKey
from tidegate.model.source import Commit
from tidegate.model.spec import Spec
from tidegate.pipeline.build import options_of, tag_of
from tidegate.pipeline.registry import records
from tidegate.pipeline.source import repository_of, version_of
from tidegate.ports import SourceControl


@dataclass(frozen=True)
class Asked:
    """Who asks for which commit (empty: the spec's branch) in which environment, when (unix seconds) and why."""

    key: AgentKey
    reference: str
    by: str
    at: float
    reason: str = ""
    automatic: bool = False


@dataclass(frozen=True)
class Plan:
    """What a delivery will do: which commit, which image, through which stages."""

    commit: Commit
    repository: str
    tag: str
    dockerfile: str
    stages: tuple[StageRecord, ...]


def new_delivery(spec: Spec, asked: Asked, stages: tuple[StageRecord, ...] = ()) -> Delivery:
    """A delivery of the spec's stages, or of those given; the store gives its number. Raises UsageError."""
    _buildable(spec)
    key = DeliveryKey(asked.key, 0)
    chosen = stages or records(spec)
    return Delivery(
        key, spec, asked.reference, asked.by, asked.at, chosen, reason=asked.reason, automatic=asked.automatic
    )


async def plan(spec: Spec, reference: str, source: SourceControl) -> Plan:
    """Look at the commit and say what would be done. Touches nothing. Raises SourceError, UsageError."""
    _buildable(spec)
    repository = repository_of(spec)
    identity = await source.resolve(repository, reference or spec.source.branch)
    commit = await source.describe(repository, identity)
    commit = replace(commit, version=version_of(spec, commit.version), repository=repository)
    return Plan(commit, repository, tag_of(spec, commit), options_of(spec, commit).dockerfile, records(spec))


def _buildable(spec: Spec) -> None:
    if spec.build is None:
        raise UsageError(
            f"{spec.file} has no build section, so there is nothing to make from a commit",
            hint=f"deploy the image as it is: tidegate deploy {spec.workload.image or 'IMAGE'}",
        )
