"""Orders: who gets what when, at most once, and what answers mean."""

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.unit.test_registry import Hand, Memory
from tidegate.control.asking import Orders, plain
from tidegate.control.registry import Registry
from tidegate.core import orders as core
from tidegate.model.errors import StoreError, UsageError
from tidegate.model.heartbeat import Action, AgentStatus, Ask, Completed, Heartbeat
from tidegate.model.order import ConfigText, Configure, Order, Restart, Run, RunState, RunTask, Selector, Work
from tidegate.model.record import AgentRecord, ConfigStatus
from tidegate.model.release import AgentKey

KEY = AgentKey("mailer", "prod")
CLEAN = RunTask("clean", '{"days": 3}', deadline_s=60.0)


class Book:
    """ports.OrderBook in memory; `broken` saves nothing."""

    def __init__(self) -> None:
        self.kept: dict[str, Order] = {}
        self.saved: dict[tuple[str, float, str], Run] = {}
        self.broken = False

    async def add_order(self, order: Order) -> None:
        self.kept[order.id] = order

    async def end_order(self, order: str, at: float) -> bool:
        self.kept[order] = replace(self.kept[order], ended_at=at)
        return True

    async def open_orders(self) -> list[Order]:
        return [order for order in self.kept.values() if order.ended_at is None]

    async def orders(self, limit: int = 100) -> list[Order]:
        return list(self.kept.values())

    async def runs(self, order: str) -> list[Run]:
        return [run for run in self.saved.values() if run.order == order]

    async def save_runs(self, runs: Sequence[Run]) -> None:
        if self.broken:
            raise StoreError("the disk is full")
        self.saved |= {(run.order, run.due, run.instance): run for run in runs}


class Centre:
    """A registry with orders, on a clock that is moved by hand."""

    def __init__(self) -> None:
        self.clock, self.book = Hand(), Book()
        self.clock.at = 1_700_000_000.0
        self.sequences: dict[str, int] = {}
        self.begin()

    def begin(self) -> None:
        """The control centre starts (again)."""
        self.registry = Registry(Memory(), self.clock)
        self.orders = Orders(self.book, self.registry.records, self.registry)
        self.registry.orders = self.orders
        self.registry.open()

    def order(self, work: Work, id_: str = "o1", **selector: object) -> None:
        chosen = Selector("mailer", "prod", **selector)  # type: ignore[arg-type]
        self.book.kept[id_] = Order(id_, chosen, work, self.clock.at, "anna", "to see")

    async def turn(self, after_s: float = 1.0) -> bool:
        self.clock.at += after_s
        return await self.orders.turn(self.registry.listening())

    def report(
        self, name: str = "m1", *completed: Completed, skew_s: float = 0.0, **attributes: str
    ) -> tuple[Action, ...]:
        self.sequences[name] = self.sequences.get(name, 0) + 1
        heartbeat = Heartbeat(
            KEY, name, 0, "1", AgentStatus.OK, self.sequences[name], self.clock.at + skew_s, 5.0, completed=completed,
            attributes=attributes or None,
        )  # fmt: skip
        return self.registry.hear(heartbeat).next[1:]

    def start_again(self, name: str = "m1") -> None:
        self.sequences[name] = 0

    def run(self, name: str = "m1") -> Run:
        (found,) = [run for run in self.book.saved.values() if run.instance == name]
        return found


@pytest.fixture
def centre() -> Centre:
    return Centre()


async def test_a_task_is_saved_before_it_is_handed_out_and_its_result_and_delay_are_kept(centre: Centre) -> None:
    centre.report()
    centre.order(CLEAN)
    assert centre.report() == ()
    assert await centre.turn()
    assert centre.run().state is RunState.HANDED
    (action,) = centre.report(skew_s=100.0)
    assert action == Action(Ask.RUN_TASK, {"id": centre.run().id, "task": "clean", "arguments": {"days": 3}})
    assert centre.report() == (action,)  # the answer may have been lost: the process runs an id once
    begun = centre.clock.at + 0.5 + 100.0  # by the agent's clock, which is ahead
    centre.report("m1", Completed(centre.run().id, True, "7 removed", begun, begun + 2.0), skew_s=100.0)
    await centre.turn()
    run = centre.run()
    assert (run.state, run.detail, run.took_s) == (RunState.DONE, "7 removed", 2.0)
    assert run.delay_s == pytest.approx(1.5)  # a second until it was handed out, and half of one until it began
    assert centre.report() == ()
    assert not await centre.turn()


