"""YAML text into nodes that know their file, line and key.

Built from the parser's events with a stack of our own, so that deep nesting, aliases that multiply and keys given twice
are problems with a place, never a crash. YAML 1.2; one document a file.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from tidegate.spec.context import Context, Where
from tidegate.spec.scalars import Plain, resolve

MAX_BYTES = 256 * 1024
MAX_DEPTH = 30
MAX_NODES = 20_000
_CORE_TAGS = ("str", "int", "float", "bool", "null", "map", "seq")
COMPOSE_TAGS = ("!reset", "!override")


@dataclass(eq=False)
class Raw:
    """A value as the parser gave it: children are added while it is being read, hence not frozen."""

    line: int
    tag: str = ""
    scalar: str | None = None
    plain: bool = False
    items: list["Raw"] | None = None
    entries: list[tuple["Raw", "Raw"]] | None = None
    open: bool = False


@dataclass(frozen=True)
class Node:
    """A value with its place. `value` is a plain value, a tuple of nodes or a mapping of nodes by key.

    `raw` is a scalar as written: messages show that, never what a variable put there. `text` has variables filled in;
    a `broken` one is known to be wrong already, so nothing more is said about it.
    """

    where: Where
    value: Plain | tuple["Node", ...] | dict[str, "Node"]
    raw: str = ""
    text: str = ""
    tag: str = ""
    unset: tuple[str, ...] = field(default=())
    broken: bool = False

    @property
    def is_scalar(self) -> bool:
        """Whether it is a single value."""
        return not isinstance(self.value, (tuple, dict))


def parse_yaml(text: str, file: str, context: Context) -> Node | None:
    """The document's root, or None when there is nothing usable in it (then the context says why)."""
    top = Where(file, 1, "")
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        context.error(
            top, f"the file is larger than {MAX_BYTES // 1024} KiB", "a spec is a page long; is this the file?"
        )
        return None
    composer = _Composer(top, context)
    try:
        composer.run(YAML(typ="safe", pure=True).parse(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        context.error(Where(file, line, ""), *_syntax(str(error.problem or error.context or "cannot be read as YAML")))
        return None
    except (YAMLError, ValueError, RecursionError) as error:
        first = (str(error).splitlines() or ["cannot be read"])[0]
        context.error(top, f"is not YAML text: {first[:120]}", "save it as UTF-8 text")
        return None
    if composer.root is None or (composer.root.scalar == "" and composer.root.plain):
        if not context.errors:
            context.error(top, "the file is empty", "tidegate init writes one to begin with")
        return None
    return None if composer.broken else _Expander(context).node(composer.root, top)


def _syntax(problem: str) -> tuple[str, str]:
    if "'\\t'" in problem or "\t" in problem:
        return "a tab stands where YAML wants spaces", "indent with spaces"
    if "mapping values are not allowed" in problem:
        return problem, 'put the value in quotes when it holds ": ", or mend the indentation'
    if "undefined alias" in problem:
        return problem, "define the anchor (&name) above its use (*name)"
    return problem, "mend the YAML here: look at quotes, brackets and indentation, on the line above too"


class _Composer:
    """Events into Raw values."""

    def __init__(self, top: Where, context: Context) -> None:
        self.root: Raw | None = None
        self.broken = False
        self._top = top
        self._context = context
        self._anchors: dict[str, Raw] = {}
        self._stack: list[Raw] = []
        self._keys: list[Raw | None] = []
        self._documents = 0
        self._count = 0

    def run(self, events: Iterator[Any]) -> None:
        """Read until the end, or until the document is known to be useless."""
        for event in events:
            self._take(event)
            if self.broken:
                return

    def _fail(self, line: int, message: str, hint: str) -> None:
        self.broken = True
        self._context.error(Where(self._top.file, line, ""), message, hint)

    def _take(self, event: Any) -> None:
        line = event.start_mark.line + 1
        match event:
            case DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    self._fail(line, "a second document begins here", "one agent a file: take out the line ---")
            case AliasEvent():
                target = self._anchors.get(event.anchor)
                if target is None:
                    self._fail(line, f"the alias *{event.anchor} has no anchor", "define &name above its use")
                elif target.open:
                    self._fail(line, f"the alias *{event.anchor} stands inside what it names", "write the value out")
                else:
                    self._add(target)
            case ScalarEvent():
                plain = event.style is None and bool(event.implicit[0])
                self._begin(event, Raw(line, _tag(event), scalar=event.value, plain=plain))
            case SequenceStartEvent():
                self._begin(event, Raw(line, _tag(event), items=[], open=True))
            case MappingStartEvent():
                self._begin(event, Raw(line, _tag(event), entries=[], open=True))
            case SequenceEndEvent() | MappingEndEvent():
                self._stack.pop().open = False
                self._keys.pop()
            case _:
                pass

    def _begin(self, event: Any, raw: Raw) -> None:
        self._count += 1
        if event.anchor:
            self._anchors[event.anchor] = raw
        self._add(raw)
        if raw.open:
            self._stack.append(raw)
            self._keys.append(None)
        if len(self._stack) > MAX_DEPTH:
            self._fail(raw.line, f"nested deeper than {MAX_DEPTH} levels", "a spec needs eight at most")
        elif self._count > MAX_NODES:
            self._fail(raw.line, f"more than {MAX_NODES} values", "a spec is a page long; is this the file?")

    def _add(self, raw: Raw) -> None:
        if not self._stack:
            self.root = raw
            return
        parent = self._stack[-1]
        if parent.items is not None:
            parent.items.append(raw)
        elif self._keys[-1] is None:
            self._keys[-1] = raw
        elif parent.entries is not None:
            parent.entries.append((self._keys[-1], raw))
            self._keys[-1] = None


def _tag(event: Any) -> str:
    return str(event.tag) if event.tag else ""


class _Expander:
    """Raw values into nodes: aliases and merge keys (<<) are resolved, keys are unique texts."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._left = MAX_NODES

    def node(self, raw: Raw, where: Where) -> Node:
        self._left -= 1
        tag = self._known_tag(raw, where)
        if self._left == 0:
            self._context.error(where, f"aliases make more than {MAX_NODES} values of it", "write the values out")
        if self._left <= 0:
            return Node(where, None)
        if raw.items is not None:
            items = (self.node(item, where.child(f"[{i}]", item.line)) for i, item in enumerate(raw.items))
            return Node(where, tuple(items), tag=tag)
        if raw.entries is not None:
            return Node(where, self._entries(raw.entries, where), tag=tag)
        text = raw.scalar or ""
        as_text = tag == "tag:yaml.org,2002:str" or not raw.plain
        return Node(where, text if as_text else resolve(text), raw=text, text=text, tag=tag)

    def _known_tag(self, raw: Raw, where: Where) -> str:
        if not raw.tag or raw.tag in COMPOSE_TAGS:
            return raw.tag
        if raw.tag.removeprefix("tag:yaml.org,2002:") in _CORE_TAGS:
            return raw.tag
        self._context.error(where, f"the tag {raw.tag[:40]} means nothing here", "take the tag out")
        return ""

    def _entries(self, entries: list[tuple[Raw, Raw]], where: Where) -> dict[str, Node]:
        found: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        for key, value in entries:
            if key.scalar is None:
                self._context.error(
                    where.child("", key.line), "a key is a list or a mapping", "write a word as the key"
                )
                continue
            if key.scalar == "<<" and key.plain:
                self._merge(value, where, merged)
                continue
            place = where.child(_printable(key.scalar), key.line)
            if key.scalar in found:
                first = found[key.scalar].where.line
                self._context.error(place, f"is given twice; the first is on line {first}", "keep one of the two")
                continue
            found[key.scalar] = self.node(value, place)
        return {**{key: node for key, node in merged.items() if key not in found}, **found}

    def _merge(self, value: Raw, where: Where, merged: dict[str, Node]) -> None:
        sources = value.items if value.items is not None else [value]
        for source in sources:
            self._left -= 1
            if self._left <= 0:
                self._context.error(where.child("<<", value.line), "<< merges too much", "write the values out")
                return
            if source.entries is None:
                self._context.error(where.child("<<", value.line), "<< takes a mapping", "write <<: *anchor")
                continue
            for key, node in self._entries(source.entries, where).items():
                merged.setdefault(key, node)


def _printable(key: str) -> str:
    return key if key.isprintable() and 0 < len(key) <= 80 else repr(key[:60])
