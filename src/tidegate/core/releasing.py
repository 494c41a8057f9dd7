"""From a commit and an image to a release: its tag, its labels and its identity. Pure."""

from dataclasses import replace
from datetime import UTC, datetime

from tidegate.model import codec
from tidegate.model.errors import UsageError
from tidegate.model.release import Image, Provenance, Release
from tidegate.model.source import Commit, check_tag
from tidegate.model.workload import Workload, fingerprint


def image_tag(repository: str, version: str, commit: Commit) -> str:
    """The unique tag of a build, `repository:version-commit`. Raises UsageError for what no image can be called."""
    if not repository:
        raise UsageError("the image has no name", hint="set build.repository in tidegate.yaml, or name the agent")
    # A tag knows no "+" (semantic versioning's build metadata); "_" is what Helm and others put there.
    return check_tag(f"{repository}:{version.replace('+', '_')}-{commit.short}")


def image_labels(title: str, source: str, version: str, commit: Commit) -> dict[str, str]:
    """The labels of an image that was built from a commit; `created` is the commit's time, so builds can be repeated.

    Source: https://github.com/opencontainers/image-spec/blob/v1.1.0/annotations.md
    """
    created = datetime.fromtimestamp(commit.committed_at, UTC).isoformat().replace("+00:00", "Z")
    facts = {"title": title, "version": version, "revision": commit.id, "source": source, "created": created}
    return {f"org.opencontainers.image.{name}": value for name, value in facts.items() if value}


def make_release(agent: str, image: Image, workload: Workload, provenance: Provenance, version: str) -> Release:
    """A release. The same content has the same id: the image by its digest (not its tag), and the configuration."""
    content = image.config_digest or image.manifest_digest or image.reference
    configuration = codec.dump(replace(workload, image=""))
    return Release(fingerprint([agent, content, configuration]), agent, version, image, workload, provenance)


def reconfigure(former: Release, workload: Workload, provenance: Provenance) -> Release:
    """A release that is only a change of configuration: the former one's image and version."""
    return make_release(former.agent, former.image, workload, provenance, former.version)
