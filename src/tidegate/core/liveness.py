"""Who is alive, late, gone or stopped, from heartbeats alone.

By the control centre's clock only: an agent's clock may be wrong by years and nothing here changes. Silence counts from
the later of the last heartbeat and the moment since when somebody has listened without a break, so that nobody is
declared dead for a time in which nobody could hear them.
"""

from dataclasses import replace

from tidegate.model.heartbeat import AgentHealth, AgentStatus, Heartbeat, Listening, Pulse
from tidegate.model.observation import ObservedHeartbeat

MISSED = 3
"""An instance is gone after this many of its own intervals."""

SHORTEST_DEADLINE_S = 3.0
"""An interval may be tiny; a machine under load is not late for that."""

LATE = 1.5
"""An instance is late after this many of its own intervals: one heartbeat is overdue."""

REORDERED = 8
"""Messages of one process may overtake each other on the way; further back than this it is a new process."""


def beat(before: Pulse | None, heartbeat: Heartbeat, now: float) -> Pulse:
    """What is known after a heartbeat that arrived at `now` (unix seconds, our clock)."""
    fresh = Pulse(
        heartbeat.key,
        heartbeat.instance,
        heartbeat.revision,
        heartbeat.version,
        heartbeat.status,
        heartbeat.sequence,
        heartbeat.interval_s,
        first_at=now,
        run_at=now,
        last_at=now,
        sent_at=heartbeat.sent_at,
        skew_s=heartbeat.sent_at - now,
        message=heartbeat.message,
    )
    if before is None:
        return fresh
    now = max(now, before.last_at)  # our own clock was set back: what was heard stays heard
    if _overtaken(before, heartbeat):
        return replace(before, last_at=now)
    fresh = replace(fresh, first_at=before.first_at, last_at=now, gaps=before.gaps, runs=before.runs)
    if heartbeat.sequence <= before.sequence:
        return replace(fresh, run_at=now, runs=before.runs + 1)
    missed = heartbeat.sequence - before.sequence - 1
    return replace(fresh, run_at=before.run_at, gaps=before.gaps + missed)


def _overtaken(before: Pulse, heartbeat: Heartbeat) -> bool:
    """Whether this message was sent before one that arrived already, or is the same one again."""
    if heartbeat.sequence == before.sequence:
        return heartbeat.sent_at == before.sent_at
    near = 0 < before.sequence - heartbeat.sequence <= REORDERED
    return near and heartbeat.sequence > 1 and heartbeat.sent_at <= before.sent_at


def age(pulse: Pulse, listening: Listening) -> float | None:
    """Seconds of silence as of `listening.at`; None while nobody listens. Never negative."""
    if listening.since is None:
        return None
    return max(0.0, listening.at - max(pulse.last_at, listening.since))


def deadline(interval_s: float, configured_s: float = 0.0) -> float:
    """Seconds of silence that are allowed: what was configured, else three of the agent's own intervals."""
    return configured_s or max(MISSED * interval_s, SHORTEST_DEADLINE_S)


def overdue_at(pulse: Pulse, listening: Listening) -> float | None:
    """When its silence becomes too long (unix seconds); None while nobody listens, or when it stopped on purpose."""
    if listening.since is None or pulse.status is AgentStatus.STOPPING:
        return None
    return max(pulse.last_at, listening.since) + deadline(pulse.interval_s)


def health(pulse: Pulse | None, listening: Listening, configured_s: float = 0.0) -> AgentHealth:
    """What the heartbeats say about an instance as of `listening.at`."""
    if pulse is None:
        return AgentHealth.UNKNOWN
    if pulse.status is AgentStatus.STOPPING:
        return AgentHealth.STOPPED
    silence = age(pulse, listening)
    if silence is None or listening.since is None:
        return AgentHealth.UNKNOWN
    if silence > deadline(pulse.interval_s, configured_s):
        return AgentHealth.GONE
    if pulse.last_at < listening.since:
        return AgentHealth.UNKNOWN
    return AgentHealth.LATE if silence > max(LATE * pulse.interval_s, 1.0) else AgentHealth.ALIVE


def heard(pulse: Pulse, listening: Listening) -> ObservedHeartbeat | None:
    """A pulse as a fact about an observed instance; None while nobody listens."""
    silence = age(pulse, listening)
    if silence is None:
        return None
    return ObservedHeartbeat(pulse.last_at, silence, pulse.interval_s, pulse.status, pulse.message, pulse.version)


def silent(heartbeat: ObservedHeartbeat, configured_s: float = 0.0) -> bool:
    """Whether an instance that reported has been quiet beyond its deadline, and not on purpose."""
    over = heartbeat.age_s > deadline(heartbeat.interval_s, configured_s)
    return over and heartbeat.status is not AgentStatus.STOPPING
