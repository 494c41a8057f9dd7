"""Jobs: what a stage wants done, each found again by its name; and what came of them. Data only."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tidegate.model.changes import Change
from tidegate.model.delivery import DeliveryKey
from tidegate.model.image_facts import ImageFacts
from tidegate.model.release import Image
from tidegate.model.source import BuildOptions, Commit
from tidegate.model.stages import Bounds, StageName


@dataclass(frozen=True)
class Checkout:
    """The tree of one commit, as git has it: nothing uncommitted, nothing ignored, no .git."""

    repository: str
    commit: str


@dataclass(frozen=True)
class LookAtCommit:
    """Find a commit by a branch, tag or id, and its facts."""

    name: str
    repository: str
    reference: str


@dataclass(frozen=True)
class CompareCommits:
    """Find what lies between a commit that runs (its id; empty: its parent) and another."""

    name: str
    checkout: Checkout
    since: str


@dataclass(frozen=True)
class BuildImage:
    """Make an image of a checkout; the same inputs give the image that is there already."""

    name: str
    checkout: Checkout
    tag: str
    options: BuildOptions


@dataclass(frozen=True)
class RunContainer:
    """Run something to its end in a container that has no network, no host paths and nothing of the controller's.

    `checkout` is copied to `working_dir` beforehand; `outputs` are paths that are taken out afterwards, when they are
    there. `network` is a name only where the spec grants one. None for `command` or `entrypoint`: the image's own.
    `repeatable`: it may run again when nobody knows how it ended.
    """

    name: str
    image: str
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    checkout: Checkout | None = None
    working_dir: str = "/src"
    outputs: tuple[str, ...] = ()
    user: str = ""
    network: str = "none"
    bounds: Bounds = field(default_factory=Bounds)
    repeatable: bool = True


@dataclass(frozen=True)
class ExamineImage:
    """Look into an image that is here. `base` names the one that it was made from, `former` the one that runs."""

    name: str
    image: str
    base: str = ""
    former: str = ""


@dataclass(frozen=True)
class Program:
    """A program of this machine that reads the tree. `home`: it needs the user's own folder (its database is there)."""

    name: str
    argv: tuple[str, ...]
    home: bool = False


@dataclass(frozen=True)
class RunPrograms:
    """Let programs read a checkout, and nothing of it run. What each wrote to stdout is in the result's `parts`.

    `history`: what each commit since `since` added lies beside the tree. `reads` are files of the tree to bring along.
    """

    name: str
    checkout: Checkout
    programs: tuple[Program, ...]
    history: bool = False
    since: str = ""
    reads: tuple[str, ...] = ()
    bounds: Bounds = field(default_factory=Bounds)


Job = LookAtCommit | CompareCommits | BuildImage | RunContainer | RunPrograms | ExamineImage


@dataclass(frozen=True)
class Place:
    """Whose work it is: what is left over is found by it."""

    delivery: DeliveryKey
    stage: StageName
    attempt: int = 1
    resumed: bool = False
    """It was begun before this process: what is not there any more has an unknown outcome."""

    def name(self, job: str) -> str:
        """A container's name: the whole key, so that making it is a compare-and-set."""
        return f"{self.delivery}.{self.stage}.{job}.{self.attempt}"


@dataclass(frozen=True)
class Result:
    """What came of a job. Which fields are set depends on the job; `unknown`: nobody saw how it ended.

    `exit_code` None: it did not end by itself. `outputs` holds the files that were asked for and were there.
    """

    commit: Commit | None = None
    change: Change | None = None
    image_facts: ImageFacts | None = None
    image: Image | None = None
    exit_code: int | None = None
    oom_killed: bool = False
    timed_out: bool = False
    unknown: bool = False
    log: tuple[str, ...] = ()
    outputs: Mapping[str, bytes] = field(default_factory=dict)
    parts: "Mapping[str, Result]" = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    took_s: float = 0.0
