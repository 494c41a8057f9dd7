"""docs/reference/cli.md, from the application: python -m tidegate.cli.reference > docs/reference/cli.md"""

from typing import Any

import typer

from tidegate.cli.app import make_app

HEAD = """# The command line

Written from the application itself (`python -m tidegate.cli.reference`); a test compares the two.

stdout carries data, stderr messages. `--json` puts data as JSON on stdout and errors as RFC 9457 problem objects on
stderr. A terminal gets a live tree, anything else plain lines; `NO_COLOR` switches colour off, `TIDEGATE_DEBUG=1` adds
tracebacks, `TIDEGATE_STATE` names the state (a file or postgresql://...), `DOCKER_HOST` the engine where the spec names
none, `TIDEGATE_SUBNET` the subnet of the agents' network.

A command that asks for something is a temporary controller while no other one decides. Ctrl-C asks whether to detach
(traffic stays as it is) or to abort; without a terminal it detaches.

| exit code | means |
|---|---|
| 0 | done and healthy |
| 1 | error |
| 2 | usage, or an invalid spec |
| 3 | rolled back or aborted |
| 4 | timed out |
| 5 | waiting for a person, or left with Ctrl-C before the end |
| 130 | Ctrl-C while nothing was being decided |
"""


def markdown() -> str:
    """The whole page."""
    root: Any = typer.main.get_command(make_app())
    return "\n".join([HEAD, *_commands("", root.commands)])


def _commands(parent: str, commands: dict[str, Any]) -> list[str]:
    """A section a command; those of a group follow it."""
    parts = []
    for name in sorted(commands):
        full = f"{parent} {name}".strip()
        parts.append(_command(full, commands[name]))
        parts += _commands(full, getattr(commands[name], "commands", {}))
    return parts


def _command(name: str, command: Any) -> str:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option"]
    shown = " ".join(["tidegate", name, *(_place(one) for one in arguments), *(["[OPTIONS]"] if options else [])])
    about = " ".join((command.help or "").split())
    lines = [f"## {name}", "", f"`{shown}`", "", about, ""]
    rows = [f"| `{_place(one)}` | {one.help or ''} |" for one in arguments]
    rows += [f"| `{_spelling(one)}` | {one.help or ''} |" for one in options]
    if rows:
        lines += ["| | |", "|---|---|", *rows, ""]
    return "\n".join(lines)


def _place(argument: Any) -> str:
    return argument.metavar or str(argument.name).upper()


def _spelling(option: Any) -> str:
    names = ", ".join(sorted(option.opts, key=len))
    return names if option.is_flag else f"{names} {option.metavar or 'VALUE'}"


if __name__ == "__main__":
    print(markdown(), end="")
