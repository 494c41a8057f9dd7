"""Mounts: volumes in Compose's short (SOURCE:TARGET:MODE) and long syntax, tmpfs, devices."""

import os.path
from pathlib import Path

from tidegate.model.workload import Mount, MountKind
from tidegate.spec.context import Context, Where
from tidegate.spec.document import Node
from tidegate.spec.kinds import OneOrMore, choice, flag, free, text
from tidegate.spec.shapes import INVALID, Either, Key, ListOf, Object, Record, Refused, Scalar, mismatch

_MODES = {"rw": False, "ro": True}
_IGNORED_MODES = {"z", "Z", "cached", "delegated", "consistent", "nocopy"}
ABSOLUTE = text("an absolute path in the container", r"/[^:]*", example="/data")


def host_path(written: str, where: Where) -> str:
    """A path of the host, absolute: relative ones count from the file that holds them, as in Compose."""
    base = Path(where.file).absolute().parent
    return os.path.normpath(base / Path(written).expanduser()) if written.startswith("~/") else _normal(base, written)


def _normal(base: Path, written: str) -> str:
    return os.path.normpath(base / written)


def is_path(source: str) -> bool:
    """Whether a volume's source is a path of the host rather than a volume's name."""
    return source.startswith(("/", "./", "../", "~/")) or source in (".", "..", "~")


def _short(node: Node, context: Context) -> object:
    expected = "a mount: SOURCE:TARGET or SOURCE:TARGET:ro"
    if not isinstance(node.value, str) or not node.value:
        return mismatch(node, expected, context, "write data:/var/lib/data")
    parts = node.value.split(":")
    source, target, modes = "", parts[0], ""
    if len(parts) in (2, 3) and not (len(parts) == 2 and not parts[1].startswith("/")):
        source, target, modes = parts[0], parts[1], parts[2] if len(parts) == 3 else ""
    elif len(parts) != 1:
        return mismatch(node, expected, context, "the target is an absolute path: data:/var/lib/data:ro")
    if not target.startswith("/") or (len(parts) > 1 and not source):
        return mismatch(node, expected, context, "the target is an absolute path: data:/var/lib/data")
    read_only = False
    for mode in filter(None, modes.split(",")):
        if mode in _MODES:
            read_only = _MODES[mode]
        elif mode in _IGNORED_MODES:
            context.warn(node.where, f"the mode {mode} has no effect here", "take it out")
        else:
            return mismatch(node, expected, context, "the mode is ro or rw")
    if is_path(source):
        return Mount(MountKind.BIND, target, host_path(source, node.where), read_only)
    if not _good_name(source):
        return mismatch(
            node, expected, context, "begin a path with ./ or /; a volume's name is letters, digits and ._-"
        )
    return Mount(MountKind.VOLUME, target, source, read_only)


def _good_name(source: str) -> bool:
    return not source or (source[0].isalnum() and all(char.isalnum() or char in "._-" for char in source))


def _long(record: Record, context: Context) -> object:
    if "target" not in record or "type" not in record:
        return INVALID
    kind, source = MountKind(record["type"]), record.get("source", "")
    if kind is MountKind.TMPFS:
        return Mount(kind, record["target"], read_only=record.get("read_only", False))
    if kind is MountKind.BIND:
        if not source:
            if "source" not in record.places:
                context.error(record.node.where, "source is missing", "add source: the path on the host")
            return INVALID
        source = host_path(source, record.at("source"))
    elif not _good_name(source):
        context.error(record.at("source"), "is not a volume's name", "for a path of the host write type: bind")
        return INVALID
    return Mount(kind, record["target"], source, record.get("read_only", False))


class _Short:
    """The short syntax needs the place of the node to resolve relative paths."""

    expected = "a mount: SOURCE:TARGET or SOURCE:TARGET:ro"

    def read(self, node: Node, context: Context) -> object:
        """A Mount."""
        return _short(node, context)

    def schema(self, definitions: dict[str, dict[str, object]]) -> dict[str, object]:
        """A text."""
        return {"type": "string", "minLength": 1}


_LONG = Object(
    "mount",
    "A mount, in Compose's long syntax.",
    (
        Key("type", choice("volume", "bind", "tmpfs"), "Where the content comes from.", required=True),
        Key("source", text(), "A volume's name, or a path of the host (bind)."),
        Key("target", ABSOLUTE, "Path in the container.", required=True),
        Key("read_only", flag(), "Whether writing is refused.", "false"),
    ),
    refused={
        "bind": Refused("bind options are the engine's defaults: take it out", error=False),
        "volume": Refused("volume options are the engine's defaults: take it out", error=False),
        "tmpfs": Refused("tmpfs options are the engine's defaults: take it out", error=False),
        "consistency": Refused("take it out", error=False),
    },
    build=_long,
)
VOLUMES = ListOf(
    Either("a mount: SOURCE:TARGET, or a mapping", scalar=_Short(), mapping=_LONG, hint="write data:/var/lib/data"),
    expected="a list of mounts",
)


def _tmpfs(node: Node) -> Mount:
    path = node.text.partition(":")[0] if isinstance(node.value, str) else ""
    if not path.startswith("/"):
        raise ValueError("write /tmp")
    return Mount(MountKind.TMPFS, path)


TMPFS = OneOrMore(Scalar("an absolute path in the container", _tmpfs, {"type": "string"}))


def _device(written: str) -> str:
    parts = written.split(":")
    if not 1 <= len(parts) <= 3 or not all(part.startswith("/") for part in parts[:2]):
        raise ValueError("write /dev/ttyUSB0 or /dev/ttyUSB0:/dev/ttyUSB0:rwm")
    return written


def _device_long(record: Record, context: Context) -> object:
    if "source" not in record:
        return INVALID
    return f"{record['source']}:{record.get('target', record['source'])}:{record.get('permissions', 'rwm')}"


DEVICES = ListOf(
    Either(
        "a device: HOST[:CONTAINER[:rwm]]",
        scalar=free("a device: HOST[:CONTAINER[:rwm]]", _device, "write /dev/ttyUSB0"),
        mapping=Object(
            "device",
            "A device of the host.",
            (
                Key("source", text(), "Path on the host.", required=True),
                Key("target", text(), "Path in the container.", "the same"),
                Key("permissions", text("r, w and m", "[rwm]{1,3}"), "What is allowed.", "rwm"),
            ),
            build=_device_long,
        ),
    )
)
