"""The ports: small Protocols between the loop and the outside world. Every adapter of a port passes tests/contract.

Platform and Gateway share one shape (observe, plan, execute): `plan` is pure, `execute` is one call and idempotent.
All coroutines bound their own waiting and raise model.errors; none of them retries for ever.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from tidegate.model.access import AccessToken
from tidegate.model.audit import Act, Entry, Head
from tidegate.model.changes import Change
from tidegate.model.decision import Decision
from tidegate.model.delivery import Delivery, DeliveryDecision, DeliveryKey
from tidegate.model.desired import Desired
from tidegate.model.event import Event
from tidegate.model.evidence import Evidence
from tidegate.model.fleet import FleetDecision, FleetState
from tidegate.model.heartbeat import Listening, Pulse
from tidegate.model.intent import Answer, Intent
from tidegate.model.metering import Origin, Question, Reading, Subject
from tidegate.model.observation import Block, Observation, ObservedGateway, ObservedTask, Traffic
from tidegate.model.operation import GatewayOperation, PlatformOperation, TaskOperation
from tidegate.model.order import Order, Run
from tidegate.model.policy import Endpoint
from tidegate.model.record import AgentRecord
from tidegate.model.release import AgentKey, Image, Release, Revision
from tidegate.model.rollout import AgentState
from tidegate.model.source import BuildOptions, Commit
from tidegate.model.stages import StageName
from tidegate.model.standing import PausedAll
from tidegate.model.work import Job, Place, Result
from tidegate.model.workload import Workload

Tell = Callable[[str], None]
"""Takes a line of a log."""


class Clock(Protocol):
    """Time and waiting; the fake one makes hours pass in milliseconds."""

    def now(self) -> float:
        """Unix seconds."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class Platform(Protocol):
    """Where instances run: one host's engine."""

    async def observe(self, desired: Desired) -> Observation:
        """Facts about one agent (`gateway` left empty). Never raises for an absent engine: `reachable` says it.

        `desired` is the last known desired state: whose images to look for, whose probes to run.
        """

    def plan(self, desired: Desired, observed: Observation) -> tuple[PlatformOperation, ...]:
        """Pure: the operations that lead from observed towards desired. Empty when nothing is left to do."""

    async def execute(self, operation: PlatformOperation) -> None:
        """Carry out one operation. Doing it twice is harmless. Raises EngineError."""

    async def logs(self, instance: str, lines: int) -> tuple[str, ...]:
        """The last lines of an instance's log. Raises NotFoundError."""

    async def found(self, key: AgentKey) -> tuple[Revision, ...]:
        """The revisions that the agent's instances say they were made from, each once, for a state that was lost.

        What a person started by hand says nothing. Raises EngineError.
        """

    async def changed(self, key: AgentKey, timeout_s: float) -> bool:
        """Wait until something about the agent may have changed (engine event, probe), at most timeout_s."""

    async def close(self) -> None:
        """Let go of connections; instances run on."""


class Tasks(Protocol):
    """Run-to-completion work on one host, and web hooks: started, never awaited; what became of it is observed.

    A task stays until it is removed, so that its result can be stored first.
    """

    async def observe(self, key: AgentKey) -> tuple[ObservedTask, ...]:
        """Every task of the agent that is ready, runs or ended. Raises EngineError: nothing is known then."""

    def plan(self, desired: Desired, observed: Observation) -> tuple[TaskOperation, ...]:
        """Pure: makes ready what should be, starts what is ready, stops what should be over, removes what is stored."""

    async def execute(self, operation: TaskOperation) -> None:
        """Carry out one operation. Starting twice what ran once does nothing. Raises EngineError."""

    async def close(self) -> None:
        """Let go of connections; containers run on, web hooks under way are given up."""


class Gateway(Protocol):
    """The host's data plane."""

    async def observe(self, key: AgentKey) -> ObservedGateway:
        """What the gateway applied for this agent. Never raises for an absent gateway: `running` says it."""

    def plan(self, desired: Desired, observed: Observation) -> tuple[GatewayOperation, ...]:
        """Pure: what to tell the gateway."""

    async def execute(self, operation: GatewayOperation) -> None:
        """Carry out one operation under the gateway's lock and epoch. Raises GatewayError."""

    async def counters(self, key: AgentKey) -> dict[int, Traffic]:
        """Cumulative request, error and latency counts by revision since some beginning. Raises GatewayError."""

    def fence(self, epoch: int) -> None:
        """Write under this lease's epoch from now on; whoever comes with a lower one is refused (LeaseLostError)."""

    async def close(self) -> None:
        """Let go of connections; the gateway serves on."""


