"""The watch against the obvious way of doing it: everybody whose deadline has passed, once, and nobody else."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tidegate.control.watch import Watch

NAMES = st.sampled_from("abcde")


class Both(RuleBasedStateMachine):
    """A heap of deadlines, and a table that is looked through."""

    def __init__(self) -> None:
        super().__init__()
        self.watch: Watch[str] = Watch()
        self.deadlines: dict[str, float] = {}
        self.now = 0.0

    @rule(name=NAMES, after=st.floats(0.0, 20.0))
    def expect(self, name: str, after: float) -> None:
        self.deadlines[name] = self.now + after
        self.watch.expect(name, self.now + after)

    @rule(name=NAMES)
    def stop(self, name: str) -> None:
        self.deadlines.pop(name, None)

    @rule(seconds=st.floats(0.0, 30.0))
    def look(self, seconds: float) -> None:
        self.now += seconds
        expected = {name for name, at in self.deadlines.items() if at <= self.now}
        found = self.watch.overdue(self.now, self.deadlines.get)
        assert sorted(found) == sorted(expected)
        for name in found:
            del self.deadlines[name]

    @invariant()
    def small(self) -> None:
        assert len(self.watch) <= 5


TestBoth = Both.TestCase


@given(st.lists(st.floats(0, 100), min_size=1, max_size=50))
def test_each_is_told_once(deadlines: list[float]) -> None:
    watch: Watch[int] = Watch()
    for name, at in enumerate(deadlines):
        watch.expect(name, at)
    assert sorted(watch.overdue(100.0, deadlines.__getitem__)) == list(range(len(deadlines)))
    assert watch.overdue(1000.0, deadlines.__getitem__) == []
