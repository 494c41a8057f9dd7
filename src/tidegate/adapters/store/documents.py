"""Model values as text for a `document` column, and back."""

import json
from typing import Any, TypeVar

from tidegate.adapters.store.upgrades import DOCUMENT_VERSION, Kind, upgrade
from tidegate.model import codec
from tidegate.model.errors import StoreError, TidegateError

T = TypeVar("T")


def columns(value: Any) -> dict[str, Any]:
    """The two columns that hold a value: its JSON text and the version of the form."""
    return {"version": DOCUMENT_VERSION, "document": json.dumps(codec.dump(value), separators=(",", ":"))}


def value(kind: Kind, as_type: type[T], version: int, document: str) -> T:
    """The model value of a document. Raises StoreError when it cannot be understood."""
    try:
        return codec.load(upgrade(kind, json.loads(document), version), as_type)
    except TidegateError:
        raise
    except Exception as error:
        # cattrs raises exception groups of many classes; whichever it is, the document is what is wrong.
        raise StoreError(
            f"a stored {kind} (form {version}) cannot be understood: {type(error).__name__}: {error}",
            hint="restore the state from a backup, or report this with the Tidegate version that wrote it",
        ) from error
