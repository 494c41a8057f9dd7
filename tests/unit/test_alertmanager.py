"""An Alertmanager's web hook over the API: who may, what it is about, once; what Prometheus finds here."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.api import AGENT, ENVIRONMENT, Running, running
from tests.memory import QUICK, WATCH, release, workload
from tests.property.test_alertmanager_decoding import GOOD, hook
from tidegate.control.alertmanager import decode
from tidegate.model.access import Role
from tidegate.model.alerting import ALERTMANAGER, SHIPPED, Alerting, AlertRule, OnAlert, Signal, signal_name
from tidegate.model.intent import Deploy, Intent
from tidegate.model.observation import Block
from tidegate.model.policy import Policy
from tidegate.model.release import AgentKey
from tidegate.model.rollout import AgentState
from tidegate.model.spec import Rollback
from tidegate.server.api.signals import Signals

KEY = AgentKey(AGENT, ENVIRONMENT)


@pytest.mark.parametrize(
    ("labels", "subject", "revision"),
    [
        ({}, "", None),
        ({"tidegate_revision": "7"}, "", 7),
        ({"revision": "r7"}, "", 7),
        ({"revision": "9fceb02"}, "", 0),  # a revision of something else: of no rollout of ours
        ({"tidegate_instance": "agent.prod.r3.1"}, "agent.prod.r3.1", 3),
        ({"instance": "agent.prod.r3.1"}, "agent.prod.r3.1", 3),
        ({"instance": "10.0.0.7:9100"}, "", None),
        ({"subject": "r4"}, "r4", 4),
    ],
)
def test_labels_say_whom_it_is_about(labels: dict[str, str], subject: str, revision: int | None) -> None:
    (told,) = decode(hook({**GOOD, "labels": {**GOOD["labels"], **labels}}))
    assert (told.agent, told.environment) == ("agent", "prod")
    assert told.action.subject == subject
    assert told.action.revision == revision


def about(name: str = "SloBurn", status: str = "firing", **labels: str) -> dict[str, Any]:
    return {**GOOD, "status": status, "labels": {"alertname": name, "agent": AGENT, **labels}}


async def deployed(here: Running) -> None:
    async with here.client() as client:
        await client.post(f"/v1/environments/{ENVIRONMENT}/agents/{AGENT}/deploy", json={"release": "web:1.0.0"})
        async with asyncio.timeout(20):
            while (await here.api.books.store.load(KEY)) is None:
                await asyncio.sleep(0.02)


async def known(here: Running, count: int) -> AgentState:
    async with asyncio.timeout(20):
        while (state := await here.api.books.store.load(KEY)) is None or len(state.alerts) < count:
            await asyncio.sleep(0.02)
    return state


async def test_an_alert_is_taken_once_and_shown(tmp_path: Path) -> None:
    async with running(tmp_path) as here, here.client(Role.CI) as ci, here.client(Role.VIEWER) as viewer:
        await deployed(here)
        answer = await ci.post("/v1/alertmanager", json=hook(about(), about(), about("Other", fingerprint="x")))
        assert answer.json() == {"accepted": 1, "repeated": 2, "ignored": []}  # one fingerprint: one alert
        assert (await ci.post("/v1/alertmanager", json=hook(about()))).json()["repeated"] == 1
        state = await known(here, 1)
        assert state.alerts[0].on_alert is OnAlert.NOTIFY
        rows = (await viewer.get("/v1/alerts")).json()
        assert [(row["alert"], row["phase"], row["source"]) for row in rows] == [("SloBurn", "firing", "alertmanager")]
        over = await ci.post("/v1/alertmanager", json=hook(about(status="resolved")))
        assert over.json()["accepted"] == 1
        async with asyncio.timeout(20):
            while (await viewer.get("/v1/alerts")).json():
                await asyncio.sleep(0.02)
        assert [row["phase"] for row in (await viewer.get("/v1/alerts?over=true")).json()] == ["resolved"]


async def test_what_is_about_nobody_here_is_ignored_and_named(tmp_path: Path) -> None:
    async with running(tmp_path, decide=False) as here, here.client(Role.CI) as ci, here.client() as admin:
        elsewhere = about(environment="production")
        nobody = {**GOOD, "labels": {"alertname": "Watchdog"}}
        sent = hook(about(), elsewhere, about(agent="other"), nobody)
        assert [one["because"] for one in (await ci.post("/v1/alertmanager", json=sent)).json()["ignored"]] == [
            "web.staging: nothing was ever deployed",
            "this token is for another agent",
            "this token is for another agent",
            "no label names an agent: tidegate_agent or agent",
        ]
        ignored = (await admin.post("/v1/alertmanager", json=hook(elsewhere))).json()["ignored"]
        assert ignored == [{"alert": "SloBurn", "because": "this server decides in staging"}]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 422),
        (b'{"version": "3", "alerts": []}', 422),
        (json.dumps(hook({**GOOD, "startsAt": "yesterday"})).encode(), 422),
        (json.dumps(hook(*[GOOD] * 1001)).encode(), 422),
        (b" " * (1024 * 1024 + 1), 413),
    ],
)
async def test_what_is_no_web_hook_is_refused(tmp_path: Path, body: bytes, status: int) -> None:
    async with running(tmp_path, decide=False) as here, here.client() as client:
        answer = await client.post("/v1/alertmanager", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == status


async def test_prometheus_finds_what_listens_and_reads_what_rules_look_at(tmp_path: Path) -> None:
    async with running(tmp_path) as here, here.client(Role.VIEWER) as client:
        assert (await client.get("/v1/http_sd")).json() == []
        rule = AlertRule("cpu", "stats", "cpu_share", above=1.0, over_s=600.0)
        base = workload()
        made = replace(release("1.0.0", base), agent=AGENT)
        deploy = Deploy(made, base, QUICK, WATCH, Rollback(), Policy(alerts=Alerting((rule,))))
        await here.api.books.store.submit(Intent("i", KEY, deploy, "ada", here.api.now()))
        async with asyncio.timeout(20):
            while (state := await here.api.books.store.load(KEY)) is None or not state.alerting.rules:
                await asyncio.sleep(0.02)
        block = Block(here.api.now(), 1.0, values={signal_name("cpu", "web.staging.r1.1"): {1: 0.25}})
        await here.api.books.journal.add_blocks(KEY, [block])
        families = {one.name: one for one in text_string_to_metric_families((await client.get("/metrics")).text)}
        assert "tidegate_alerts" in families
        (sample,) = families["tidegate_alert_signal"].samples
        assert (sample.value, sample.labels) == (
            0.25,
            {"agent": AGENT, "environment": ENVIRONMENT, "host": "", "rule": "cpu", "subject": "web.staging.r1.1",
             "revision": "1"},
        )  # fmt: skip


class Blocks:
    """A journal that counts what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    async def blocks(self, key: AgentKey, since: float, until: float) -> list[Block]:
        self.asked.append(until - since)
        name = "alert/cpu_high/web.staging.r1.1"
        return [Block(float(at), 1.0, values={name: {1: 0.5}}) for at in range(int(since), int(until) + 1)]


async def test_two_scrapes_read_only_what_is_new() -> None:
    rules = (*SHIPPED, AlertRule("Told", ALERTMANAGER))
    state, journal, signals = AgentState(KEY, alerting=Alerting(rules)), Blocks(), Signals()
    for now in (1000.0, 1015.0):
        found = await signals.of(state, journal, now)  # type: ignore[arg-type]
        assert found["cpu_high"] == {"web.staging.r1.1": Signal(0.5, 1)}
    assert journal.asked[0] > 600
    assert journal.asked[1] == 30
