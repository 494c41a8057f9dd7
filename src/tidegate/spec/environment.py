"""Environment variables of a container: env_file, environment, and names taken from the process environment."""

from pathlib import Path
from typing import Any

from tidegate.model.secrecy import looks_secret
from tidegate.spec import dotenv
from tidegate.spec.context import Context, Variable, Where
from tidegate.spec.document import MAX_BYTES
from tidegate.spec.kinds import OneOrMore, flag, text
from tidegate.spec.mounts import host_path
from tidegate.spec.shapes import INVALID, Either, Key, Object, Record, Refused, Scalar


def _entry(record: Record, context: Context) -> object:
    if "path" not in record:
        return INVALID
    return _read(record["path"], record.at("path"), context, record.get("required", True))


def _read(path: str, where: Where, context: Context, required: bool = True) -> dict[str, Any]:
    """The file's variables; nothing when it cannot be read, after noting why."""
    full = Path(host_path(path, where))
    try:
        if full.stat().st_size > MAX_BYTES:
            context.error(
                where, f"{path} is larger than {MAX_BYTES // 1024} KiB", "is this a file of NAME=value lines?"
            )
            return {}
        return dotenv.parse(full.read_text(encoding="utf-8"), context.environ)
    except FileNotFoundError:
        if required:
            context.error(where, f"{path} does not exist", f"create {full}, or write required: false")
    except OSError as error:
        context.error(where, f"{path} cannot be read: {error.strerror}", "mend its permissions")
    except UnicodeDecodeError:
        context.error(where, f"{path} is not UTF-8 text", "save it as UTF-8")
    except dotenv.DotenvError as error:
        context.error(where, f"{path}:{error.line}: {error}", "write NAME=value, one a line")
    except ValueError:
        context.error(where, "the path holds a character that no path holds", "mend the path")
    return {}


class _Path:
    """The path of a file of variables, read at once."""

    expected = "a path"

    def read(self, node: Any, context: Context) -> Any:
        """Its variables."""
        path = _PATH.read(node, context)
        return path if path is INVALID else _read(path, node.where, context)

    def schema(self, definitions: dict[str, Any]) -> dict[str, Any]:
        """A text."""
        return _PATH.schema(definitions)


_PATH: Scalar = text("a path", example=".env.production")
ENV_FILE = OneOrMore(
    Either(
        "a path",
        scalar=_Path(),
        mapping=Object(
            "env_file",
            "A file of NAME=value lines.",
            (
                Key("path", _PATH, "The file, relative to this one.", required=True),
                Key("required", flag(), "Whether it must exist.", "true"),
            ),
            refused={"format": Refused("files are read as Compose reads them: take it out")},
            build=_entry,
        ),
    )
)


def merge_environment(record: Record, context: Context) -> dict[str, str]:
    """All variables with their values: files first, then `environment`. Names without a value come from the process."""
    result: dict[str, str] = {}
    for variables in record.get("env_file", ()):
        result.update({name: value for name, value in variables.items() if value is not None})
    for name, value in record.get("environment", {}).items():
        if not name or "=" in name or "\0" in name or not name.isprintable():
            context.error(record.at("environment"), f"{name[:40]!r} is no variable's name", "write NAME: value")
        elif value is not None:
            result[name] = value
        elif name in context.environ:
            result[name] = context.environ[name]
            context.use(Variable(name, record.at("environment"), looks_secret(name, context.environ[name])))
        else:
            result.pop(name, None)
            context.warn(
                record.at("environment"),
                f"{name} has no value here and is not set in the environment, so the agent will not see it",
                f"export {name}, or write {name}: value",
            )
    return result
