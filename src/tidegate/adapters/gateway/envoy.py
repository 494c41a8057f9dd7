"""The Gateway port on Envoy: what is applied, what to tell it, and telling it."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from typing import TypeVar

import aiodocker

from tidegate.adapters.gateway import container, force, planning, ports, stages, stats, tls, volume
from tidegate.adapters.gateway.container import Options
from tidegate.adapters.gateway.dump import Applied
from tidegate.adapters.gateway.image import ensure_gateway_image
from tidegate.adapters.gateway.merge import Fragment, canonical, merge
from tidegate.adapters.gateway.ports import PortTakenError
from tidegate.adapters.gateway.render import Config, render
from tidegate.adapters.gateway.session import Session, SessionError
from tidegate.adapters.gateway.volume import Book, Change, StaleError
from tidegate.model.desired import Desired
from tidegate.model.errors import EngineError, GatewayError, LeaseLostError, TidegateError
from tidegate.model.observation import Observation, ObservedGateway, Traffic
from tidegate.model.operation import ApplyRoutes, GatewayOperation, StartGateway
from tidegate.model.release import AgentKey
from tidegate.model.workload import Tls

T = TypeVar("T")
OVERTAKEN_S = 0.25
"""How often a writer that waits looks whether another one has taken its place, in seconds."""
ANSWER_S = 8.0
"""How long a look may take: a link that is cut answers nothing, and says nothing."""

TRIES = 20
"""How often a commit is tried again when other writers commit at the same time."""


@dataclass(frozen=True)
class Writer:
    """Who writes: the lease's epoch, and the store that it belongs to. Epochs of different stores do not compare."""

    epoch: int = 0
    authority: str = ""


