"""What each phase of a fleet's rollout does: it looks at the hosts' stages and answers with a move, or with a note."""

from collections.abc import Sequence
from dataclasses import dataclass

from tidegate.model.fleet import FleetRollout, FleetState, HostStage, HostState
from tidegate.model.rollout import Hold, PauseKind, Phase

FLEET_TRANSITIONS: dict[Phase, frozenset[Phase]] = {
    Phase.PROGRESSING: frozenset({Phase.BAKING, Phase.PAUSED, Phase.REVERTING}),
    Phase.BAKING: frozenset({Phase.PROGRESSING, Phase.PROMOTED, Phase.PAUSED, Phase.REVERTING}),
    Phase.PAUSED: frozenset({Phase.PROGRESSING, Phase.BAKING, Phase.REVERTING}),
    Phase.REVERTING: frozenset({Phase.ROLLED_BACK, Phase.ABORTED, Phase.FAILED}),
}
"""A fleet's moves, in the words of a host's: progressing is a wave under way, baking watches it afterwards."""


@dataclass(frozen=True)
class FleetMove:
    """A move to another phase. `wave` is the index of the wave under way from then on."""

    to: Phase
    because: str
    wave: int
    fault: str = ""
    hold: Hold | None = None


def next_move(state: FleetState, rollout: FleetRollout, now: float) -> FleetMove | str:
    """The move that is due, or what is waited for."""
    if rollout.phase is Phase.REVERTING:
        return _reverting(state, rollout)
    fault = "" if rollout.straight else _carrier_failed(state, rollout) or _crossed(rollout)
    if fault:
        return FleetMove(Phase.REVERTING, fault, rollout.wave, fault=fault)
    match rollout.phase:
        case Phase.PAUSED:
            return rollout.hold.because if rollout.hold else "paused"
        case Phase.BAKING:
            return _baking(rollout, now)
        case _:
            return _progressing(rollout)


def of_wave(rollout: FleetRollout, wave: int) -> list[HostState]:
    """The hosts of one wave."""
    return [rollout.hosts[name] for name in rollout.waves[wave].hosts]


def begun(rollout: FleetRollout) -> list[HostState]:
    """The hosts of the waves that were begun."""
    return [host for wave in range(rollout.wave + 1) for host in of_wave(rollout, wave)]


def named(rollout: FleetRollout, wave: int) -> str:
    """A wave as a person says it."""
    return f"wave {wave + 1} of {len(rollout.waves)}"


def tally(hosts: Sequence[HostState]) -> str:
    """How many are in which stage: "7 done, 1 unreachable"."""
    counts = [(stage, sum(1 for host in hosts if host.stage is stage)) for stage in HostStage]
    return ", ".join(f"{count} {stage}" for stage, count in counts if count) or "no hosts"


def _crossed(rollout: FleetRollout) -> str:
    """Why the fleet goes back; empty while no wave has failed too often."""
    for wave in range(rollout.wave + 1):
        hosts, limits = of_wave(rollout, wave), rollout.waves[wave].limits
        failed = [host for host in hosts if host.stage is HostStage.FAILED]
        reached = [host for host in hosts if host.stage is not HostStage.UNREACHABLE]
        if not failed:
            continue
        share = 100.0 * len(failed) / len(reached)
        counted = f"{len(failed)} of {len(reached)} hosts of {named(rollout, wave)} failed"
        if len(failed) >= limits.failed_minimum and share >= limits.failed_share:
            return f"{counted} ({share:.0f} %); {failed[0].name}: {failed[0].because}"
        if len(failed) == len(reached):
            return f"{counted}, every one that could be reached; {failed[0].name}: {failed[0].because}"
    return ""


def _carrier_failed(state: FleetState, rollout: FleetRollout) -> str:
    """Why nothing may go on: the host that runs the pre hooks for all of them failed before they had succeeded."""
    carrier = rollout.hosts.get(rollout.carrier)
    if carrier is None or carrier.stage is not HostStage.FAILED or rollout.candidate.release.id in state.hooked:
        return ""
    return f"the pre hooks did not succeed on {carrier.name}: {carrier.because}"


def _progressing(rollout: FleetRollout) -> FleetMove | str:
    hosts = of_wave(rollout, rollout.wave)
    told = f"{named(rollout, rollout.wave)}: {tally(hosts)}"
    if any(not host.stage.settled for host in hosts):
        return told
    if _proven(rollout):
        bake_s = 0.0 if rollout.hurried else rollout.waves[rollout.wave].limits.bake_s
        return FleetMove(Phase.BAKING, f"{told}; baking for {bake_s:g} s", rollout.wave)
    if rollout.straight and any(host.stage is HostStage.FAILED for host in hosts):
        because = f"{told}; a rollback is not rolled back"
        return FleetMove(Phase.PAUSED, because, rollout.wave, hold=_hold(because))
    return f"{told}; nothing is proven until one of them can be reached"


def _proven(rollout: FleetRollout) -> bool:
    """Whether the wave has shown that the release runs; one that nobody can reach is vouched for by those before it."""
    hosts = of_wave(rollout, rollout.wave)
    if any(host.stage is HostStage.DONE for host in hosts):
        return True
    away = all(host.stage is HostStage.UNREACHABLE for host in hosts)
    before = (host for host in rollout.hosts.values() if host.wave < rollout.wave)
    return away and any(host.stage is HostStage.DONE for host in before)


def _hold(because: str) -> Hold:
    return Hold(PauseKind.ANALYSIS, Phase.PROGRESSING, because)


def _baking(rollout: FleetRollout, now: float) -> FleetMove | str:
    limits = rollout.waves[rollout.wave].limits
    told = f"{named(rollout, rollout.wave)}: {tally(of_wave(rollout, rollout.wave))}"
    if not rollout.hurried and now < rollout.phase_since + limits.bake_s:
        return f"{told}; baking for {limits.bake_s:g} s"
    if not _proven(rollout):
        return FleetMove(Phase.PROGRESSING, f"{told}; looking at the wave again", rollout.wave)
    if rollout.wave + 1 < len(rollout.waves):
        because = f"{told}; {named(rollout, rollout.wave + 1)} begins"
        return FleetMove(Phase.PROGRESSING, because, rollout.wave + 1)
    counted = tally(list(rollout.hosts.values()))
    return FleetMove(Phase.PROMOTED, f"revision {rollout.candidate.title} is promoted: {counted}", rollout.wave)


def _reverting(state: FleetState, rollout: FleetRollout) -> FleetMove | str:
    hosts = begun(rollout)
    if any(not host.stage.settled for host in hosts if host.asks or host.stage is not HostStage.PENDING):
        return f"taking back: {tally(hosts)}"
    end = Phase.ABORTED if rollout.aborted_by else Phase.ROLLED_BACK
    if state.stable is None:
        return FleetMove(Phase.FAILED, f"stopped, with nothing to go back to: {tally(hosts)}", rollout.wave)
    return FleetMove(end, f"back on revision {state.stable.title}: {tally(hosts)}", rollout.wave)
