"""lint, schema, init, docs: the spec itself."""

import os
from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli import options

SpecPath = Annotated[Path | None, typer.Argument(help="The spec; by default tidegate.yaml.", metavar="[SPEC]")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(lint)
    app.command()(schema)
    app.command()(init)
    app.command()(docs)


def lint(
    spec: SpecPath = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
    as_json: options.Json = False,
) -> None:
    """Check the spec.

    Every error and warning with file, line and key. Exit code 2 when it is invalid.
    """
    from dataclasses import asdict

    from tidegate.cli.desk import find_file
    from tidegate.cli.output import Output
    from tidegate.model.errors import Exit
    from tidegate.spec import lint as check
    from tidegate.views.lines import Span, line

    output, path = Output(as_json), find_file(spec) or Path(options.FILE)
    problems = check(path, os.environ)
    errors = [problem for problem in problems if not problem.warning]
    if as_json:
        output.data({"valid": not errors, "problems": [asdict(problem) for problem in problems]})
    else:
        for problem in problems:
            tone, word = ("yellow", "warning") if problem.warning else ("red", "error")
            output.lines([line(Span(word, tone), f" {problem}")])
        warned = len(problems) - len(errors)
        verdict = f"{len(errors)} errors" if errors else "valid"
        output.message(f"{path}: {verdict}" + (f", {warned} warnings" if warned else ""))
    if errors or (strict and problems):
        raise typer.Exit(Exit.USAGE)


def schema() -> None:
    """The JSON Schema of tidegate.yaml, for editors."""
    from tidegate.cli.output import Output
    from tidegate.spec import schema as make

    Output(True).data(make())


def init(
    directory: Annotated[Path, typer.Argument(help="Where.", metavar="[DIRECTORY]")] = Path(),
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
    as_json: options.Json = False,
) -> None:
    """Write a tidegate.yaml to begin with.

    From the Dockerfile or compose file that is there. Overwrites nothing.
    """
    import sys
    from dataclasses import asdict, replace

    from tidegate.cli.output import Output
    from tidegate.spec import init as write
    from tidegate.spec import suggest

    output = Output(as_json)
    found = suggest(directory)
    if not yes and sys.stdin.isatty() and not (directory / options.FILE).exists():
        agent = typer.prompt("Name of the agent", default=found.agent, err=True)
        port = typer.prompt("Port that it serves (0: none)", default=found.port or 0, type=int, err=True)
        listen = (
            typer.prompt("Port that the gateway takes", default=found.listen or port, type=int, err=True) if port else 0
        )
        found = replace(found, agent=agent, port=port, listen=listen)
    text = write(directory, found)
    if as_json:
        output.data({"file": str(directory / options.FILE), "text": text, "recognised": asdict(found)})
    else:
        print(text, end="")
        output.message(f"wrote {directory / options.FILE}; next: tidegate lint, tidegate simulate, tidegate doctor")


def docs(
    key: Annotated[
        str, typer.Argument(help="A key, for example routes or strategy.canary.steps.", metavar="[KEY]")
    ] = "",
) -> None:
    """Explain a key of tidegate.yaml.

    Without one, list those at the top.
    """
    from tidegate.spec import explain_key

    print(explain_key(key))
