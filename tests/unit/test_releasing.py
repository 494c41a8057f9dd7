"""Tags, labels and identities of releases."""

from dataclasses import replace

import pytest

from tidegate.core.releasing import image_labels, image_tag, make_release, reconfigure
from tidegate.model.errors import UsageError
from tidegate.model.release import Image, Provenance
from tidegate.model.source import Commit, check_tag, precedence
from tidegate.model.workload import Workload

COMMIT = Commit("0123456789abcdef" * 2 + "01234567", committed_at=1700000100.0, version="1.2.0")
IMAGE = Image("logship:1.2.0-0123456789ab", "sha256:aa")


@pytest.mark.parametrize(
    ("repository", "version", "expected"),
    [
        ("logship", "1.2.0", "logship:1.2.0-0123456789ab"),
        ("localhost:5000/team/logship", "1.2.0-rc.1", "localhost:5000/team/logship:1.2.0-rc.1-0123456789ab"),
        ("logship", "7", "logship:7-0123456789ab"),
        ("logship", "1.2.0+build.7", "logship:1.2.0_build.7-0123456789ab"),
    ],
)
def test_a_tag_says_version_and_commit(repository: str, version: str, expected: str) -> None:
    assert image_tag(repository, version, COMMIT) == expected


@pytest.mark.parametrize("reference", ["logship:1", "a.b/c:x", "host:5000/a/b-c__d:1", "localhost/a:v_1"])
def test_a_tag_that_says_something_is_taken(reference: str) -> None:
    assert check_tag(reference) == reference


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("logship:latest", "latest moves"),
        ("logship", "has no tag"),
        ("localhost:5000/logship", "has no tag"),
        ("logship:", "no name for an image"),
        ("", "no name for an image"),
        ("log ship:1", "no name for an image"),
        ("team/LogShip:1", "no name for an image"),
        ("logship:1\n", "no name for an image"),
    ],
)
def test_a_tag_that_says_nothing_is_refused(reference: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        check_tag(reference)


def test_an_image_needs_a_name() -> None:
    with pytest.raises(UsageError, match="no name"):
        image_tag("", "1.0.0", COMMIT)


def test_labels_are_those_of_the_standard() -> None:
    labels = image_labels("logship", "https://example.org/logship", "1.2.0", COMMIT)
    assert labels == {
        "org.opencontainers.image.title": "logship",
        "org.opencontainers.image.version": "1.2.0",
        "org.opencontainers.image.revision": COMMIT.id,
        "org.opencontainers.image.source": "https://example.org/logship",
        "org.opencontainers.image.created": "2023-11-14T22:15:00Z",
    }


def test_the_same_content_is_the_same_release() -> None:
    workload = Workload(image="x", environment={"A": "1", "B": "2"})
    first = make_release("logship", IMAGE, workload, Provenance(by="alice"), "1.2.0")
    other_words = Workload(image="logship:other-tag", environment={"B": "2", "A": "1"})
    again = make_release("logship", replace(IMAGE, reference="y"), other_words, Provenance(by="bob"), "1.2.0")
    assert first.id == again.id


def test_other_content_is_another_release() -> None:
    base = make_release("logship", IMAGE, Workload(), Provenance(), "1.2.0")
    other_image = make_release("logship", Image("x", "sha256:bb"), Workload(), Provenance(), "1.2.0")
    other_agent = make_release("metrics", IMAGE, Workload(), Provenance(), "1.2.0")
    configured = reconfigure(base, Workload(environment={"A": "1"}), Provenance(by="alice"))
    assert len({base.id, other_image.id, other_agent.id, configured.id}) == 4
    assert (configured.image, configured.version) == (base.image, base.version)


def test_versions_are_ordered_as_semver_says() -> None:
    # The example of semver.org, 11.4.
    ordered = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-rc.1", "1.0.0"]
    shuffled = [*ordered[4:], *ordered[:4]]
    assert sorted(shuffled, key=precedence) == ordered
