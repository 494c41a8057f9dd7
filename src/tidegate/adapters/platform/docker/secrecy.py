"""Where the secrets of an adopted container go: files of one user, never the state. Errors without secrets."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from tidegate.model.errors import StoreError, TidegateError
from tidegate.model.workload import SecretRef


def save_secrets(values: Mapping[str, str], folder: Path) -> tuple[SecretRef, ...]:
    """Write each value into a file that only its owner may read (0600 in a folder of 0700); what refers to them.

    Each file is complete or absent: written beside and renamed. Raises StoreError, which names the file only.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        return tuple(SecretRef(name, "file", str(_write(folder / name, value))) for name, value in values.items())
    except OSError as error:
        raise StoreError(
            f"{error.filename or folder}: {error.strerror}", hint=f"free space, and mend the rights of {folder}"
        ) from None


def _write(path: Path, value: str) -> Path:
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
        file.write(value)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    return path


def scrubbed(error: TidegateError, hidden: Iterable[str]) -> TidegateError:
    """The error without values of secrets: the engine quotes what it does not like."""
    message = error.message
    for value in sorted(filter(None, hidden), key=len, reverse=True):
        message = message.replace(value, "***")
    return type(error)(message, hint=error.hint)
