"""Labels by which containers are found again. They say what an instance is for ever; its track is never one of them."""

from collections.abc import Mapping
from typing import Any

from tidegate.model.codec import dump
from tidegate.model.desired import InstanceGoal, TaskGoal
from tidegate.model.release import AgentKey
from tidegate.model.workload import Workload, fingerprint

PREFIX = "dev.tidegate."
AGENT = f"{PREFIX}agent"
ENVIRONMENT = f"{PREFIX}environment"
REVISION = f"{PREFIX}revision"
RELEASE = f"{PREFIX}release"
KIND = f"{PREFIX}kind"
IMAGE = f"{PREFIX}image"
CONFIGURATION = f"{PREFIX}configuration"
NETWORKS = f"{PREFIX}networks"

TASK = f"{PREFIX}task"
ATTEMPT = f"{PREFIX}attempt"

INSTANCE = "instance"
NETWORK = "network"
TASKS = "task"

IDENTITY = (KIND, AGENT, ENVIRONMENT, REVISION, RELEASE, CONFIGURATION)
"""Two containers with equal values of these were made for the same goal."""


def instance_labels(key: AgentKey, goal: InstanceGoal) -> dict[str, str]:
    """The labels of one instance, the workload's own included; those of Tidegate win."""
    revision = goal.revision
    return {
        **revision.workload.labels,
        KIND: INSTANCE,
        AGENT: key.agent,
        ENVIRONMENT: key.environment,
        REVISION: str(revision.runs_as),
        RELEASE: revision.release.id,
        IMAGE: revision.release.image.reference,
        CONFIGURATION: configuration(revision.workload),
        NETWORKS: ",".join(revision.workload.networks),
    }


def task_labels(key: AgentKey, goal: TaskGoal) -> dict[str, str]:
    """The labels of a task's container: its whole key."""
    return {
        KIND: TASKS,
        AGENT: key.agent,
        ENVIRONMENT: key.environment,
        RELEASE: goal.revision.release.id,
        TASK: goal.name,
        ATTEMPT: str(goal.attempt),
        CONFIGURATION: configuration(goal.workload),
        NETWORKS: ",".join(goal.workload.networks),
    }


def task_filters(key: AgentKey) -> list[str]:
    """The engine's label filter for the tasks of one agent in one environment."""
    return [f"{KIND}={TASKS}", f"{AGENT}={key.agent}", f"{ENVIRONMENT}={key.environment}"]


def configuration(workload: Workload) -> str:
    """Fingerprint of what the container was made from. References to secrets are in it, their values are not."""
    return fingerprint(dump(workload))


def filters(key: AgentKey) -> list[str]:
    """The engine's label filter for the instances of one agent in one environment."""
    return [f"{KIND}={INSTANCE}", f"{AGENT}={key.agent}", f"{ENVIRONMENT}={key.environment}"]


def is_ours(found: Mapping[str, str]) -> bool:
    """Whether Tidegate made the container. Other labels of ours may come with an image; these never do."""
    return KIND in found and AGENT in found


def same_goal(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a container that exists already is the one that was going to be created."""
    return all(found.get(label) == wanted.get(label) for label in IDENTITY)
