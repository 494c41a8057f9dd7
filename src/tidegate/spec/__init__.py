"""tidegate.yaml in, model.spec out, with file:line:key errors; JSON Schema and reference docs.

Never touches an engine or a store. What other packages use stands here; each part is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidegate.spec.jsonschema import schema as schema
    from tidegate.spec.linter import lint as lint
    from tidegate.spec.linter import lint_text as lint_text
    from tidegate.spec.loader import Loaded as Loaded
    from tidegate.spec.loader import load as load
    from tidegate.spec.loader import load_policy as load_policy
    from tidegate.spec.loader import load_spec as load_spec
    from tidegate.spec.loader import parse_spec as parse_spec
    from tidegate.spec.plain import Change as Change
    from tidegate.spec.plain import diff_workloads as diff_workloads
    from tidegate.spec.plain import plain_workload as plain_workload
    from tidegate.spec.recognise import Suggestion as Suggestion
    from tidegate.spec.recognise import suggest as suggest
    from tidegate.spec.reference import explain_key as explain_key
    from tidegate.spec.reference import markdown as markdown
    from tidegate.spec.starter import init as init

_PARTS = {
    "jsonschema": ("schema",),
    "linter": ("lint", "lint_text"),
    "loader": ("Loaded", "load", "load_policy", "load_spec", "parse_spec"),
    "plain": ("Change", "diff_workloads", "plain_workload"),
    "reference": ("explain_key", "markdown"),
    "recognise": ("Suggestion", "suggest"),
    "starter": ("init",),
}


def __getattr__(name: str) -> Any:
    for part, names in _PARTS.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{part}"), name)
    raise AttributeError(f"module {__name__} has no attribute {name}")
