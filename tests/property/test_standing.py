"""Whatever people ask in whatever order: locks keep others out, the newest waits, what was rejected stays out."""

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.memory import KEY, QUICK, WATCH, release, workload
from tidegate.core import intents, quarantine
from tidegate.model import intent
from tidegate.model.decision import Facts
from tidegate.model.observation import Observation
from tidegate.model.policy import OnNew, Policy
from tidegate.model.release import Revision
from tidegate.model.rollout import AgentState, Phase, Rollout
from tidegate.model.spec import Rollback

PEOPLE = st.sampled_from(["ada", "grace"])
VERSIONS = st.sampled_from(["1", "2", "3"])
BASE = workload()


class Standing(RuleBasedStateMachine):
    """The pure decisions about intents, with rollouts that end as Hypothesis likes."""

    def __init__(self) -> None:
        super().__init__()
        stable = Revision(1, "prod", release("0", BASE), BASE)
        self.state = AgentState(KEY, 2, stable, 3, history=(stable,))
        self.now, self.asked = 1000.0, 0
        self.newest = ""

    def ask(self, action: intent.Action, by: str, reason: str = "") -> bool:
        self.asked += 1
        self.now += 1.0
        wanted = intent.Intent(str(self.asked), KEY, action, by, self.now, reason)
        facts = Facts(self.now, Observation(self.now), intents=(wanted,))
        self.state, (answer,), _ = intents.apply(self.state, facts)
        return answer.accepted

    @rule(by=PEOPLE, version=VERSIONS, on_new=st.sampled_from(OnNew), automatic=st.booleans(), override=st.booleans())
    def deploy(self, by: str, version: str, on_new: OnNew, automatic: bool, override: bool) -> None:
        before, locked = self.state, self.locked_for(by)
        made = release(version, BASE)
        rejected = quarantine.find(before, made.image, BASE) is not None
        action = intent.Deploy(made, BASE, QUICK, WATCH, Rollback(), Policy(on_new=on_new), automatic, override)
        accepted = self.ask(action, by, "because" if override else "")
        if before.active is not None and before.active.candidate.release.id == made.id:
            assert accepted, "what is under way already is carried on, whoever asks"
            assert self.state == before
            return
        if locked or (rejected and not override):
            assert not accepted
        if accepted and (before.active is not None or (automatic and before.held is not None)):
            assert self.state.queued is not None
            assert self.state.queued.action.release.version == version
        if on_new is OnNew.REFUSE and before.active is not None:
            assert not accepted

    def locked_for(self, by: str) -> bool:
        lock = self.state.lock
        return lock is not None and lock.holds(self.now + 1.0) and lock.owner != by

    @rule(by=PEOPLE, seconds=st.sampled_from([2.0, 60.0]))
    def take_lock(self, by: str, seconds: float) -> None:
        held, epoch = self.locked_for(by), self.state.lock_epoch
        assert self.ask(intent.TakeLock(seconds), by, "why") is not held
        assert self.state.lock_epoch >= epoch

    @rule(by=PEOPLE, force=st.booleans())
    def unlock(self, by: str, force: bool) -> None:
        self.ask(intent.Unlock(force), by, "why" if force else "")

    @rule(by=PEOPLE)
    def acknowledge(self, by: str) -> None:
        self.ask(intent.Acknowledge(), by)
        assert self.state.held is None

    @precondition(lambda self: self.state.active is not None)
    @rule(by=PEOPLE)
    def abort(self, by: str) -> None:
        assert self.ask(intent.Abort(), by, "whatever is locked or paused")
        assert self.state.rollout is not None
        assert self.state.rollout.phase is Phase.REVERTING

    @precondition(lambda self: self.state.active is not None)
    @rule(good=st.booleans())
    def end(self, good: bool) -> None:
        """As core.rollout ends one; a rollout that turned back only ends there."""
        rollout = self.state.active
        assert rollout is not None
        ended = Phase.PROMOTED if good and rollout.phase is not Phase.REVERTING else Phase.ROLLED_BACK
        ended = Phase.ABORTED if rollout.aborted_by else ended
        after: Rollout = replace(rollout, phase=ended, fault="it failed", turned_at=Phase.PROGRESSING)
        stable = rollout.candidate if ended is Phase.PROMOTED else self.state.stable
        self.state = quarantine.after(replace(self.state, rollout=after, stable=stable), after, self.now)
        if ended is Phase.ROLLED_BACK:
            assert quarantine.find(self.state, rollout.candidate.release.image, rollout.candidate.workload)
            assert self.state.held is not None

    @rule()
    def time_passes(self) -> None:
        self.now += 5.0
        self.state, _, _ = intents.apply(self.state, Facts(self.now, Observation(self.now)))

    @invariant()
    def what_runs_is_not_in_quarantine_unless_somebody_said_so(self) -> None:
        rollout = self.state.rollout
        if rollout is not None and rollout.phase is Phase.PROMOTED:
            assert quarantine.find(self.state, rollout.candidate.release.image, rollout.candidate.workload) is None

    @invariant()
    def revisions_only_grow(self) -> None:
        numbers = [self.state.rollout.candidate.number] if self.state.rollout else []
        assert all(number < self.state.next_revision for number in numbers)


TestStanding = Standing.TestCase
TestStanding.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
