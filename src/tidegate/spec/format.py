"""The top of tidegate.yaml: its keys, and how they become a Spec."""

import re
from typing import Any

from tidegate.model.spec import Build, Source
from tidegate.model.workload import SecretRef
from tidegate.spec.alerts import ALERTS
from tidegate.spec.context import Context
from tidegate.spec.health import PROBES
from tidegate.spec.hooks import HOOKS
from tidegate.spec.judging import ANALYSIS, ROLLBACK
from tidegate.spec.kinds import Pairs, choice, flag, text
from tidegate.spec.policy import FREEZE, GATE, NOTIFY, ON_NEW
from tidegate.spec.routes import ROUTES
from tidegate.spec.secret import SECRET
from tidegate.spec.service import SERVICE, WORKLOAD
from tidegate.spec.shapes import Key, MapOf, Object, Record, Refused
from tidegate.spec.stages import STAGES
from tidegate.spec.waves import HOSTS, STRATEGY

PLATFORMS = ("docker", "memory")
NAME = r"[a-z0-9]([a-z0-9\-]{0,38}[a-z0-9])?"
NAME_HINT = "lower-case letters, digits and dashes, 40 at most: log-shipper"


def _environment_name(name: str) -> None:
    if not re.fullmatch(NAME, name):
        raise ValueError(NAME_HINT.replace("log-shipper", "production"))


