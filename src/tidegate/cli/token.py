"""token create, token list, token revoke: who may use the HTTP API."""

from typing import Annotated

import typer

from tidegate.cli import options
from tidegate.cli.options import Who


def register(app: typer.Typer) -> None:
    """Add the commands."""
    noun = typer.Typer(help="Who may use the HTTP API.", no_args_is_help=True)
    noun.command("create")(create)
    noun.command("list")(listing)
    noun.command("revoke")(revoke)
    app.add_typer(noun, name="token")


def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Who or what will use it; shown in every log.", metavar="NAME")],
    role: Annotated[str, typer.Option("--role", help="viewer, operator, admin, agent or ci.", metavar="ROLE")],
    agent: Annotated[str, typer.Option("--agent", help="Only for this agent.", metavar="NAME")] = "",
    environment: options.OnlyPlace = "",
    expires: Annotated[str, typer.Option("--expires", help="Its life: 30m, 12h, 90d.", metavar="SPAN")] = "90d",
    reason: options.Reason = "",
    by: options.By = "",
    as_json: options.Json = False,
) -> None:
    """Make a token. It is shown this once; what is kept is its hash."""
    import time

    from tidegate.cli.desk import perform
    from tidegate.cli.output import Output
    from tidegate.core import tokens
    from tidegate.model.access import Role, new_secret
    from tidegate.model.errors import UsageError
    from tidegate.views.access import token_data

    if role not in set(Role):
        raise UsageError(f"there is no role {role}", hint=f"one of {', '.join(Role)}")
    wanted = tokens.Wanted(_name(name), Role(role), _seconds(expires), agent, environment)

    async def work() -> int:
        output, books, secret, who = Output(as_json), await ctx.obj.books(), new_secret(), Who(by, reason)
        try:
            now = time.time()
            token = tokens.make(wanted, secret, who.name, now)
            await books.access.add(token, tokens.made(token, reason, "command line"))
        finally:
            await books.close()
        if as_json:
            output.data({**token_data(token, now), "token": secret[1]})
        else:
            print(secret[1])
            output.message(f"token {token.id} ({token.role}) is shown this once; keep it where secrets are kept")
        return 0

    perform(work())


def listing(ctx: typer.Context, as_json: options.Json = False) -> None:
    """Every token that was ever made, and whether it is in force."""
    import time

    from tidegate.cli.desk import perform
    from tidegate.cli.output import Output
    from tidegate.views.access import token_data, token_lines

    async def work() -> int:
        output, books = Output(as_json), await ctx.obj.books()
        try:
            found = await books.access.tokens()
        finally:
            await books.close()
        if as_json:
            output.data([token_data(token, time.time()) for token in found])
        elif found:
            output.lines(token_lines(found, time.time()))
        else:
            output.message("there are no tokens; tidegate token create makes one")
        return 0

    perform(work())


def revoke(
    ctx: typer.Context,
    token: Annotated[str, typer.Argument(help="Its id or its name.", metavar="TOKEN")],
    reason: options.Reason = "",
    by: options.By = "",
) -> None:
    """Refuse a token from now on; a server believes it for a second more at most."""
    import time

    from tidegate.cli.desk import perform
    from tidegate.cli.output import Output
    from tidegate.core import tokens
    from tidegate.model.errors import NotFoundError

    async def work() -> int:
        output, books = Output(), await ctx.obj.books()
        try:
            known = [one for one in await books.access.tokens() if one.revoked_at is None]
            found = next((one for one in known if token in (one.id, one.name)), None)
            act = found and tokens.revoked(found, Who(by).name, time.time(), reason, "command line")
            if found is None or act is None or not await books.access.revoke(found.id, act):
                raise NotFoundError(f"there is no token {token} to revoke", hint="tidegate token list shows them")
        finally:
            await books.close()
        output.message(f"token {found.id} ({found.name}) is revoked")
        return 0

    perform(work())


def _name(name: str) -> str:
    from tidegate.model.errors import UsageError

    if not (0 < len(name) <= 100 and name.isprintable()):
        raise UsageError("a token's name is up to 100 printable characters", hint="tidegate token create ada ...")
    return name


def _seconds(text: str) -> float:
    from tidegate.model.errors import UsageError
    from tidegate.spec.scalars import duration

    days = text.removesuffix("d")
    try:
        return int(days) * 86400.0 if days != text and days.isdecimal() else duration(text)
    except ValueError:
        raise UsageError(f"--expires {text} is no span of time", hint="write 12h or 90d") from None
