"""Registry credentials, as `docker login` left them: config.json with auths, credHelpers and credsStore.

Nothing here is kept or printed; an error names the registry and the helper, never what they said.
Source: https://docs.docker.com/reference/cli/docker/login/#credential-stores
"""

import asyncio
import base64
import binascii
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tidegate.model.errors import ImageError

HUB = "docker.io"
HUB_KEYS = ("https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io")
HELPER_DEADLINE_S = 10.0


def registry_of(reference: str) -> str:
    """The registry's host (and port) that a reference names; the hub when it names none."""
    head, slash, _ = reference.partition("/")
    return head if slash and ("." in head or ":" in head or head == "localhost") else HUB


def full_reference(reference: str) -> str:
    """The reference with its registry spelled out."""
    if registry_of(reference) != HUB or reference.startswith(f"{HUB}/"):
        return reference
    return f"{HUB}/{reference}" if "/" in reference else f"{HUB}/library/{reference}"


def config_folder(configured: Path | None) -> Path:
    """Where the docker command line keeps its configuration."""
    return configured or Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")


async def credentials(reference: str, folder: Path) -> dict[str, str] | None:
    """What to log in with to pull `reference`; None to pull anonymously. Raises ImageError for a broken config."""
    config = _read(folder / "config.json")
    keys = HUB_KEYS if registry_of(reference) == HUB else _spellings(registry_of(reference))
    helpers = config.get("credHelpers") or {}
    for key in keys:
        if helper := helpers.get(key):
            return await _ask_helper(str(helper), key)
    for key in keys:
        if found := _plain((config.get("auths") or {}).get(key), folder):
            return found
    if store := config.get("credsStore"):
        for key in keys:
            if found := await _ask_helper(str(store), key):
                return found
    return None


def _spellings(registry: str) -> tuple[str, ...]:
    return (registry, f"https://{registry}", f"http://{registry}", f"https://{registry}/v1/", f"https://{registry}/v2/")


def _read(path: Path) -> Mapping[str, Any]:
    try:
        parsed = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not JSON"
        raise ImageError(f"{path}: {reason}", hint="mend the file, or docker login again") from None
    if not isinstance(parsed, Mapping):
        raise ImageError(f"{path}: not a JSON object", hint="mend the file, or docker login again")
    return parsed


def _plain(entry: Mapping[str, Any] | None, folder: Path) -> dict[str, str] | None:
    if not entry:
        return None
    if token := entry.get("identitytoken"):
        return {"identitytoken": str(token)}
    if "username" in entry and "password" in entry:
        return {"username": str(entry["username"]), "password": str(entry["password"])}
    if not entry.get("auth"):
        return None
    try:
        user, colon, password = base64.b64decode(str(entry["auth"])).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        colon = ""
    if not colon:
        raise ImageError(f"{folder / 'config.json'}: an auth that is not base64 of user:password", hint="docker login")
    return {"username": user, "password": password}


async def _ask_helper(helper: str, key: str) -> dict[str, str] | None:
    program = f"docker-credential-{helper}"
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(program, "get", stdin=pipe, stdout=pipe, stderr=pipe)
    except OSError as error:
        raise ImageError(
            f"credentials of {key}: {program}: {error.strerror}", hint="install the helper, or docker login again"
        ) from None
    try:
        async with asyncio.timeout(HELPER_DEADLINE_S):
            answer, _ = await process.communicate(key.encode())
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise ImageError(f"credentials of {key}: {program} did not answer in {HELPER_DEADLINE_S:g} s") from None
    if process.returncode != 0:  # "credentials not found" is an answer too
        return None
    try:
        parsed = json.loads(answer)
        user, secret = str(parsed["Username"]), str(parsed["Secret"])
    except (ValueError, KeyError, TypeError):
        raise ImageError(f"credentials of {key}: {program} did not answer with Username and Secret") from None
    return {"identitytoken": secret} if user == "<token>" else {"username": user, "password": secret}
