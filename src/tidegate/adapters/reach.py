"""Whether this machine reaches an engine's containers by their addresses."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def is_walled(info: Mapping[str, Any]) -> bool:
    """Whether an engine's info says that its network is not this machine's. Pure.

    Docker Desktop's is a virtual machine's, a rootless engine has a namespace of its own.
    """
    return is_rootless(info) or is_desktop(info)


def is_rootless(info: Mapping[str, Any]) -> bool:
    """Whether the engine runs as an ordinary user."""
    return any("rootless" in str(option) for option in info.get("SecurityOptions") or ())


def is_desktop(info: Mapping[str, Any]) -> bool:
    """Whether the engine runs in Docker Desktop's virtual machine."""
    return "Docker Desktop" in str(info.get("OperatingSystem", ""))


def may_be_walled(url: str) -> bool:
    """Whether an engine on this machine is worth asking: root's own is neither rootless nor Docker Desktop's."""
    if not url.startswith("unix://"):
        return False
    try:
        return Path(url.removeprefix("unix://")).stat().st_uid != 0
    except OSError:
        return False
