"""Plain form of the model's dataclasses (dicts, lists, numbers, texts) and back, through cattrs.

Unions carry their class's name under "type". Unknown keys are ignored and absent ones take the default, so that a newer
Tidegate reads what an older one wrote; renames go through a migration of the store.
"""

from dataclasses import MISSING, Field, fields, is_dataclass
from enum import StrEnum
from functools import cache
from inspect import isclass
from typing import Any, TypeVar

from cattrs import Converter
from cattrs.strategies import configure_tagged_union, configure_union_passthrough

from tidegate.model import event, heartbeat, intent, operation, order, release, spec

T = TypeVar("T")

MANY = (heartbeat.Pulse, release.AgentKey)
"""Kept by the hundred thousand: worth the functions that cattrs writes and compiles for a class."""


@cache
def _converter() -> Converter:
    converter = Converter(forbid_extra_keys=False)
    # By reflection: for each class that is met cattrs would write and compile two functions, 0.1 s of every command, to
    # be two to four times faster afterwards; a state takes a millisecond either way.
    converter.register_structure_hook_factory(_is_model, lambda _: converter.structure_attrs_fromdict)
    converter.register_unstructure_hook_factory(_is_model, lambda _: converter.unstructure_attrs_asdict)
    converter.register_unstructure_hook(StrEnum, str)
    # Inner unions first: what holds them is looked into at once. The first states were written when canary was the only
    # strategy, and carry no tag.
    configure_tagged_union(spec.Step, converter, tag_name="type")
    configure_tagged_union(spec.Strategy, converter, tag_name="type", default=spec.Canary)
    configure_tagged_union(order.Work, converter, tag_name="type")
    configure_tagged_union(intent.Action, converter, tag_name="type")
    configure_tagged_union(operation.Operation, converter, tag_name="type")
    configure_union_passthrough(event.Datum, converter)
    return converter


def _is_model(kind: Any) -> bool:
    return isclass(kind) and is_dataclass(kind) and kind not in MANY


def dump(value: Any, as_type: Any = None) -> Any:
    """The plain form of a model value. Give `as_type` when the value's declared type is a union."""
    return _converter().unstructure(value, as_type)


@cache
def _short_converter() -> Converter:
    converter = _converter().copy()

    def unlike_default(value: Any) -> dict[str, Any]:
        plain = converter.unstructure_attrs_asdict(value)
        return {one.name: plain[one.name] for one in fields(value) if getattr(value, one.name) != _default(one)}

    converter.register_unstructure_hook_factory(_is_model, lambda _: unlike_default)
    return converter


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def dump_short(value: Any) -> Any:
    """The plain form without what has its default; `load` reads it alike."""
    return _short_converter().unstructure(value)


def load(plain: Any, as_type: type[T]) -> T:
    """The model value of a plain form. Raises what cattrs raises (many classes) when it does not fit."""
    return _converter().structure(plain, as_type)
