"""Orders: who gets what when, at most once; and what answers mean. Pure.

A run is decided and saved before it is handed out, to one process of one instance. That process may be told several
times, as answers get lost on the way (it runs the same id once); no other process is ever told. So an instance that
starts again between being handed a task and saying how it went is never asked twice: the run is lost, and said to be.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from tidegate.model.errors import UsageError
from tidegate.model.heartbeat import Completed, Pulse
from tidegate.model.order import Configure, Order, Restart, Run, RunState, RunTask
from tidegate.model.record import AgentRecord
from tidegate.model.release import AgentKey

Name = tuple[AgentKey, str]

CLOCKS_S = 0.5
"""Clocks of agents are compared through heartbeats that took up to so long: a delay below zero by less is zero."""


def checked(work: RunTask, now: float) -> RunTask:
    """The same, with a schedule that can be followed. Raises UsageError."""
    if not work.deadline_s > 0:
        raise UsageError(f"a deadline of {work.deadline_s:g} s is none", hint="give a number of seconds above 0")
    if work.cron:
        try:
            next(CronSim(work.cron, datetime.fromtimestamp(now, ZoneInfo(work.zone))))
        except (CronSimError, StopIteration):
            raise UsageError(
                f"{work.cron!r} is no cron expression that ever comes", hint="five fields, as in '*/5 * * * *'"
            ) from None
        except (KeyError, ValueError, OSError):
            raise UsageError(f"there is no time zone {work.zone!r}", hint="as in Europe/Berlin, or UTC") from None
    return work


def due_times(order: Order, since: float, now: float) -> Iterator[float]:
    """When it was due after `since`, up to `now`; of a schedule only the latest time that is not too old."""
    match order.work:
        case RunTask(cron=cron) if cron:
            latest = None
            zone = ZoneInfo(order.work.zone)
            begin = max(order.at, since, now - order.work.deadline_s)
            for moment in CronSim(cron, datetime.fromtimestamp(begin, zone)):
                if moment.timestamp() > now:
                    break
                latest = moment.timestamp()
            if latest is not None:
                yield latest
        case RunTask() | Restart():
            if since < order.at <= now:
                yield order.at


@dataclass(frozen=True)
class Seen:
    """An instance that could be handed something: it is there at this moment."""

    record: AgentRecord
    pulse: Pulse

    @property
    def name(self) -> Name:
        """Whose, and which."""
        return self.pulse.key, self.pulse.instance


def hand_out(order: Order, due: float, there: Iterable[Seen], known: Mapping[Name, Run], now: float) -> list[Run]:
    """The runs that begin now: for each instance that is meant, is there, and has none for this time yet."""
    return [
        Run(order.id, due, *seen.name, RunState.HANDED, seen.pulse.run_at, now)
        for seen in there
        if seen.name not in known and order.selector.takes(seen.record)
    ]


def wanted(run: Run, pulse: Pulse) -> bool:
    """Whether the process that reports now is the one that the run was handed to, and has not answered."""
    return run.state is RunState.HANDED and pulse.run_at == run.process_at


def answered(run: Run, result: Completed, pulse: Pulse) -> Run:
    """With what the agent says of it. Its times are by its own clock, which is `skew_s` ahead of ours."""
    begun = result.started_at - pulse.skew_s if result.started_at else None
    delay = max(begun - run.due, 0.0) if begun is not None and begun - run.due > -CLOCKS_S else None
    return replace(
        run,
        state=RunState.DONE if result.ok else RunState.FAILED,
        ended_at=pulse.last_at,
        delay_s=delay,
        took_s=max(result.ended_at - result.started_at, 0.0) if result.started_at else None,
        detail=result.detail,
    )


def restarted(run: Run, pulse: Pulse) -> Run:
    """A restart is done when another process reports."""
    if run.state is RunState.HANDED and pulse.run_at > run.process_at:
        return replace(run, state=RunState.DONE, ended_at=pulse.last_at, delay_s=pulse.run_at - run.due)
    return run


def overdue(order: Order, run: Run, pulse: Pulse | None, now: float) -> Run:
    """LOST when its process has gone, or its deadline has passed."""
    if run.state is not RunState.HANDED or isinstance(order.work, Configure):
        return run
    if isinstance(order.work, RunTask) and pulse is not None and pulse.run_at > run.process_at:
        why = "its process ended before it said how it went; it is not repeated"
    elif now > run.due + order.work.deadline_s:
        why = f"no answer within {order.work.deadline_s:g} s; it is not repeated"
    else:
        return run
    return replace(run, state=RunState.LOST, ended_at=now, detail=why)


def over(order: Order, now: float) -> bool:
    """Whether it is over: what is due once ends with its deadline, the others when they are taken back."""
    match order.work:
        case RunTask(cron="", deadline_s=deadline) | Restart(deadline_s=deadline):
            return now > order.at + deadline
        case _:
            return False


def in_force(orders: Sequence[Order], record: AgentRecord) -> tuple[Order, Configure] | None:
    """The configuration that an instance should have: the newest that is meant for it."""
    for order in reversed(orders):
        if isinstance(order.work, Configure) and order.ended_at is None and order.selector.takes(record):
            return order, order.work
    return None
