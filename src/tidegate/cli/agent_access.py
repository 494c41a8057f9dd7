"""agents enrol, agents token: what an agent needs to report."""

from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli import options

if TYPE_CHECKING:
    from tidegate.control.tokens import Tokens
    from tidegate.model.release import AgentKey

Name = Annotated[str, typer.Argument(help="The agent.", metavar="AGENT")]
Where = Annotated[
    str, typer.Option("--environment", "-e", help="The environment that it reports from.", metavar="NAME")
]


def register(noun: typer.Typer) -> None:
    """Add the commands."""
    noun.command("enrol")(enrol)
    noun.command("token")(token)


def enrol(
    ctx: typer.Context,
    agent: Name,
    environment: Where,
    expires: Annotated[str, typer.Option("--expires", help="How long it is good: 30m, 12h.", metavar="SPAN")] = "1h",
    as_json: options.Json = False,
) -> None:
    """A token to enrol with: each instance that shows it in time gets a credential of its own."""
    import time

    from tidegate.model.errors import UsageError
    from tidegate.spec.scalars import duration

    try:
        until = time.time() + duration(expires)
    except ValueError:
        raise UsageError(f"--expires {expires} is no span of time", hint="write 30m or 12h") from None
    made = _tokens(ctx).enrolment(_key(agent, environment), until)
    _put({"agent": agent, "environment": environment, "token": made, "expires_at": until}, as_json)


def token(ctx: typer.Context, agent: Name, environment: Where, as_json: options.Json = False) -> None:
    """The agent's lasting token, the same for all its instances: for those that keep no credential of their own."""
    made = _tokens(ctx).make(_key(agent, environment))
    _put({"agent": agent, "environment": environment, "token": made}, as_json)


def _tokens(ctx: typer.Context) -> "Tokens":
    """They are made from a key that never leaves the server. Raises UsageError elsewhere."""
    from tidegate.model.errors import UsageError

    if ctx.obj.location().startswith(("http://", "https://")):
        raise UsageError(
            "agents' tokens are made on the server's own machine, beside its key", hint="there, without TIDEGATE_URL"
        )
    tokens: Tokens = ctx.obj.agent_tokens()
    return tokens


def _key(agent: str, environment: str) -> "AgentKey":
    from tidegate.model.errors import UsageError
    from tidegate.model.release import AgentKey

    for name in (agent, environment):
        if not (0 < len(name) <= 200 and name.isprintable() and not set(name) & set(". \0@")):
            raise UsageError(f"{name[:50]!r} is no name", hint="letters, digits, - and _, at most 200")
    return AgentKey(agent, environment)


def _put(made: dict[str, object], as_json: bool) -> None:
    from tidegate.cli.output import Output

    if as_json:
        Output(True).data(made)
    else:
        print(made["token"])
        Output().message("keep it where secrets are kept; docs/how-to/enrol-an-agent.md says what it is for")
