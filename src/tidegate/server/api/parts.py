"""What every resource stands on: the state, the host, who asks. One value for the application, one for a request."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Path, Query, Request

from tidegate.controller.site import Books, Site
from tidegate.model.access import AccessToken, Right, Role
from tidegate.model.door import Door
from tidegate.model.errors import AccessError
from tidegate.model.release import AgentKey
from tidegate.model.spec import Environment, Spec
from tidegate.server.api.measures import Measures
from tidegate.server.api.signals import Signals

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$"
MOST_NUMBER = 2**31 - 1
"""Of sequence and revision numbers: what the database's INTEGER holds."""


@dataclass(frozen=True)
class Api:
    """What the application stands on. `site` is the host of the environment that this process decides in (`place`).

    `spec` is the one that `tidegate serve` was started with, `deciding` says whether this process holds the lease.
    """

    books: Books
    site: Site
    place: Environment
    door: Door
    spec: Spec | None = None
    deciding: Callable[[], bool] = lambda: False
    measures: Measures = field(default_factory=Measures)
    signals: Signals = field(default_factory=Signals)

    def now(self) -> float:
        """Unix seconds."""
        return self.site.ports.clock.now()


@dataclass(frozen=True)
class Caller:
    """Who asks: the token, and where the request came from."""

    token: AccessToken
    address: str

    @property
    def name(self) -> str:
        """In whose name it is done: the token's, never one that the request gives itself."""
        return self.token.name

    def sees(self, key: AgentKey) -> bool:
        """Whether the token is for this agent."""
        return self.token.reaches(key.agent, key.environment)


LOCAL = AccessToken("open", "loopback", Role.ADMIN, "", 0.0, float("inf"))
"""Whoever reaches an open door."""


def api_of(request: Request) -> Api:
    """The application's."""
    api: Api = request.app.state.api
    return api


def caller_of(request: Request) -> Caller:
    """Whoever the gate let in."""
    caller: Caller = request.state.caller
    return caller


class Needs:
    """A route's right, as a dependency: every route has exactly one. Raises AccessError."""

    def __init__(self, right: Right) -> None:
        self.right = right

    async def __call__(self, request: Request) -> Caller:
        caller = caller_of(request)
        if not caller.token.may(self.right):
            raise AccessError(f"a token with the role {caller.token.role} may not {self.right}")
        names = request.path_params
        agent, environment = names.get("agent", caller.token.agent), names.get("environment", caller.token.environment)
        if not caller.token.reaches(str(agent), str(environment)):
            bound = f"{caller.token.agent}.{caller.token.environment}"
            raise AccessError(f"this token is for {bound} and nothing else")
        return caller


def needs(right: Right) -> Any:
    """The dependency that a route declares."""
    return Depends(Needs(right))


Application = Annotated[Api, Depends(api_of)]
Reader = Annotated[Caller, needs(Right.READ)]
Deliverer = Annotated[Caller, needs(Right.DELIVER)]
Steerer = Annotated[Caller, needs(Right.STEER)]
Administrator = Annotated[Caller, needs(Right.ADMINISTER)]

AgentName = Annotated[str, Path(pattern=NAME, description="The agent.", examples=["web"])]
EnvironmentName = Annotated[str, Path(pattern=NAME, description="The environment.", examples=["production"])]
HostName = Annotated[str, Query(pattern=rf"^$|{NAME}", description="One host of a fleet.", alias="host")]


def key_of(agent: AgentName, environment: EnvironmentName, host: HostName = "") -> AgentKey:
    """The agent in the environment that a path names."""
    return AgentKey(agent, environment, host)


Key = Annotated[AgentKey, Depends(key_of)]


def right_of(route: Any) -> Right | None:
    """The right that a route needs; None for one that needs none."""
    found = {one.call.right for one in _all(route.dependant) if isinstance(one.call, Needs)}
    assert len(found) <= 1, f"{route.path} needs several rights"
    return found.pop() if found else None


def _all(dependant: Any) -> Any:
    for one in dependant.dependencies:
        yield one
        yield from _all(one)


def valid_name(text: str) -> bool:
    """Whether a text can name an agent, an environment, a token."""
    return re.fullmatch(NAME, text) is not None
