"""Records and orders over the API: who may, what is kept, what is refused."""

from pathlib import Path
from typing import Any

import pytest

from tests.api import AGENT, ENVIRONMENT, Running, running
from tidegate.adapters.remote.agents import RemoteOrders, RemoteRecords
from tidegate.adapters.remote.client import Client
from tidegate.model.access import Role
from tidegate.model.heartbeat import AgentStatus, Listening, Pulse
from tidegate.model.order import ConfigText, Configure, Order, Restart, Run, RunState, RunTask, Selector
from tidegate.model.record import AgentRecord, ConfigFile
from tidegate.model.release import AgentKey

KEY, OTHER = AgentKey(AGENT, ENVIRONMENT), AgentKey("billing", "production")
ONE = f"/v1/environments/{ENVIRONMENT}/agents/{AGENT}"
DIGEST = "ab" * 32
TASK: dict[str, Any] = {
    "id": "o1",
    "selector": {"agent": AGENT, "environment": ENVIRONMENT, "labels": {"region": "north"}},
    "work": {"type": "RunTask", "task": "clean", "arguments": '{"days": 3}'},
    "reason": "it is full",
}


async def test_an_order_is_given_looked_at_and_taken_back(tmp_path: Path) -> None:
    async with running(tmp_path, decide=False) as here, here.client(Role.OPERATOR) as client:
        given = await client.post("/v1/orders", json=TASK)
        assert (given.status_code, given.json()["by"].partition("-")[0]) == (201, "operator")
        assert (await client.post("/v1/orders", json=TASK)).json() == given.json()
        assert (await client.post("/v1/orders", json={**TASK, "work": {"type": "Restart"}})).status_code == 409
        (kept,) = await here.api.books.orders.open_orders()
        assert kept.work == RunTask("clean", '{"days": 3}')
        run = Run("o1", 10.0, KEY, "w1", RunState.DONE, detail="7 removed")
        await here.api.books.orders.save_runs([run])
        assert [one["detail"] for one in (await client.get("/v1/orders/o1/runs")).json()] == ["7 removed"]
        assert (await client.delete("/v1/orders/o1?reason=enough")).status_code == 200
        assert (await client.delete("/v1/orders/o1")).status_code == 404
        assert (await client.get("/v1/orders")).json()[0]["ended_at"] is not None
        assert (await client.get("/v1/orders/o2/runs")).status_code == 404
        said = [entry.document for entry in await here.api.books.audit.entries()]
        assert ["order-runtask" in one or "withdraw" in one for one in said][-2:] == [True, True]
        assert "enough" in said[-1]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"selector": {}}, 422),
        ({"work": {"type": "RunTask", "task": "x", "arguments": "[]"}}, 422),
        ({"work": {"type": "RunTask", "task": "x", "cron": "never"}}, 422),
        ({"work": {"type": "RunTask", "task": "x", "deadline_s": 0}}, 422),
        ({"work": {"type": "Configure", "files": {}}}, 422),
        ({"work": {"type": "Configure", "files": {"a": {"text": "x" * (1 << 19) + "y"}}}}, 422),
        ({"work": {"type": "Explode"}}, 422),
        ({"id": "Ö"}, 422),
        ({"by": "somebody else"}, 422),
    ],
)
async def test_what_cannot_be_done_is_refused(tmp_path: Path, change: dict[str, Any], status: int) -> None:
    async with running(tmp_path, decide=False) as here, here.client(Role.OPERATOR) as client:
        assert (await client.post("/v1/orders", json={**TASK, **change})).status_code == status
        assert await here.api.books.orders.orders() == []


