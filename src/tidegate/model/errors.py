"""The error tree. Each error has a code, a message (what and where), a hint (how to mend it) and an exit code.

    TidegateError            1
    |-- UsageError           2   the command line or the request is wrong
    |   `-- SpecError        2   tidegate.yaml is wrong: one Problem a line
    |-- NotFoundError        1   what was named does not exist
    |-- AccessError          1   the API does not let this token in, or not that far
    |-- ConflictError        1   somebody else holds it, or it changed meanwhile
    |   `-- LeaseLostError   1   another controller decides now
    |-- EngineError          1   a Docker Engine refused or could not be reached
    |   |-- UnreachableError 1   the engine itself, not the agent
    |   `-- ImageError       1   an image is missing, cannot be pulled or cannot be made
    |-- GatewayError         1   the gateway refused a configuration
    |-- StoreError           1   state cannot be read or written
    |-- SourceError          1   git refused
    |-- SecretError          1   a reference to a secret leads nowhere
    |-- NoticeError          1   a receiver of notices did not take one
    |-- BuildError           1   an image could not be built
    `-- StageError           1   a stage of a delivery did not pass

Verdicts are values, never exceptions: a rollout that goes back is not an error of Tidegate.
"""

from dataclasses import dataclass
from enum import IntEnum

DOCS = "docs/reference/errors.md"


class Exit(IntEnum):
    """Exit codes of the command line."""

    DONE = 0
    ERROR = 1
    USAGE = 2
    ROLLED_BACK = 3
    TIMED_OUT = 4
    WAITING = 5


class TidegateError(Exception):
    """Root of every error that Tidegate raises on purpose."""

    code = "error"
    exit_code = Exit.ERROR

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def anchor(self) -> str:
        """Where the documentation explains this error."""
        return f"{DOCS}#{self.code}"


class UsageError(TidegateError):
    """The command line or the request is wrong."""

    code = "usage"
    exit_code = Exit.USAGE


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a spec: where, what was found, what was expected, how to mend it."""

    file: str
    line: int
    key: str
    message: str
    hint: str = ""
    warning: bool = False

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: {self.key}" if self.key else f"{self.file}:{self.line}"
        text = f"{place}: {self.message}"
        return f"{text} ({self.hint})" if self.hint else text


class SpecError(UsageError):
    """tidegate.yaml is wrong; every problem found is listed, not only the first."""

    code = "invalid-spec"

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems), hint="tidegate docs KEY explains a key")
        self.problems = problems


class NotFoundError(TidegateError):
    """What was named does not exist."""

    code = "not-found"


class AccessError(TidegateError):
    """The API does not let a token in, or not that far."""

    code = "access"


class ConflictError(TidegateError):
    """Somebody else holds it, or it changed meanwhile."""

    code = "conflict"


class LeaseLostError(ConflictError):
    """Another controller holds the lease; this one must stop deciding."""

    code = "lease-lost"


class EngineError(TidegateError):
    """A Docker Engine refused an operation."""

    code = "engine"


class UnreachableError(EngineError):
    """The engine does not answer: a fact about the control plane, never about the agent."""

    code = "engine-unreachable"


class ImageError(EngineError):
    """An image is missing, cannot be pulled or cannot be made."""

    code = "image"


class GatewayError(TidegateError):
    """The gateway refused a configuration or does not answer."""

    code = "gateway"


class StoreError(TidegateError):
    """State cannot be read or written."""

    code = "store"


class SourceError(TidegateError):
    """Source control refused."""

    code = "source"


class SecretError(TidegateError):
    """A reference to a secret leads nowhere; the message names the reference and never the value."""

    code = "secret"


class NoticeError(TidegateError):
    """A receiver of notices did not take one; `gone` means that it never will. The message names no secret."""

    code = "notice"

    def __init__(self, message: str, *, hint: str = "", gone: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.gone = gone


class MetricError(TidegateError):
    """A metric source does not answer, or not in a way that can be believed. The message names no secret."""

    code = "metric"


class BuildError(TidegateError):
    """An image could not be built; the last lines of the build are in the message."""

    code = "build"


class StageError(TidegateError):
    """A stage of a delivery did not pass; nothing was rolled out. The last lines of its log are in the message."""

    code = "stage"
