"""Back-off with jitter, so that a thousand agents do not come back in the same second."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Backoff:
    """Seconds to wait before the next try: doubles from `first_s` up to `most_s`, then a random share of that.

    "Equal jitter": half of the wait is fixed, half is random (M. Brooker, "Exponential Backoff And Jitter", 2015), so
    a single client never hammers and many clients never march in step.
    """

    first_s: float = 0.5
    most_s: float = 30.0
    uniform: Callable[[float, float], float] = random.SystemRandom().uniform
    failures: int = field(default=0, init=False)

    def next(self, at_least_s: float = 0.0) -> float:
        """Count one more failure and give the wait in seconds; `at_least_s` is the server's Retry-After."""
        # 2 ** 30 is beyond any ceiling; without the bound a long outage would build enormous integers.
        ceiling: float = min(self.most_s, self.first_s * 2 ** min(self.failures, 30))
        self.failures += 1
        return max(at_least_s, ceiling / 2 + self.uniform(0.0, ceiling / 2))

    def reset(self) -> None:
        """Call after a success: the next failure waits the first interval again."""
        self.failures = 0
