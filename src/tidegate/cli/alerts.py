"""alerts: what fires, the rules, and rules for other tools."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli import options
from tidegate.cli.options import Where

if TYPE_CHECKING:
    from tidegate.cli.desk import Desk
    from tidegate.model.alerting import Alerting

TOKEN_FILE = "/etc/prometheus/tidegate.token"  # noqa: S105 - a path


class Form(StrEnum):
    """What rules are written out as."""

    PROMETHEUS = "prometheus"
    PROMETHEUSRULE = "prometheusrule"
    SCRAPE = "scrape"
    ALERTMANAGER = "alertmanager"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    noun = typer.Typer(help="What is wrong with what runs, and the rules that say so.")
    noun.callback(invoke_without_command=True)(alerts)
    noun.command("rules")(rules)
    noun.command("export")(export)
    app.add_typer(noun, name="alerts")


def alerts(
    ctx: typer.Context,
    agent: options.OnlyAgent = "",
    environment: options.OnlyPlace = "",
    over: Annotated[bool, typer.Option("--all", help="Those that fired in the last hour and are over, too.")] = False,
    as_json: options.Json = False,
) -> None:
    """What fires and what is pending, since when and why."""
    if ctx.invoked_subcommand is not None:
        return
    from tidegate.cli.desk import perform

    perform(_alerts(ctx, (agent, environment), over, as_json))


async def _alerts(ctx: typer.Context, whose: tuple[str, str], over: bool, as_json: bool) -> int:
    import time
    from dataclasses import asdict

    from tidegate.cli.output import Output
    from tidegate.views.alerts import alert_lines, alert_rows

    output, books = Output(as_json), await ctx.obj.books()
    try:
        keys = [k for k in await books.store.keys() if whose[0] in ("", k.agent) and whose[1] in ("", k.environment)]
        states = [state for key in keys if (state := await books.store.load(key)) is not None]
    finally:
        await books.close()
    rows = alert_rows(states, over)
    if as_json:
        output.data([asdict(row) for row in rows])
    elif rows:
        output.lines(alert_lines(rows, time.time()))
    else:
        watched = any(state.alerting.rules for state in states)
        output.message("nothing fires" if watched else "no rules are in force; alerts in tidegate.yaml says which")
    return 0


def rules(
    ctx: typer.Context,
    agent: options.Agent = "",
    file: options.File = None,
    environment: options.Place = "",
    as_json: options.Json = False,
) -> None:
    """The rules of the spec; without one, those that are in force."""
    from dataclasses import asdict

    from tidegate.cli.desk import open_desk, perform
    from tidegate.cli.output import Output
    from tidegate.views.alerts import rule_lines, rule_rows

    async def work() -> int:
        output = Output(as_json)
        async with open_desk(ctx.obj, Where(file, environment, agent), output) as desk:
            rows = rule_rows(await _rules(desk))
            if as_json:
                output.data([asdict(row) for row in rows])
            elif rows:
                output.lines(rule_lines(rows))
            else:
                output.message("there are none; alerts: {} in tidegate.yaml brings the shipped ones")
            return 0

    perform(work())


def export(
    ctx: typer.Context,
    form: Annotated[Form, typer.Argument(help="What for.")],
    agent: options.Agent = "",
    file: options.File = None,
    environment: options.Place = "",
    url: Annotated[
        str, typer.Option("--url", help="Where the server listens.", envvar="TIDEGATE_URL", metavar="URL")
    ] = "http://127.0.0.1:4321",
    token_file: Annotated[
        str, typer.Option("--token-file", help="Where Prometheus or Alertmanager finds the token.", metavar="PATH")
    ] = TOKEN_FILE,
    as_json: options.Json = False,
) -> None:
    """Write rules or settings for other tools on stdout, as YAML.

    prometheus: a rule file; prometheusrule: the same for the Prometheus operator; scrape: scrape_configs; alertmanager:
    a receiver and a route to it.
    """
    from tidegate.cli.desk import open_desk, perform
    from tidegate.cli.output import Output
    from tidegate.views import alert_export

    async def work() -> int:
        output = Output(as_json)
        if form in (Form.SCRAPE, Form.ALERTMANAGER):
            make = alert_export.scrape if form is Form.SCRAPE else alert_export.alertmanager
            _write(output, make(url, token_file))
            return 0
        async with open_desk(ctx.obj, Where(file, environment, agent), output) as desk:
            build = alert_export.prometheus if form is Form.PROMETHEUS else alert_export.prometheusrule
            _write(output, build(desk.key, await _rules(desk)))
            return 0

    perform(work())


def _write(output: Any, document: dict[str, Any]) -> None:
    if output.as_json:
        output.data(document)
        return
    import io

    from ruamel.yaml import YAML

    writer: Any = YAML(typ="safe", pure=True)
    text = io.StringIO()
    writer.default_flow_style, writer.sort_base_mapping_type_on_output, writer.width = False, False, 4096
    writer.dump(document, text)
    print(text.getvalue(), end="", flush=True)


async def _rules(desk: "Desk") -> "Alerting":
    if desk.target.spec is not None:
        return desk.target.environment.policy.alerts
    return (await desk.state()).alerting
