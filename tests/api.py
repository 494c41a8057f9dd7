"""The HTTP API in the test's own process: a real SQLite state, the memory platform, a controller, a token a role."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tidegate.controller.standby import Standby
from tidegate.core import tokens
from tidegate.model.access import BOUND, Role, new_secret
from tidegate.model.door import Door
from tidegate.model.spec import Environment
from tidegate.server.api.app import compose
from tidegate.server.api.parts import Api
from tidegate.spec import load_spec
from tidegate.wiring import Toolbox

AGENT, ENVIRONMENT = "web", "staging"
SPEC = """
agent: web
workload:
  image: web:1.0.0
  environment: {MODE: calm}
environments:
  staging: {platform: memory}
strategy:
  canary: {steps: [{set_weight: 50}, {pause: {}}], bake: 200ms, drain: 1s}
"""


@dataclass
class Running:
    """An application, what it stands on, and a token for each role (`ci` and `agent` bound to web.staging)."""

    api: Api
    app: object
    tokens: dict[Role, str] = field(default_factory=dict)

    def client(self, role: Role | None = Role.ADMIN, token: str = "") -> httpx.AsyncClient:
        """A client with a role's token; None: without any. Errors of the application are answers, as on a socket."""
        text = token or (self.tokens[role] if role is not None else "")
        headers = {"Authorization": f"Bearer {text}"} if text else {}
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)  # type: ignore[arg-type]
        return httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers, timeout=20)

    async def make_token(self, role: Role, **more: object) -> str:
        """A token in force."""
        where = {"agent": AGENT, "environment": ENVIRONMENT} if role in BOUND else {}
        secret = new_secret()
        wanted = tokens.Wanted(f"{role}-{secret[0]}", role, **{**where, **more})  # type: ignore[arg-type]
        token = tokens.make(wanted, secret, "test", self.api.now())
        await self.api.books.access.add(token, tokens.made(token, "for a test", "command line"))
        return secret[1]


@asynccontextmanager
async def running(folder: Path, location: str = "", decide: bool = True, **door: object) -> AsyncIterator[Running]:
    """An application over a state of its own (or the one at `location`), and a controller unless told otherwise."""
    toolbox = Toolbox({"TIDEGATE_STATE": location or str(folder / "state" / "t.db"), "HOME": str(folder)})
    (folder / "tidegate.yaml").write_text(SPEC)
    spec = load_spec(folder / "tidegate.yaml", {})
    place = Environment(ENVIRONMENT, platform="memory")
    books = await toolbox.books()
    site = await toolbox.site(books, place, folder)
    standby = Standby(site.ports, books.lease_of(ENVIRONMENT), "test")
    limits = Door(**{"rate": 1e6, **door})  # type: ignore[arg-type]
    api = Api(books, site, place, limits, spec, lambda: standby.deciding)
    stop = asyncio.Event()
    deciding = asyncio.create_task(standby.run(stop)) if decide else None
    try:
        here = Running(api, compose(api))
        for role in Role:
            here.tokens[role] = await here.make_token(role)
        yield here
    finally:
        stop.set()
        if deciding is not None:
            await deciding
        await site.close()
        await books.close()
