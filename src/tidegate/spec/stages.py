"""stages: shapes and what they become. A stage is switched by `true` or `false`, or on by its keys."""

from dataclasses import replace
from typing import Any

from tidegate.model.stages import Bounds, Stages
from tidegate.spec.context import Context
from tidegate.spec.kinds import byte_size, duration, flag, number, whole
from tidegate.spec.scalars import duration_text
from tidegate.spec.shapes import Either, Key, Object, Record, Scalar, Shape, own

_DEFAULT = Stages()


def bounds_keys(default: Bounds) -> tuple[Key, ...]:
    """The keys that every stage has: what its work may take."""
    return own(
        Key(
            "timeout",
            duration(0.001),
            "After this its work is stopped, and it has failed.",
            duration_text(default.timeout_s),
        ),
        Key("cpus", number(0.01, "a number of cores"), "Cores that its work may use.", f"{default.cpus:g}"),
        Key("memory", byte_size(), "Memory that its work may use.", f"{default.memory_bytes >> 20}m"),
        Key("pids", whole(1, 1_000_000), "Processes that its work may have.", f"{default.pids}"),
    )


def bounds_of(record: Record, default: Bounds) -> Bounds:
    """What was read of them."""
    return Bounds(
        timeout_s=record.get("timeout", default.timeout_s),
        cpus=record.get("cpus", default.cpus),
        memory_bytes=record.get("memory", default.memory_bytes),
        pids=record.get("pids", default.pids),
    )


def switched(shape: Object, default: Any) -> Shape:
    """A stage by its keys, or by true (as `default` has it) or false (None: off)."""
    on_or_off = flag()

    def convert(node: Any) -> Any:
        return default if on_or_off.convert(node) else None

    return Either(
        "true, false or the stage's keys",
        scalar=Scalar("true, false or the stage's keys", convert, on_or_off.json),
        mapping=shape,
        hint="write true, false, or keys one a line",
    )


def _bounded(name: str, doc: str, default: Bounds) -> Object:
    def build(record: Record, context: Context) -> Bounds:
        return bounds_of(record, default)

    return Object(name, doc, bounds_keys(default), build=build, may_be_empty=True)


def _stages(record: Record, context: Context) -> Stages:
    return replace(_DEFAULT, **record)


STAGES = Object(
    "stages",
    "What a commit goes through before its rollout.",
    own(
        Key("source", _bounded("source_stage", "Finding the commit.", _DEFAULT.source), "Finding the commit."),
        Key("build", _bounded("build_stage", "Making the image.", _DEFAULT.build), "Making the image."),
    ),
    build=_stages,
    may_be_empty=True,
)
