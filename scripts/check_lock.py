"""Does requirements.lock satisfy pyproject.toml? Prints what does not, and exits with 1. No network."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


def problems() -> list[str]:
    """One sentence for each requirement that the lock does not meet."""
    text = (ROOT / "requirements.lock").read_text()
    pins = {canonicalize_name(name): version for name, version in PIN.findall(text)}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    declared = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    for extra in project["project"]["optional-dependencies"].values():
        declared.extend(extra)
    found = []
    for requirement in map(Requirement, declared):
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        pin = pins.get(canonicalize_name(requirement.name))
        if pin is None:
            found.append(f"{requirement} is not in requirements.lock")
        elif not requirement.specifier.contains(pin, prereleases=True):
            found.append(f"{requirement} is locked at {pin}")
    if "://" in text:
        found.append("requirements.lock names a registry")
    documented = (ROOT / "docs" / "dependencies.md").read_text()
    found.extend(
        f"{requirement.name} has no reason in docs/dependencies.md"
        for requirement in map(Requirement, declared)
        if f"`{requirement.name}`" not in documented
    )
    return found


if __name__ == "__main__":
    complaints = problems()
    for complaint in complaints:
        print(f"check_lock: {complaint}", file=sys.stderr)
    if complaints:
        print("check_lock: mend it with `make lock`, or in docs/dependencies.md", file=sys.stderr)
    sys.exit(1 if complaints else 0)
