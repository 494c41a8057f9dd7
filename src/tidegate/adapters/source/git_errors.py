"""What git said, as an error that says what to do."""

import re

from tidegate.model.errors import SourceError

KNOWN = (
    (r"not a git repository", "is not a git repository", "make it one: git init && git add -A && git commit"),
    (r"dubious ownership", "belongs to another user", "git config --global --add safe.directory PATH, if you trust it"),
    (r"could not read (Username|Password)|Authentication failed|Permission denied|terminal prompts disabled|403|401",
     "asks for credentials", "give git a credential helper or an ssh key; Tidegate never asks"),
    (r"Host key verification failed", "has an ssh host key that is not known",
     "connect once by ssh, and check the key"),
    (r"Could not resolve host|unable to access|Connection (refused|timed out|reset)|unable to connect",
     "cannot be reached", "check the address and the network"),
    (r"does not appear to be a git repository|repository .* (not found|does not exist)|Repository not found",
     "is not there, or may not be read", "check the address, and who may read it"),
    (r"transport '.*' not allowed", "uses a transport that is not allowed", "use file, ssh, http, https or git"),
    (r"[Nn]ot a valid object name|bad object|unknown revision|not a tree object", "does not have this commit",
     "fetch it first, or name another"),
    (r"No space left", "cannot be copied: the disk is full", "free space (df -h)"),
)  # fmt: skip


def redact(text: str) -> str:
    """Without the passwords that URLs may carry."""
    return re.sub(r"(://)[^/@\s]+@", r"\1***@", text)


def explain(repository: str, said: str) -> SourceError:
    """The SourceError for git's standard error; git's own last line is kept in it."""
    where = redact(repository)
    lines = [line for line in redact(said).strip().splitlines() if line.strip()]
    own = next((line for line in lines if line.startswith(("fatal:", "error:"))), lines[-1] if lines else "")
    for pattern, message, hint in KNOWN:
        if re.search(pattern, said):
            return SourceError(f"{where} {message} ({own})", hint=hint)
    return SourceError(f"{where}: git failed: {own or 'without a word'}", hint="run the same by hand to see more")
