"""Shapes: what a value may look like. Each shape reads a node, describes itself, and gives its JSON Schema.

The tables of keys made of these are the only description of the format: validation, JSON Schema, `tidegate docs KEY`
and docs/reference/spec.md all come from them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from tidegate.spec.context import Context, Where, did_you_mean
from tidegate.spec.document import Node

INVALID: Final = object()
"""Read instead of a value that is wrong; the context knows why."""

Schema = dict[str, Any]


class Shape(Protocol):
    """Anything that a value can be read with."""

    @property
    def expected(self) -> str:
        """A phrase for "expected ..."."""

    def read(self, node: Node, context: Context) -> Any:
        """The value, or INVALID after noting why."""

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        """JSON Schema 2020-12; named objects go into `definitions`."""


def found(node: Node) -> str:
    """What a node holds, as it is written in the file and short enough for a line."""
    match node.value:
        case None:
            return "nothing"
        case tuple():
            return "a list"
        case dict():
            return "a mapping"
        case bool():
            return node.raw
        case int() | float():
            return f"the number {node.raw[:40]}"
        case _:
            return f"the text {node.raw if len(node.raw) <= 60 else node.raw[:57] + '...'!r}"


def mismatch(node: Node, expected: str, context: Context, hint: str = "", hidden: bool = False) -> object:
    """Note that a node is not what was expected; gives INVALID."""
    if node.broken:
        return INVALID
    if node.unset:
        hint = "; ".join(filter(None, (f"{', '.join(node.unset)} is not set, so it is empty", hint)))
    what = "a value (not shown)" if hidden and node.is_scalar and node.value is not None else found(node)
    context.error(node.where, f"found {what}; expected {expected}", hint)
    return INVALID


@dataclass(frozen=True)
class Scalar:
    """A single value. `convert` raises ValueError with a hint; `hidden` keeps the value out of messages."""

    expected: str
    convert: Callable[[Node], Any]
    json: Schema
    hint: str = ""
    hidden: bool = False

    def read(self, node: Node, context: Context) -> Any:
        """Convert, or say why not."""
        if not node.is_scalar:
            return mismatch(node, self.expected, context, self.hint)
        try:
            return self.convert(node)
        except ValueError as error:
            return mismatch(node, self.expected, context, str(error) or self.hint, self.hidden)

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        """As declared."""
        return dict(self.json)


@dataclass(frozen=True)
class ListOf:
    """A list of one shape, as a tuple; wrong items are left out after noting why."""

    item: Shape
    least: int = 0
    expected: str = "a list"

    def read(self, node: Node, context: Context) -> Any:
        """Every item, in order."""
        if not isinstance(node.value, tuple):
            return mismatch(node, self.expected, context, 'begin each item with "- "')
        if len(node.value) < self.least:
            return mismatch(node, f"at least {self.least} item", context, "add an item, or take out the key")
        read = [self.item.read(item, context) for item in node.value]
        return tuple(value for value in read if value is not INVALID)

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        """An array."""
        return {
            "type": "array",
            "items": self.item.schema(definitions),
            **({"minItems": self.least} if self.least else {}),
        }


@dataclass(frozen=True)
class MapOf:
    """A mapping of free names to one shape. `check_name` raises ValueError with a hint for a name that will not do."""

    value: Shape
    noun: str = "name"
    check_name: Callable[[str], object] | None = None
    pattern: str = ""
    least: int = 0

    @property
    def expected(self) -> str:
        """A mapping of its noun."""
        return f"a mapping of {self.noun}s"

    def read(self, node: Node, context: Context) -> Any:
        """Name -> value."""
        if not isinstance(node.value, dict):
            return mismatch(node, self.expected, context, f"write {self.noun}: value, one a line")
        if len(node.value) < self.least:
            return mismatch(node, f"at least one {self.noun}", context, "add one, or take out the key")
        result: dict[str, Any] = {}
        for name, child in node.value.items():
            try:
                if self.check_name:
                    self.check_name(name)
            except ValueError as error:
                context.error(child.where, f"is not a valid {self.noun}", str(error))
                continue
            value = self.value.read(child, context)
            if value is not INVALID:
                result[name] = value
        return result

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        """An object with free property names."""
        schema: Schema = {"type": "object", "additionalProperties": self.value.schema(definitions)}
        if self.pattern:
            schema["propertyNames"] = {"pattern": self.pattern}
        if self.least:
            schema["minProperties"] = self.least
        return schema


@dataclass(frozen=True)
class Either:
    """Several shapes, told apart by whether the node is a single value, a list or a mapping."""

    expected: str
    scalar: Shape | None = None
    sequence: Shape | None = None
    mapping: Shape | None = None
    hint: str = ""

    def read(self, node: Node, context: Context) -> Any:
        """By the shape for the node's kind."""
        match node.value:
            case tuple():
                shape = self.sequence
            case dict():
                shape = self.mapping
            case _:
                shape = self.scalar
        return shape.read(node, context) if shape else mismatch(node, self.expected, context, self.hint)

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        """Any of them."""
        shapes = [shape for shape in (self.scalar, self.sequence, self.mapping) if shape]
        return {"anyOf": [shape.schema(definitions) for shape in shapes]}


