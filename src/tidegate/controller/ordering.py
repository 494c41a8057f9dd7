"""Orders given and taken back, each with a line in the audit log."""

import json

from tidegate.controller.site import Books
from tidegate.core import orders
from tidegate.model.audit import Act
from tidegate.model.errors import NotFoundError, UsageError
from tidegate.model.order import Configure, Order, Restart, RunTask

MOST_BYTES = 512 * 1024
"""Of a configuration: agents and their clients take messages of 1 MiB."""


def checked(order: Order) -> Order:
    """The same, when it can be carried out. Raises UsageError."""
    chosen = order.selector
    if not (chosen.agent or chosen.instance or chosen.labels):
        # Nobody restarts a fleet by leaving out an option.
        raise UsageError("whom is it for?", hint="--agent NAME, --instance NAME or --label NAME=VALUE say it")
    match order.work:
        case Configure(files=files):
            if not files or sum(len(file.text.encode()) for file in files.values()) > MOST_BYTES:
                raise UsageError(f"a configuration has files, and {MOST_BYTES} bytes at most")
        case RunTask():
            orders.checked(order.work, order.at)
            try:
                given = json.loads(order.work.arguments)
            except ValueError:
                given = None
            if not isinstance(given, dict) or not order.work.task:
                raise UsageError("a task has a name, and its arguments are a JSON object", hint='as in {"days": 3}')
        case Restart(deadline_s=deadline):
            if not deadline > 0:
                raise UsageError(f"a deadline of {deadline:g} s is none", hint="give a number of seconds above 0")
    return order


async def give(books: Books, order: Order, via: str) -> None:
    """Keep an order for whoever carries it out, and say who gave it. Raises UsageError."""
    checked(order)
    await books.orders.add_order(order)
    what = f"order-{type(order.work).__name__.lower()}"
    data = {"order": order.id}
    await books.audit.record(Act(order.at, order.by, what, str(order.selector), order.reason, via, data))


async def withdraw(books: Books, order: str, act: Act) -> None:
    """Take an order back, and say who did. Raises NotFoundError."""
    if not await books.orders.end_order(order, act.at):
        raise NotFoundError(f"there is no open order {order}", hint="tidegate agents orders lists them")
    await books.audit.record(act)
