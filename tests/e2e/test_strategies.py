"""Blue-green, rolling and a canary with routes, a mirror and sticky users: a real engine and Envoy, under load."""

import asyncio
import http.client
import time
from pathlib import Path

import pytest

from tests.e2e.real import KEY, PORT, Real, agent_workload, real
from tests.engine import Engine
from tidegate.model import intent
from tidegate.model.event import EventKind
from tidegate.model.rollout import AgentState, Phase
from tidegate.model.spec import Analyse, BlueGreen, Canary, Rolling, SetMirror, SetRoute, SetWeight
from tidegate.model.traffic import Match, MatchOn, Preview, Sticky

pytestmark = [pytest.mark.engine, pytest.mark.timeout(240)]
PREVIEW = 18090
BOTH = BlueGreen(Preview(PREVIEW), bake_s=3.0, keep_s=60.0, drain_s=5.0)
ROLL = Rolling(max_surge="1", max_unavailable="0", min_ready_s=0.5, bake_s=4.0, drain_s=5.0)
TESTER = Match(MatchOn.HEADER, "yes", "x-test")
ROUTED = Canary(
    (SetRoute((TESTER,)), SetMirror(30), Analyse(3.0), SetWeight(40), Analyse(3.0)),
    Sticky(cookie="lane"),
    bake_s=4.0,
    drain_s=5.0,
)


def phase(state: AgentState) -> Phase:
    assert state.rollout is not None
    return state.rollout.phase


async def who(engine: Engine, port: int = PORT, **headers: str) -> str:
    """The version that answers one request; empty when nobody listens."""

    def ask() -> str:
        client = http.client.HTTPConnection(engine.address, port, timeout=5)
        try:
            client.request("GET", "/", headers={name.replace("_", "-"): value for name, value in headers.items()})
            return client.getresponse().read().decode()
        except OSError:
            return ""
        finally:
            client.close()

    return await asyncio.to_thread(ask)


async def weights(tide: Real) -> list[tuple[object, object]]:
    events = [event for _, event in await tide.ports.journal.events(KEY)]
    return [(e.data["from"], e.data["to"]) for e in events if e.kind is EventKind.WEIGHT]


async def test_blue_green_switches_back_and_undo_is_a_switch(engine: Engine, tmp_path: Path) -> None:
    async with real(engine, tmp_path) as tide:
        assert phase(await tide.deploy(agent_workload("1.0.0"), "1.0.0", strategy=BOTH)) is Phase.PROMOTED
        stop = asyncio.Event()
        load = asyncio.create_task(tide.load(100, 180, stop))
        state = await tide.deploy(agent_workload("1.1.0", FAIL_EVERY="5"), "1.1.0", strategy=BOTH)
        assert phase(state) is Phase.ROLLED_BACK
        assert state.rollout is not None
        assert "errors in" in state.rollout.fault
        assert await who(engine) == "1.0.0"
        assert phase(await tide.deploy(agent_workload("1.2.0"), "1.2.0", strategy=BOTH)) is Phase.PROMOTED
        assert await who(engine) == "1.2.0"
        names = {n for n in engine.docker("ps", "--format", "{{.Names}}").split() if n.startswith("web.")}
        assert names == {"web.prod.r1.1", "web.prod.r1.2", "web.prod.r3.1", "web.prod.r3.2"}
        before = time.monotonic()
        assert phase(await tide.ask(intent.Undo())) is Phase.PROMOTED
        assert time.monotonic() - before < 5.0, "far from starting instances, on the slowest of machines"
        assert await who(engine) == "1.0.0"
        assert {n for n in engine.docker("ps", "--format", "{{.Names}}").split() if n.startswith("web.")} == names
        stop.set()
        report = await load
        assert {(a, b) for a, b in await weights(tide)} == {(0, 100), (100, 0)}
        assert {record.version for record in report.faults()} <= {"1.1.0"}
        assert not report.lost(), report.summary()


async def test_the_preview_port_shows_the_candidate_alone(engine: Engine, tmp_path: Path) -> None:
    strategy = BlueGreen(Preview(PREVIEW, matches=(TESTER,)), automatic=False, bake_s=1.0, keep_s=0.0, drain_s=2.0)
    async with real(engine, tmp_path) as tide:
        await tide.deploy(agent_workload("1.0.0"), "1.0.0", strategy=strategy)
        deploying = asyncio.create_task(tide.deploy(agent_workload("1.1.0"), "1.1.0", strategy=strategy))
        end = time.monotonic() + 30
        while await who(engine, PREVIEW) != "1.1.0" and time.monotonic() < end:
            await asyncio.sleep(0.1)
        assert await who(engine, PREVIEW) == "1.1.0"
        assert await who(engine, x_test="yes") == "1.1.0"
        assert {await who(engine) for _ in range(20)} == {"1.0.0"}
        await tide.session().ask(intent.Promote(full=True), "grace", "looks good")
        assert phase(await deploying) is Phase.PROMOTED
        assert await who(engine) == "1.1.0"
        assert await who(engine, PREVIEW) == ""


@pytest.mark.parametrize("strategy", [ROLL, ROUTED], ids=["rolling", "canary"])
async def test_rolling_and_a_routed_canary_lose_nothing(
    engine: Engine, tmp_path: Path, strategy: Rolling | Canary
) -> None:
    async with real(engine, tmp_path) as tide:
        await tide.deploy(agent_workload("1.0.0"), "1.0.0", strategy=strategy)
        stop = asyncio.Event()
        load = asyncio.create_task(tide.load(100, 180, stop))
        await asyncio.sleep(0.5)
        assert phase(await tide.deploy(agent_workload("1.1.0"), "1.1.0", strategy=strategy)) is Phase.PROMOTED
        state = await tide.deploy(agent_workload("1.2.0", FAIL_EVERY="4"), "1.2.0", strategy=strategy)
        assert phase(state) is Phase.ROLLED_BACK
        assert await who(engine, x_test="yes") == "1.1.0"
        stop.set()
        report = await load
        assert report.of("1.1.0")
        assert {record.version for record in report.faults()} <= {"1.2.0"}
        assert not report.lost(), report.summary()
        if strategy is ROUTED:
            assert not report.of("1.2.0"), "the mirror showed the fault before any user did"
