"""The one table of a rollout's transitions. Everything that says what may follow what is read from here.

It drives the code (core.rollout refuses any other move), the documentation's diagram (`mermaid`), the API's enum and
the colours of status and dashboard.
"""

from enum import StrEnum

from tidegate.model.rollout import Phase


class Tone(StrEnum):
    """How a phase feels to whoever is on call; the colour in terminal and dashboard follows from it."""

    MOVING = "blue"
    WAITING = "yellow"
    GOOD = "green"
    BAD = "red"


TRANSITIONS: dict[Phase, frozenset[Phase]] = {
    Phase.PREPARING: frozenset({Phase.STARTING, Phase.STOPPING, Phase.REVERTING, Phase.PAUSED}),
    Phase.STOPPING: frozenset({Phase.BACKING_UP, Phase.STARTING, Phase.REVERTING}),
    Phase.BACKING_UP: frozenset({Phase.STARTING, Phase.REVERTING}),
    Phase.STARTING: frozenset({Phase.PROGRESSING, Phase.VERIFYING, Phase.PROMOTING, Phase.REVERTING, Phase.PAUSED}),
    Phase.VERIFYING: frozenset({Phase.BAKING, Phase.PAUSED, Phase.REVERTING}),
    Phase.PROGRESSING: frozenset({Phase.PAUSED, Phase.PROMOTING, Phase.REVERTING}),
    Phase.PAUSED: frozenset(
        {
            Phase.PREPARING,
            Phase.STARTING,
            Phase.VERIFYING,
            Phase.PROGRESSING,
            Phase.PROMOTING,
            Phase.BAKING,
            Phase.REVERTING,
        }
    ),
    Phase.PROMOTING: frozenset({Phase.BAKING, Phase.PAUSED, Phase.REVERTING}),
    Phase.BAKING: frozenset({Phase.PROMOTED, Phase.PAUSED, Phase.REVERTING}),
    Phase.REVERTING: frozenset({Phase.ROLLED_BACK, Phase.ABORTED, Phase.FAILED}),
    Phase.PROMOTED: frozenset(),
    Phase.ROLLED_BACK: frozenset({Phase.PREPARING}),
    Phase.ABORTED: frozenset({Phase.PREPARING}),
    Phase.FAILED: frozenset({Phase.PREPARING}),
}
"""Phase -> what may follow. REVERTING leads nowhere but to an end: a rollback is never rolled back. The moves from an
end to PREPARING are `retry`, a person's verb."""

TONES: dict[Phase, Tone] = {
    Phase.PREPARING: Tone.MOVING,
    Phase.STOPPING: Tone.MOVING,
    Phase.BACKING_UP: Tone.MOVING,
    Phase.STARTING: Tone.MOVING,
    Phase.VERIFYING: Tone.MOVING,
    Phase.PROGRESSING: Tone.MOVING,
    Phase.PAUSED: Tone.WAITING,
    Phase.PROMOTING: Tone.MOVING,
    Phase.BAKING: Tone.MOVING,
    Phase.REVERTING: Tone.BAD,
    Phase.PROMOTED: Tone.GOOD,
    Phase.ROLLED_BACK: Tone.BAD,
    Phase.ABORTED: Tone.BAD,
    Phase.FAILED: Tone.BAD,
}


def allowed(before: Phase, after: Phase) -> bool:
    """Whether the table has this move."""
    return after in TRANSITIONS[before]


def mermaid() -> str:
    """The table as a Mermaid state diagram, for the documentation."""
    lines = ["stateDiagram-v2", f"    [*] --> {Phase.PREPARING}"]
    for before, afters in TRANSITIONS.items():
        lines += [f"    {before} --> {after}" for after in sorted(afters)]
    lines += [f"    {phase} --> [*]" for phase in Phase if phase.ended]
    return "\n".join(lines)
