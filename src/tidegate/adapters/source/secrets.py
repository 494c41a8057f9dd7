"""References to secrets become values just before an instance is created; errors name the reference, never a value."""

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tidegate.adapters.command import Limits, TooLongError, TooMuchError, run
from tidegate.model.errors import SecretError
from tidegate.model.workload import SecretRef, Workload

LIMITS = Limits(deadline_s=10.0, out_bytes=64 << 10)


@dataclass(frozen=True)
class Secrets:
    """SecretSource: files (relative ones in `folder`, that of tidegate.yaml), the environment, and commands."""

    folder: Path = field(default_factory=Path)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    limits: Limits = LIMITS

    async def resolve(self, workload: Workload) -> dict[str, str]:
        """Variable -> value. Raises SecretError."""
        return {ref.variable: await self._value(ref) for ref in workload.secrets}

    async def _value(self, ref: SecretRef) -> str:
        match ref.source:
            case "file":
                raw = self._file(ref)
            case "environment":
                raw = self._variable(ref)
            case "command":
                raw = await self._command(ref)
            case other:
                raise _error(ref, f"{other!r} is no source of secrets", "use file, environment or command")
        try:
            # One newline at the end is the editor's or echo's, not the secret's.
            value = _without_newline(raw.decode())
        except UnicodeDecodeError:
            raise _error(ref, "it is not text (UTF-8)", "encode it, for example with base64") from None
        if "\0" in value:
            raise _error(ref, "it holds a NUL byte, which no environment variable can", "encode it with base64")
        if not value:
            raise _error(ref, "it is empty", "an empty secret is nearly always a mistake; leave the variable out")
        return value

    def _file(self, ref: SecretRef) -> bytes:
        path = self.folder / Path(ref.reference).expanduser()
        try:
            with path.open("rb") as file:
                raw = file.read(self.limits.out_bytes + 1)
        except OSError as error:
            raise _error(
                ref, f"{path}: {error.strerror}", "make the file, readable for whoever runs Tidegate"
            ) from None
        if len(raw) > self.limits.out_bytes:
            raise _error(ref, f"{path} is larger than {self.limits.out_bytes} bytes", "is it the right file?")
        return raw

    def _variable(self, ref: SecretRef) -> bytes:
        value = self.environ.get(ref.reference)
        if value is None:
            raise _error(ref, "it is not set where Tidegate runs", f"export {ref.reference} before starting Tidegate")
        return value.encode(errors="surrogateescape")

    async def _command(self, ref: SecretRef) -> bytes:
        try:
            argv = shlex.split(ref.reference)
        except ValueError as error:
            raise _error(ref, f"the command cannot be split into words: {error}", "check its quotes") from None
        if not argv:
            raise _error(ref, "the command is empty", "name a program")
        try:
            result = await run(argv, self.environ, str(self.folder), self.limits)
        except (TooLongError, TooMuchError) as error:
            raise _error(ref, f"the command gave {error}", "run it by hand; it may wait for input") from None
        except OSError as error:
            raise _error(ref, f"{argv[0]}: {error.strerror}", "see that it is installed; no shell is used") from None
        if result.code:
            # What it wrote is not shown: programs repeat secrets in their errors.
            raise _error(ref, f"the command ended with {result.code}", "run it by hand to see what it says")
        return result.out


def _without_newline(text: str) -> str:
    return text.removesuffix("\r\n") if text.endswith("\r\n") else text.removesuffix("\n")


def _error(ref: SecretRef, why: str, hint: str) -> SecretError:
    return SecretError(f"secret {ref.variable} (from {ref.source} {ref.reference}): {why}", hint=hint)
