"""The options that commands share, and what they amount to."""

import getpass
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

FILE = "tidegate.yaml"

File = Annotated[
    Path | None,
    typer.Option("--file", "-f", help="The spec; by default tidegate.yaml here or in a folder above.", metavar="PATH"),
]
Place = Annotated[
    str, typer.Option("--environment", "-e", help="The environment; by default the only one.", metavar="NAME")
]
OnlyAgent = Annotated[str, typer.Option("--agent", "-a", help="Only of this agent.", metavar="NAME")]
OnlyPlace = Annotated[str, typer.Option("--environment", "-e", help="Only in this environment.", metavar="NAME")]
Json = Annotated[bool, typer.Option("--json", help="Data as JSON on stdout.")]
Timeout = Annotated[
    float | None, typer.Option("--timeout", help="Seconds to wait at most; then exit code 4.", min=0.1, metavar="S")
]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why, for the history.", metavar="TEXT")]
By = Annotated[str, typer.Option("--by", help="Who asks; by default the user of this system.", metavar="NAME")]
Label = Annotated[
    list[str] | None,
    typer.Option("--label", "-l", help="Only those that say this of themselves; repeatable.", metavar="NAME=VALUE"),
]
Agent = Annotated[
    str, typer.Argument(help="The agent, or AGENT.ENVIRONMENT; by default that of the spec.", metavar="[AGENT]")
]


@dataclass(frozen=True)
class Where:
    """Which agent in which environment a command is about, as it was asked."""

    file: Path | None = None
    environment: str = ""
    agent: str = ""


@dataclass(frozen=True)
class Who:
    """In whose name a command asks, and why."""

    by: str = ""
    reason: str = ""

    @property
    def name(self) -> str:
        """The person; the system's user where nobody was named."""
        return self.by or system_user()


def labels(given: list[str] | None) -> dict[str, str]:
    """Labels of the command line. Raises UsageError."""
    from tidegate.model.errors import UsageError

    pairs = [text.partition("=") for text in given or ()]
    for name, sign, _ in pairs:
        if not name or not sign:
            raise UsageError(f"--label {name} is no label", hint="write NAME=VALUE, as in --label region=north")
    return {name: value for name, _, value in pairs}


def system_user() -> str:
    """The name of the user who runs this; the number where there is no name."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (OSError, KeyError):
        return f"uid {os.getuid()}"
