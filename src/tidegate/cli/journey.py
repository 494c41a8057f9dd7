"""See a delivery through: its stages as they go, then its rollout, in one watch and under one lease."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tidegate.cli.asking import ROLLOUT_S, Asking, checked, seen_through, tell_rollout
from tidegate.cli.desk import Desk
from tidegate.cli.fleet import ask_fleet, is_fleet
from tidegate.cli.follow import Ending, Follower, Progress
from tidegate.cli.screen import Screen
from tidegate.controller.site import Site
from tidegate.core.delivery import rollout_intent
from tidegate.model.delivery import Delivery, DeliveryPhase, StageState
from tidegate.model.errors import Exit, StageError, TidegateError
from tidegate.model.intent import Intent, Resume
from tidegate.model.stages import StageName
from tidegate.views.delivery import delivery_data, delivery_lines

LOOK_S = 0.1


@dataclass
class _Watch:
    """The delivery as it was last seen."""

    delivery: Delivery

    @property
    def stopped(self) -> bool:
        """Whether it ended and no rollout was ever asked for."""
        record = self.delivery.stage(StageName.ROLLOUT)
        begun = record is not None and record.state is not StageState.WAITING
        return self.delivery.phase.ended and (not begun or record is None or record.state is StageState.CANCELLED)


async def see_delivery(desk: Desk, site: Site, asked: Delivery, asking: Asking) -> int:
    """Begin it and watch it to its end; the exit code. Raises StageError, ConflictError."""
    fleet = await is_fleet(desk)
    session = desk.session(site)
    await session.skip_history()
    watch = _Watch(await desk.books.deliveries.begin(asked))
    key = watch.delivery.key
    follower = Follower(session, site, Screen(desk.output), asking.who.name)
    intent = Intent(rollout_intent(watch.delivery), desk.key, Resume(), asking.who.name, asked.at)

    def goal(progress: Progress) -> bool:
        if watch.stopped:
            return True
        if fleet:
            return progress.answer is not None
        return progress.answer is not None and seen_through(progress, asking.stay, site.ports.clock.now())

    looking = asyncio.create_task(_look(desk, site, watch, follower.screen))
    try:
        result = await follower.follow(intent, goal, asking.timeout_s or ROLLOUT_S)
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
    watch.delivery = await desk.books.deliveries.load_delivery(key) or watch.delivery
    if watch.stopped:
        return tell_end(desk, watch.delivery)
    if result.ending is not Ending.DONE and result.progress.answer is None:
        return _left(desk, watch.delivery, result.ending)
    result = await checked(desk, site, result)
    if fleet and result.ending is Ending.DONE:
        return await ask_fleet(desk, site, None, asking)
    return tell_rollout(desk, result, wanted_back=False)


async def _look(desk: Desk, site: Site, watch: _Watch, screen: Screen) -> None:
    while True:
        with suppress(TidegateError):
            watch.delivery = await desk.books.deliveries.load_delivery(watch.delivery.key) or watch.delivery
        screen.above = delivery_lines(watch.delivery, site.ports.clock.now())
        await asyncio.sleep(LOOK_S)


def tell_end(desk: Desk, delivery: Delivery) -> int:
    """What became of a delivery that came to no rollout. Raises StageError when a stage did not pass."""
    if delivery.phase is DeliveryPhase.PASSED:
        return Exit.DONE
    record = next(one for one in delivery.stages if one.state.value == delivery.phase.value)
    more = "".join(f"\n  | {line}" for line in record.log)
    message = f"{delivery.key.agent}: delivery {delivery.key.number}: {delivery.because}{more}"
    raise StageError(message, hint=record.hint)


def _left(desk: Desk, delivery: Delivery, ending: Ending) -> int:
    """Somebody left, or the time was over, before the rollout was asked for."""
    code = Exit.TIMED_OUT if ending is Ending.TIMED_OUT else Exit.WAITING
    if desk.output.as_json:
        data: dict[str, Any] = {"ending": ending.value, "exit_code": int(code), "delivery": delivery_data(delivery)}
        desk.output.data(data)
    running = ", ".join(one.name for one in delivery.stages if one.state is StageState.RUNNING) or "no stage"
    desk.output.message(
        f"{ending.value}: delivery {delivery.key.number} is not over ({running} runs); whoever decides next goes on "
        "with it, tidegate cancel ends it"
    )
    return code
