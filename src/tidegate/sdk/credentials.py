"""An instance's own credential: traded for an enrolment token once, kept in a file where one is named."""

import logging
import os
from dataclasses import replace
from pathlib import Path

from tidegate.sdk import wire
from tidegate.sdk.identity import Identity

log = logging.getLogger("tidegate.sdk")


def enrolled(identity: Identity, timeout_s: float) -> Identity:
    """The identity with a token: its own, the one that was kept, or a new one; raises Refused or OSError.

    Without a file the credential lasts as long as the process, and the next one enrols again.
    """
    if identity.token or not (identity.credential_file or identity.enrolment):
        return identity
    kept = _read(identity.credential_file)
    if kept:
        return replace(identity, token=kept)
    if not identity.enrolment:
        return identity
    token = wire.enrol(identity, timeout_s)
    if identity.credential_file:
        _write(Path(identity.credential_file), token)
    return replace(identity, token=token)


def forgotten(identity: Identity) -> Identity:
    """After a refusal: a credential that was enrolled for may be enrolled for again."""
    if not identity.enrolment:
        return identity
    if identity.credential_file:
        Path(identity.credential_file).unlink(missing_ok=True)
    return replace(identity, token="")


def _read(file: str) -> str:
    try:
        return Path(file).read_text().strip() if file else ""
    except (OSError, UnicodeDecodeError):
        return ""


def _write(file: Path, token: str) -> None:
    """Readable for this user only, whole or not at all. A disk that takes nothing costs one enrolment a start."""
    draft = file.with_name(f".{file.name}.new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft.unlink(missing_ok=True)
        handle = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "w") as stream:
            stream.write(token + "\n")
        draft.replace(file)
    except OSError as problem:
        log.warning("the credential cannot be kept in %s (%s)", file, problem.strerror)
