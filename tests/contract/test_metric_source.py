"""Every metric source answers alike, asked of real things: a Docker Engine, a Prometheus, web servers, files."""

import asyncio
import json
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from aiohttp import web

from tests.engine import Engine as PrivateEngine
from tidegate.adapters.metrics.file import Recorded
from tidegate.adapters.metrics.heartbeat import HeartbeatSource
from tidegate.adapters.metrics.logs import Logs
from tidegate.adapters.metrics.prometheus import Prometheus
from tidegate.adapters.metrics.scrape import Scrape
from tidegate.adapters.metrics.stats import Stats
from tidegate.adapters.platform.docker.client import Engine
from tidegate.control.centre import Centre
from tidegate.control.registry import Registry
from tidegate.controller.clock import WallClock
from tidegate.model.errors import MetricError
from tidegate.model.heartbeat import AgentStatus, Heartbeat, Listening, Pulse
from tidegate.model.metering import Origin, OriginKind, Question, Reading, Reduce, Subject
from tidegate.model.observation import InstanceState, ObservedInstance
from tidegate.model.release import AgentKey
from tidegate.model.workload import SecretRef, Workload
from tidegate.ports import MetricSource

KEY = AgentKey("web", "prod")
NOBODY = Subject(KEY, (1, 2))


async def until(
    source: MetricSource,
    subject: Subject,
    question: Question,
    good: Callable[[Reading], bool],
    deadline_s: float = 30.0,
) -> Reading:
    """Ask again and again, as the controller does."""
    end = time.monotonic() + deadline_s
    while True:
        reading = await source.read(subject, (question,))
        if good(reading):
            return reading
        assert time.monotonic() < end, reading
        await asyncio.sleep(0.2)


def instance(revision: int, id: str = "", address: str = "", name: str = "") -> ObservedInstance:
    name = name or f"web.prod.r{revision}.1"
    return ObservedInstance(name, revision, InstanceState.RUNNING, id or name, address)


class Secrets:
    """ports.SecretSource that knows one value."""

    async def resolve(self, workload: Workload) -> dict[str, str]:
        return {ref.variable: "s3cret-value" for ref in workload.secrets}


@dataclass
class Served:
    """A web server whose answer a test changes."""

    port: int
    status: int = 200
    body: str = ""
    headers: dict[str, str] | None = None
    delay_s: float = 0.0


@asynccontextmanager
async def served() -> AsyncIterator[Served]:
    found = Served(0)

    async def answer(request: web.Request) -> web.Response:
        found.headers = dict(request.headers)
        await asyncio.sleep(found.delay_s)
        return web.Response(text=found.body, status=found.status)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.port = runner.addresses[0][1]
    try:
        yield found
    finally:
        await runner.cleanup()


# -- alike for all


class Books:
    """ports.Pulses that keeps nothing."""

    async def save_pulses(self, pulses: object, listening: Listening) -> None: ...

    async def pulses(self, key: AgentKey | None) -> list[Pulse]:
        return []

    async def last_listening(self) -> Listening:
        return Listening(None, 0.0)

    async def forget_pulses(self, before: float) -> None: ...


async def _deaf(registry: Registry, stop: asyncio.Event) -> None: ...


def heard() -> tuple[Centre, Registry]:
    registry = Registry(Books(), WallClock())
    registry.open()
    return Centre(registry, _deaf), registry


Made = tuple[MetricSource, str]


def _make(kind: OriginKind, folder: Path, port: int, engine_url: str) -> Made:
    match kind:
        case OriginKind.STATS:
            return Stats(Engine(engine_url)), "memory_share"
        case OriginKind.LOGS:
            return Logs(Engine(engine_url)), "level>=error"
        case OriginKind.SCRAPE:
            return Scrape(Origin("scrape", kind, port=port)), "up"
        case OriginKind.HEARTBEAT:
            return HeartbeatSource(heard()[0]), "gaps"
        case OriginKind.PROMETHEUS:
            return Prometheus(Origin("prometheus", kind, url=f"http://127.0.0.1:{port}"), Secrets()), "up"
        case OriginKind.FILE:
            (folder / "m.csv").write_text("at,metric,revision,value\n")
            return Recorded(Origin("file", kind, file="m.csv"), folder), "up"


