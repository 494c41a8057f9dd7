"""Plain form of the model's dataclasses (dicts, lists, numbers, texts) and back, through cattrs.

Unions carry their class's name under "type". Unknown keys are ignored and absent ones take the default, so that a newer
Tidegate reads what an older one wrote; renames go through a migration of the store.
"""

from functools import cache
from typing import Any, TypeVar

from cattrs import Converter
from cattrs.strategies import configure_tagged_union, configure_union_passthrough

from tidegate.model import event, intent, operation, order, spec

T = TypeVar("T")


@cache
def _converter() -> Converter:
    converter = Converter(forbid_extra_keys=False)
    # Inner unions first: what holds them is looked into at once. The first states were written when canary was the only
    # strategy, and carry no tag.
    configure_tagged_union(spec.Step, converter, tag_name="type")
    configure_tagged_union(spec.Strategy, converter, tag_name="type", default=spec.Canary)
    configure_tagged_union(order.Work, converter, tag_name="type")
    configure_tagged_union(intent.Action, converter, tag_name="type")
    configure_tagged_union(operation.Operation, converter, tag_name="type")
    configure_union_passthrough(event.Datum, converter)
    return converter


def dump(value: Any, as_type: Any = None) -> Any:
    """The plain form of a model value. Give `as_type` when the value's declared type is a union."""
    return _converter().unstructure(value, as_type)


def load(plain: Any, as_type: type[T]) -> T:
    """The model value of a plain form. Raises what cattrs raises (ClassValidationError) when it does not fit."""
    return _converter().structure(plain, as_type)
