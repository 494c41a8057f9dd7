"""agents orders: what agents were asked to do, and what became of it."""

from collections.abc import Sequence
from statistics import median

from tidegate.model.order import Configure, Order, Restart, Run, RunState, RunTask
from tidegate.views.lines import Line, Span, date, line, table

TONES = {RunState.HANDED: "blue", RunState.DONE: "green", RunState.FAILED: "red", RunState.LOST: "yellow"}


def order_lines(orders: Sequence[Order]) -> tuple[Line, ...]:
    """A table, oldest first."""
    cells = [
        (
            Span(order.id, "bold"),
            date(order.at),
            what(order),
            str(order.selector),
            Span("open", "green") if order.ended_at is None else Span("over", "dim"),
            order.by or "-",
            order.reason,
        )
        for order in orders
    ]
    return table(cells, ("order", "at", "what", "of whom", "", "by", ""))


def what(order: Order) -> str:
    """What is asked, in a few words."""
    match order.work:
        case Configure():
            return f"configuration {order.work.digest[:8]} ({', '.join(sorted(order.work.files))})"
        case RunTask(cron="") as work:
            return f"task {work.task}, within {work.deadline_s:g} s"
        case RunTask() as work:
            return f"task {work.task}, at {work.cron} {work.zone}"
        case Restart():
            return "restart"


def run_lines(runs: Sequence[Run]) -> tuple[Line, ...]:
    """What each instance made of it, and how long the work waited."""
    if not runs:
        return (line(), line(Span("nothing was handed out for it yet", "dim")))
    delays = [run.delay_s for run in runs if run.delay_s is not None]
    cells = [
        (
            date(run.due),
            run.instance,
            Span(run.state, TONES[run.state]),
            f"{run.delay_s:.1f} s" if run.delay_s is not None else "-",
            f"{run.took_s:.1f} s" if run.took_s is not None else "-",
            run.detail.split("\n", 1)[0],
        )
        for run in runs
    ]
    counts = ", ".join(f"{sum(run.state is state for run in runs)} {state}" for state in RunState)
    waited = f"; begun after {median(delays):.1f} s in the median, {max(delays):.1f} s at most" if delays else ""
    return (line(), *table(cells, ("due", "instance", "", "waited", "took", "")), line(Span(counts + waited, "dim")))