@pytest.mark.parametrize("kind", list(OriginKind))
async def test_without_instances_there_is_no_value_and_no_error(kind: OriginKind, tmp_path: Path) -> None:
    async with served() as server:
        server.body = json.dumps({"status": "success", "data": {"resultType": "vector", "result": []}})
        source, query = _make(kind, tmp_path, server.port, "unix:///nowhere.sock")
        reading = await source.read(NOBODY, (Question("m", query),))
        assert not any(reading.values.get("m", {}).values())
        await source.close()
        await source.close()  # twice is harmless


# -- the agents' own /metrics

EXPOSED = """
# TYPE mails_total counter
mails_total{{result="ok"}} {ok}
mails_total{{result="failed"}} {failed}
# TYPE queue gauge
queue{{name="a"}} 3
queue{{name="b"}} 4
# TYPE task_seconds histogram
task_seconds_bucket{{le="+Inf"}} {count}
task_seconds_sum {total}
task_seconds_count {count}
"""


async def test_scrape_gives_gauges_rates_and_quotients() -> None:
    async with served() as server:
        subject = Subject(KEY, (1, 2), (instance(2, "a", "127.0.0.1"), instance(2, "b", "127.0.0.1", "other")))
        source = Scrape(Origin("scrape", OriginKind.SCRAPE, port=server.port))
        asked = (
            Question("mean", "queue"),
            Question("sum", 'sum(queue{name=~"a|b"})'),
            Question("one", 'queue{name!="a"}'),
            Question("rate", 'mails_total{result="ok"}', 10.0),
            Question("share", 'mails_total{result="failed"} / mails_total', 10.0),
            Question("delay", "task_seconds_sum / task_seconds_count", 10.0),
            Question("absent", "no_such_metric"),
        )
        server.body = EXPOSED.format(ok=100, failed=1, count=10, total=5)
        first = await source.read(subject, asked)
        assert first.values["mean"] == {2: 7.0}
        assert first.values["sum"] == {2: 14.0}
        assert first.values["one"] == {2: 4.0}
        assert first.values["rate"] == {}
        began = time.monotonic()
        await asyncio.sleep(0.5)
        server.body = EXPOSED.format(ok=190, failed=11, count=20, total=25)
        second = await source.read(subject, asked)
        rate = second.values["rate"][2]
        assert 90 / (time.monotonic() - began + 0.3) < rate <= 90 / 0.5
        assert second.values["share"][2] == pytest.approx(0.1)
        assert second.values["delay"][2] == pytest.approx(2.0)
        assert second.values["absent"] == {}
        server.body = EXPOSED.format(ok=5, failed=0, count=0, total=0)  # the agent started again
        third = await source.read(subject, asked)
        assert 0 < third.values["rate"][2] < rate * 1.1
        await source.close()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"status": 503}, "answered 503"),
        ({"body": "<html>"}, "no Prometheus text"),
        ({"delay_s": 5.0}, "did not answer within"),
        ({"body": "x 1\n" * 3_000_000}, "more than 8 MiB"),
    ],
    ids=["status", "html", "slow", "large"],
)
async def test_scrape_says_what_is_wrong(change: dict[str, object], message: str) -> None:
    async with served() as server:
        for name, value in change.items():
            setattr(server, name, value)
        source = Scrape(Origin("scrape", OriginKind.SCRAPE, port=server.port, timeout_s=2.0))
        with pytest.raises(MetricError, match=message):
            await source.read(Subject(KEY, (2,), (instance(2, "a", "127.0.0.1"),)), (Question("m", "x"),))
        await source.close()


