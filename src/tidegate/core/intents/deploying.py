"""Releases begin: deploy, undo, retry, and whatever waits in line."""

from dataclasses import replace

from tidegate.core import admission, baseline, published, way_back
from tidegate.core.admission import Way
from tidegate.core.breaking import breaks, major_step
from tidegate.core.changes import changed
from tidegate.core.intents import steering
from tidegate.core.intents.keeping import nothing_under_way
from tidegate.core.refusal import RefusedError
from tidegate.model.event import Event, EventKind
from tidegate.model.intent import Deploy, Intent, RestoreBackup
from tidegate.model.release import Revision
from tidegate.model.rollout import AgentState, Phase, Queued, Restoring, Rollout
from tidegate.model.spec import BackedUp, InPlace


def deploy(state: AgentState, intent: Intent, action: Deploy, now: float) -> tuple[AgentState, str]:
    under_way = state.active.candidate if state.active else None
    if under_way and under_way.release.id == action.release.id and under_way.workload == action.workload:
        return state, f"revision {under_way.title} is under way already; carrying on"
    match admission.admit(state, intent, action, now):
        case Way.QUEUE:
            return admission.enqueue(state, Queued(action, intent.by, intent.at, intent.reason), _for_what(state))
        case Way.SUPERSEDE:
            assert state.active is not None
            title = state.active.candidate.title
            why = f"superseded by {action.release.version}"
            state, _ = steering.abort(state, replace(intent, reason=why), now)
            queued = Queued(action, intent.by, intent.at, intent.reason)
            return admission.enqueue(state, queued, f"until revision {title} is back to stable: {why}")
        case Way.BEGIN:
            return _start(state, intent, action, now)


def _for_what(state: AgentState) -> str:
    if state.active is not None:
        return f"for the end of revision {state.active.candidate.title}"
    return f"until somebody acknowledges: {state.held.because}" if state.held else "for its turn"


def next_in_line(state: AgentState, now: float) -> tuple[AgentState, tuple[Event, ...]]:
    """Begin with what waits, once nothing is under way and nobody holds it back."""
    queued = state.queued
    held = queued is not None and queued.action.automatic and state.held is not None
    if queued is None or state.active is not None or held:
        return state, ()
    intent = Intent("", state.key, queued.action, queued.by, queued.at, queued.reason)
    try:
        admission.unlocked(state, queued.by, now)
    except RefusedError:
        return state, ()
    emptied = replace(state, queued=None)
    try:
        admission.admit(emptied, intent, queued.action, now)
        after, because = _start(emptied, intent, queued.action, now)
        kind = EventKind.INTENT
    except RefusedError as refusal:
        after, because, kind = emptied, f"{queued.action.release.version} no longer waits: {refusal}", EventKind.REFUSED
    data = {"by": queued.by, "action": "deploy", "reason": queued.reason}
    number = after.rollout.candidate.number if after.rollout else None
    return after, (Event(now, state.key, kind, because, number, data),)


def _start(state: AgentState, intent: Intent, action: Deploy, now: float) -> tuple[AgentState, str]:
    stable = state.stable
    if stable and stable.release.id == action.release.id and stable.workload == action.workload:
        return state, f"revision {stable.title} already runs exactly this; nothing to do"
    if isinstance(action.strategy, InPlace):
        _in_place_possible(state, action, action.strategy)
    passing = published.passing(state, action.workload, action.strategy)
    way = way_back.by_release(state, action.release, action.workload, action.rollback.window, now)
    revision = Revision(
        state.next_revision,
        state.key.environment,
        action.release,
        action.workload,
        undo_of=way.undo_of if way else None,
        warm=way.warm if way else None,
        created_at=now,
        by=intent.by,
        reason=intent.reason,
    )
    rollout = Rollout(
        rollout_id(state, revision),
        revision,
        action.strategy,
        action.analysis,
        action.rollback,
        now,
        fast=bool(way),
        policy=action.policy,
        asked_by=intent.by,
        freeze_overridden_by=intent.by if action.override_freeze else "",
        hooks=action.hooks,
        breaking_accepted_by=intent.by if action.accept_breaking else "",
        delivery=action.delivery,
        returning=bool(way) and not action.automatic,
    )
    state = way_back.taken_over(state, way) if way else state
    if action.policy.notify != state.endpoints:
        state = replace(state, endpoints=action.policy.notify, told_since=now)
    state = changed(state, alerting=action.policy.alerts)
    replicas = state.replicas if stable else action.workload.replicas
    if stable and action.workload.replicas != stable.workload.replicas:
        rollout = replace(rollout, replicas=max(action.workload.replicas, 1), replicas_before=replicas)
        replicas = max(replicas, action.workload.replicas)
    because = "; ".join(filter(None, (way.because if way else "", passing)))
    because = f"revision {revision.title} begins" + (f": {because}" if because else "")
    return _begin(replace(state, replicas=max(replicas, 1)), rollout, now), because


def _in_place_possible(state: AgentState, action: Deploy, strategy: InPlace) -> None:
    """in_place replaces one instance, and what breaks only by a person's word."""
    if action.workload.replicas != 1:
        count = action.workload.replicas
        mend = "rolling with max_surge 0 and max_unavailable 1 replaces several one after the other"
        raise RefusedError(f"in_place replaces one instance, and {count} are asked for; {mend}")
    if state.stable is not None and state.replicas != 1:
        raise RefusedError(f"in_place replaces one instance, and {state.replicas} run; tidegate scale 1 first")
    if state.stable is None or action.accept_breaking or not strategy.refuse_breaking:
        return
    before, after = state.stable.release.version, action.release.version
    why = f"{before} -> {after} is a breaking step" if major_step(before, after) else ""
    if action.release.provenance.breaking:
        why = f"{after} breaks by its release notes ({action.release.provenance.breaking})"
    said = action.workload.labels.get("dev.tidegate.breaking", "")
    if breaks(said):
        why = f"{after} says that it breaks (dev.tidegate.breaking={said})"
    if why:
        raise RefusedError(f"{why}; deploy --accept-breaking goes ahead by your word")