async def test_nothing_is_handed_out_that_could_not_be_saved(centre: Centre) -> None:
    centre.report()
    centre.order(CLEAN)
    centre.book.broken = True
    assert not await centre.turn()
    assert centre.report() == ()
    centre.book.broken = False
    assert await centre.turn()
    assert len(centre.report()) == 1


async def test_another_process_never_gets_it(centre: Centre) -> None:
    centre.report()
    centre.order(CLEAN)
    await centre.turn()
    assert centre.report()
    centre.start_again()
    assert centre.report() == ()
    await centre.turn()
    assert centre.run().state is RunState.LOST
    assert "its process ended" in centre.run().detail
    centre.report("m1", Completed(centre.run().id, True))
    await centre.turn()
    assert centre.run().state is RunState.LOST


async def test_the_control_centres_own_restart_repeats_nothing(centre: Centre) -> None:
    centre.report()
    centre.order(CLEAN)
    await centre.turn()
    (action,) = centre.report()
    centre.report("m1", Completed(action.arguments["id"], False, "disk full"))
    await centre.turn()
    memory = centre.registry._store
    await centre.registry.save()
    centre.begin()
    centre.registry._store = memory
    await centre.registry.load()
    await centre.turn()
    assert centre.report() == ()
    assert (centre.run().state, centre.run().detail) == (RunState.FAILED, "disk full")


async def test_a_restart_between_handing_and_answer_hands_the_same_run_to_the_same_process(centre: Centre) -> None:
    centre.report()
    centre.order(CLEAN)
    await centre.turn()
    (action,) = centre.report()
    memory = centre.registry._store
    await centre.registry.save()
    centre.begin()
    centre.registry._store = memory
    await centre.registry.load()
    await centre.turn()
    assert centre.report() == (action,)
    centre.report("m1", Completed(action.arguments["id"], True))
    await centre.turn()
    assert centre.run().state is RunState.DONE


async def test_who_is_meant_by_label_and_who_comes_late(centre: Centre) -> None:
    centre.report("m1", region="north")
    centre.report("m2", region="south")
    centre.order(CLEAN, labels={"region": "north"})
    await centre.turn()
    assert len(centre.report("m1")) == 1
    assert centre.report("m2") == ()
    await centre.turn(28.0)
    centre.report("m3", region="north")
    await centre.turn()
    assert len(centre.report("m3")) == 1  # within its deadline
    centre.report("m4", region="north")
    await centre.turn(60.0)
    assert centre.report("m4") == ()
    await centre.turn()
    assert centre.book.kept["o1"].ended_at is not None
    assert {run.state for run in centre.book.saved.values()} == {RunState.LOST}


async def test_a_schedule_runs_each_time_once_and_makes_up_for_nothing(centre: Centre) -> None:
    minute = centre.clock.at // 60 * 60
    centre.order(replace(CLEAN, cron="* * * * *"))
    for second in range(150):
        await centre.turn()
        if second % 5 == 0:
            for action in centre.report():
                centre.report("m1", Completed(action.arguments["id"], True))
    due = sorted(run.due for run in centre.book.saved.values())
    assert due == [minute + 60, minute + 120][: len(due)] + [minute + 180][: max(0, len(due) - 2)]
    assert len(due) >= 2
    for _ in range(600):
        centre.clock.at += 1.0
        centre.registry.listening()
        if int(centre.clock.at) % 4 == 0:
            centre.report()
    await centre.turn()
    assert len(centre.book.saved) == len(due) + 1  # ten minutes away: the latest, and none of the others


