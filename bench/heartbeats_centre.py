"""The control centre that bench/heartbeats.py measures: the real one, with its state in a file, alone in this process.

python -m bench.heartbeats_centre STATE PORT CORE. A JSON line a second on stdout: who was heard, who was missed.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from typing import Any

from tidegate.adapters.store.opening import open_state
from tidegate.control.attendance import Missed
from tidegate.control.centre import Centre
from tidegate.control.records import Records
from tidegate.control.registry import Registry
from tidegate.control.tokens import Tokens
from tidegate.controller.clock import WallClock
from tidegate.server.listener import Listener


class Watched(Registry):
    """A registry that remembers whom it missed, and counts who was heard since it began."""

    missed: list[Missed]
    heard: set[object]

    def look(self) -> list[Missed]:
        found = super().look()
        self.missed += found
        return found

    def hear(self, heartbeat: Any) -> Any:
        reply = super().hear(heartbeat)
        self.heard.add((heartbeat.key, heartbeat.instance))
        return reply


async def serve(place: str, port: int) -> None:
    """Until the process is killed."""
    state = await open_state(place)
    tokens = Tokens(b"k" * 32)
    registry = Watched(state.pulses, WallClock(), Records(state.records))
    registry.missed, registry.heard = [], set()

    async def listen(given: Registry, stop: asyncio.Event) -> None:
        await Listener(lambda: tokens, ports=(port,), desk=centre.open_desk).run(given, stop)

    centre = Centre(registry, listen, state.journal)
    running = asyncio.create_task(centre.run(asyncio.Event()))
    gc.collect()
    gc.freeze()
    while not running.done():
        missed, registry.missed = registry.missed, []
        print(
            json.dumps({
                "at": time.time(),
                "listening": registry.listening().since is not None,
                "heard": len(registry.heard),
                "gone": registry.attendance.gone,
                "cpu_s": time.process_time(),
                "missed": [[f"{one.name[0]} {one.name[1]}", one.due, one.at] for one in missed],
            }),
            flush=True,
        )  # fmt: skip
        await asyncio.sleep(1.0)


if __name__ == "__main__":
    os.sched_setaffinity(0, {int(sys.argv[3])})
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
