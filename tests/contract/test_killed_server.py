"""kill -9 of the server in the middle of many writes: what it acknowledged is there, and the audit chain is whole."""

import asyncio
import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests import postgres
from tests.served import Server, server
from tidegate.adapters.store.opening import open_state
from tidegate.model.audit import Head, follow
from tidegate.model.release import AgentKey

KEY = AgentKey("web", "staging")
PATH = "/v1/environments/staging/agents/web"
WRITERS, BATCH, EVERY_S = 20, 10, 0.2
"""1,000 events a second are offered, beside intents."""
WRITE_S = 3.0


@pytest.fixture(params=["sqlite", "postgresql"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield str(tmp_path / "state" / "t.db")
        return
    if why := postgres.unavailable():
        pytest.skip(why)
    with postgres.server() as url:
        yield url


class Writers:
    """Clients that write as fast as they are told to, and remember what was acknowledged."""

    def __init__(self, here: Server) -> None:
        self.here = here
        self.events: set[str] = set()
        self.intents: set[str] = set()
        self.statuses: set[int] = set()
        self.ended = asyncio.Event()

    async def write(self, number: int, client: httpx.AsyncClient) -> None:
        """Events in batches, all of a batch acknowledged at once; now and then an intent."""
        for turn in itertools.count():
            due = time.monotonic() + EVERY_S
            names = [f"{number}/{turn}/{index}" for index in range(BATCH)]
            answer = await client.post(f"{PATH}/events", json=[{"stage": "build", "because": name} for name in names])
            self.statuses.add(answer.status_code)
            if answer.status_code == 201:
                self.events |= set(names)
            if turn % 5 == number % 5:
                asked = await client.post(f"{PATH}/acknowledge", json={"reason": f"{number}/{turn}"})
                self.statuses.add(asked.status_code)
                if asked.status_code == 202:
                    self.intents.add(asked.json()["id"])
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def run(self) -> float:
        """Until the server is killed under them; events acknowledged a second until then."""
        limits = httpx.Limits(max_connections=WRITERS)
        async with httpx.AsyncClient(base_url=self.here.url, headers=self.here.headers, limits=limits) as client:
            await client.post(f"{PATH}/deploy", json={})
            began = time.monotonic()
            work = [asyncio.create_task(self.write(number, client)) for number in range(WRITERS)]
            while time.monotonic() - began < WRITE_S or len(self.events) < 500 or len(self.intents) < 5:
                assert time.monotonic() - began < 60, f"{len(self.events)} events in 60 s, {self.statuses}"
                await asyncio.sleep(0.02)
            rate = len(self.events) / (time.monotonic() - began)
            await asyncio.to_thread(self.here.kill)
            ends = await asyncio.gather(*work, return_exceptions=True)
            assert all(isinstance(end, httpx.TransportError) for end in ends)
            return rate


@pytest.mark.timeout(200)
async def test_what_was_acknowledged_is_there_and_the_chain_is_whole(tmp_path: Path, location: str) -> None:
    with server(tmp_path, location) as here:
        writers = Writers(here)
        rate = await writers.run()
    print(f"{rate:.0f} events a second were acknowledged until the kill")
    assert writers.statuses == {201, 202}
    state = await open_state(location)
    try:
        kept, after = set(), 0
        while batch := await state.journal.events(KEY, after):
            kept |= {event.because for _, event in batch}
            after = batch[-1][0]
        assert writers.events <= kept
        entries = [entry for number in range(0, 100_000, 1000) for entry in await state.audit.entries(number)]
        assert follow(Head(), entries) == await state.audit.head()
        told = "".join(entry.document for entry in entries)
        for intent in writers.intents:
            assert await state.store.find_intent(intent) is not None
            assert intent in told
    finally:
        await state.close()
