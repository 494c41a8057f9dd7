"""JSON Schema (2020-12) of tidegate.yaml, made from the tables of keys."""

from typing import Any

from tidegate.spec.format import TOP

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """The schema for editors and CI. What depends on several keys at once is checked by `tidegate lint` only."""
    definitions: dict[str, Any] = {}
    reference = TOP.schema(definitions)
    return {"$schema": DIALECT, "title": "tidegate.yaml", **reference, "$defs": dict(sorted(definitions.items()))}
