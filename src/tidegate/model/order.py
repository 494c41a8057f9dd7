"""Orders: what agents are asked to do (take a configuration, run a task, start again), and what became of it.

Times are unix seconds by the control centre's clock, where nothing else is said.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from tidegate.model.record import AgentRecord
from tidegate.model.release import AgentKey


@dataclass(frozen=True)
class Selector:
    """Who is meant: instances of an agent in an environment (empty: of any), with all these attributes."""

    agent: str = ""
    environment: str = ""
    instance: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    def takes(self, record: AgentRecord) -> bool:
        """Whether the instance is meant."""
        key = record.key
        return (
            self.agent in ("", key.agent)
            and self.environment in ("", key.environment)
            and self.instance in ("", record.instance)
            and all(record.attributes.get(name) == value for name, value in self.labels.items())
        )

    def __str__(self) -> str:
        said = [self.agent, self.environment, self.instance, *(f"{n}={v}" for n, v in sorted(self.labels.items()))]
        return " ".join(one for one in said if one) or "everybody"


@dataclass(frozen=True)
class ConfigText:
    """A configuration file that is offered."""

    text: str
    content_type: str = ""


@dataclass(frozen=True)
class Configure:
    """Take this configuration, all of it. The newest order that is meant for an instance is the one that holds.

    `keep`: an OpAMP agent that took it and reports another one later gets it again; else that is only told.
    """

    files: Mapping[str, ConfigText]
    keep: bool = True

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all of it (hexadecimal): the same files give the same."""
        machine = hashlib.sha256()
        for name, file in sorted(self.files.items()):
            for part in (name, file.content_type, file.text):
                machine.update(f"{len(part.encode())}:".encode() + part.encode())
        return machine.hexdigest()


@dataclass(frozen=True)
class RunTask:
    """Run a task, at once or at the times of a cron expression (in `zone`); each time at most once an instance.

    `arguments` is JSON (an object). Whoever has not answered `deadline_s` after it was due, is not waited for.
    """

    task: str
    arguments: str = "{}"
    cron: str = ""
    zone: str = "UTC"
    deadline_s: float = 300.0


@dataclass(frozen=True)
class Restart:
    """Start again, once."""

    deadline_s: float = 300.0


Work = Configure | RunTask | Restart


@dataclass(frozen=True)
class Order:
    """What was asked of whom, by whom and why. `ended_at`: when it was taken back, or had nothing left to do."""

    id: str
    selector: Selector
    work: Work
    at: float
    by: str = ""
    reason: str = ""
    ended_at: float | None = None


class RunState(StrEnum):
    """What became of one run.

    HANDED: it may have begun. LOST: nobody will ever say, and it is not repeated.
    """

    HANDED = "handed"
    DONE = "done"
    FAILED = "failed"
    LOST = "lost"

    @property
    def ended(self) -> bool:
        """Whether nothing more is waited for."""
        return self is not RunState.HANDED


@dataclass(frozen=True)
class Run:
    """One instance's part in an order that was due at a time.

    `process_at` is when the process that it was handed to was first heard: no other one gets it. `delay_s` is the time
    from due to begun, by the control centre's clock as far as the agent's can be compared with it.
    """

    order: str
    due: float
    key: AgentKey
    instance: str
    state: RunState
    process_at: float = 0.0
    handed_at: float = 0.0
    ended_at: float = 0.0
    delay_s: float | None = None
    took_s: float | None = None
    detail: str = ""

    @property
    def id(self) -> str:
        """What the agent is told: the same for the same order and time."""
        return f"{self.order}-{self.due:.0f}"
