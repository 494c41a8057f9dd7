"""build: the commit becomes an image with a tag that no other commit has."""

from collections.abc import Mapping
from dataclasses import replace
from posixpath import join, normpath

from tidegate.core.releasing import image_labels, image_tag
from tidegate.model.evidence import Evidence
from tidegate.model.source import BuildOptions, Commit
from tidegate.model.spec import Spec
from tidegate.model.stages import StageName
from tidegate.model.verdict import Outcome
from tidegate.model.work import BuildImage
from tidegate.pipeline.source import version_of
from tidegate.pipeline.stage import Candidate, Finished, Results, Stage, Step

IMAGE = "image"


def tag_of(spec: Spec, commit: Commit) -> str:
    """The image's name and tag. Raises UsageError for what no image can be called."""
    assert spec.build is not None
    return image_tag(spec.build.repository or spec.agent, version_of(spec, commit.version), commit)


def dockerfile_of(spec: Spec) -> str:
    """Its path in the repository."""
    assert spec.build is not None
    return normpath(join(spec.build.context, spec.build.dockerfile))


def options_of(spec: Spec, commit: Commit) -> BuildOptions:
    """What the builder is told."""
    build = spec.build
    assert build is not None
    labels = image_labels(spec.agent, _public(spec.source.repository), version_of(spec, commit.version), commit)
    return BuildOptions(
        build.context, build.dockerfile, build.target, dict(build.args), labels, deadline_s=spec.stages.build.timeout_s
    )


def _public(repository: str) -> str:
    """A URL without the credentials that it may carry; nothing for a path, which means nothing elsewhere."""
    if "://" not in repository:
        return ""
    scheme, _, rest = repository.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def _inputs(candidate: Candidate) -> Mapping[str, object]:
    commit = candidate.commit
    assert commit is not None
    return {
        "tag": tag_of(candidate.spec, commit),
        "options": replace(options_of(candidate.spec, commit), deadline_s=0.0),
        "commit": commit.id,
        "repository": commit.repository,
    }


def _proceed(candidate: Candidate, results: Results) -> Step:
    spec, commit = candidate.spec, candidate.commit
    assert commit is not None
    made = results.get(IMAGE)
    if made is None:
        return (BuildImage(IMAGE, candidate.checkout, tag_of(spec, commit), options_of(spec, commit)),)
    image = made.image
    assert image is not None
    digest = image.config_digest.removeprefix("sha256:")[:12]
    because = f"image {image.reference} ({digest}) after {made.took_s:.1f} s"
    return Finished(Evidence(Outcome.PASS, because, numbers={"took_s": made.took_s}, image=image))


STAGE = Stage(StageName.BUILD, _proceed, _inputs, lambda spec: spec.stages.build if spec.build is not None else None)