async def test_a_token_that_is_bound_orders_and_sees_nothing_else(tmp_path: Path) -> None:
    async with running(tmp_path, decide=False) as here:
        await here.api.books.orders.add_order(Order("o9", Selector(OTHER.agent, OTHER.environment), Restart(), 1.0))
        await here.api.books.pulses.save_pulses(
            [Pulse(key, "i1", 1, "1", AgentStatus.OK, 1, 5.0, 1.0, 1.0, 1.0) for key in (KEY, OTHER)],
            Listening(0.0, 1.0),
        )
        token = await here.make_token(Role.OPERATOR, agent=AGENT, environment=ENVIRONMENT)
        async with here.client(token=token) as client:
            assert (await client.get("/v1/reporting")).json() == [
                {"agent": AGENT, "environment": ENVIRONMENT, "host": ""}
            ]
            for selector in ({"agent": OTHER.agent}, {"labels": {"a": "b"}}, {"agent": AGENT}):
                assert (await client.post("/v1/orders", json={**TASK, "selector": selector})).status_code == 403
            assert (await client.post("/v1/orders", json=TASK)).status_code == 201
            assert [one["id"] for one in (await client.get("/v1/orders")).json()] == ["o1"]
            assert (await client.delete("/v1/orders/o9")).status_code == 404


async def _told(here: Running) -> None:
    record = AgentRecord(KEY, "w1", effective=(ConfigFile("a.yaml", "text/yaml", DIGEST, 4),))
    await here.api.books.records.save_records([record], {(KEY, "w1"): {DIGEST: b"a: 1"}})


async def test_a_configuration_is_not_for_everybody(tmp_path: Path) -> None:
    async with running(tmp_path, decide=False) as here:
        await _told(here)
        async with here.client(Role.VIEWER) as viewer, here.client(Role.OPERATOR) as operator:
            assert (await viewer.get(f"{ONE}/records")).json()[0]["instance"] == "w1"
            path = f"{ONE}/configurations/{DIGEST}"
            assert (await viewer.get(path, params={"instance": "w1"})).status_code == 403
            assert (await operator.get(path, params={"instance": "w1"})).json() == {"text": "a: 1"}
            assert (await operator.get(path, params={"instance": "w2"})).status_code == 404


async def test_agents_that_only_report_are_among_the_agents(tmp_path: Path) -> None:
    async with running(tmp_path, decide=False) as here, here.client(Role.VIEWER) as client:
        pulse = Pulse(OTHER, "b1", 0, "2.0", AgentStatus.OK, 1, 5.0, 1.0, 1.0, 1.0)
        await here.api.books.pulses.save_pulses([pulse], Listening(0.0, 1.0))
        rows = {row["agent"]: row for row in (await client.get("/v1/agents")).json()}
        assert rows[OTHER.agent]["instances"][0]["version"] == "2.0"


async def test_the_command_line_does_the_same_over_it(tmp_path: Path) -> None:
    async with running(tmp_path, decide=False) as here, here.client(Role.OPERATOR) as http:
        await _told(here)
        client = Over(http)
        orders, records = RemoteOrders(client), RemoteRecords(client)  # type: ignore[arg-type]
        order = Order("o1", Selector(AGENT, ENVIRONMENT), Configure({"a": ConfigText("x", "text/plain")}), 5.0)
        await orders.add_order(order)
        (found,) = await orders.open_orders()
        assert (found.selector, found.work) == (order.selector, order.work)
        assert await orders.runs("o1") == []
        assert await orders.end_order("o1", 6.0)
        assert await orders.open_orders() == []
        assert [one.instance for one in await records.records(KEY)] == ["w1"]
        assert await records.content(KEY, "w1", DIGEST) == b"a: 1"


class Over:
    """adapters.remote.client.Client on a client of the test's."""

    def __init__(self, http: Any) -> None:
        self._http = http

    async def get(self, path: str, **query: Any) -> Any:
        return await self.call("GET", path, query=query)

    async def call(self, method: str, path: str, body: Any = None, query: Any = None, key: str = "") -> Any:
        answer = await self._http.request(method, path, json=body, params=query)
        assert answer.status_code < 400, answer.text
        return answer.json()


assert Client.call.__name__ == Over.call.__name__
