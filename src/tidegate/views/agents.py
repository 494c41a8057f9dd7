"""agents: one row an agent and environment."""

from collections.abc import Sequence
from dataclasses import dataclass

from tidegate.core.transitions import TONES
from tidegate.model.rollout import AgentState, Phase
from tidegate.views.lines import Line, Span, first_line, table


@dataclass(frozen=True)
class AgentRow:
    """One agent in one environment."""

    agent: str
    environment: str
    serves: str
    version: str
    replicas: int
    phase: str
    because: str


def agent_row(state: AgentState) -> AgentRow:
    """What the state says."""
    stable, rollout = state.stable, state.rollout
    return AgentRow(
        state.key.agent,
        state.key.environment,
        stable.title if stable else "",
        stable.release.version if stable else "",
        state.replicas if stable else 0,
        "decommissioned" if state.decommissioned else (rollout.phase.value if rollout else ""),
        first_line(rollout.because) if rollout and not rollout.phase.ended else "",
    )


def agent_lines(rows: Sequence[AgentRow]) -> tuple[Line, ...]:
    """A table."""
    cells = [
        (
            Span(row.agent, "bold"),
            Span(row.environment),
            Span(row.serves or "nothing"),
            Span(str(row.replicas)),
            Span(row.phase, TONES[Phase(row.phase)].value if row.phase in set(Phase) else "dim"),
            Span(row.because),
        )
        for row in rows
    ]
    return table(cells, ("agent", "environment", "serves", "instances", "rollout", ""))
