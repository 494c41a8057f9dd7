"""A rollout on a real engine whose controller is killed at exact points, and what must be true at its end."""

from __future__ import annotations

from dataclasses import dataclass

from tests.e2e.host import Host, Running, until
from tests.e2e.proxy import Proxy

ENDED = ("promoted", "rolled_back", "aborted", "failed")
QUICK = {"ANALYSE": "2s"}


@dataclass(frozen=True)
class Point:
    """Where a controller dies: at its n-th call to the engine, counted from its start; `when` is before or after."""

    call: int
    when: str


@dataclass(frozen=True)
class Played:
    """What happened: the calls of each controller, and the points that were reached."""

    calls: tuple[tuple[str, ...], ...]
    reached: tuple[Point, ...]


def rollout_with_kills(host: Host, version: str, points: list[Point], bad: bool, successor: str = "deploy") -> Played:
    """Deploy a version through kills. `successor` is the command that carries on each time: deploy, resume or serve."""
    host.version(version)
    variables = {**QUICK, "VERSION": version, "FAIL_EVERY": "4" if bad else "0"}
    before = host.instances()
    proxy = Proxy(host.folder / "proxy.sock", host.engine.directory / "docker.sock")
    calls, reached = [], []
    host.endpoint = proxy.url
    try:
        with host.load() as load:
            running = host.begin("deploy", **variables)
            for point in points:
                proxy.arm(running.process.pid, point.call, point.when)
                if _dies(host, running, version):
                    reached.append(point)
                calls.append(tuple(proxy.calls))
                if host.phase(version) in ENDED and reached[-1:] != [point]:
                    break
                running = host.begin(successor, **variables)
            proxy.watch()
            _see_to_the_end(host, running, successor, version)
            calls.append(tuple(proxy.calls))
    finally:
        host.endpoint = ""
        proxy.close()
    assert load.report["lost"] == 0, load.report
    assert host.phase() == ("rolled_back" if bad else "promoted"), host.explained()
    after = host.instances()
    assert len(after) == 2, f"orphans or none: {after}"
    assert (after == before) is bad, after
    return Played(tuple(calls), tuple(reached))


def _dies(host: Host, running: Running, version: str) -> bool:
    """Whether the kill came, rather than the end of the rollout."""
    until(lambda: running.process.poll() is not None or _at_rest(host, version))
    if running.process.poll() is None:
        running.stop()
    return running.process.returncode == -9


def _see_to_the_end(host: Host, running: Running, successor: str, version: str) -> None:
    if successor == "serve":
        until(lambda: _at_rest(host, version))
        running.stop()
    else:
        running.wait()


def _at_rest(host: Host, version: str) -> bool:
    return host.phase(version) in ENDED and len(host.instances()) == 2
