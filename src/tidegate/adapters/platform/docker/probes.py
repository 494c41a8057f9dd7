"""The prober: for each running incarnation of an instance, one asyncio task a probe.

It asks at the instance's address on our network, from where the controller runs or from a remote engine's own host;
exec probes run inside, through the engine. An incarnation is a container between one start and the next exit: after a
restart everything is unknown again.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from tidegate.adapters.platform.docker.client import Engine
from tidegate.adapters.platform.docker.remote import RemoteShell, http_script, tcp_script
from tidegate.adapters.platform.docker.streak import Streak
from tidegate.model.errors import TidegateError, UnreachableError
from tidegate.model.release import AgentKey
from tidegate.model.workload import Probe, ProbeKind

SHORTEST_PERIOD_S = 0.05
EARLY_SHARE = 0.1
"""An instance that was never ready is asked again after this share of the time it has had so far."""

DEAF_PERIOD_S = 0.01
DEAF_SHARE = 0.03
"""The same of one that does not listen yet, asked by its own kernel's refusal."""

REFUSED = "connection refused"
TIMED_OUT = 143


Incarnation = tuple[str, str]
"""A container's id and the engine's text of when it started."""


@dataclass(frozen=True)
class Target:
    """One incarnation of one instance, with the probes to put to it."""

    key: AgentKey
    name: str
    id: str
    started_at: str
    address: str
    readiness: Probe | None
    liveness: Probe | None


@dataclass
class Watch:
    """The probing of one target. A streak is None where there is no probe."""

    readiness: Streak | None
    liveness: Streak | None
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


class Prober:
    """All probes of one engine. `changed` is told the agent when an answer turned something."""

    def __init__(self, engine: Engine, changed: Callable[[AgentKey], None], remote: RemoteShell | None = None) -> None:
        self._engine = engine
        self._remote = remote
        self._changed = changed
        self._watches: dict[Target, Watch] = {}
        self._met: dict[AgentKey, frozenset[Incarnation]] = {}
        self._hanging: dict[tuple[str, Probe], str] = {}

    def meet(self, key: AgentKey, running: Iterable[Incarnation]) -> None:
        """Remember what ran already when an agent was first seen; nothing happens after the first time.

        Those are asked at once, without their initial delay, and stay unknown until a threshold is reached: they may
        have been serving for days, and only this controller is new.
        """
        self._met.setdefault(key, frozenset(running))

    def sync(self, key: AgentKey, targets: Iterable[Target]) -> dict[str, Watch]:
        """Probe exactly these instances of one agent; what is known of each, by name."""
        wanted = set(targets)
        for target in [t for t in self._watches if t.key == key and t not in wanted]:
            self._stop(self._watches.pop(target))
        for target in wanted - self._watches.keys():
            at_once = (target.id, target.started_at) in self._met.get(key, ())
            self._watches[target] = self._watch(target, at_once)
        return {target.name: self._watches[target] for target in wanted}

    async def close(self) -> None:
        """Stop all probing."""
        tasks = [task for watch in self._watches.values() for task in watch.tasks]
        for watch in self._watches.values():
            self._stop(watch)
        self._watches.clear()
        await asyncio.gather(*tasks, return_exceptions=True)

    @staticmethod
    def _stop(watch: Watch) -> None:
        for task in watch.tasks:
            task.cancel()

    def _watch(self, target: Target, at_once: bool) -> Watch:
        watch = Watch(
            readiness=Streak(target.readiness, fresh=not at_once) if target.readiness else None,
            liveness=Streak(target.liveness, fresh=False) if target.liveness else None,
        )
        for word, streak in (("readiness", watch.readiness), ("liveness", watch.liveness)):
            if streak is not None:
                delay = 0.0 if at_once else streak.probe.initial_delay_s
                watch.tasks.append(asyncio.create_task(self._run(target, streak, delay), name=f"{word} {target.name}"))
        return watch

    async def _run(self, target: Target, streak: Streak, delay_s: float) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(delay_s)
        first = loop.time()
        while True:
            begin = loop.time()
            failure = await self.ask(target, streak.probe)
            # An engine that is away is no answer of the agent's: what is known of it stays.
            if failure is not None and streak.add(not failure, failure):
                self._changed(target.key)
            period = max(streak.probe.period_s, SHORTEST_PERIOD_S)
            if streak.fresh and streak.value is not True and not streak.successes:
                # One that starts is asked more often, so that the period adds little to the time of its start. Who does
                # not listen yet notices nothing of it.
                deaf = failure is not None and failure.endswith(REFUSED) and not self._from_afar
                least, share = (DEAF_PERIOD_S, DEAF_SHARE) if deaf else (SHORTEST_PERIOD_S, EARLY_SHARE)
                period = min(period, max(least, (loop.time() - first) * share))
            await asyncio.sleep(max(0.0, begin + period - loop.time()))

    @property
    def _from_afar(self) -> bool:
        return self._engine.walled or not self._engine.local

    async def ask(self, target: Target, probe: Probe) -> str | None:
        """Put the question once: an empty text for success, else what went wrong. None: it could not be put."""
        try:
            if self._from_afar and self._remote is not None and probe.kind is not ProbeKind.EXEC:
                return await _from_there(self._remote, target, probe)
            async with asyncio.timeout(probe.timeout_s):
                match probe.kind:
                    case ProbeKind.HTTP:
                        return await _http(target, probe)
                    case ProbeKind.TCP:
                        return await _tcp(target, probe)
                    case ProbeKind.EXEC:
                        return await self._exec(target, probe)
        except TimeoutError:
            return f"{_what(probe)}: no answer within {probe.timeout_s:g} s"
        except UnreachableError:
            return None
        except TidegateError as error:
            return f"{_what(probe)}: {error.message}"
        except (OSError, ValueError) as error:
            return f"{_what(probe)}: {_reason(error)}"

    async def _exec(self, target: Target, probe: Probe) -> str:
        # The engine cannot end an exec. A command that hangs is waited for rather than started again beside itself.
        slot = (target.id, probe)
        async with self._engine.call(_what(probe), probe.timeout_s + 1) as docker:
            if previous := self._hanging.get(slot):
                if (await docker.containers.exec(previous).inspect()).get("Running"):
                    return f"{_what(probe)}: still running since an earlier probe"
                del self._hanging[slot]
            run = await docker.containers.container(target.id).exec(probe.command)
            self._hanging[slot] = run.id
            output = b""
            async with run.start(detach=False) as stream:
                while (message := await stream.read_out()) is not None:
                    output = (output + message.data)[-200:]
            code = (await run.inspect()).get("ExitCode")
        self._hanging.pop(slot, None)
        said = output.decode(errors="replace").strip()
        return "" if code == 0 else f"{_what(probe)} exited with {code}{': ' if said else ''}{said}"


