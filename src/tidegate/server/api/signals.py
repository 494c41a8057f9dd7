"""What alert rules look at, for /metrics: the windows that the controller folds, read from the blocks that it keeps."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tidegate.core.alerts.windows import Windows
from tidegate.model.alerting import ALERTMANAGER, Alerting, Signal
from tidegate.model.release import AgentKey
from tidegate.model.rollout import AgentState
from tidegate.ports import Journal

LATE_S = 15.0
"""Blocks are saved in batches: what was measured last comes this much later at most."""


@dataclass
class Signals:
    """The windows of every agent, kept between two scrapes so that only what is new is read."""

    _kept: dict[AgentKey, tuple[Alerting, Windows, float]] = field(default_factory=dict)

    async def of(self, state: AgentState, journal: Journal, now: float) -> Mapping[str, Mapping[str, Signal]]:
        """Rule -> subject -> what it looks at. Raises StoreError."""
        alerting = state.alerting
        if not alerting.rules:
            self._kept.pop(state.key, None)
            return {}
        known, windows, read_to = self._kept.get(state.key, (None, None, 0.0))
        if windows is None or known != alerting or now - read_to > 60 * LATE_S:
            windows = Windows(rule for rule in alerting.rules if rule.source != ALERTMANAGER)
            read_to = now - windows.longest_s - LATE_S
        windows.take(await journal.blocks(state.key, read_to - LATE_S, now))
        self._kept[state.key] = (alerting, windows, now)
        return windows.signals(now)