class EnvoyGateway:
    """One host's gateway. `writer` may be replaced at any time, when a lease is taken."""

    def __init__(
        self,
        docker: aiodocker.Docker,
        options: Options = Options(),  # noqa: B008 - frozen
        writer: Writer = Writer(),
        network: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        """`network` makes the agents' network where it is not there yet."""
        self._docker = docker
        self._network = network
        self._options = options
        self.writer = writer
        self._session: Session | None = None
        self._opening = asyncio.Lock()
        self._applying = asyncio.Lock()
        self._book: Book | None = None
        self._ports: frozenset[int] | None = None

    # -- the port

    async def observe(self, key: AgentKey) -> ObservedGateway:
        """What is in force for one agent, and its requests in flight. Never raises."""
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._with_session(lambda session: force.observe(session, key.fleet))
        except TimeoutError:
            return ObservedGateway(running=False, detail=f"no answer within {ANSWER_S:g} s")
        except TidegateError as error:
            return ObservedGateway(running=False, detail=error.message)

    def plan(self, desired: Desired, observed: Observation) -> tuple[GatewayOperation, ...]:
        """Start the gateway when routes need it; hand over the routes when others are in force."""
        return planning.plan(desired, observed.gateway)

    async def execute(self, operation: GatewayOperation) -> None:
        """Carry out one operation. Raises GatewayError, LeaseLostError, EngineError, ImageError."""
        match operation:
            case StartGateway():
                try:
                    await self._start()
                except container.ERRORS as error:
                    raise EngineError(f"the gateway cannot be started: {getattr(error, 'message', error)}") from error
            case ApplyRoutes(key, routes, _):
                async with self._applying:
                    await self._apply(Fragment(key.fleet, canonical(routes), self.writer.epoch, self.writer.authority))

    async def counters(self, key: AgentKey) -> dict[int, Traffic]:
        """Cumulative traffic by revision since the gateway started. Raises GatewayError."""
        try:
            async with asyncio.timeout(ANSWER_S):
                [text] = await self._with_session(lambda session: session.ask([stats.path_of(key.fleet)]))
        except TimeoutError:
            raise GatewayError(f"the gateway did not answer within {ANSWER_S:g} s") from None
        return stats.traffic(text)

    def fence(self, epoch: int) -> None:
        """Write under this epoch from now on."""
        self.writer = replace(self.writer, epoch=epoch)

    async def close(self) -> None:
        """Let go of the session; the gateway serves on."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    # -- beyond the port: upgrade and stop

    async def outdated(self) -> bool:
        """Whether the running container was made from another image or other options than these."""
        options = await self._with_image()
        newest = next((one for one in (await container.find(self._docker, options))[:1] if one.running), None)
        if newest is None:
            return False
        options = replace(options, ports=tuple(newest.ports or ()))
        return newest.config != await container.wanted(self._docker, options)

    async def replace(self) -> int:
        """Start a successor, wait until it serves all there is, drain the former and remove it; no request is lost.

        One that publishes its ports goes first: they answer nobody until the successor has them. Returns the number of
        connections (WebSocket, TCP) that had to be cut after draining.
        """
        options = await self._with_image()
        former = await container.find(self._docker, options)
        running = [one for one in former if one.running]
        if running and running[0].ports is not None:
            return await self._publish(running[0].ports)
        name = await container.create(self._docker, options, (former[0].generation if former else 0) + 1)
        await container.start(self._docker, name)
        successor = await container.connect(self._docker, name, options.ready_s)
        try:
            await force.wait_for_files(successor, await volume.read(successor))
        except TidegateError:
            await successor.close()
            await container.remove(self._docker, name)
            raise
        await self.close()
        self._session = successor
        cut = sum([await self._drain(one.name) for one in running])
        for one in former:
            await container.remove(self._docker, one.name)
        return cut

    async def stop(self) -> int:
        """Drain and remove the gateway; its volume stays. Returns the number of connections that had to be cut."""
        await self.close()
        found = await container.find(self._docker, self._options)
        cut = sum([await self._drain(one.name) for one in found if one.running])
        for one in found:
            await container.remove(self._docker, one.name)
        return cut

    async def agents(self) -> tuple[AgentKey, ...]:
        """Every agent that has routes in the running gateway; none where it does not run."""
        try:
            book = await self._with_session(volume.read)
        except GatewayError:
            return ()
        return tuple(fragment.key for fragment in book.fragments if fragment.routes)

    async def purge(self) -> None:
        """Remove the volume of a gateway that was stopped, and every route in it. Raises EngineError."""
        await container.remove_volume(self._docker, self._options)

    async def refresh_tls(self, pairs: frozenset[Tls]) -> None:
        """Copy certificates again from the gateway's host, after a renewal; connections go on."""
        options = await self._with_image()
        for pair in sorted(pairs, key=lambda pair: pair.certificate):
            await tls.copy(self._docker, options, pair)

    # -- how

    async def _drain(self, name: str) -> int:
        session = await container.connect(self._docker, name, self._options.ready_s)
        try:
            return await container.drain(session, self._options.drain_s)
        finally:
            await session.close()

    async def _with_image(self) -> Options:
        if not self._options.image:
            made = await ensure_gateway_image(self._docker)
            self._options = replace(self._options, image=made.image.reference)
        return self._options

    async def _start(self) -> None:
        options = await self._with_image()
        if self._network is not None and options.network != container.HOST:
            await self._network()
        await container.ensure(self._docker, options)
        await self._with_session(lambda session: session.ask(["/ready"]))

    async def _open(self) -> Session:
        async with self._opening:
            if self._session is None or self._session.broken:
                self._book = None
                found = await container.find(self._docker, self._options)
                running = [one for one in found if one.running]
                if not running:
                    raise GatewayError("the gateway is not running", hint="it is started when an agent has routes")
                self._session = await container.connect(self._docker, running[0].name, self._options.ready_s)
                self._ports = running[0].ports
            return self._session

    async def _with_session(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Do something with the session; once more with a new one when it turns out to be gone."""
        try:
            return await work(await self._open())
        except SessionError:
            return await work(await self._open())

    async def _apply(self, fragment: Fragment) -> None:
        for _ in range(TRIES):
            session = await self._open()
            try:
                return await self._merge(session, fragment)
            except (StaleError, SessionError):
                self._book = None
        raise GatewayError("the gateway's volume keeps changing, or the gateway keeps restarting; gave up")

    async def _merge(self, session: Session, fragment: Fragment) -> None:
        book = self._book or await volume.read(session)
        former = book.of(fragment.key)
        if former == fragment:  # no commit would tell us that the book is out of date
            book = self._book = await volume.read(session)
            former = book.of(fragment.key)
        _check_epoch(former, fragment)
        others = book.others(fragment.key)
        listening = {goal.route.listen for one in (*others, fragment) for goal in one.routes}
        if self._ports is not None and not listening <= self._ports:
            await self._can_have(listening - self._ports)
            await self._publish(self._ports | listening)
            raise StaleError("the gateway was replaced, to publish another port")
        want = render(merge((*others, fragment)))
        if want.secrets:  # looking for the image takes longer than moving traffic
            await tls.ensure(self._docker, session, await self._with_image(), want.secrets)
        try:
            await self._to(session, book, None if fragment == former else fragment, want)
            if fragment == former:
                await self._in_force(session, fragment)
        except PortTakenError as error:
            if fragment != former:
                back = replace(former, epoch=fragment.epoch, authority=fragment.authority)
                await self._to(session, self._book or book, back, render(merge((*others, back))))
            raise await ports.explained(self._docker, error) from error

    async def _can_have(self, new: Collection[int]) -> None:
        try:
            await container.try_ports(self._docker, await self._with_image(), new)
        except EngineError as error:
            if (port := ports.taken_port(error.message)) is None:
                raise
            raise await ports.explained(self._docker, PortTakenError(port)) from error

    async def _publish(self, listening: frozenset[int]) -> int:
        """Put a gateway that publishes these ports in the place of the one that runs: they answer nobody meanwhile.

        Returns the number of connections that were cut.
        """
        options = await self._with_image()
        former = await container.find(self._docker, options)
        cut = await self._with_session(container.connections)
        await self.close()
        try:
            await self._successor(replace(options, ports=tuple(sorted(listening))), former)
        except EngineError:  # a port of the new ones is taken: back to those that it had
            failed = await container.find(self._docker, options)
            await self._successor(replace(options, ports=tuple(sorted(former[0].ports or ()))), failed)
            raise
        return cut

    async def _successor(self, options: Options, former: tuple[container.Found, ...]) -> None:
        name = await container.create(self._docker, options, former[0].generation + 1)
        for one in former:
            await container.remove(self._docker, one.name)
        await container.start(self._docker, name)
        session = await self._open()
        await force.wait_for_files(session, await volume.read(session))

    async def _in_force(self, session: Session, fragment: Fragment) -> None:
        """Have Envoy read the files again when what this agent needs is not in force: its port was taken, say."""
        assert self._book is not None
        listening = frozenset(goal.route.listen for goal in fragment.routes)
        expected = stages.expected_of(self._book.files).only(fragment.key, listening)
        if await force.lacks(session, expected):
            files = {name: self._book.files[name] for name in sorted(self._book.files, key=stages.reading_order)}
            self._book = await volume.commit(session, self._book, Change(None, files))
            await _settled(session, self._book, expected)

    async def _to(self, session: Session, book: Book, fragment: Fragment | None, want: Config) -> None:
        """The three stages, each a commit. The fragment goes with the first, so that any other writer carries on."""
        step = stages.grow(book.files, want)
        if step.files:
            book = self._book = await volume.commit(session, book, Change(fragment, step.files))
            await _settled(session, book, step.expect)
            fragment = None
        step = stages.switch(book.files, want)
        if step.files or fragment is not None:
            book = self._book = await volume.commit(session, book, Change(fragment, step.files))
            await _settled(session, book, step.expect)
        going = stages.leaving(book.files, want)
        busy = await force.busy(session) if going else frozenset()
        step = stages.shrink(book.files, want, going & busy)
        if step.files or step.deletes:
            book = await volume.commit(session, book, Change(None, step.files, step.deletes))
            await _settled(session, book, step.expect)
        self._book = book


async def _settled(session: Session, book: Book, expected: Applied) -> None:
    """Wait until it is in force. Another writer's commit may have taken its place meanwhile: StaleError then."""
    for _ in range(math.ceil(force.APPLY_S / OVERTAKEN_S) - 1):
        try:
            return await force.wait_for(session, expected, OVERTAKEN_S)
        except force.NotYetError:
            if not await volume.is_current(session, book):
                raise StaleError("another writer changed the gateway's volume") from None
    return await force.wait_for(session, expected, OVERTAKEN_S)


def _check_epoch(former: Fragment, fragment: Fragment) -> None:
    if former.authority == fragment.authority and fragment.epoch < former.epoch:
        message = f"{fragment.key}: the gateway was written under epoch {former.epoch}, ours is {fragment.epoch}"
        raise LeaseLostError(message, hint="another controller decides now; this one must stop")
