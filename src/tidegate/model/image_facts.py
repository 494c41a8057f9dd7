"""What an image is made of. Facts only; what is good or bad about them is pipeline.inspect's to say."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class LayerFacts:
    """One entry of the history: the command that made it and the bytes that it added (0: it only set something)."""

    command: str
    size: int


@dataclass(frozen=True)
class FileFacts:
    """A file that says something. `why` is what: setuid, shell, package_manager, private_key, credentials.

    `layer` counts from 0, `hidden` says that a later layer took it away: it can be read from the image all the same.
    """

    path: str
    why: str
    layer: int
    hidden: bool = False


@dataclass(frozen=True)
class Package:
    """A package that is in the image; `kind` as in a package URL: deb, apk, pypi, npm, golang."""

    kind: str
    name: str
    version: str


@dataclass(frozen=True)
class ImageFacts:
    """Size in bytes, unpacked. `env` holds names and values; those of secrets must not be shown.

    `base_created_at` (unix seconds) is of the image that it was built from, 0 where the engine does not have it; so is
    `former_size` that of the image that runs.
    """

    digest: str
    size: int
    created_at: float
    user: str
    healthcheck: bool
    entrypoint: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    layers: tuple[LayerFacts, ...] = ()
    files: tuple[FileFacts, ...] = ()
    packages: tuple[Package, ...] = ()
    os: str = ""
    base_created_at: float = 0.0
    former_size: int = 0
