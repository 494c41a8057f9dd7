"""The strategies: shapes and what they become."""

import re
from collections.abc import Sequence
from typing import Any

from tidegate.model.spec import Analyse, BlueGreen, Canary, Rolling, SetWeight, Step
from tidegate.spec.context import Context
from tidegate.spec.in_place import IN_PLACE
from tidegate.spec.kinds import duration, flag, free
from tidegate.spec.scalars import duration_text
from tidegate.spec.shapes import INVALID, Key, ListOf, Object, Record, own
from tidegate.spec.steps import PERCENT, PREVIEW, STEP, STICKY

DEFAULT_STEPS = "10 %, analyse 30s, 50 %, analyse 30s"


def _number_or_share(written: str) -> str:
    if not re.fullmatch(r"[0-9]{1,4}%?", written):
        raise ValueError('write 1 or "25%"')
    return written


NUMBER_OR_SHARE = free("a number of instances or a percentage", _number_or_share, 'write 1 or "25%"')
_DRAIN = Key("drain", duration(), "Time that requests in flight get before an instance stops.", "30s")
_BAKE = Key("bake", duration(), "Time to watch after the switch; until then the way back is open.", "30s")
_DEADLINE = Key(
    "progress_deadline",
    duration(0.001),
    "Time without progress after which it goes back; watching, pauses and gates do not count.",
    "10m",
    aliases=("progressDeadlineSeconds",),
)


def _keep(default: float) -> Key:
    return Key(
        "keep",
        duration(),
        "Time that the former side keeps running after promotion, so that undo is a switch.",
        duration_text(default),
    )


def _background(placed: Sequence[tuple[Step, Any]], context: Context) -> None:
    """What is watched from a step on cannot be judged before it."""
    begins = [index for index, (step, _) in enumerate(placed) if step == Analyse(None)]
    for index, (step, where) in enumerate(placed):
        if begins and index < begins[0] and isinstance(step, Analyse):
            context.error(where.child("analyse"), "nothing is measured before analyse: {}", "put analyse: {} before it")
        if begins and index > begins[0] and step == Analyse(None):
            context.error(where.child("analyse"), "the background analysis runs already", "take it out")


def _canary(record: Record, context: Context) -> Canary:
    default = Canary()
    placed = record.get("steps", ())
    last = -1
    for step, where in placed:
        if isinstance(step, SetWeight):
            if step.weight <= last:
                context.error(
                    where.child("set_weight"),
                    f"the weight {step.weight} follows {last}; weights rise from step to step",
                    "going back is what abort and rollback do: order the steps by weight",
                )
            last = max(last, step.weight)
    _background(placed, context)
    steps: tuple[Step, ...] = tuple(step for step, _ in placed)
    return Canary(
        steps=steps if "steps" in record else default.steps,
        sticky=record.get("sticky"),
        bake_s=record.get("bake", default.bake_s),
        keep_s=record.get("keep", default.keep_s),
        drain_s=record.get("drain", default.drain_s),
        progress_deadline_s=record.get("progress_deadline", default.progress_deadline_s),
        baseline=record.get("baseline", default.baseline),
    )


CANARY = Object(
    "canary",
    "Start the candidate beside stable, move traffic step by step, go back by itself when the evidence turns.",
    own(
        Key("steps", ListOf(STEP, least=1, expected="a list of steps"), "What happens, in order.", DEFAULT_STEPS),
        Key("sticky", STICKY, "Users stay where they are while the share grows.", "none"),
        Key(
            "baseline", flag(), "Start as many instances of stable's release with the canary, to compare with.", "false"
        ),
        Key("bake", duration(), "Time to watch after promotion; until then the way back is open.", "30s"),
        _keep(Canary().keep_s),
        _DRAIN,
        _DEADLINE,
    ),
    build=_canary,
)


def _rolling(record: Record, context: Context) -> object:
    default = Rolling()
    limits = {"max_surge": default.max_surge, "max_unavailable": default.max_unavailable}
    limits |= {name: record[name] for name in limits if name in record}
    if all(value.rstrip("%").strip("0") == "" for value in limits.values()):
        message = "max_surge and max_unavailable are both 0: nothing could move"
        context.error(record.at("max_unavailable"), message, "write max_surge: 1, or max_unavailable: 1")
        return INVALID
    settle = record.get("min_ready", default.min_ready_s)
    patience = record.get("progress_deadline", default.progress_deadline_s)
    if settle >= patience:
        message = f"min_ready ({settle:g} s) is not shorter than progress_deadline ({patience:g} s)"
        context.error(record.at("min_ready"), message, "no instance would count in time: make progress_deadline longer")
        return INVALID
    return Rolling(
        **limits,
        min_ready_s=settle,
        bake_s=record.get("bake", default.bake_s),
        drain_s=record.get("drain", default.drain_s),
        progress_deadline_s=patience,
    )


ROLLING = Object(
    "rolling",
    "Replace instances a few at a time; traffic follows the instances that are ready.",
    own(
        Key("max_surge", NUMBER_OR_SHARE, "Instances beyond the replicas that may exist; shares round up.", "25%"),
        Key("max_unavailable", NUMBER_OR_SHARE, "Instances short of the replicas that may be; shares round down.", "0"),
        Key(
            "min_ready",
            duration(),
            "Time that an instance must be ready before it counts.",
            "0s",
            aliases=("minReadySeconds",),
        ),
        _BAKE,
        _DRAIN,
        _DEADLINE,
    ),
    build=_rolling,
)


def _blue_green(record: Record, context: Context) -> BlueGreen:
    default = BlueGreen()
    return BlueGreen(
        preview=record.get("preview"),
        mirror=record.get("mirror", default.mirror),
        analyse_s=record.get("analyse", default.analyse_s),
        automatic=record.get("automatic", default.automatic),
        bake_s=record.get("bake", default.bake_s),
        keep_s=record.get("keep", default.keep_s),
        drain_s=record.get("drain", default.drain_s),
        progress_deadline_s=record.get("progress_deadline", default.progress_deadline_s),
    )


BLUE_GREEN = Object(
    "blue_green",
    "All of the candidate beside all of stable, then every request at once; undo is a switch while `keep` lasts.",
    own(
        Key("preview", PREVIEW, "How the candidate is reached before the switch.", "not at all"),
        Key("mirror", PERCENT, "Percent of requests that are copied to the candidate before the switch.", "0"),
        Key("analyse", duration(), "Time to watch the candidate before the switch.", "0s", aliases=("analyze",)),
        Key(
            "automatic",
            flag(),
            "Switch without asking; false waits for a person (tidegate promote).",
            "true",
            aliases=("autoPromotionEnabled",),
        ),
        _BAKE,
        _keep(BlueGreen().keep_s),
        _DRAIN,
        _DEADLINE,
    ),
    build=_blue_green,
)


STRATEGIES = ("canary", "rolling", "blue_green", "in_place")


def _strategy(record: Record, context: Context) -> Any:
    return next((record[name] for name in STRATEGIES if name in record), INVALID)


STRATEGY = Object(
    "strategy",
    "How traffic moves to a release.",
    own(
        Key("canary", CANARY, "Step by step, beside stable."),
        Key("rolling", ROLLING, "A few instances at a time."),
        Key("blue_green", BLUE_GREEN, "All at once, with the former side kept for the way back."),
        Key("in_place", IN_PLACE, "One stops, the other starts: for what cannot run twice."),
    ),
    one_of=STRATEGIES,
    build=_strategy,
)
