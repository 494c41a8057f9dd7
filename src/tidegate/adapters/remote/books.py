"""The state, over the API: what commands read and ask. What only a controller does is refused in plain words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import quote

from tidegate.adapters.remote.agents import RemoteOrders, RemoteRecords
from tidegate.adapters.remote.client import Client, path_of
from tidegate.model import codec
from tidegate.model.access import AccessToken
from tidegate.model.audit import Act, Entry, Head, parse_head, verb
from tidegate.model.decision import Decision
from tidegate.model.delivery import Delivery, DeliveryDecision, DeliveryKey
from tidegate.model.errors import NotFoundError, UsageError
from tidegate.model.event import Event, EventKind
from tidegate.model.evidence import Evidence
from tidegate.model.fleet import FleetDecision, FleetState
from tidegate.model.heartbeat import Listening, Pulse
from tidegate.model.intent import Action, Adopt, Answer, Deploy, DeployFleet, Intent
from tidegate.model.observation import Block
from tidegate.model.release import AgentKey, Release, Revision
from tidegate.model.rollout import AgentState
from tidegate.model.stages import StageName
from tidegate.model.standing import PausedAll

HOUR_S = 3600.0


class RemoteStore:
    """Store. An intent gets the server's id; ours is the key that makes asking twice harmless."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._given: dict[str, str] = {}

    async def load(self, key: AgentKey) -> AgentState | None:
        """The state last saved, or None."""
        return await self._client.load(AgentState, path_of(key), host=key.host)

    async def keys(self) -> tuple[AgentKey, ...]:
        """Every agent that the token reaches."""
        return tuple(codec.load(one, AgentKey) for one in await self._client.get("/v1/keys"))

    async def asked(self) -> tuple[AgentKey, ...]:
        """What is open is the server's matter."""
        return ()

    async def submit(self, intent: Intent) -> None:
        """Ask the server, in the token's name."""
        path, action = path_of(intent.key), intent.action
        if isinstance(action, Deploy | DeployFleet | Adopt):
            path, body = f"{path}/intents", {"action": codec.dump(action, Action)}
        else:
            path, body = f"{path}/{verb(type(action))}", codec.dump(action)
        query = {"host": intent.key.host} if intent.key.host else None
        given = await self._client.call("POST", path, {**body, "reason": intent.reason}, query, intent.id)
        self._given[intent.id] = given["id"]

    async def pending(self, key: AgentKey) -> tuple[Intent, ...]:
        """As `asked`."""
        return ()

    async def find_intent(self, intent: str) -> Intent | None:
        """The server's matter."""
        return None

    async def answer(self, intent: str) -> Answer | None:
        """What became of an intent, or None while it is open."""
        try:
            found = await self._client.get(f"/v1/intents/{quote(self._given.get(intent, intent), safe='')}")
        except NotFoundError:
            return None  # a delivery's intent is known by name before it is asked
        return codec.load(found["answer"], Answer) if found["answer"] is not None else None

    async def save(self, decision: Decision, epoch: int) -> None:
        """Only who decides saves."""
        _refuse()

    async def save_in_reserve(self, decision: Decision, epoch: int) -> None:
        """As `save`."""
        _refuse()


@dataclass(frozen=True)
class RemoteFleets:
    """Fleets."""

    client: Client

    async def load_fleet(self, key: AgentKey) -> FleetState | None:
        """The state last saved, or None where the environment is no fleet."""
        return await self.client.load(FleetState, f"{path_of(key)}/fleet")

    async def save_fleet(self, decision: FleetDecision, epoch: int) -> None:
        """Only who decides saves."""
        _refuse()


