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
    """How many instances each track should have running, and how many of stable are kept stopped meanwhile.

    `prepared` of the candidate are made and not started; `kept` of it are stopped where they exist, on the way back.
    `log_lines` of the candidate are looked at though nothing is wrong with it.
    """

    stable: int
    candidate: int
    stable_stopped: int = 0
    prepared: int = 0
    kept: int = 0
    log_lines: int = 0
