"""tidegate.yaml in, model.spec out, with file:line:key errors; JSON Schema and reference docs.

Never touches an engine or a store. What may be imported from elsewhere stands here; the rest is loaded when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidegate.spec.load import Loaded as Loaded
    from tidegate.spec.load import load as load
    from tidegate.spec.load import load_spec as load_spec
    from tidegate.spec.load import parse_spec as parse_spec

_HOME = {
    "Loaded": "load",
    "load": "load",
    "load_spec": "load",
    "parse_spec": "load",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