async def test_a_restart_is_done_when_another_process_reports(centre: Centre) -> None:
    centre.report()
    centre.order(Restart())
    await centre.turn()
    (action,) = centre.report()
    assert (action.ask, action.arguments["reason"]) == (Ask.DRAIN, "to see")
    await centre.turn(4.0)
    centre.start_again()
    assert centre.report() == ()
    await centre.turn()
    assert (centre.run().state, centre.run().delay_s) == (RunState.DONE, 5.0)


async def test_the_newest_configuration_holds_until_it_is_applied_or_refused(centre: Centre) -> None:
    first = Configure({"settings.json": ConfigText('{"level": "info"}', "application/json")})
    second = Configure({"a.txt": ConfigText("a"), "b.txt": ConfigText("b")})
    centre.report()
    centre.order(first)
    assert await centre.turn()
    (action,) = centre.report()
    assert (action.ask, action.arguments["config"]) == (Ask.CONFIGURE, {"level": "info"})
    centre.report("m1", Completed(action.arguments["id"], True))
    assert centre.report() == ()
    record = centre.registry.records.get((KEY, "m1"))
    assert record is not None
    assert (record.remote.digest, record.remote.status) == (first.digest, ConfigStatus.APPLIED)
    centre.start_again()
    assert centre.report() == (action,)  # what it applied is gone with its process
    centre.order(second, "o2")
    assert await centre.turn()
    (action,) = centre.report()
    assert action.arguments["config"] == {"a.txt": "a", "b.txt": "b"}
    centre.report("m1", Completed(action.arguments["id"], False, "no such key"))
    record = centre.registry.records.get((KEY, "m1"))
    assert record is not None
    assert (record.remote.status, record.remote.error) == (ConfigStatus.FAILED, "no such key")
    assert "is failed: no such key" in record.history[-1].what
    assert centre.report() == ()
    await centre.book.end_order("o2", centre.clock.at)
    assert await centre.turn()
    assert centre.report()[0].arguments["config"] == {"level": "info"}  # the former one is in force again


def test_a_digest_is_of_everything() -> None:
    one = Configure({"a": ConfigText("bc"), "d": ConfigText("")})
    assert one.digest != Configure({"ab": ConfigText("c"), "d": ConfigText("")}).digest
    assert one.digest != Configure({"a": ConfigText("bc", "text/yaml"), "d": ConfigText("")}).digest
    assert one.digest == Configure({"d": ConfigText(""), "a": ConfigText("bc")}).digest
    assert plain(one) == {"a": "bc", "d": ""}


@pytest.mark.parametrize(
    ("work", "says"),
    [
        (replace(CLEAN, cron="never"), "no cron expression"),
        (replace(CLEAN, cron="0 0 30 2 *"), "no cron expression"),
        (replace(CLEAN, cron="* * * * *", zone="Mars/Base"), "no time zone"),
        (replace(CLEAN, deadline_s=0.0), "is none"),
    ],
)
def test_what_can_never_be_done_is_refused(work: RunTask, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        core.checked(work, 1_700_000_000.0)
    assert core.checked(CLEAN, 0.0) is CLEAN


def test_a_selector_says_whom_it_means() -> None:
    record = AgentRecord(KEY, "m1", attributes={"region": "north", "os": "linux"})
    for selector, takes in (
        (Selector(), True),
        (Selector("mailer"), True),
        (Selector("billing"), False),
        (Selector("mailer", "test"), False),
        (Selector(instance="m1"), True),
        (Selector(instance="m2"), False),
        (Selector(labels={"region": "north", "os": "linux"}), True),
        (Selector(labels={"region": "north", "os": "bsd"}), False),
    ):
        assert selector.takes(record) is takes
    assert str(Selector("mailer", "prod", labels={"b": "2", "a": "1"})) == "mailer prod a=1 b=2"


def test_arguments_are_json() -> None:
    assert json.loads(CLEAN.arguments) == {"days": 3}
