"""Which hosts make which wave. Decided once, when a rollout begins, and kept with it."""

import math
from collections.abc import Collection, Iterator, Sequence

from tidegate.model.fleet import Wave
from tidegate.model.waves import Exponential, Host, Waves


def layout(waves: Waves, hosts: Sequence[Host], away: Collection[str] = ()) -> tuple[Wave, ...]:
    """The waves in order; every host is in exactly one of them.

    Hosts keep the spec's order; those in `away` (unreachable now) come last, so that an early wave proves something.
    Sizes in percent are of the whole fleet, rounded up; a plan that finds no host makes no wave.
    """
    left = [host for host in hosts if host.name not in away] + [host for host in hosts if host.name in away]
    made: list[Wave] = []
    for plan in waves.plans:
        chosen = [host for host in left if plan.labels.items() <= host.labels.items()]
        chosen = chosen[: count(plan.size, len(hosts))] if plan.size else chosen
        if chosen:
            made.append(Wave(tuple(host.name for host in chosen), plan.limits))
            left = [host for host in left if host not in chosen]
    if not left:
        return tuple(made)
    sizes = [len(left)] if waves.plans else list(_growing(waves.exponential, len(left)))
    for size in sizes:
        made.append(Wave(tuple(host.name for host in left[:size]), waves.limits))
        left = left[size:]
    return tuple(made)


def count(size: str, of: int) -> int:
    """A number or a percentage as hosts; at least one."""
    wanted = math.ceil(float(size[:-1]) * of / 100) if size.endswith("%") else int(size)
    return max(1, wanted)


def _growing(exponential: Exponential, hosts: int) -> Iterator[int]:
    size = float(exponential.first)
    while hosts > 0:
        taken = min(hosts, max(1, math.floor(size)))
        yield taken
        hosts -= taken
        size *= exponential.factor
