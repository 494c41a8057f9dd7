"""Agents are asked: orders are read, runs decided and saved, then handed out with the answers; results come back."""

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Protocol

from tidegate.control.records import Name, Records
from tidegate.core import liveness, orders
from tidegate.core.orders import Seen
from tidegate.model.errors import StoreError
from tidegate.model.heartbeat import Action, AgentHealth, Ask, Completed, Heartbeat, Listening, Pulse
from tidegate.model.order import Configure, Order, Restart, Run, RunTask
from tidegate.model.record import AgentRecord, Capability, ConfigStatus, RemoteConfig
from tidegate.model.record import Protocol as Way
from tidegate.model.release import AgentKey
from tidegate.ports import OrderBook

log = logging.getLogger(__name__)


class Heard(Protocol):
    """Who reports: the registry."""

    def pulse(self, name: Name) -> Pulse | None:
        """One instance."""

    def pulses(self, key: AgentKey | None) -> Iterable[Pulse]:
        """Those of an agent in an environment, or of all."""


class Orders:
    """Orders as this control centre carries them out. Not thread-safe: one event loop."""

    def __init__(self, book: OrderBook, records: Records, heard: Heard) -> None:
        self._book = book
        self._records = records
        self._heard = heard
        self._orders: dict[str, Order] = {}
        self._runs: dict[tuple[str, float], dict[Name, Run]] = {}
        self._handed: dict[Name, list[Run]] = {}
        self._unsaved: dict[tuple[str, float, Name], Run] = {}
        self._applied: dict[Name, tuple[str, float]] = {}
        self._restarting: set[tuple[str, Name]] = set()
        self._told = ""

    async def turn(self, listening: Listening) -> bool:
        """Read orders, decide and save what begins now, settle what is overdue. True when something new is wanted.

        What cannot be read or saved is tried again at the next turn: nothing is handed out before it is saved.
        """
        try:
            fresh = {order.id: order for order in await self._book.open_orders()}
            changed = fresh.keys() != self._orders.keys()
            for id_ in fresh.keys() - self._orders.keys():
                self._take(await self._book.runs(id_))
            self._orders = fresh
            begun = list(self._begin(listening)) if listening.since is not None else []
            self._settle(listening.at)
            await self._save(begun)
            for order in [one for one in fresh.values() if orders.over(one, listening.at)]:
                await self._book.end_order(order.id, listening.at)
            self._forget(fresh)
            self._told = ""
        except StoreError as error:
            if error.message != self._told:
                log.warning("agents are asked nothing for now: %s", error.message)
            self._told = error.message
            return False
        return changed or bool(begun)

    def _take(self, runs: Iterable[Run]) -> None:
        for run in runs:
            self._runs.setdefault((run.order, run.due), {})[run.key, run.instance] = run
            if not run.state.ended:
                self._handed.setdefault((run.key, run.instance), []).append(run)

    def _begin(self, listening: Listening) -> Iterator[Run]:
        now = listening.at
        for order in self._orders.values():
            if isinstance(order.work, Configure) or order.ended_at is not None:
                continue
            for due in orders.due_times(order, now - order.work.deadline_s, now):
                known = self._runs.get((order.id, due), {})
                yield from orders.hand_out(order, due, self._there(order, listening), known, now)

    def _there(self, order: Order, listening: Listening) -> Iterator[Seen]:
        """Instances that report now and can do it."""
        chosen = order.selector
        key = AgentKey(chosen.agent, chosen.environment) if chosen.agent and chosen.environment else None
        for pulse in self._heard.pulses(key):
            record = self._records.get((pulse.key, pulse.instance)) or AgentRecord(pulse.key, pulse.instance)
            health = liveness.health(pulse, listening)
            if health in (AgentHealth.ALIVE, AgentHealth.LATE) and _able(record, order):
                yield Seen(record, pulse)

    def _settle(self, now: float) -> None:
        """Runs that nobody will answer any more."""
        for name, runs in list(self._handed.items()):
            pulse = self._heard.pulse(name)
            for run in runs:
                order = self._orders.get(run.order)
                if order is None:
                    continue
                after = orders.restarted(run, pulse) if pulse is not None and isinstance(order.work, Restart) else run
                self._replace(run, orders.overdue(order, after, pulse, now))

    def _replace(self, run: Run, after: Run) -> None:
        if after == run:
            return
        name = (run.key, run.instance)
        self._runs.setdefault((run.order, run.due), {})[name] = after
        self._unsaved[run.order, run.due, name] = after
        if after.state.ended:
            left = [one for one in self._handed.get(name, ()) if one is not run]
            if left:
                self._handed[name] = left
            else:
                self._handed.pop(name, None)

    async def _save(self, begun: list[Run]) -> None:
        batch, self._unsaved = self._unsaved, {}
        try:
            await self._book.save_runs([*batch.values(), *begun])
        except StoreError:
            self._unsaved = batch | self._unsaved
            raise
        self._take(begun)

    def _forget(self, fresh: dict[str, Order]) -> None:
        """Runs of orders that are over, and of times that are past."""
        for place in [place for place in self._runs if place[0] not in fresh]:
            del self._runs[place]

    def asked(self, heartbeat: Heartbeat, pulse: Pulse) -> tuple[Action, ...]:
        """What an agent that reports in JSON is asked with this answer; what it says of earlier ones is taken in."""
        name = (heartbeat.key, heartbeat.instance)
        for result in heartbeat.completed:
            self._answered(name, result, pulse)
        if not self._orders:
            return ()
        actions = [action for run in self._handed.get(name, ()) if (action := self._action(run, pulse)) is not None]
        record = self._records.get(name) or AgentRecord(*name)
        if record.protocol is Way.JSON and (configure := self._configure(name, record, pulse)) is not None:
            actions.append(configure)
        return tuple(actions)

    def _action(self, run: Run, pulse: Pulse) -> Action | None:
        order = self._orders.get(run.order)
        if order is None or not orders.wanted(run, pulse):
            return None
        match order.work:
            case RunTask():
                arguments = json.loads(order.work.arguments)
                return Action(Ask.RUN_TASK, {"id": run.id, "task": order.work.task, "arguments": arguments})
            case Restart():
                return Action(Ask.DRAIN, {"id": run.id, "reason": order.reason or "it is to start again"})
            case _:
                return None

    def _answered(self, name: Name, result: Completed, pulse: Pulse) -> None:
        for run in self._handed.get(name, ()):
            if run.id == result.task and orders.wanted(run, pulse):
                self._replace(run, orders.answered(run, result, pulse))
                return
        if result.task.startswith(CONFIG_ID):
            self._configured(name, result, pulse)

    def _configure(self, name: Name, record: AgentRecord, pulse: Pulse) -> Action | None:
        """The configuration that it should have, until its present process has said what became of it."""
        found = orders.in_force(list(self._orders.values()), record)
        if found is None:
            return None
        digest = found[1].digest
        if self._applied.get(name) == (digest, pulse.run_at):
            return None
        return Action(Ask.CONFIGURE, {"id": f"{CONFIG_ID}{digest[:16]}", "config": plain(found[1])})

    def _configured(self, name: Name, result: Completed, pulse: Pulse) -> None:
        record = self._records.get(name) or AgentRecord(*name)
        found = orders.in_force(list(self._orders.values()), record)
        if found is None or result.task != f"{CONFIG_ID}{found[1].digest[:16]}":
            return
        self._applied[name] = (found[1].digest, pulse.run_at)
        status = ConfigStatus.APPLIED if result.ok else ConfigStatus.FAILED
        remote = RemoteConfig(found[1].digest, status, "" if result.ok else result.detail)
        if record.remote != remote:
            self._records.put(replace(record, remote=remote))
            error = f": {remote.error}" if remote.error else ""
            self._records.note(name, pulse.last_at, f"offered configuration {remote.digest[:8]} is {status}{error}")

    def config(self, record: AgentRecord) -> Configure | None:
        """The configuration that an instance should have."""
        found = orders.in_force(list(self._orders.values()), record)
        return found[1] if found is not None else None

    def restart(self, record: AgentRecord) -> bool:
        """Whether an OpAMP agent should start again; it is said once."""
        name = (record.key, record.instance)
        for run in self._handed.get(name, ()):
            order = self._orders.get(run.order)
            if order is not None and isinstance(order.work, Restart) and (run.order, name) not in self._restarting:
                self._restarting.add((run.order, name))
                return True
        return False


CONFIG_ID = "config-"


def plain(work: Configure) -> object:
    """What an agent that reports in JSON is given: the object in a single JSON file, else texts by name."""
    if len(work.files) == 1:
        (file,) = work.files.values()
        try:
            found = json.loads(file.text)
        except ValueError:
            found = None
        if isinstance(found, dict):
            return found
    return {name: file.text for name, file in work.files.items()}


def _able(record: AgentRecord, order: Order) -> bool:
    """Tasks are for agents that report in JSON; an OpAMP agent says itself whether it can be restarted."""
    json_ = record.protocol is Way.JSON
    return json_ or (isinstance(order.work, Restart) and record.can(Capability.ACCEPTS_RESTART))