def _variable_name(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError("letters, digits and underscores: API_TOKEN")


SOURCE = Object(
    "source",
    "Where commits come from.",
    (
        Key("repository", text("a path or URL of a git repository"), "Path (relative to this file) or URL.", "."),
        Key("branch", text("a branch", r"[^\s~^:?*\[\\]+", example="main"), "Branch to deliver from.", "main"),
    ),
    build=lambda record, context: Source(record.get("repository", "."), record.get("branch", "main")),
)


def _build(record: Record, context: Context) -> Build:
    default = Build()
    args = record.get("args", {})
    for name, value in args.items():
        if value is None and name not in context.environ:
            context.warn(record.at("args"), f"{name} has no value and is not set in the environment", f"export {name}")
    return Build(
        context=record.get("context", default.context),
        dockerfile=record.get("dockerfile", default.dockerfile),
        target=record.get("target", ""),
        args={name: context.environ.get(name, "") if value is None else value for name, value in args.items()},
        repository=record.get("image", ""),
        version=record.get("version", ""),
    )


BUILD = Object(
    "build",
    "How a commit becomes an image.",
    (
        Key("context", text("a path"), "Directory of the repository that the build sees.", "."),
        Key("dockerfile", text("a path"), "Dockerfile, relative to the context.", "Dockerfile"),
        Key("target", text("a stage's name"), "Stage to stop at.", "the last"),
        Key("args", Pairs("name"), "Build arguments. They stay in the image: no secrets.", "none"),
        Key(
            "image",
            text(
                "a repository without a tag",
                r"([A-Za-z0-9][A-Za-z0-9.\-]*(:[0-9]{1,5})?/)?[a-z0-9]+([._\-]+[a-z0-9]+)*(/[a-z0-9]+([._\-]+[a-z0-9]+)*)*",
                hint="tags are made from version and commit: registry.example.org/team/agent",
            ),
            "Repository that images are named after.",
            "the agent's name",
        ),
        Key(
            "version",
            text("a version", r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,100}", hint='put it in quotes: "1.10"; no + or spaces'),
            "Version; the tag is version-commit.",
            "the commit's",
        ),
    ),
    belongs={"repository": "image: the repository to name images after (git is source.repository)", "tag": "version"},
    build=_build,
)


OVERLAY = Object(
    "overlay",
    "Workload keys for this environment, merged over workload by the rules of Compose's override files.",
    SERVICE.keys,
    SERVICE.refused,
    belongs={**SERVICE.belongs, "compose": "workload.compose"},
    build=SERVICE.build,
)
ENVIRONMENT = Object(
    "environment",
    "A named place where the agent runs.",
    (
        Key("platform", choice(*PLATFORMS), "What runs it.", "docker"),
        Key(
            "endpoint",
            text("an address", r"(unix|tcp|http|https|npipe|ssh)://.+", example="unix:///var/run/docker.sock"),
            "Where the engine listens.",
            "the local engine",
        ),
        Key("hosts", HOSTS, "The hosts of a fleet; a release goes over them in waves.", "one: the endpoint"),
        Key("overlay", OVERLAY, "Workload keys that differ here.", "none"),
        Key(
            "secrets",
            MapOf(SECRET, "variable", _variable_name, "^[A-Za-z_][A-Za-z0-9_]*$"),
            "Variables by reference.",
            "none",
        ),
        Key("routes", ROUTES, "Replaces the routes at the top.", "those at the top"),
        Key("probes", PROBES, "Replaces the probes at the top, each by itself.", "those at the top"),
        Key("gate", GATE, "A person's yes before any rollout here.", "none"),
        Key("freeze", FREEZE, "Replaces the freeze windows at the top.", "those at the top"),
        Key("notify", NOTIFY, "Replaces the receivers at the top.", "those at the top"),
        Key("alerts", ALERTS, "Replaces the alerts at the top.", "those at the top"),
        Key("on_new", ON_NEW, "Replaces on_new at the top.", "that at the top"),
        Key("drill", flag(), "tidegate drill may rehearse the way back here.", "false"),
    ),
    may_be_empty=True,
    belongs={
        "workload": "overlay",
        "environment": "overlay.environment",
        "deploy": "overlay.deploy",
        "replicas": "overlay.deploy.replicas",
        "image": "overlay.image",
    },
)
TOP = Object(
    "spec",
    "One agent's tidegate.yaml.",
    (
        Key("agent", text("a name", NAME, hint=NAME_HINT), "Name of what is delivered.", required=True),
        Key("source", SOURCE, "Where commits come from.", "this repository, main"),
        Key("build", BUILD, "How a commit becomes an image. Without it, workload.image runs as it is.", "none"),
        Key("workload", WORKLOAD, "What runs, in the keys of a Compose service.", "the image's own settings"),
        Key("probes", PROBES, "Questions that decide about traffic and restarts.", "the image's HEALTHCHECK"),
        Key("routes", ROUTES, "Traffic that the gateway takes.", "none"),
        Key(
            "environments",
            MapOf(ENVIRONMENT, "environment", _environment_name, f"^({NAME})$", least=1),
            "Named places to deliver to.",
            "default: docker, the local engine",
        ),
        Key("strategy", STRATEGY, "How traffic moves to a release.", "canary"),
        Key("stages", STAGES, "What a commit goes through before its rollout.", "source and build"),
        Key("hooks", HOOKS, "Work before and after a rollout.", "none"),
        Key("analysis", ANALYSIS, "What is watched.", "more than 2 % errors, where there are routes"),
        Key("rollback", ROLLBACK, "Limits of the hard facts.", "see below"),
        Key("alerts", ALERTS, "Alerts about what runs, and what they do to a rollout.", "none"),
        Key("freeze", FREEZE, "Times in which no rollout begins and no weight rises.", "none"),
        Key("notify", NOTIFY, "Who is told of every end.", "nobody"),
        Key(
            "on_new",
            ON_NEW,
            "A new release during a rollout: refuse it, let the newest wait (queue), or abort the one under way first "
            "(supersede).",
            "refuse",
        ),
    ),
    refused={
        "services": Refused("this is a compose file's key: write workload: {compose: compose.yaml, service: NAME}")
    },
    belongs={
        "name": "agent",
        "replicas": "workload.deploy.replicas",
        "image": "workload.image",
        "canary": "strategy.canary",
        "gate": "environments.NAME.gate, or a step of strategy.canary",
        "monitor": "rollback.monitor",
        "steps": "strategy.canary.steps",
        "metrics": "analysis.metrics",
        "readiness": "probes.readiness",
        "liveness": "probes.liveness",
        "secrets": "environments.NAME.secrets",
        "overlay": "environments.NAME.overlay",
        "repository": "source.repository",
        "branch": "source.branch",
        "ports": "workload.ports, or routes for traffic through the gateway",
    },
)


def secret_refs(secrets: dict[str, Any]) -> tuple[SecretRef, ...]:
    """References in the order of the file."""
    return tuple(SecretRef(variable, source, reference) for variable, (source, reference) in secrets.items())
