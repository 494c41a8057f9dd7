"""What looks like a secret, by name, form or entropy; it never gets into the state, and `tidegate lint` warns of it.

Doubt counts as secret: a value taken for one by mistake costs a warning, or a reference to a file.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence

WORDS = frozenset({
    "password", "passwd", "passphrase", "pass", "pwd", "secret", "secrets", "token", "key", "apikey", "credential",
    "credentials", "auth", "bearer", "jwt", "dsn", "signature", "salt", "pin", "cookie", "license",
})  # fmt: skip
HARMLESS_ENDS = frozenset({
    "file", "path", "dir", "name", "id", "type", "algorithm", "ttl", "timeout", "length", "size", "enabled",
})  # fmt: skip
MARKED = (
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
    re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s@]+@", re.IGNORECASE),  # scheme://user:password@host
    re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"),  # JSON Web Token
    re.compile(r"\b(?:gh[pousr]_|glpat-|sk-|xox[abprs]-|AKIA)[\w-]{12,}"),
    re.compile(r"\b(?:password|passwd|pwd|secret|token)\s*=\s*[^\s;&]+", re.IGNORECASE),  # connection strings
)
_RANDOM = re.compile(r"[A-Za-z0-9+/=_-]{20,}")
ENTROPY = 3.6
"""Bits a character above which a text of 20 or more looks made by a machine; identifiers and words stay below."""

ENTROPY_HEX = 3.0
_HEX = re.compile(r"[0-9a-fA-F]{32,}")

_FLAG = re.compile(r"--?([\w-]+)(?:=(.*))?", re.DOTALL)


def looks_secret(name: str, value: str) -> bool:
    """Whether a variable holds something that should not be read by everybody: by its name, its form, its entropy."""
    if not value:
        return False
    words = re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower())
    named = bool(words) and words[-1] not in HARMLESS_ENDS and _names_secret(words)
    return (named and value.lower() not in ("true", "false")) or value_looks_secret(value)


def value_looks_secret(value: str) -> bool:
    """Whether a text looks like a secret whatever its name."""
    if any(pattern.search(value) for pattern in MARKED):
        return True
    if _HEX.fullmatch(value):
        return entropy(value) >= ENTROPY_HEX
    mixed = any(c.isdigit() for c in value) and any(c.isalpha() for c in value)
    # A slash at the front is a path; machines' secrets have digits and letters both.
    return bool(_RANDOM.fullmatch(value)) and mixed and not value.startswith("/") and entropy(value) >= ENTROPY


def secret_arguments(command: Sequence[str]) -> tuple[int, ...]:
    """Positions of the words of a command that look secret: --password=x, --password x, or the form of the word."""
    found = []
    for index, word in enumerate(command):
        flag = _FLAG.fullmatch(word)
        before = _FLAG.fullmatch(command[index - 1]) if index else None
        value = flag[2] if flag and flag[2] is not None else word
        by_flag = bool(flag and flag[2] and _names_secret(re.findall(r"[a-z]+", flag[1].lower())))
        after_flag = bool(
            before and before[2] is None and not flag and _names_secret(re.findall(r"[a-z]+", before[1].lower()))
        )
        if by_flag or after_flag or value_looks_secret(value):
            found.append(index)
    return tuple(found)


def entropy(text: str) -> float:
    """Shannon entropy in bits a character."""
    counts = Counter(text)
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts.values())


def _names_secret(words: Sequence[str]) -> bool:
    return any(word in WORDS or word.endswith(("password", "secret", "token", "apikey")) for word in words)
