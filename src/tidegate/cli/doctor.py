"""doctor: what is missing or risky on this machine, and the command that mends it."""

import typer

from tidegate.cli import options


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(
    ctx: typer.Context, file: options.File = None, environment: options.Place = "", as_json: options.Json = False
) -> None:
    """What is missing or risky, and what mends it.

    Exit code 0 when this machine is usable.
    """
    from tidegate.cli.desk import perform

    perform(_doctor(ctx, options.Where(file, environment), as_json))


async def _doctor(ctx: typer.Context, where: options.Where, as_json: bool) -> int:
    from dataclasses import asdict

    from tidegate.cli.desk import choose, read_spec
    from tidegate.cli.output import Output
    from tidegate.cli.toolbox import Toolbox
    from tidegate.model.errors import Exit, TidegateError
    from tidegate.views import checkup

    toolbox: Toolbox = ctx.obj
    output = Output(as_json)
    spec, chosen, wrong = None, None, ""
    try:
        spec = read_spec(where.file)
        chosen = choose(spec, where.environment) if spec is not None else None
    except TidegateError as error:
        wrong = error.message
    facts = await toolbox.examine(chosen)
    findings = checkup.findings(facts, spec, wrong)
    usable = checkup.usable(findings)
    if as_json:
        output.data({"usable": usable, "findings": [asdict(one) for one in findings]})
    else:
        output.lines(checkup.finding_lines(findings))
    return Exit.DONE if usable else Exit.ERROR
