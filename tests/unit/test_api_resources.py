"""What the resources promise beyond their data: tags, keys, streams, hidden secrets, and 202 with a way on."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx

from tests.api import Running, running
from tidegate.model.access import Role
from tidegate.model.event import Event, EventKind
from tidegate.model.release import AgentKey

WEB = "/v1/environments/staging/agents/web"
KEY = AgentKey("web", "staging")


async def answered(client: httpx.AsyncClient, location: str) -> dict[str, Any]:
    """What became of an intent."""
    async with asyncio.timeout(20):
        while True:
            found = (await client.get(location)).json()
            if found["answer"] is not None:
                return dict(found["answer"])
            await asyncio.sleep(0.02)


async def deployed(client: httpx.AsyncClient) -> None:
    """Revision 1 is under way or serves."""
    given = await client.post(f"{WEB}/deploy", json={"reason": "first"})
    assert given.status_code == 202
    assert (await answered(client, given.headers["location"]))["accepted"]


async def test_an_intent_is_answered_where_the_location_says(tmp_path: Path) -> None:
    async with running(tmp_path) as here, here.client(Role.OPERATOR) as client:
        assert (await client.post(f"{WEB}/scale", json={"replicas": 2})).status_code == 404
        await deployed(client)
        given = await client.post(f"{WEB}/set-weight", json={"weight": 50, "reason": "no canary"})
        assert given.status_code == 202
        answer = await answered(client, given.headers["location"])
        assert (answer["accepted"], bool(answer["because"])) == (False, True)
        events = (await client.get(f"{WEB}/history")).json()["events"]
        assert "by" not in events[0] or events[0]["by"].startswith("operator")


async def test_the_same_key_is_the_same_intent_and_another_request_under_it_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as here, here.client(Role.OPERATOR) as client, here.client(Role.ADMIN) as other:
        await deployed(client)
        key = {"Idempotency-Key": "build 7"}
        first, again = [await client.post(f"{WEB}/scale", json={"replicas": 2}, headers=key) for _ in range(2)]
        assert first.headers["location"] == again.headers["location"]
        both = await asyncio.gather(
            *(client.post(f"{WEB}/pause", json={}, headers={"Idempotency-Key": "b"}) for _ in range(5))
        )
        assert len({one.headers["location"] for one in both}) == 1
        assert (await client.post(f"{WEB}/scale", json={"replicas": 3}, headers=key)).status_code == 422
        assert (await other.post(f"{WEB}/scale", json={"replicas": 3}, headers=key)).status_code == 202
        deploys = [await client.post(f"{WEB}/deploy", json={}, headers={"Idempotency-Key": "d"}) for _ in range(2)]
        assert deploys[0].headers["location"] == deploys[1].headers["location"]


async def test_what_changed_since_it_was_read_is_not_acted_on(tmp_path: Path) -> None:
    async with running(tmp_path) as here, here.client(Role.OPERATOR) as client:
        await deployed(client)
        await settled(client)
        read = await client.get(WEB)
        tag = read.headers["etag"]
        same = await client.get(WEB, headers={"If-None-Match": tag})
        assert (same.status_code, same.content) == (304, b"")
        given = await client.post(f"{WEB}/scale", json={"replicas": 2}, headers={"If-Match": tag})
        assert given.status_code == 202
        await answered(client, given.headers["location"])
        stale = await client.post(f"{WEB}/scale", json={"replicas": 3}, headers={"If-Match": tag})
        assert stale.status_code == 412
        assert stale.headers["etag"] != tag


async def settled(client: httpx.AsyncClient) -> None:
    """Nothing is under way."""
    async with asyncio.timeout(20):
        while (await client.get(f"{WEB}/status")).json()["rollout"]["phase"] != "promoted":
            await asyncio.sleep(0.05)


async def test_the_log_is_streamed_from_where_a_reader_left_it(tmp_path: Path) -> None:
    async with running(tmp_path, decide=False) as here:
        for number in range(5):
            await here.api.books.journal.append([Event(float(number), KEY, EventKind.STAGE, f"line {number}")])
        foreign = Event(9.0, AgentKey("other", "staging"), EventKind.STAGE, "not for ci")
        await here.api.books.journal.append([foreign])
        assert await told(here, Role.CI, 3, {"Last-Event-ID": "2"}) == ["line 2", "line 3", "line 4"]
        assert await told(here, Role.VIEWER, 4, {"Last-Event-ID": "2"}) == ["line 2", "line 3", "line 4", "not for ci"]
        assert here.api.measures.open_streams == 0


async def told(here: Running, role: Role, count: int, headers: dict[str, str]) -> list[str]:
    """The sentences of the first messages of a stream; then the reader goes."""
    scope = {
        "type": "http", "method": "GET", "path": "/v1/events/stream", "query_string": b"", "client": ("127.0.0.1", 1),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        + [(b"authorization", f"Bearer {here.tokens[role]}".encode())],
    }  # fmt: skip
    heard: list[str] = []
    enough = asyncio.Event()
    asked = False

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if not asked:
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await enough.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        for line in message.get("body", b"").decode().splitlines():
            if line.startswith("data: "):
                heard.append(json.loads(line[6:])["because"])
        if len(heard) >= count:
            enough.set()

    async with asyncio.timeout(20):
        await here.app(scope, receive, send)  # type: ignore[operator]
    return heard


async def test_a_viewer_does_not_see_what_looks_secret(tmp_path: Path) -> None:
    async with running(tmp_path) as here, here.client(Role.OPERATOR) as operator, here.client(Role.VIEWER) as viewer:
        spec = {
            "agent": "web",
            "workload": {"image": "web:1.0.0", "environment": {"DB_PASSWORD": "hunter2", "MODE": "calm"}},
            "environments": {"staging": {"platform": "memory"}},
        }
        given = await operator.post(f"{WEB}/deploy", json={"spec": spec})
        assert given.status_code == 202, given.text
        await answered(operator, given.headers["location"])
        for path in (WEB, f"{WEB}/revisions", "/v1/releases/web", f"{WEB}/history", f"{WEB}/explanation", "/v1/audit"):
            assert "hunter2" not in (await viewer.get(path)).text
        assert "calm" in (await viewer.get(WEB)).text
        assert "hunter2" in (await operator.get(WEB)).text


async def test_a_spec_in_a_request_is_checked_like_a_file_and_reads_no_file(tmp_path: Path) -> None:
    async with running(tmp_path, decide=False) as here, here.client(Role.OPERATOR) as client:
        wrong = {"agent": "web", "workload": {"image": "web:1", "replicas": "many"}}
        answer = await client.post(f"{WEB}/deploy", json={"spec": wrong})
        assert answer.status_code == 422
        assert answer.json()["errors"]
        compose = {"agent": "web", "workload": {"compose": {"file": "/etc/passwd", "service": "web"}}}
        answer = await client.post(f"{WEB}/deploy", json={"spec": compose})
        assert answer.status_code == 422
        assert "root:" not in answer.text
        other = {"agent": "other", "workload": {"image": "web:1.0.0"}}
        assert (await client.post(f"{WEB}/deploy", json={"spec": other})).status_code == 422


async def test_what_nobody_could_decide_on_never_reaches_the_loop(tmp_path: Path) -> None:
    async with running(tmp_path) as here, here.client(Role.OPERATOR) as client:
        await deployed(client)
        state = (await client.get(WEB)).json()
        action = {"type": "Deploy", "release": state["stable"]["release"] if state["stable"] else {}, "workload": {}}
        answer = await client.post(f"{WEB}/intents", json={"action": action})
        assert answer.status_code == 422
        assert (await client.get("/readyz")).json()["deciding"]