class MetricSource(Protocol):
    """Where measurements other than the gateway's own come from: one of it for each rollout that asks."""

    async def read(self, subject: Subject, questions: Sequence[Question]) -> Reading:
        """Values as of now, for as many of the questions and revisions as there is data.

        Whoever asks bounds the time, and asks again every second or few. Raises TidegateError when the source is down.
        """

    async def close(self) -> None:
        """Let go of connections and of whatever reads along."""


OpenSource = Callable[[Origin], MetricSource]
"""Makes the source of an origin; nothing is connected yet."""


class Store(Protocol):
    """State, events, intents: one transaction a decision."""

    async def load(self, key: AgentKey) -> AgentState | None:
        """The state last saved, or None."""

    async def keys(self) -> tuple[AgentKey, ...]:
        """Every agent in every environment that has state or open intents."""

    async def asked(self) -> tuple[AgentKey, ...]:
        """Every agent in every environment that has open intents; cheap, it is asked several times a second."""

    async def save(self, decision: Decision, epoch: int) -> None:
        """State, events and answers in one transaction. Raises LeaseLostError when `epoch` is not the current one."""

    async def save_in_reserve(self, decision: Decision, epoch: int) -> None:
        """Keep a decision in space allocated beforehand, when `save` cannot; folded in before anything newer is saved.

        Only for moving traffic to ready stable instances. Raises StoreError when even that is impossible.
        """

    async def submit(self, intent: Intent) -> None:
        """Write an intent for the holder of the lease, and into the audit log; the same one twice is harmless.

        Raises ConflictError when its id was given to something else.
        """

    async def pending(self, key: AgentKey) -> tuple[Intent, ...]:
        """Intents not answered yet, oldest first."""

    async def find_intent(self, intent: str) -> Intent | None:
        """An intent by its id, answered or not."""

    async def answer(self, intent: str) -> Answer | None:
        """What became of an intent, or None while it is open."""


class Fleets(Protocol):
    """The state of fleets: one transaction a decision, the intents for its hosts included."""

    async def load_fleet(self, key: AgentKey) -> FleetState | None:
        """The state last saved, or None where the environment is no fleet."""

    async def save_fleet(self, decision: FleetDecision, epoch: int) -> None:
        """State, intents, events and answers at once. Raises LeaseLostError when `epoch` is not the current one."""


class Deliveries(Protocol):
    """Deliveries and their evidence: one transaction a decision. Any command begins one; who has the lease decides."""

    async def begin(self, delivery: Delivery) -> Delivery:
        """Keep a new delivery under the next number of its agent and environment, which is set in what is returned."""

    async def cancel(self, key: DeliveryKey, by: str) -> None:
        """Ask for its end. Raises NotFoundError; one that is over stays as it is."""

    async def open(self, environment: str) -> tuple[DeliveryKey, ...]:
        """Every delivery that is not over; cheap, it is asked several times a second."""

    async def load_delivery(self, key: DeliveryKey) -> Delivery | None:
        """The state last saved."""

    async def cancelled_by(self, key: DeliveryKey) -> str:
        """Who asked for its end; empty when nobody did."""

    async def save_delivery(self, decision: DeliveryDecision, epoch: int) -> None:
        """State, evidence, release, intents and events at once. Raises LeaseLostError, StoreError."""

    async def find_evidence(self, agent: str, stage: StageName, key: str) -> Evidence | None:
        """What that stage found out from the inputs with that key."""

    async def latest(self, agent: AgentKey, limit: int = 1) -> list[Delivery]:
        """The newest deliveries of an agent in an environment, newest first."""

    async def of_release(self, agent: str, release: str) -> Delivery | None:
        """The newest delivery that made a release."""


