"""Labels by which containers are found again. They say what an instance is for ever; its track is never one of them."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tidegate.model import codec
from tidegate.model.desired import InstanceGoal, TaskGoal
from tidegate.model.release import AgentKey, Revision
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
MADE_FROM = f"{PREFIX}made-from"
"""The whole revision, so that a state that was lost can be begun again from what runs."""

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
        MADE_FROM: json.dumps(codec.dump_short(revision), separators=(",", ":")),
    }


def made_from(found: Mapping[str, str]) -> Revision | None:
    """The revision that a container was made from; None where its labels do not say it, or not in words we know."""
    try:
        revision = codec.load(json.loads(found[MADE_FROM]), Revision)
    except Exception:  # absent, no JSON, or cattrs' groups: whoever wrote it knew other words
        return None
    number = int(found.get(REVISION) or revision.runs_as)
    return revision if revision.runs_as == number else replace(revision, warm=number)


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
    return fingerprint(codec.dump(workload))


def filters(key: AgentKey) -> list[str]:
    """The engine's label filter for the instances of one agent in one environment."""
    return [f"{KIND}={INSTANCE}", f"{AGENT}={key.agent}", f"{ENVIRONMENT}={key.environment}"]


def is_ours(found: Mapping[str, str]) -> bool:
    """Whether Tidegate made the container. Other labels of ours may come with an image; these never do."""
    return KIND in found and AGENT in found


def owner(found: Mapping[str, str]) -> AgentKey | None:
    """The agent and environment whose instance a container is; None where it is none of ours."""
    return (
        AgentKey(found[AGENT], found.get(ENVIRONMENT, "")) if found.get(KIND) == INSTANCE and AGENT in found else None
    )


def same_goal(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a container that exists already is the one that was going to be created."""
    return all(found.get(label) == wanted.get(label) for label in IDENTITY)
