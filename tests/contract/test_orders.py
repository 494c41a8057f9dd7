"""What every keeper of orders keeps to: OrderBook."""

# ruff: noqa: F811 (fixtures are imported by their names)

from dataclasses import replace

from tests.contract.test_store import location, postgres, state  # noqa: F401 (fixtures)
from tidegate.adapters.store.opening import State, open_state
from tidegate.model.order import ConfigText, Configure, Order, Restart, Run, RunState, RunTask, Selector
from tidegate.model.release import AgentKey

KEY = AgentKey("mailer", "prod")
TASK = Order("o1", Selector("mailer", "prod", "", {"region": "north"}), RunTask("clean", '{"days": 3}'), 10.0, "anna")
CONFIG = Order("o2", Selector("mailer"), Configure({"a.yaml": ConfigText("a: \u2192", "text/yaml")}), 11.0)
RESTART = Order("o3", Selector(), Restart(5.0), 12.0, reason="stuck")


async def test_orders_are_there_after_opening_again_and_open_until_they_end(state: State, location: str) -> None:
    assert await state.orders.open_orders() == []
    for order in (TASK, CONFIG, RESTART, TASK):
        await state.orders.add_order(order)
    reopened = await open_state(location)
    assert await reopened.orders.open_orders() == [TASK, CONFIG, RESTART]
    assert await reopened.orders.end_order("o2", 20.0)
    assert not await reopened.orders.end_order("o2", 21.0)
    assert not await reopened.orders.end_order("nothing", 21.0)
    assert await reopened.orders.open_orders() == [TASK, RESTART]
    assert await reopened.orders.orders() == [TASK, replace(CONFIG, ended_at=20.0), RESTART]
    assert await reopened.orders.orders(1) == [RESTART]
    await reopened.close()


async def test_runs_take_the_place_of_what_was_known_of_them(state: State) -> None:
    first = Run("o1", 10.0, KEY, "m1", RunState.HANDED, 5.0, 10.5)
    second, third = replace(first, instance="m2"), replace(first, due=70.0)
    await state.orders.save_runs([third, second, first])
    done = replace(first, state=RunState.DONE, ended_at=12.0, delay_s=0.5, took_s=1.0, detail="7 removed")
    await state.orders.save_runs([done])
    await state.orders.save_runs([])
    assert await state.orders.runs("o1") == [done, second, third]
    assert await state.orders.runs("o2") == []