async def test_scrape_asks_the_agents_port_and_names_a_missing_one() -> None:
    async with served() as server:
        server.body = "x 7\n"
        source = Scrape(Origin("scrape", OriginKind.SCRAPE))
        subject = Subject(KEY, (2,), (instance(2, "a", "127.0.0.1"),), server.port)
        assert (await source.read(subject, (Question("m", "x"),))).values == {"m": {2: 7.0}}
        with pytest.raises(MetricError, match="no port"):
            await source.read(replace(subject, port=0), (Question("m", "x"),))
        await source.close()


# -- Prometheus


@dataclass
class Prom:
    """A real Prometheus that scrapes one web server every 200 ms."""

    url: str
    process: subprocess.Popen[bytes]
    port: int
    folder: Path

    def start(self) -> None:
        self.process = _start_prometheus(self.folder, self.port)


def _start_prometheus(folder: Path, port: int) -> subprocess.Popen[bytes]:
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Callable[[int], Prom]]:
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed (Debian: prometheus)")
    started: list[Prom] = []

    def begin(target: int) -> Prom:
        port = free_port()
        (tmp_path / "prometheus.yml").write_text(
            "global: {scrape_interval: 200ms, scrape_timeout: 200ms}\n"
            f"scrape_configs: [{{job_name: agents, static_configs: [{{targets: ['127.0.0.1:{target}']}}]}}]\n"
        )
        found = Prom(f"http://127.0.0.1:{port}", _start_prometheus(tmp_path, port), port, tmp_path)
        started.append(found)
        return found

    yield begin
    for one in started:
        one.process.kill()
        one.process.wait(10)


async def patient(read: Callable[[], Awaitable[Reading]], deadline_s: float = 30.0) -> Reading:
    """Until the server answers at all."""
    end = time.monotonic() + deadline_s
    while True:
        try:
            return await read()
        except MetricError:
            assert time.monotonic() < end
            await asyncio.sleep(0.2)


async def test_prometheus_instant_range_staleness_and_death(prometheus: Callable[[int], Prom]) -> None:
    async with served() as server:
        server.body = '# TYPE depth gauge\ndepth{revision="1"} 4\ndepth{revision="2"} 9\nnan NaN\n'
        server_of = prometheus(server.port)
        origin = Origin("prometheus", OriginKind.PROMETHEUS, url=server_of.url, timeout_s=5.0, max_age_s=3.0)
        source = Prometheus(origin, Secrets())
        depth = Question("depth", 'sum(depth{revision="{{revision}}"})')
        await patient(lambda: source.read(NOBODY, (depth,)))
        reading = await until(source, NOBODY, depth, lambda reading: bool(reading.values))
        assert reading.values == {"depth": {1: 4.0, 2: 9.0}}
        asked = (
            Question("nan", "nan + 0 * {{revision}}"),
            Question("several", "depth"),
            Question("wrong", "sum(("),
            Question("scalar", "scalar(sum(up)) * {{revision}}"),
        )
        reading = await source.read(NOBODY, asked)
        assert reading.values == {"scalar": {1: 1.0, 2: 2.0}}
        assert "2 series where one is needed" in reading.failed["several"]
        assert "parse error" in reading.failed["wrong"]
        ranged = Prometheus(replace(origin, range_s=2.0, reduce=Reduce.MAX), Secrets())
        assert (await ranged.read(NOBODY, (depth,))).values == {"depth": {1: 4.0, 2: 9.0}}
        await ranged.close()

        server.status = 500  # scraping fails: what was known grows stale, and is no value any more
        await until(source, NOBODY, depth, lambda reading: not reading.values)

        server_of.process.kill()
        server_of.process.wait(10)
        with pytest.raises(MetricError, match="cannot be reached"):
            await source.read(NOBODY, (depth,))
        server.status = 200
        server_of.start()
        await patient(lambda: source.read(NOBODY, (depth,)))
        await until(source, NOBODY, depth, lambda reading: bool(reading.values))
        await source.close()


