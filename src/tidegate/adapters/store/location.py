"""Where the state lives: $TIDEGATE_STATE, or tidegate/tidegate.db in the user's state folder (XDG)."""

import os
from collections.abc import Mapping
from pathlib import Path

from tidegate.model.errors import StoreError

FILE = "tidegate.db"
SCHEMES = ("postgresql", "sqlite")


def locate(environ: Mapping[str, str] | None = None) -> str:
    """A database URL or the path of a SQLite file.

    Source: https://specifications.freedesktop.org/basedir-spec/latest/ (XDG_STATE_HOME).
    """
    variables = os.environ if environ is None else environ
    wanted = variables.get("TIDEGATE_STATE", "").strip()
    if wanted:
        return wanted
    base = variables.get("XDG_STATE_HOME", "")
    folder = Path(base) if base.startswith("/") else Path(variables.get("HOME") or Path.home()) / ".local" / "state"
    return str(folder / "tidegate" / FILE)


def file_of(location: str) -> Path | None:
    """The SQLite file that a location names (a folder means the file in it), or None for a database server."""
    scheme, separator, rest = location.partition("://")
    if not separator:
        path = Path(location).expanduser()
        return path / FILE if path.is_dir() or location.endswith("/") else path
    name = scheme.partition("+")[0]
    if name not in SCHEMES:
        raise StoreError(
            f"the state's location begins with {scheme}://, which is neither a file nor a known database",
            hint="TIDEGATE_STATE takes a file's path or postgresql://user@host/database",
        )
    return Path(rest.removeprefix("/")) if name == "sqlite" else None


def prepare(path: Path) -> None:
    """Make the folder (0700) and the empty file (0600), so that no other user can read the state."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except PermissionError as error:
        if path.exists() and os.access(path, os.R_OK):
            return  # read only: status and history still work, and the first write says what is wrong
        raise StoreError(
            f"{path}: {error.strerror}", hint="TIDEGATE_STATE names another place for the state"
        ) from error
    except OSError as error:
        if error.errno == 30 and path.exists():
            return
        raise StoreError(
            f"{path}: {error.strerror}", hint="TIDEGATE_STATE names another place for the state"
        ) from error
