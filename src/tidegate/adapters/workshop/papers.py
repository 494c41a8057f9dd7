"""Full logs and files of evidence in a folder beside the state."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path

from tidegate.model.errors import StoreError
from tidegate.ports import Tell

log = logging.getLogger(__name__)

LOG_BYTES = 64 << 20
"""A log ends here; what comes after is lost, and the log says so."""


class FolderPapers:
    """Papers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def log(self, folder: str) -> Tell:
        """Lines are added to log.txt, each at once. What cannot be written is lost, and said once."""
        return _Log(self._folder / folder / "log.txt")

    def keep(self, folder: str, files: Mapping[str, bytes]) -> None:
        """Each appears whole or not at all. Raises StoreError."""
        place = self._folder / folder
        try:
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
            for name, content in files.items():
                part = place / f".{name}.part"
                part.write_bytes(content)
                part.replace(place / name)
        except OSError as error:
            raise StoreError(
                f"{place}: {error.strerror}", hint="free space there, or point TIDEGATE_STATE elsewhere"
            ) from error

    def where(self, folder: str) -> str:
        """The place, for a person."""
        return str(self._folder / folder)


class _Log:
    """Opened with the first line, so that a stage that says nothing leaves nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._left = LOG_BYTES
        self._lost = False

    def __call__(self, line: str) -> None:
        if self._lost:
            return
        text = f"{line}\n".encode(errors="replace")
        self._left -= len(text)
        if self._left < 0:
            text, self._lost = f"[the log ends here: more than {LOG_BYTES >> 20} MiB]\n".encode(), True
        try:
            if self._file is None:
                self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            os.write(self._file, text)
        except OSError as error:
            self._lost = True
            log.warning("%s: %s; the rest of this log is lost", self._path, error.strerror)

    def __del__(self) -> None:
        if self._file is not None:
            os.close(self._file)
