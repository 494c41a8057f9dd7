"""Filling in the variables of every value of a document, and the .env file beside it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tidegate.model.secrecy import looks_secret
from tidegate.spec import dotenv
from tidegate.spec.context import Context, Variable, Where
from tidegate.spec.document import MAX_BYTES, Node
from tidegate.spec.interpolate import InterpolationError, expand


def fill_in(node: Node, environ: Mapping[str, str], context: Context) -> Node:
    """The document with its variables filled in. Keys hold no variables, and x- keys are nobody's business."""
    match node.value:
        case tuple(items):
            return replace(node, value=tuple(fill_in(item, environ, context) for item in items))
        case dict(entries):
            filled = {key: _entry(key, child, environ, context) for key, child in entries.items()}
            return replace(node, value=filled)
        case str() if "$" in node.text:
            return _filled(node, environ, context)
        case _:
            return node


def _entry(key: str, child: Node, environ: Mapping[str, str], context: Context) -> Node:
    return child if key.startswith("x-") else fill_in(child, environ, context)


def _filled(node: Node, environ: Mapping[str, str], context: Context) -> Node:
    try:
        expansion = expand(node.text, environ)
    except InterpolationError as error:
        context.error(node.where, str(error), error.hint)
        return replace(node, broken=True)
    for name in expansion.used:
        context.use(Variable(name, node.where, looks_secret(name, environ[name])))
    for name in expansion.unset:
        context.warn(
            node.where,
            f"the variable {name} is not set, so nothing stands in its place",
            f"export {name}, or ${{{name}:-default}}",
        )
    return replace(node, value=expansion.text, text=expansion.text, unset=expansion.unset)


def with_dotenv(file: str, environ: Mapping[str, str], context: Context) -> dict[str, str]:
    """The environment with the .env file beside `file` under it; the process environment wins, as in Compose."""
    path = Path(file).absolute().parent / ".env"
    where = Where(str(Path(file).parent / ".env"), 1, "")
    try:
        if not path.is_file():
            return dict(environ)
        if path.stat().st_size > MAX_BYTES:
            context.error(where, f"is larger than {MAX_BYTES // 1024} KiB", "keep NAME=value lines in it")
            return dict(environ)
        found = dotenv.parse(path.read_text(encoding="utf-8"), environ)
    except OSError as error:
        context.error(where, f"cannot be read: {error.strerror}", "mend its permissions")
    except UnicodeDecodeError:
        context.error(where, "is not UTF-8 text", "save it as UTF-8")
    except dotenv.DotenvError as error:
        context.error(replace(where, line=error.line), str(error), "write NAME=value, one a line")
    else:
        return {**{name: value for name, value in found.items() if value is not None}, **environ}
    return dict(environ)
