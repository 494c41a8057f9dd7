"""What a command works at: the state, the agent that it is about, and the environment's host when it asks for it."""

import os
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tidegate.cli.options import FILE, Where
from tidegate.cli.output import Output
from tidegate.cli.toolbox import Toolbox
from tidegate.controller.session import Session
from tidegate.controller.site import Books, Site
from tidegate.model.errors import NotFoundError, SpecError, UsageError
from tidegate.model.release import AgentKey
from tidegate.model.rollout import AgentState
from tidegate.model.spec import Environment, Spec

if TYPE_CHECKING:
    from tidegate.controller.releases import Order


@dataclass(frozen=True)
class Target:
    """One agent in one environment. Without a spec only the state says something about it."""

    key: AgentKey
    environment: Environment
    spec: Spec | None
    folder: Path


@dataclass(frozen=True)
class Desk:
    """The state opened, and the target found."""

    toolbox: Toolbox
    books: Books
    target: Target
    output: Output

    @property
    def key(self) -> AgentKey:
        """The target."""
        return self.target.key

    @asynccontextmanager
    async def site(self) -> AsyncIterator[Site]:
        """The environment's host."""
        site = await self.toolbox.site(self.books, self.target.environment, self.target.folder)
        try:
            if self.key.host and site.ports.places is not None:
                site.ports = await site.ports.places.ports(self.key)
            yield site
        finally:
            await site.close()

    def session(self, site: Site) -> Session:
        """A command's dealings with the target."""
        return Session(self.key, site.ports, self.books.lease_of(self.key.environment))

    async def state(self) -> AgentState:
        """The target's state. Raises NotFoundError when there is none."""
        state = await self.books.store.load(self.key)
        fleet = await self.books.fleets.load_fleet(self.key) if not self.key.host else None
        if fleet is not None:
            # What a fleet looks like to whoever asks what serves: its hosts have states of their own.
            return AgentState(self.key, fleet.next_revision, stable=fleet.stable, history=fleet.history)
        if state is None:
            raise NotFoundError(f"{self.key}: nothing was ever deployed", hint="tidegate deploy RELEASE begins")
        return state

    def spec(self) -> Spec:
        """The spec. Raises UsageError where there is none."""
        if self.target.spec is None:
            raise UsageError(f"there is no {FILE} here or above", hint="-f PATH names it; tidegate init writes one")
        return self.target.spec


def order_of(desk: Desk, site: Site) -> "Order":
    """What a deployment goes by. Raises UsageError where there is no spec."""
    from tidegate.controller.releases import Order

    return Order(desk.key, desk.spec(), desk.target.environment, desk.books, site, desk.output.message)


@asynccontextmanager
async def open_desk(toolbox: Toolbox, where: Where, output: Output) -> AsyncIterator[Desk]:
    """Find the target and open the state."""
    books = await toolbox.books()
    try:
        yield Desk(toolbox, books, await find_target(books, where, output), output)
    finally:
        await books.close()


def perform(work: Coroutine[Any, Any, int]) -> None:
    """Run a command's work and end with its exit code."""
    import asyncio

    code = asyncio.run(work)
    if code:
        raise typer.Exit(code)


def find_file(file: Path | None) -> Path | None:
    """The spec that was named, or the nearest tidegate.yaml upwards."""
    if file is not None:
        return file
    here = Path.cwd()
    return next((folder / FILE for folder in (here, *here.parents) if (folder / FILE).is_file()), None)


def read_spec(file: Path | None) -> Spec | None:
    """The spec, if there is one. Raises SpecError."""
    path = find_file(file)
    if path is None:
        return None
    from tidegate.spec import load_spec

    return load_spec(path, os.environ)


async def find_target(books: Books, where: Where, output: Output) -> Target:
    """From the spec, else from the state: a broken spec must not keep anybody from aborting."""
    agent, _, environment = where.agent.partition(".")
    environment, _, host = (where.environment or environment).partition("@")
    where = Where(where.file, environment, agent)
    try:
        spec = read_spec(where.file)
    except SpecError as error:
        known = await books.store.keys()
        if not where.agent or not any(key.agent == where.agent for key in known):
            raise
        output.message(f"warning: the spec is invalid, going by the state alone\n{error.message}")
        spec = None
    if spec is None or (agent and agent != spec.agent):
        return await _from_state(books, where, host)
    chosen = choose(spec, where.environment)
    return Target(AgentKey(spec.agent, chosen.name, host), chosen, spec, folder_of(spec))


def folder_of(spec: Spec) -> Path:
    """The folder that the spec's relative paths begin at."""
    return Path(spec.file).absolute().parent


def choose(spec: Spec, name: str) -> Environment:
    """The environment of that name, or the only one. Raises UsageError."""
    names = ", ".join(spec.environments)
    if name:
        if name not in spec.environments:
            raise UsageError(f"{spec.file} has no environment {name}", hint=f"there are: {names}")
        return spec.environments[name]
    if len(spec.environments) > 1:
        raise UsageError(f"{spec.file} has several environments", hint=f"say which: -e with one of {names}")
    return next(iter(spec.environments.values()))


async def _from_state(books: Books, where: Where, host: str) -> Target:
    keys = [
        key
        for key in await books.store.keys()
        if key.host == host and where.agent in ("", key.agent) and where.environment in ("", key.environment)
    ]
    wanted = where.agent or "agents"
    if not keys:
        raise NotFoundError(
            f"there is no {FILE} here or above, and the state knows no {wanted}",
            hint="-f PATH names the spec; TIDEGATE_STATE names the state; tidegate agents lists what there is",
        )
    if len(keys) > 1:
        raise UsageError("the state knows several agents", hint=f"say which: {', '.join(str(key) for key in keys[:8])}")
    key = keys[0]
    return Target(key, Environment(key.environment), None, Path.cwd())