async def test_prometheus_partial_data_and_strange_answers() -> None:
    async with served() as server:
        url = f"http://127.0.0.1:{server.port}/prefix"
        origin = Origin(
            "p", OriginKind.PROMETHEUS, url=url, token=SecretRef("p token", "environment", "T"), timeout_s=1.0
        )
        source = Prometheus(origin, Secrets())
        vector = {"resultType": "vector", "result": [{"metric": {}, "value": [0, "1"]}]}
        server.body = json.dumps({"status": "success", "data": vector, "warnings": ["store X is away"]})
        reading = await source.read(NOBODY, (Question("m", "up"),))
        assert not reading.values
        assert "partial data: store X is away" in reading.failed["m"]
        assert server.headers is not None
        assert server.headers["Authorization"] == "Bearer s3cret-value"
        for body, status in (("[]", 200), ("<html>", 200), ("", 502), ('{"status":"error","error":"x"}', 503)):
            server.body, server.status = body, status
            with pytest.raises(MetricError, match=str(status)) as caught:
                await source.read(NOBODY, (Question("m", "up"),))
            assert "s3cret" not in caught.value.message
        server.delay_s = 3.0
        with pytest.raises(MetricError, match="did not answer within"):
            await source.read(NOBODY, (Question("m", "up"),))
        await source.close()


# -- files


async def test_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    source = Recorded(Origin("file", OriginKind.FILE, file="m.csv"), tmp_path)
    with pytest.raises(MetricError, match=r"m\.csv: No such file"):
        await source.read(NOBODY, (Question("m", "conversions"),))
    now = time.time()
    path.write_text(
        f"at,metric,revision,value\n{now - 3},conversions,2,5\n{now - 2},conversions,2,6\n{now + 60},conversions,2,7\n"
        f"{now - 300},conversions,1,1\n"
    )
    assert (await source.read(NOBODY, (Question("m", "conversions"),))).values == {"m": {2: 6.0}}
    path.write_text(f"at,metric,revision,value\n{now},conversions,,8\n")
    assert (await source.read(NOBODY, (Question("m", "conversions"),))).values == {"m": {1: 8.0, 2: 8.0}}
    path.write_text(f"at,metric,revision,value\n{now},conversions,,8\n{now},conversions,x,8\n")
    with pytest.raises(MetricError, match="after 1 rows: ValueError"):
        await source.read(NOBODY, (Question("m", "conversions"),))
    lines = tmp_path / "m.json"
    lines.write_text(json.dumps({"at": now, "metric": "conversions", "revision": 1, "value": 2}) + "\n")
    other = Recorded(Origin("file", OriginKind.FILE, file="m.json"), tmp_path)
    assert (await other.read(NOBODY, (Question("m", "conversions"),))).values == {"m": {1: 2.0}}


# -- heartbeats


async def test_heartbeats_tell_of_gaps_and_of_failing() -> None:
    centre, registry = heard()
    source = HeartbeatSource(centre)
    for sequence in (1, 2, 5):
        registry.hear(
            Heartbeat(KEY, "web.prod.r2.1", 2, "2.0.0", AgentStatus.FAILING, sequence, time.time(), interval_s=1.0)
        )
    subject = Subject(KEY, (1, 2), (instance(1), instance(2)))
    asked = [Question(query, query) for query in ("gaps", "failing", "processes", "silence_s")]
    reading = await source.read(subject, asked)
    assert reading.values["gaps"] == {2: 2.0}
    assert reading.values["failing"] == {2: 1.0}
    assert reading.values["processes"] == {2: 1.0}
    assert 0 <= reading.values["silence_s"][2] < 5
    registry.shut()
    with pytest.raises(MetricError, match="nobody listens"):
        await source.read(subject, asked)


# -- the engine


@asynccontextmanager
async def on(engine: PrivateEngine) -> AsyncIterator[Engine]:
    client = Engine(engine.url)
    try:
        yield client
    finally:
        await client.close()