@dataclass(frozen=True)
class RemoteDeliveries:
    """Deliveries."""

    client: Client

    async def begin(self, delivery: Delivery) -> Delivery:
        """Begin it on the server, which gives its number."""
        body = {"delivery": codec.dump(delivery)}
        return codec.load(await self.client.call("POST", f"{path_of(delivery.key.agent)}/deliveries", body), Delivery)

    async def cancel(self, key: DeliveryKey, by: str) -> None:
        """Ask for its end, in the token's name."""
        await self.client.call("POST", f"{_path(key)}/cancel")

    async def load_delivery(self, key: DeliveryKey) -> Delivery | None:
        """The state last saved."""
        return await self.client.load(Delivery, _path(key))

    async def find_evidence(self, agent: str, stage: StageName, key: str) -> Evidence | None:
        """What that stage found out from the inputs with that key."""
        return await self.client.load(Evidence, f"/v1/evidence/{quote(agent, safe='')}/{stage}/{quote(key, safe='')}")

    async def latest(self, agent: AgentKey, limit: int = 1) -> list[Delivery]:
        """The newest deliveries of an agent in an environment, newest first."""
        rows = await self.client.get(f"{path_of(agent)}/deliveries", limit=min(limit, 100))
        found = [await self.load_delivery(DeliveryKey(agent, row["number"])) for row in rows]
        return [one for one in found if one is not None]

    async def of_release(self, agent: str, release: str) -> Delivery | None:
        """The newest delivery that made a release."""
        path = f"/v1/releases/{quote(agent, safe='')}/{quote(release, safe='')}/delivery"
        return await self.client.load(Delivery, path)

    async def open(self, environment: str) -> tuple[DeliveryKey, ...]:
        """The server's matter."""
        return ()

    async def cancelled_by(self, key: DeliveryKey) -> str:
        """The server's matter."""
        return ""

    async def save_delivery(self, decision: DeliveryDecision, epoch: int) -> None:
        """Only who decides saves."""
        _refuse()


@dataclass(frozen=True)
class RemoteJournal:
    """Journal."""

    client: Client

    async def append(self, events: Sequence[Event]) -> None:
        """Add stages of a delivery, in the token's name and at the server's time; the server tells the rest itself."""
        for event in events:
            if event.kind is not EventKind.STAGE:
                continue
            data = {name: value for name, value in event.data.items() if name not in ("stage", "by")}
            line = {"stage": event.data.get("stage"), "because": event.because, "data": data}
            await self.client.call("POST", f"{path_of(event.key)}/events", [line])

    async def events(self, key: AgentKey | None, after: int = 0, limit: int = 1000) -> list[tuple[int, Event]]:
        """Events with their sequence numbers, oldest first."""
        if key is None:
            raise UsageError("the log of everything is not read over the API", hint="ask about one agent")
        found = await self.client.get(f"{path_of(key)}/events", host=key.host, after=after, limit=limit)
        return [(one["sequence"], codec.load(one["event"], Event)) for one in found]

    async def add_blocks(self, key: AgentKey, blocks: Sequence[Block]) -> None:
        """Only who decides measures."""
        _refuse()

    async def blocks(self, key: AgentKey, since: float, until: float) -> list[Block]:
        """Measurement blocks that ended within the span, an hour a request."""
        found: list[Block] = []
        while since <= until:
            end = min(since + HOUR_S, until)
            plain = await self.client.get(f"{path_of(key)}/blocks", host=key.host, since=since, until=end)
            found += [codec.load(one, Block) for one in plain]
            since = end + 1e-6
        return found

    async def trim(self, key: AgentKey, before: float) -> int:
        """The server forgets by itself: `tidegate serve --keep DAYS`."""
        _refuse()

    async def add_release(self, release: Release) -> None:
        """Deploying keeps it: the server adds the release of every intent that it takes."""

    async def find_release(self, agent: str, name: str) -> Release | None:
        """A release by id, version or unambiguous prefix of the id."""
        return await self.client.load(Release, f"/v1/releases/{quote(agent, safe='')}/{quote(name)}")

    async def releases(self, agent: str) -> list[Release]:
        """All releases of an agent, oldest first."""
        found = await self.client.get(f"/v1/releases/{quote(agent, safe='')}")
        return [codec.load(one, Release) for one in found]

    async def revisions(self, key: AgentKey) -> list[Revision]:
        """Every revision that was ever decided, oldest first."""
        found = await self.client.get(f"{path_of(key)}/revisions", host=key.host)
        return [codec.load(one, Revision) for one in found]


class RemoteLease:
    """LeaseStore: the server decides, so it is never ours."""

    async def acquire(self, holder: str, ttl_s: float, now: float) -> int | None:
        """Never."""
        return None

    async def renew(self, holder: str, epoch: int, ttl_s: float, now: float) -> bool:
        """Never."""
        return False

    async def release(self, holder: str, epoch: int) -> None:
        """There is nothing to give back."""


@dataclass(frozen=True)
class RemotePulses:
    """Pulses."""

    client: Client

    async def pulses(self, key: AgentKey | None) -> list[Pulse]:
        """The latest pulse of each instance, by name."""
        keys = [key] if key is not None else await RemoteStore(self.client).keys()
        found = [await self.client.get(f"{path_of(one)}/pulses", host=one.host) for one in keys]
        return [codec.load(pulse, Pulse) for each in found for pulse in each["pulses"]]

    async def reporting(self) -> tuple[AgentKey, ...]:
        """Every agent of which an instance reported, as far as the token reaches."""
        return tuple(codec.load(one, AgentKey) for one in await self.client.get("/v1/reporting"))

    async def last_listening(self) -> Listening:
        """As the server says it."""
        return codec.load(await self.client.get("/v1/listening"), Listening)

    async def save_pulses(self, pulses: Sequence[Pulse], listening: Listening) -> None:
        """Only who hears saves."""
        _refuse()

    async def forget_pulses(self, before: float) -> None:
        """As `save_pulses`."""
        _refuse()