def rollout_id(state: AgentState, revision: Revision) -> str:
    """Name of a rollout: one a revision."""
    return f"{state.key}.r{revision.number}"


def _begin(state: AgentState, rollout: Rollout, now: float) -> AgentState:
    rollout = replace(rollout, phase_since=now, cursor_since=now, because="the rollout begins")
    rollout = replace(rollout, baseline=baseline.of(state, rollout, now))
    latest = rollout.baseline or rollout.candidate
    return replace(state, rollout=rollout, next_revision=latest.number + 1, decommissioned=False)


def undo(state: AgentState, intent: Intent, to_revision: int | None, now: float) -> tuple[AgentState, str]:
    if state.active is not None:
        if to_revision is None:
            return steering.abort(state, intent, now)
        nothing_under_way(state, "undo without a revision takes it back; then undo --to-revision")
    earlier = _before(state)
    if to_revision is not None:
        earlier = [revision for revision in state.history if revision.number == to_revision]
    if not earlier:
        kept = ", ".join(str(revision.number) for revision in state.history[:-1]) or "none"
        raise RefusedError(f"there is no such earlier revision to go back to; kept: {kept}")
    goal = earlier[-1]
    if state.stable and way_back.same(state.stable, goal.release, goal.workload):
        raise RefusedError(f"revision {state.stable.title} is what runs now")
    last = state.rollout
    assert last is not None
    passing = published.passing(state, goal.workload, last.strategy)
    way = way_back.to(state, goal, last.rollback.window, now)
    revision = replace(
        goal,
        number=state.next_revision,
        undo_of=way.undo_of,
        warm=way.warm,
        created_at=now,
        by=intent.by,
        reason=intent.reason,
    )
    rollout = Rollout(
        rollout_id(state, revision),
        revision,
        last.strategy,
        last.analysis,
        last.rollback,
        now,
        fast=way.fast,
        policy=last.policy,
        asked_by=intent.by,
        returning=True,
    )
    because = "; ".join(filter(None, (way.because, passing)))
    return _begin(way_back.taken_over(state, way), rollout, now), f"revision {revision.title} begins: {because}"


def _before(state: AgentState) -> list[Revision]:
    """What undo without a revision may go back to: what served before, and is something else than what serves.

    After an undo it is what came before where that went to: the way back does not lead forward again.
    """
    stable, last = state.stable, state.rollout
    earlier = state.history[:-1]
    if stable is None:
        return list(earlier)
    if last is not None and last.returning and last.candidate.number == stable.number and stable.undo_of is not None:
        origin = stable.undo_of
        earlier = tuple(one for one in earlier if one.number < origin)
    return [one for one in earlier if not way_back.same(stable, one.release, one.workload)]


def retry(state: AgentState, intent: Intent, override_quarantine: bool, now: float) -> tuple[AgentState, str]:
    last = state.rollout
    if last is None or last.phase not in (Phase.ROLLED_BACK, Phase.ABORTED, Phase.FAILED):
        raise RefusedError("there is no rollout that went back and could be tried again")
    admission.unlocked(state, intent.by, now)
    overridden = override_quarantine and bool(intent.reason)
    admission.not_rejected(state, last.candidate.release.image, last.candidate.workload, overridden)
    revision = replace(
        last.candidate, number=state.next_revision, warm=None, created_at=now, by=intent.by, reason=intent.reason
    )
    rollout = Rollout(
        rollout_id(state, revision),
        revision,
        last.strategy,
        last.analysis,
        last.rollback,
        now,
        fast=last.fast,
        policy=last.policy,
        asked_by=intent.by,
        hooks=last.hooks,
        restoring=last.restoring,
        breaking_accepted_by=last.breaking_accepted_by,
    )
    return _begin(state, rollout, now), f"revision {revision.title} begins: {last.candidate.number} once more"


def restore_backup(state: AgentState, intent: Intent, action: RestoreBackup, now: float) -> tuple[AgentState, str]:
    """The same release once more, in place, with another content in its volumes; what is there is backed up first."""
    nothing_under_way(state, "abort it or wait for its end first")
    admission.unlocked(state, intent.by, now)
    stable, last = state.stable, state.rollout
    if stable is None or last is None:
        raise RefusedError("nothing serves here yet, so there is nothing to restore")
    if state.replicas != 1:
        raise RefusedError(f"{state.replicas} instances share these volumes; scale to 1 first")
    strategy = last.strategy
    if not isinstance(strategy, InPlace):
        strategy = InPlace(tuple(BackedUp(name) for name in action.volumes), bake_s=min(last.strategy.bake_s, 10.0))
    if not action.volumes and not strategy.volumes:
        raise RefusedError("name the volumes to restore: strategy.in_place.backup names none")
    reason = intent.reason or f"backup {action.backup} is restored"
    revision = replace(
        stable, number=state.next_revision, warm=None, undo_of=None, created_at=now, by=intent.by, reason=reason
    )
    rollout = Rollout(
        rollout_id(state, revision),
        revision,
        strategy,
        last.analysis,
        last.rollback,
        now,
        policy=last.policy,
        asked_by=intent.by,
        approved_by=intent.by,
        restoring=Restoring(action.backup, action.volumes),
        breaking_accepted_by=intent.by,
    )
    return _begin(state, rollout, now), f"revision {revision.title} begins with backup {action.backup}"
