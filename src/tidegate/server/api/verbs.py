"""POST .../agents/{agent}/VERB: what a person says to an agent or to its rollout. One intent each, nothing else.

The bodies are the fields of model/intent.py with bounds; the table VERBS makes the routes.
"""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from tidegate.model import intent as actions
from tidegate.server.api.asking import IdempotencyKey, ask
from tidegate.server.api.parts import MOST_NUMBER, Deliverer, Key, Steerer

router = APIRouter(prefix="/v1/environments/{environment}/agents/{agent}", tags=["agents"])

Number = Annotated[int, Field(ge=1, le=MOST_NUMBER)]
Text = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]


class Plain(BaseModel):
    """Nothing but why. `reason` is kept with the history and in the audit log."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "looks odd"}]})

    reason: str = Field("", max_length=1000)


class UndoBody(Plain):
    """Which revision; none: the one before."""

    to_revision: Number | None = None


class PromoteBody(Plain):
    """`full` skips every step that is left."""

    full: bool = False


class RetryBody(Plain):
    """A quarantined release needs the override, and a reason."""

    override_quarantine: bool = False


class WeightBody(Plain):
    """Percent to the candidate, now."""

    weight: int = Field(ge=0, le=100)


class ScaleBody(Plain):
    """Instances of stable."""

    replicas: int = Field(ge=1, le=1000)


class LockBody(Plain):
    """Let nobody else deploy for these seconds."""

    seconds: float = Field(7200.0, gt=0, le=31 * 86400, allow_inf_nan=False)


class UnlockBody(Plain):
    """`force` takes another's away, and needs a reason."""

    force: bool = False


class LiftBody(Plain):
    """The quarantined release of this revision."""

    revision: Number


class RestoreBody(Plain):
    """A backup; no volumes named: all of it."""

    backup: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,199}$")
    volumes: list[Text] = Field([], max_length=100)


Make = Callable[[Any], actions.Action]

VERBS: tuple[tuple[str, type[Plain], Make, str], ...] = (
    ("promote", PromoteBody, lambda b: actions.Promote(b.full), "Skip the step or pause under way."),
    ("pause", Plain, lambda b: actions.Pause(), "Hold the rollout as it is, traffic and all."),
    ("resume", Plain, lambda b: actions.Resume(), "Go on with a rollout that was paused."),
    ("approve", Plain, lambda b: actions.Approve(), "Open the gate that the rollout waits at."),
    ("reject", Plain, lambda b: actions.Reject(), "Refuse the gate: traffic back to stable."),
    ("set-weight", WeightBody, lambda b: actions.SetWeight(b.weight), "Send this share to the candidate, by hand."),
    ("scale", ScaleBody, lambda b: actions.Scale(b.replicas), "Run this number of instances."),
    ("restart", Plain, lambda b: actions.Restart(), "Restart the instances, one after the other."),
    ("decommission", Plain, lambda b: actions.Decommission(), "Take the agent away: routes first, then instances."),
    ("take-lock", LockBody, lambda b: actions.TakeLock(b.seconds), "Let nobody else deploy for a time."),
    ("unlock", UnlockBody, lambda b: actions.Unlock(b.force), "Give the lock back."),
    ("lift-quarantine", LiftBody, lambda b: actions.LiftQuarantine(b.revision), "Let a rejected release in again."),
    ("acknowledge", Plain, lambda b: actions.Acknowledge(), "A rollback was looked at."),
    ("clean-up", Plain, lambda b: actions.CleanUp(), "Remove images of ours that nothing needs."),
    (
        "restore-backup",
        RestoreBody,
        lambda b: actions.RestoreBackup(b.backup, tuple(b.volumes)),
        "Put a backup in the place of what is there; what was written since is lost.",
    ),
)
"""Verb, body, the action that it makes, what it is for. These steer; the four of CI are below."""

DELIVERIES: tuple[tuple[str, type[Plain], Make, str], ...] = (
    ("undo", UndoBody, lambda b: actions.Undo(b.to_revision), "Go back to an earlier revision."),
    ("retry", RetryBody, lambda b: actions.Retry(b.override_quarantine), "Start the rollout that went back again."),
    ("abort", Plain, lambda b: actions.Abort(), "Traffic back to stable at once, then the rollout stops."),
)


def _route(name: str, body_type: type[Plain], make: Make, about: str, caller_type: Any) -> None:
    async def say(
        request: Request, key: Key, caller: Any, body: Any, idempotency_key: IdempotencyKey = None
    ) -> Response:
        return await ask(request, caller, key, make(body), body.reason)

    say.__annotations__ |= {"caller": caller_type, "body": body_type}
    say.__name__ = name.replace("-", "_")
    say.__doc__ = about
    router.add_api_route(f"/{name}", say, methods=["POST"], status_code=202)


for _name, _body, _make, _about in VERBS:
    _route(_name, _body, _make, _about, Steerer)
for _name, _body, _make, _about in DELIVERIES:
    _route(_name, _body, _make, _about, Deliverer)
