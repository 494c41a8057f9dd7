"""References to secrets: where a value comes from; the value itself is never read here."""

import shlex

from tidegate.spec.context import Context
from tidegate.spec.kinds import WORDS, text
from tidegate.spec.mounts import host_path
from tidegate.spec.shapes import INVALID, Either, Key, Object, Record


def _secret(record: Record, context: Context) -> object:
    match record:
        case {"file": str(path)}:
            return "file", host_path(path, record.at("file"))
        case {"environment": str(name)}:
            return "environment", name
        case {"command": str(command)}:
            return "command", command
        case {"command": tuple(words)} if words:
            return "command", shlex.join(words)
    return INVALID


SECRET = Object(
    "secret",
    "Where a variable's value comes from, just before an instance is created. The value is never stored or printed.",
    (
        Key("file", text("a path"), "A file; a final newline is taken off."),
        Key("environment", text("a variable's name", r"[A-Za-z_][A-Za-z0-9_]*"), "A variable of the controller's."),
        Key(
            "command",
            Either("a command", scalar=text("a command"), sequence=WORDS, hint="write vault read ..."),
            "A command whose output it is.",
        ),
    ),
    one_of=("file", "environment", "command"),
    build=_secret,
    hidden=True,
    expected="where the value comes from: {file: ...}, {environment: ...} or {command: ...}",
)
