"""One container's inspect as an ObservedInstance. Pure; times stay the engine's text and are only compared."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.adapters.platform.docker import labels
from tidegate.adapters.platform.docker.network import fixed_address
from tidegate.adapters.platform.docker.probes import Watch
from tidegate.adapters.platform.docker.streak import Streak
from tidegate.model.observation import InstanceState, ObservedInstance

NEVER = "0001-01-01T00:00:00Z"
LOOPBACK = "127.0.0.1"
DEFAULT_GRACE_S = 10.0


@dataclass(frozen=True)
class Health:
    """Readiness and liveness with the reason for the worse of them."""

    ready: bool | None = None
    live: bool | None = None
    detail: str = ""


def observed_instance(facts: Mapping[str, Any], network: str, revision: int | None) -> ObservedInstance:
    """What inspect says, without health and logs. `revision` is given for an adopted container, which has no labels."""
    state, config = facts["State"], facts["Config"]
    # A container that could not be started stays "created", with the reason in Error and 126..128 as its exit code.
    exited = state["Status"] in ("exited", "dead", "restarting") or bool(state.get("Error"))
    return ObservedInstance(
        name=str(facts["Name"]).lstrip("/"),
        revision=revision if revision is not None else revision_of(config.get("Labels") or {}),
        state=_state(state),
        id=str(facts["Id"]),
        address=address_of(facts, network),
        started_at="" if state["StartedAt"] == NEVER else str(state["StartedAt"]),
        exit_code=int(state["ExitCode"]) if exited else None,
        oom_killed=bool(state.get("OOMKilled")),
        restart_count=int(facts.get("RestartCount") or 0),
        config_digest=str(facts["Image"]),
        probe_detail=str(state.get("Error") or ""),
        adopted=revision is not None,
        detached=_is_detached(facts, network),
        stop_grace_s=float(DEFAULT_GRACE_S if config.get("StopTimeout") is None else config["StopTimeout"]),
    )


def revision_of(found: Mapping[str, str]) -> int:
    """The revision that a container's label names; 0 when it is no number (surplus in any case)."""
    text = found.get(labels.REVISION, "")
    return int(text) if text.isdecimal() else 0


def address_of(facts: Mapping[str, Any], network: str) -> str:
    """Where the instance is reached: on our network, else on the host, else on the first network that has it."""
    if str(facts["HostConfig"].get("NetworkMode")) == "host":
        return LOOPBACK
    joined: Mapping[str, Any] = facts["NetworkSettings"].get("Networks") or {}
    if network in joined:
        return fixed_address(joined[network])
    return next((address for settings in joined.values() if (address := fixed_address(settings))), "")


def _is_detached(facts: Mapping[str, Any], network: str) -> bool:
    """Whether it was made on our network and is on it no more."""
    made_on_it = str(facts["HostConfig"].get("NetworkMode")) == network
    return made_on_it and network not in (facts["NetworkSettings"].get("Networks") or {})


def health(facts: Mapping[str, Any], watch: Watch | None) -> Health:
    """Readiness and liveness: by the spec's probes, else by the image's HEALTHCHECK, else running is ready.

    `watch` is None where no spec is known for the container: then only its HEALTHCHECK can say something.
    """
    if _state(facts["State"]) is not InstanceState.RUNNING:
        return Health(False, None, str(facts["State"].get("Error") or ""))
    check = engine_health(facts["State"].get("Health"))
    if watch is None:
        return check or Health()
    ready = _readiness(watch.readiness, check)
    live = _liveness(watch.liveness, check)
    return Health(ready.ready, live.live, live.detail if live.live is False else ready.detail)


def engine_health(found: Mapping[str, Any] | None) -> Health | None:
    """The state of the engine's own health check; None where there is none."""
    status = (found or {}).get("Status", "none")
    if not found or status == "none":
        return None
    log = found.get("Log") or []
    last = log[-1] if log else {}
    said = str(last.get("Output") or "").strip()[-200:]
    failing = f"HEALTHCHECK exited with {last.get('ExitCode')}{': ' if said else ''}{said}"
    match status:
        case "healthy":
            return Health(True, True)
        case "unhealthy":
            return Health(False, False, f"{failing} ({found.get('FailingStreak')} in a row)")
        case _:  # starting
            return Health(False if log else None, None, failing if log else "")


def _readiness(streak: Streak | None, check: Health | None) -> Health:
    if streak is not None:
        return Health(ready=streak.value, detail=streak.detail)
    return check or Health(ready=True)


def _liveness(streak: Streak | None, check: Health | None) -> Health:
    if streak is not None:
        return Health(live=streak.value, detail=streak.detail)
    return check or Health()


def _state(state: Mapping[str, Any]) -> InstanceState:
    try:
        return InstanceState(state["Status"])
    except ValueError:  # "removing": on its way out, and as good as dead
        return InstanceState.DEAD
