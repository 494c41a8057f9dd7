"""An environment's overlay on the configuration of a release that is older than the spec. Pure."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from tidegate.model.release import Release
from tidegate.model.workload import Workload

BELONG_TO_ENVIRONMENT = frozenset({"secrets", "image"})


def overlaid(release: Release, base: Workload, environment: Workload) -> Workload:
    """The release's own configuration with what the environment changes; image and configuration belong together.

    `base` and `environment` are the spec's workload without and with the overlay: where they differ, the environment's
    value counts (single variables and labels, whole values elsewhere). Where they agree, the release's counts.
    """
    own = release.workload
    changed: dict[str, Any] = {"image": release.image.reference, "secrets": environment.secrets}
    for field in fields(Workload):
        before, after = getattr(base, field.name), getattr(environment, field.name)
        if field.name in BELONG_TO_ENVIRONMENT or before == after:
            continue
        mine = getattr(own, field.name)
        changed[field.name] = _merged(mine, before, after) if isinstance(after, Mapping) else after
    return replace(own, **changed)


def _merged(mine: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    gone = before.keys() - after.keys()
    own = {name: value for name, value in mine.items() if name not in gone}
    return own | {name: value for name, value in after.items() if before.get(name) != value}
