"""What a strategy answers."""

from dataclasses import dataclass

from tidegate.model.rollout import Hold


@dataclass(frozen=True)
class Stay:
    """Nothing to do yet; `because` says what is waited for, `until` when time alone changes it."""

    because: str
    until: float | None = None


@dataclass(frozen=True)
class Advance:
    """The step under way is done. `weight` is the candidate's from now on."""

    because: str
    weight: int


@dataclass(frozen=True)
class Wait:
    """Pause the rollout."""

    hold: Hold


@dataclass(frozen=True)
class Done:
    """Every step is done: promote, once there is proof where the strategy waits for any."""

    because: str
    needs_proof: bool = False


Progress = Stay | Advance | Wait | Done


@dataclass(frozen=True)
class Shape:
    """How many instances each track should have running, and how many of stable are kept stopped meanwhile."""

    stable: int
    candidate: int
    stable_stopped: int = 0
