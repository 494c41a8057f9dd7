"""Whatever state, event or block is saved comes back equal from the bytes on the disk."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidegate.adapters.store.opening import open_state
from tidegate.adapters.store.packing import pack, unpack
from tidegate.model.decision import Decision
from tidegate.model.desired import Desired
from tidegate.model.event import Event
from tidegate.model.observation import Block, Traffic
from tidegate.model.release import AgentKey
from tidegate.model.rollout import AgentState

KEY = AgentKey("logship", "prod")
finite = st.floats(allow_nan=False, allow_infinity=False)
# Any: plain values such as a spec's overlay; what YAML gives and JSON keeps.
st.register_type_strategy(float, finite)

states = st.builds(AgentState, key=st.just(KEY))
events = st.builds(Event, key=st.just(KEY))
revisions = st.integers(1, 3)
traffic = st.builds(
    Traffic,
    requests=st.integers(0, 10**9),
    errors=st.integers(0, 10**9),
    latency=st.lists(st.integers(0, 10**6), max_size=21).map(tuple),
)
names = st.text(max_size=8)
blocks = st.builds(
    Block,
    at=finite,
    duration_s=finite,
    traffic=st.dictionaries(revisions, traffic, max_size=3),
    values=st.dictionaries(names, st.dictionaries(revisions, finite | st.integers(-5, 5).map(float)), max_size=3),
    missing=st.dictionaries(names, names, max_size=2),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(states, st.lists(events, max_size=3))
def test_a_state_and_its_events_come_back_equal(state: AgentState, happened: list[Event]) -> None:
    async def there_and_back(folder: Path) -> None:
        opened = await open_state(str(folder / "tidegate.db"))
        epoch = await opened.lease.acquire("a", 10.0, 0.0)
        assert epoch is not None
        await opened.store.save(Decision(state, Desired(KEY), tuple(happened)), epoch)
        await opened.close()
        again = await open_state(str(folder / "tidegate.db"))
        try:
            assert await again.store.load(KEY) == state
            assert [event for _, event in await again.journal.events(KEY)] == happened
        finally:
            await again.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(there_and_back(Path(folder)))


@given(st.lists(blocks, max_size=12))
def test_blocks_come_back_equal(kept: list[Block]) -> None:
    assert unpack(pack(kept)) == kept