@dataclass(frozen=True)
class RemoteSwitches:
    """Switches."""

    client: Client

    async def paused(self) -> PausedAll | None:
        """Who paused everything; None while the switch is off."""
        found = (await self.client.get("/v1/pause"))["paused"]
        return codec.load(found, PausedAll) if found is not None else None

    async def pause(self, paused: PausedAll | None) -> None:
        """Turn it on, or (None) off, in the token's name."""
        if paused is not None:
            await self.client.call("PUT", "/v1/pause", {"reason": paused.reason})
        else:
            await self.client.call("DELETE", "/v1/pause")


@dataclass(frozen=True)
class RemoteOutbox:
    """Outbox."""

    client: Client

    async def position(self, receiver: str) -> int | None:
        """The last event that a receiver (agent.environment/name) was told."""
        place, _, name = receiver.partition("/")
        agent, _, environment = place.partition(".")
        found = await self.client.get(f"{path_of(AgentKey(agent, environment))}/notices")
        return next((one["position"] for one in found if one["name"] == name), None)

    async def advance(self, receiver: str, position: int) -> None:
        """Only who tells advances."""
        _refuse()


@dataclass(frozen=True)
class RemoteAudit:
    """Audit."""

    client: Client

    async def record(self, act: Act) -> None:
        """The server records what is asked of it."""

    async def entries(self, after: int = 0, limit: int = 1000) -> list[Entry]:
        """Entries with a higher sequence number, oldest first."""
        found = (await self.client.get("/v1/audit", after=after, limit=limit))["entries"]
        return [Entry(one["sequence"], one["document"], one["previous"], one["hash"]) for one in found]

    async def head(self) -> Head:
        """The last entry's number and hash."""
        return parse_head((await self.client.get("/v1/audit/head"))["head"])


@dataclass(frozen=True)
class RemoteAccess:
    """Access. Digests go there and never come back."""

    client: Client

    async def add(self, token: AccessToken, act: Act) -> None:
        """Keep a new one: its digest goes to the server, the token itself stays here."""
        body = {
            "id": token.id,
            "digest": token.digest,
            "name": token.name,
            "role": token.role.value,
            "seconds": token.expires_at - token.created_at,
            "agent": token.agent,
            "environment": token.environment,
            "reason": act.because,
        }
        await self.client.call("POST", "/v1/tokens", body)

    async def tokens(self) -> list[AccessToken]:
        """Every token that was ever made, without digests."""
        found = await self.client.get("/v1/tokens")
        return [codec.load({**one, "digest": ""}, AccessToken) for one in found]

    async def find(self, identity: str) -> AccessToken | None:
        """A token by its public id."""
        return next((one for one in await self.tokens() if one.id == identity), None)

    async def revoke(self, identity: str, act: Act) -> bool:
        """From now on it is refused."""
        await self.client.call("DELETE", f"/v1/tokens/{identity}", query={"reason": act.because})
        return True


class RemoteBooks:
    """cli.toolbox's Books over one client."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.store = RemoteStore(client)
        self.journal = RemoteJournal(client)
        self.pulses = RemotePulses(client)
        self.records = RemoteRecords(client)
        self.orders = RemoteOrders(client)
        self.switches = RemoteSwitches(client)
        self.outbox = RemoteOutbox(client)
        self.fleets = RemoteFleets(client)
        self.deliveries = RemoteDeliveries(client)
        self.audit = RemoteAudit(client)
        self.access = RemoteAccess(client)

    def lease_of(self, environment: str) -> RemoteLease:
        """The server decides."""
        return RemoteLease()

    async def compact(self) -> bool:
        """The server's disk is the server's matter."""
        return False

    async def close(self) -> None:
        """Let go of the connections."""
        await self.client.close()


def _path(key: DeliveryKey) -> str:
    return f"{path_of(key.agent)}/deliveries/{key.number}"


def _refuse() -> NoReturn:
    raise UsageError("with TIDEGATE_URL set the server decides, and nobody else", hint="unset TIDEGATE_URL")