async def _from_there(shell: RemoteShell, target: Target, probe: Probe) -> str:
    """Put the question from the engine's own host. Raises UnreachableError."""
    script = http_script(target.address, probe) if probe.kind is ProbeKind.HTTP else tcp_script(target.address, probe)
    status, said = await shell.run(script, probe.timeout_s)
    if status == TIMED_OUT:
        return f"{_what(probe)}: no answer within {probe.timeout_s:g} s"
    if "onnection refused" in said:
        return f"{_what(probe)}: {REFUSED}"
    if status:
        return f"{_what(probe)}: {said or f'exit {status}'}"
    if probe.kind is ProbeKind.TCP:
        return ""
    return _judged(probe, said)


async def _http(target: Target, probe: Probe) -> str:
    """On a connection of its own, as kubelet does: a kept one would not notice a full backlog."""
    path = probe.path if probe.path.startswith("/") else f"/{probe.path}"
    asked = f"GET {path} HTTP/1.1", f"Host: {target.address}:{probe.port}", "User-Agent: tidegate-probe", "Accept: */*"
    reader, writer = await asyncio.open_connection(target.address, probe.port)
    try:
        writer.write("\r\n".join((*asked, "Connection: close", "", "")).encode())
        return _judged(probe, (await reader.readline()).decode("latin-1"))
    finally:
        writer.close()


def _judged(probe: Probe, said: str) -> str:
    """By the first line of an answer."""
    words = said.split()
    if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdecimal():
        return f"{_what(probe)}: connection closed without an answer"
    return "" if 200 <= int(words[1]) < 400 else f"{_what(probe)} answered {words[1]}"


async def _tcp(target: Target, probe: Probe) -> str:
    _, writer = await asyncio.open_connection(target.address, probe.port)
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return ""


def _what(probe: Probe) -> str:
    match probe.kind:
        case ProbeKind.HTTP:
            return f"GET {probe.path} on port {probe.port}"
        case ProbeKind.TCP:
            return f"connecting to port {probe.port}"
        case ProbeKind.EXEC:
            return f"exec {' '.join(probe.command)}"


def _reason(error: Exception) -> str:
    match error:
        case ConnectionRefusedError():
            return REFUSED
        case ConnectionResetError():
            return "connection closed without an answer"
        case OSError() if error.strerror:
            return error.strerror
        case _:
            return str(error) or type(error).__name__
