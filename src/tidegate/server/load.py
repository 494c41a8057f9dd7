"""Whether this process keeps up: by how late its event loop is."""

import asyncio
from collections.abc import Callable

from tidegate.model.errors import TidegateError

LOOK_S = 0.5
TOO_LATE_S = 3.0
"""When the loop is this late, agents are told to come back later, until it has caught up."""


class OverloadError(TidegateError):
    """Too much at once; nobody is taken for gone because of it."""

    code = "overload"

    def __init__(self) -> None:
        super().__init__("too much at once", hint="come back after Retry-After")


class Load:
    """Measures while `run` runs. `turned_away` is called for everybody who is told to come back later."""

    def __init__(self, turned_away: Callable[[], None]) -> None:
        self.late_s = 0.0
        self._turned_away = turned_away

    def too_much(self) -> bool:
        """Whether who comes now should come back later; it is noted that somebody was not heard."""
        if self.late_s < TOO_LATE_S:
            return False
        self._turned_away()
        return True

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(LOOK_S)
            self.late_s = loop.time() - before - LOOK_S
