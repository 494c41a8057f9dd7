"""Merging an overlay over a workload, by the rules of Compose's override files.

Mappings are merged, lists are joined, single values are replaced; command, entrypoint and healthcheck.test are replaced
whole; lists of NAME=value are merged by name; logging is replaced when the driver differs. !reset takes a value out and
!override replaces it. Source: https://docs.docker.com/reference/compose-file/merge/ (compose-go, package override)
"""

from dataclasses import replace

from tidegate.spec.document import Node

_REPLACED = {("command",), ("entrypoint",), ("healthcheck", "test")}
_BY_NAME = {
    ("environment",): "=",
    ("labels",): "=",
    ("sysctls",): "=",
    ("extra_hosts",): "=:",
    ("logging", "options"): "=",
}
_ONE_OR_MORE = {("env_file",), ("dns",), ("tmpfs",)}


def merge(base: Node, over: Node, path: tuple[str, ...] = ()) -> Node:
    """The overlay over the base; each value keeps the place where it was written."""
    if over.tag == "!override" or path in _REPLACED or (len(path) == 2 and path[0] == "ulimits"):
        return over
    if path in _BY_NAME:
        base, over = _by_name(base, _BY_NAME[path]), _by_name(over, _BY_NAME[path])
    if path in _ONE_OR_MORE:
        base, over = _listed(base), _listed(over)
    match base.value, over.value:
        case dict(first), dict(second):
            if path == ("logging",) and _driver(first) and _driver(second) and _driver(first) != _driver(second):
                return over
            return replace(over, where=base.where, value=_mapping(first, second, path))
        case tuple(first), tuple(second):
            return replace(over, value=(*first, *second))
        case _:
            return over


def _mapping(first: dict[str, Node], second: dict[str, Node], path: tuple[str, ...]) -> dict[str, Node]:
    result = dict(first)
    for key, node in second.items():
        if node.tag == "!reset":
            result.pop(key, None)
        elif key in result and not key.startswith("x-"):
            result[key] = merge(result[key], node, (*path, key))
        else:
            result[key] = node
    return result


def _driver(logging: dict[str, Node]) -> str:
    return logging["driver"].text if "driver" in logging else ""


def _listed(node: Node) -> Node:
    return node if isinstance(node.value, tuple) else replace(node, value=(node,))


def _by_name(node: Node, separators: str) -> Node:
    """NAME=value lists as a mapping; anything else stays as it is and is reported when it is read."""
    if not isinstance(node.value, tuple) or not all(isinstance(item.value, str) for item in node.value):
        return node
    named: dict[str, Node] = {}
    for item in node.value:
        name, value = _split(item.text, separators)
        named[name] = replace(item, value=value, text=value or "")
    return replace(node, value=named)


def _split(written: str, separators: str) -> tuple[str, str | None]:
    for separator in separators:
        name, found, value = written.partition(separator)
        if found:
            return name, value
    return written, None
