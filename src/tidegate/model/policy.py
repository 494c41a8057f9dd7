"""What surrounds a rollout: gates, freeze windows, what a new release does to one under way, whom to tell.

Durations are seconds. Times of day are minutes since midnight in the window's own time zone.
"""

from dataclasses import dataclass
from enum import StrEnum

from tidegate.model.alerting import NO_ALERTS, Alerting
from tidegate.model.workload import SecretRef


class OnExpired(StrEnum):
    """What becomes of a rollout whose gate nobody opened in time."""

    PAUSE = "pause"
    ABORT = "abort"


@dataclass(frozen=True)
class Gate:
    """A yes by a named person. `approvers` empty: anybody but, with `four_eyes`, whoever asked for the rollout."""

    name: str = "approval"
    approvers: tuple[str, ...] = ()
    expires_s: float = 86400.0
    on_expired: OnExpired = OnExpired.PAUSE
    four_eyes: bool = False


class Repeat(StrEnum):
    """How often a freeze window comes back."""

    DAILY = "daily"
    WEEKLY = "weekly"
    ONCE = "once"


@dataclass(frozen=True)
class FreezeWindow:
    """A time in which no rollout begins and no weight rises, in local time of `zone` (IANA name).

    `since` and `until` are dates (`YYYY-MM-DD`, ONCE), days of the week (0 is Monday, WEEKLY) or empty (DAILY), each
    with minutes since midnight. A window whose end is not after its start runs into the next day or week.
    """

    name: str
    repeat: Repeat
    since_minute: int
    until_minute: int
    zone: str = "UTC"
    since_day: int = 0
    until_day: int = 0
    since_date: str = ""
    until_date: str = ""


class OnNew(StrEnum):
    """What a new release does to a rollout under way."""

    REFUSE = "refuse"
    QUEUE = "queue"
    SUPERSEDE = "supersede"


class Channel(StrEnum):
    """How a notice is delivered."""

    WEBHOOK = "webhook"
    SLACK = "slack"
    COMMAND = "command"
    GITLAB = "gitlab"
    JENKINS = "jenkins"


@dataclass(frozen=True)
class Endpoint:
    """One receiver of notices. Secrets are references; `secrets` holds two while keys of a web hook are changed.

    `url` is the web hook's, or the pipeline's trigger; `command` is an argument vector. `on` are the ends that are told
    (empty: all of them, alerts too; a pipeline hears only of alerts that ask for one). Tried again for at most
    `deadline_s`.
    """

    name: str
    channel: Channel
    url: str = ""
    url_secret: SecretRef | None = None
    command: tuple[str, ...] = ()
    secrets: tuple[SecretRef, ...] = ()
    user: str = ""
    ref: str = ""
    on: tuple[str, ...] = ()
    timeout_s: float = 10.0
    deadline_s: float = 86400.0


@dataclass(frozen=True)
class Policy:
    """The environment's rules about rollouts, kept with each rollout."""

    gate: Gate | None = None
    freeze: tuple[FreezeWindow, ...] = ()
    on_new: OnNew = OnNew.REFUSE
    notify: tuple[Endpoint, ...] = ()
    alerts: Alerting = NO_ALERTS
