import asyncio
import os
import signal
from typing import Any

from tests.sdk_centre import Centre, until
from tidegate.sdk import AsyncAgent, Identity


async def soon(condition: Any) -> None:
    await asyncio.to_thread(until, condition)


async def test_the_same_conversation_on_a_loop() -> None:
    with Centre() as centre:
        agent = AsyncAgent("bot", "2.0.0", 0.2, Identity("", "test", "b1", 1, "", centre.url, "t"))
        taken = []

        @agent.every(0.05)
        async def clean() -> str:
            return "done"

        @agent.task
        async def think(topic: str) -> str:
            return topic.upper()

        @agent.on_configure
        async def apply(config: dict[str, Any]) -> None:
            taken.append(config)

        centre.actions = [
            {"action": "run_task", "id": "t1", "task": "think", "arguments": {"topic": "tides"}},
            {"action": "run_task", "id": "t2", "task": "think", "arguments": {"nonsense": 1}},
            {"action": "configure", "id": "c1", "config": {"a": 1}},
        ]
        async with agent:
            await soon(lambda: {"clean", "t1", "t2", "c1"} <= set(centre.completed()))
            agent.status("failing", "no model")
            await soon(lambda: centre.bodies[-1]["status"] == "failing")
            centre.actions = [{"action": "drain"}]
            await asyncio.wait_for(agent.stopping.wait(), 5)
        done = centre.completed()
        assert centre.bodies[-1]["status"] == "stopping"
    assert done["t1"]["detail"] == "TIDES"
    assert not done["t2"]["ok"]
    assert taken == [{"a": 1}]
    assert [body["sequence"] for body in centre.bodies] == list(range(1, len(centre.asked) + 1))


async def test_leaving_while_it_waits_for_its_next_beat_ends_at_once_and_says_stopping() -> None:
    with Centre(interval_s=60.0) as centre:
        async with asyncio.timeout(5):
            async with AsyncAgent("bot", identity=Identity("bot", url=centre.url)):
                await soon(lambda: centre.asked)
                await asyncio.sleep(0.3)  # past the shortest interval: now it waits for the long one
        assert [body["status"] for body in centre.bodies] == ["ok", "stopping"]


async def test_a_signal_asks_for_a_stop_and_silence_is_kept_without_a_centre() -> None:
    async with AsyncAgent("bot", identity=Identity("bot")) as agent:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(agent.stopping.wait(), 5)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