@dataclass(frozen=True)
class Key:
    """One key of an object. `default` and `doc` are for people; `aliases` are other spellings that are understood."""

    name: str
    shape: Shape
    doc: str
    default: str = ""
    required: bool = False
    aliases: tuple[str, ...] = ()


def own(*keys: Key) -> tuple[Key, ...]:
    """Keys of ours, which are understood in Kubernetes' spelling (failureLimit) too."""
    return tuple(replace(key, aliases=(*_camel(key.name), *key.aliases)) for key in keys)


def _camel(name: str) -> tuple[str, ...]:
    first, *rest = name.split("_")
    return (first + "".join(part.capitalize() for part in rest),) if rest else ()


@dataclass(frozen=True)
class Refused:
    """A key that we know of and do not support. An error when leaving it out changes what the agent does."""

    instead: str
    error: bool = True


class Record(dict[str, Any]):
    """What was read of an object: canonical key -> value, with the place of each key."""

    def __init__(self, node: Node) -> None:
        super().__init__()
        self.node = node
        self.places: dict[str, Where] = {}

    def at(self, key: str) -> Where:
        """The place of a key, or of the object when the key is absent."""
        return self.places.get(key, self.node.where)


@dataclass(frozen=True)
class Object:
    """A mapping with known keys. Exactly one of `one_of` must be given. `build` turns the record into a model value."""

    name: str
    doc: str
    keys: tuple[Key, ...]
    refused: Mapping[str, Refused] = field(default_factory=dict)
    one_of: tuple[str, ...] = ()
    belongs: Mapping[str, str] = field(default_factory=dict)
    build: Callable[[Record, Context], Any] | None = None
    expected: str = "a mapping"
    may_be_empty: bool = False
    hidden: bool = False

    def read(self, node: Node, context: Context) -> Any:
        """A Record, or what `build` makes of it."""
        if self.may_be_empty and node.value is None:
            node = replace(node, value={})
        if not isinstance(node.value, dict):
            names = ", ".join(key.name for key in self.keys[:6])
            hint = f"its keys: {names}{', ...' if len(self.keys) > 6 else ''}"
            return mismatch(node, self.expected, context, hint, self.hidden)
        record = Record(node)
        known = {spelling: key for key in self.keys for spelling in (key.name, *key.aliases)}
        for name, child in node.value.items():
            if name in known:
                self._read_key(known[name], child, record, context)
            elif not name.startswith("x-"):
                self._unknown(name, child, context)
        self._check_present(record, context)
        return self.build(record, context) if self.build else record

    def _read_key(self, key: Key, child: Node, record: Record, context: Context) -> None:
        if key.name in record.places:
            context.error(child.where, f"is another spelling of {key.name}, which is given too", "keep one of the two")
            return
        record.places[key.name] = child.where
        value = key.shape.read(child, context)
        if value is not INVALID:
            record[key.name] = value

    def _unknown(self, name: str, child: Node, context: Context) -> None:
        if refused := self.refused.get(name):
            note = context.error if refused.error else context.warn
            note(child.where, "is not supported" if refused.error else "has no effect here", refused.instead)
        elif place := self.belongs.get(name):
            context.error(child.where, "does not belong here", f"write it as {place}")
        else:
            names = [key.name for key in self.keys]
            spellings = [spelling for key in self.keys for spelling in (key.name, *key.aliases)]
            guess = did_you_mean(name, spellings)
            context.error(child.where, "is unknown", guess if guess.startswith("did") else did_you_mean(name, names))

    def _check_present(self, record: Record, context: Context) -> None:
        for key in self.keys:
            if key.required and key.name not in record.places:
                context.error(record.node.where, f"{key.name} is missing", f"add {key.name}: {key.doc.rstrip('.')}")
        given = [name for name in self.one_of if name in record.places]
        if self.one_of and len(given) != 1:
            choice = f"{', '.join(self.one_of[:-1])} or {self.one_of[-1]}"
            message = f"found {' and '.join(given) or 'none'}; expected exactly one of {choice}"
            context.error(record.node.where, message, "keep one" if given else "add one")

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        """A reference to its definition."""
        if self.name not in definitions:
            definitions[self.name] = {}
            definitions[self.name] = self._definition(definitions)
        return {"$ref": f"#/$defs/{self.name}"}

    def _definition(self, definitions: dict[str, Schema]) -> Schema:
        properties: dict[str, Schema] = {}
        for key in self.keys:
            described: Schema = {**key.shape.schema(definitions), "description": key.doc}
            for spelling in (key.name, *key.aliases):
                properties[spelling] = described
        for name, refused in self.refused.items():
            if not refused.error:
                properties[name] = {"deprecated": True, "description": f"No effect: {refused.instead}."}
        result: Schema = {
            "type": ["object", "null"] if self.may_be_empty else "object",
            "description": self.doc,
            "properties": properties,
            "patternProperties": {"^x-": True},
            "additionalProperties": False,
        }
        required = [key.name for key in self.keys if key.required]
        if required:
            result["required"] = required
        if self.one_of:
            aliases = {key.name: (key.name, *key.aliases) for key in self.keys}
            result["oneOf"] = [
                {"anyOf": [{"required": [spelling]} for spelling in aliases[name]]} for name in self.one_of
            ]
        return result