BUSYBOX = "tidegate/base-busybox"


@pytest.mark.engine
async def test_stats_measure_cpu_and_memory_of_the_limit(engine: PrivateEngine) -> None:
    limits = {"Memory": 64 << 20, "NanoCpus": 500_000_000}
    busy = engine.run(BUSYBOX, "sh", "-c", "while :; do :; done", HostConfig=limits)
    fill = "dd if=/dev/zero of=/fill/x bs=1M count=32; sleep 600"
    full = engine.run(BUSYBOX, "sh", "-c", fill, HostConfig={**limits, "Tmpfs": {"/fill": "size=48m"}})
    subject = Subject(KEY, (1, 2), (instance(1, busy), instance(2, full)))
    async with on(engine) as client:
        source = Stats(client)
        cpu, memory = Question("cpu", "cpu_share"), Question("memory", "memory_share")

        def measured(one: Reading) -> bool:
            shares = one.values.get("cpu", {})
            return shares.get(1, 0) > 0.2 and shares.get(2, 1) < 0.2

        reading = await until(source, subject, cpu, measured)
        assert reading.values["cpu"][1] < 1.3
        assert reading.values["cpu"][2] < 0.2
        reading = await until(source, subject, memory, lambda one: one.values.get("memory", {}).get(2, 0) > 0.45)
        assert 0.45 < reading.values["memory"][2] < 0.75
        assert reading.values["memory"][1] < 0.3
        restarted = replace(subject.instances[0], restart_count=3, oom_killed=True)
        counts = Subject(KEY, (1,), (restarted,))
        asked = (Question("r", "restarts"), Question("o", "oom_kills"))
        assert (await source.read(counts, asked)).values == {"r": {1: 3.0}, "o": {1: 1.0}}
        await source.close()


@pytest.mark.engine
async def test_logs_count_patterns_and_levels(engine: PrivateEngine) -> None:
    quiet = engine.run(BUSYBOX, "sh", "-c", "while :; do echo all is well; sleep 0.2; done")
    json_line = """while :; do echo '{"level":"error","msg":"no ERROR"}'; echo '{"level":30}'; sleep 0.2; done"""
    loud = engine.run(BUSYBOX, "sh", "-c", json_line)
    subject = Subject(KEY, (1, 2), (instance(1, quiet), instance(2, loud)))
    async with on(engine) as client:
        source = Logs(client)
        asked = (Question("errors", "level>=error", 3.0), Question("well", "is w.ll", 3.0))
        end = time.monotonic() + 30
        while True:
            values = (await source.read(subject, asked)).values
            if 2 < values["errors"].get(2, 0) < 6 and 2 < values["well"].get(1, 0) < 6:
                break
            assert time.monotonic() < end, values
            await asyncio.sleep(0.2)
        assert values["errors"][1] == 0
        assert values["well"][2] == 0
        await source.close()


@pytest.mark.engine
async def test_an_engine_that_is_away_is_named_and_comes_back(fresh_engine: PrivateEngine) -> None:
    fresh_engine.load(BUSYBOX)
    one = fresh_engine.run(BUSYBOX, "sleep", "600", HostConfig={"Memory": 64 << 20})
    subject = Subject(KEY, (2,), (instance(2, one),))
    question = Question("memory", "memory_bytes")
    async with on(fresh_engine) as client:
        source = Stats(client)
        await until(source, subject, question, lambda reading: bool(reading.values["memory"]))
        fresh_engine.kill()
        end = time.monotonic() + 20
        with pytest.raises(MetricError, match="Docker Engine at"):  # noqa: PT012
            while time.monotonic() < end:
                await source.read(subject, (question,))
                await asyncio.sleep(0.1)
        fresh_engine.start()
        await patient(lambda: source.read(subject, (question,)))
        await until(source, subject, question, lambda reading: bool(reading.values["memory"]))
        await source.close()
