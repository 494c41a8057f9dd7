"""What a stage is to the one loop: what it depends on, and a pure step from results so far to more work or evidence."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tidegate.model.delivery import DeliveryKey
from tidegate.model.evidence import Evidence
from tidegate.model.release import Image, Revision
from tidegate.model.source import Commit
from tidegate.model.spec import Spec
from tidegate.model.stages import Bounds, StageName
from tidegate.model.work import Checkout, Job, Result


@dataclass(frozen=True)
class Candidate:
    """What a stage may know: the spec, what earlier stages found, what runs there, versions of tools, the time."""

    key: DeliveryKey
    spec: Spec
    reference: str = ""
    commit: Commit | None = None
    image: Image | None = None
    running: Revision | None = None
    evidence: Mapping[StageName, Evidence] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    now: float = 0.0

    @property
    def checkout(self) -> Checkout:
        """The tree of its commit; only for stages after source."""
        assert self.commit is not None
        return Checkout(self.commit.repository, self.commit.id)


Results = Mapping[str, Result]
"""What came of the jobs so far, by their names."""


@dataclass(frozen=True)
class Finished:
    """A stage's end: its evidence, and files to keep whole beside it by name."""

    evidence: Evidence
    files: Mapping[str, bytes] = field(default_factory=dict)


Step = tuple[Job, ...] | Finished
"""Jobs to be done now, at the same time, or the end."""


@dataclass(frozen=True)
class Stage:
    """One stage. Everything here is pure; who runs it is controller.stagework.

    `proceed` is asked with the results of all jobs so far, until it is finished; it must ask for each job once.
    `inputs` is everything that the outcome depends on, as plain data (the key is its fingerprint, with the stage's
    name and Tidegate's version); None: the stage is never reused. `bounds` of a spec; None: it is off there.
    """

    name: StageName
    proceed: Callable[[Candidate, Results], Step]
    inputs: Callable[[Candidate], Mapping[str, object] | None]
    bounds: Callable[[Spec], Bounds | None]
    repeatable: Callable[[Spec], bool] = lambda spec: True