class Workshop(Protocol):
    """Where the work of stages is done."""

    async def run(self, job: Job, place: Place, tell: Tell) -> Result:
        """Do a job to its end, or go on waiting for what was begun under its name before; `tell` gets every line.

        Bounded by the job's own time. Cancelled: what runs is stopped. Raises TidegateError where it cannot be done,
        which is different from a program that fails: that is a result.
        """

    async def holds(self, image: Image) -> bool:
        """Whether the engine still has an image that was made here before. Raises EngineError."""

    async def clean(self, delivery: DeliveryKey) -> None:
        """Remove what is left of a delivery. Raises EngineError."""


class Papers(Protocol):
    """Full logs and files of evidence, kept beside the state by agent, stage and key."""

    def log(self, folder: str) -> Tell:
        """Where lines go; each is written when it is given. What cannot be written is lost, and said once."""

    def keep(self, folder: str, files: Mapping[str, bytes]) -> None:
        """Keep files under their names. Raises StoreError."""

    def where(self, folder: str) -> str:
        """The place, for a person."""


class Journal(Protocol):
    """What is read back for people and for replay."""

    async def append(self, events: Sequence[Event]) -> None:
        """Add to the event log."""

    async def events(self, key: AgentKey | None, after: int = 0, limit: int = 1000) -> list[tuple[int, Event]]:
        """Events with their sequence numbers, oldest first."""

    async def add_blocks(self, key: AgentKey, blocks: Sequence[Block]) -> None:
        """Keep measurement blocks for replay."""

    async def blocks(self, key: AgentKey, since: float, until: float) -> list[Block]:
        """Measurement blocks that ended within the span (unix seconds)."""

    async def trim(self, key: AgentKey, before: float) -> int:
        """Forget blocks that ended before a time (unix seconds); how many. Events never go."""

    async def add_release(self, release: Release) -> None:
        """Keep a release; the same one twice is harmless."""

    async def find_release(self, agent: str, name: str) -> Release | None:
        """A release by id, version or unambiguous prefix of the id."""

    async def releases(self, agent: str) -> list[Release]:
        """All releases of an agent, oldest first."""

    async def revisions(self, key: AgentKey) -> list[Revision]:
        """Every revision that was ever decided, oldest first."""


class Heartbeats(Protocol):
    """What agents report, for whoever decides."""

    def pulses_of(self, key: AgentKey) -> Mapping[str, Pulse]:
        """What is known of each instance that ever reported, by its name."""

    def listening(self) -> Listening:
        """Since when somebody hears without a break, as of now."""

    async def run(self, stop: asyncio.Event) -> None:
        """Hear, and keep what was heard, until told to stop. What cannot be had is logged, never raised."""


class Pulses(Protocol):
    """Where pulses are kept, saved in batches: the last moments may be lost with the process, which costs nothing."""

    async def save_pulses(self, pulses: Sequence[Pulse], listening: Listening) -> None:
        """Keep the latest of each instance, and whether somebody listens."""

    async def pulses(self, key: AgentKey | None) -> list[Pulse]:
        """The latest pulse of each instance, by name; of every agent when `key` is None."""

    async def reporting(self) -> tuple[AgentKey, ...]:
        """Every agent in every environment of which an instance reported."""

    async def last_listening(self) -> Listening:
        """As saved last; nobody listens (at 0) where nothing was ever saved."""

    async def forget_pulses(self, before: float) -> None:
        """Drop the pulses of instances last heard before a time (unix seconds)."""


Contents = Mapping[tuple[AgentKey, str], Mapping[str, bytes]]
"""Instance -> the files of the configuration that it runs with, by their SHA-256 (hexadecimal)."""


class AgentRecords(Protocol):
    """Where it is kept what agents say of themselves."""

    async def save_records(self, records: Sequence[AgentRecord], contents: Contents) -> None:
        """Keep them in place of former ones, and their configuration files in place of theirs."""

    async def records(self, key: AgentKey | None) -> list[AgentRecord]:
        """The record of each instance, by name; of every agent when `key` is None."""

    async def content(self, key: AgentKey, instance: str, digest: str) -> bytes | None:
        """A file of the configuration that an instance runs with, by its SHA-256 (hexadecimal)."""

    async def drop_records(self, names: Collection[tuple[AgentKey, str]]) -> None:
        """Forget instances."""


