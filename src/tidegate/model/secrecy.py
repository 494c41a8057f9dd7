"""What looks like a secret: by a variable's name or by its value. Errs towards yes."""

import re

_NAME = re.compile(
    r"PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|API_?KEY|PRIVATE_?KEY|ACCESS_?KEY|CREDENTIAL|(^|_)(PWD|PASS|AUTH|DSN)$",
    re.IGNORECASE,
)
_NOT_SECRET = re.compile(
    r"(_FILE|_PATH|_URL_PATH|_TTL|_TIMEOUT|_NAME|_ID|_COUNT|_LIMIT|MAX_TOKENS|_TOKENS)$", re.IGNORECASE
)
_VALUE = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|\bAKIA[0-9A-Z]{16}\b"
    r"|\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_[A-Za-z0-9_]{20,}|\bglpat-[A-Za-z0-9_\-]{15,}"
    r"|\bxox[abprs]-[A-Za-z0-9\-]{10,}"
    r"|\bsk-[A-Za-z0-9_\-]{20,}"
    r"|\beyJ[A-Za-z0-9_\-]{8,}\.eyJ[A-Za-z0-9_\-]{8,}\."
    r"|[a-z][a-z0-9+.\-]*://[^/\s:@]*:[^/\s:@]+@"
)


def name_looks_secret(name: str) -> bool:
    """Whether a variable of this name usually holds a secret."""
    return bool(_NAME.search(name)) and not _NOT_SECRET.search(name)


def value_looks_secret(value: str) -> bool:
    """Whether the value has the form of a known kind of secret (keys, tokens, addresses with a password)."""
    return bool(_VALUE.search(value))


def looks_secret(name: str, value: str) -> bool:
    """Either of the two; an empty value is no secret."""
    return bool(value) and (name_looks_secret(name) or value_looks_secret(value))