class OrderBook(Protocol):
    """What agents are asked to do, and what became of it."""

    async def add_order(self, order: Order) -> None:
        """Keep an order; the same one twice is harmless."""

    async def end_order(self, order: str, at: float) -> bool:
        """It is over, or taken back (unix seconds); False when it was before, or there is none."""

    async def open_orders(self) -> list[Order]:
        """Orders that are not over, oldest first; cheap, it is asked every second."""

    async def orders(self, limit: int = 100) -> list[Order]:
        """The newest orders, oldest first, those that are over included."""

    async def runs(self, order: str) -> list[Run]:
        """What became of an order, by due time and instance."""

    async def save_runs(self, runs: Sequence[Run]) -> None:
        """Keep runs in place of what was known of them, in one transaction."""


class Switches(Protocol):
    """What holds for everything in this state."""

    async def paused(self) -> PausedAll | None:
        """Who paused everything; None while the switch is off."""

    async def pause(self, paused: PausedAll | None) -> None:
        """Turn it on, or (None) off."""


class Outbox(Protocol):
    """How far each receiver of notices has been told, by the event log's sequence numbers."""

    async def position(self, receiver: str) -> int | None:
        """The last event that it was told, or None when it was never told anything."""

    async def advance(self, receiver: str, position: int) -> None:
        """It was told up to here. Never backwards."""


class Notifier(Protocol):
    """Delivers notices."""

    async def deliver(self, endpoint: Endpoint, sequence: int, event: Event) -> None:
        """One attempt, bounded by the endpoint's time-out. Raises TidegateError, which never names a secret."""

    async def close(self) -> None:
        """Let go of connections."""


class Audit(Protocol):
    """The audit log: only ever added to, each entry chained to the one before. Intents get there by Store.submit."""

    async def record(self, act: Act) -> None:
        """Add an entry; on the disk when this returns."""

    async def entries(self, after: int = 0, limit: int = 1000) -> list[Entry]:
        """Entries with a higher sequence number, oldest first."""

    async def head(self) -> Head:
        """The last entry's number and hash."""


class Access(Protocol):
    """Tokens of the API, by their digests; making and revoking one is in the audit log in the same transaction."""

    async def add(self, token: AccessToken, act: Act) -> None:
        """Keep a new one. Raises ConflictError when a token that is in force has its name."""

    async def tokens(self) -> list[AccessToken]:
        """Every token that was ever made, oldest first."""

    async def find(self, identity: str) -> AccessToken | None:
        """A token by its public id."""

    async def revoke(self, identity: str, act: Act) -> bool:
        """From now on it is refused; False when there is none, or when it was revoked before."""


class LeaseStore(Protocol):
    """Who decides. An epoch only grows; whoever takes an expired lease gets the next one."""

    async def acquire(self, holder: str, ttl_s: float, now: float) -> int | None:
        """The epoch when the lease is ours now, None while another holder's has not expired."""

    async def renew(self, holder: str, epoch: int, ttl_s: float, now: float) -> bool:
        """Keep it; False when somebody else took it."""

    async def release(self, holder: str, epoch: int) -> None:
        """Give it back."""


class Builder(Protocol):
    """Makes images."""

    async def build(self, context: bytes, tag: str, options: BuildOptions) -> Image:
        """Build from a tar archive of a commit; the same inputs give the image that is there already.

        Raises UsageError for a tag that is not unique, BuildError with the build's last lines.
        """


class SourceControl(Protocol):
    """Where commits come from."""

    async def resolve(self, repository: str, reference: str) -> str:
        """The full commit id. Raises SourceError."""

    async def archive(self, repository: str, commit: str) -> bytes:
        """A tar archive of exactly that commit's tree. Raises SourceError."""

    async def describe(self, repository: str, commit: str) -> Commit:
        """Facts about a commit, its version among them. Raises SourceError."""

    async def additions(self, repository: str, commit: str, since: str) -> Mapping[str, bytes]:
        """What each commit after `since` added: short commit id/path -> the added lines. Raises SourceError."""

    async def changes(self, repository: str, commit: str, since: str) -> Change:
        """What lies between `since` (a commit's id, or empty) and a commit. Raises SourceError."""


class SecretSource(Protocol):
    """Resolves references to secrets just before an instance is created."""

    async def resolve(self, workload: Workload) -> dict[str, str]:
        """Variable -> value. Raises TidegateError that names the reference and never the value."""
