"""Source control by git: exact commits, versions from tags, errors that say what to do."""

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from tidegate.adapters.source.git import Git
from tidegate.model.errors import SourceError


def git(folder: Path, *arguments: str) -> str:
    identity = {
        "GIT_AUTHOR_NAME": "alice", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_AUTHOR_DATE": "1700000000 +0000",
        "GIT_COMMITTER_NAME": "bob", "GIT_COMMITTER_EMAIL": "b@example.org", "GIT_COMMITTER_DATE": "1700000100 +0000",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }  # fmt: skip
    command = ["git", "-c", "protocol.file.allow=always", *arguments]
    done = subprocess.run(command, cwd=folder, env={**os.environ, **identity}, capture_output=True, check=True)
    return done.stdout.decode().strip()


def commit(folder: Path, content: str, message: str = "Change it") -> str:
    (folder / "app").mkdir(exist_ok=True)
    (folder / "app" / "main.py").write_text(content)
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", message)
    return git(folder, "rev-parse", "HEAD")


def names(archive: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return sorted(member.name for member in tar if member.isfile())


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "Dockerfile").write_text("FROM scratch\n")
    commit(folder, "1", "Begin\n\nWith a body")
    return folder


@pytest.fixture(params=["path", "url"])
def address(request: pytest.FixtureRequest, repository: Path) -> str:
    return str(repository) if request.param == "path" else f"file://{repository}"


@pytest.fixture
def source(tmp_path: Path) -> Git:
    return Git(cache=tmp_path / "cache")


async def test_branches_tags_and_ids_resolve(source: Git, repository: Path, address: str) -> None:
    first = git(repository, "rev-parse", "HEAD")
    git(repository, "tag", "-a", "v1.0.0", "-m", "first")
    second = commit(repository, "2")
    git(repository, "branch", "side", first)
    for reference, expected in (
        ("main", second), ("", second), ("side", first), ("v1.0.0", first), (first, first), (second[:10], second),
    ):  # fmt: skip
        assert await source.resolve(address, reference) == expected


async def test_a_new_commit_is_seen(source: Git, repository: Path, address: str) -> None:
    first = await source.resolve(address, "main")
    second = commit(repository, "2")
    assert await source.resolve(address, "main") == second != first
    third = commit(repository, "3")
    assert await source.resolve(address, third) == third


async def test_the_archive_is_exactly_the_commit(source: Git, repository: Path, address: str) -> None:
    first = await source.resolve(address, "main")
    commit(repository, "2")
    (repository / "app" / "main.py").write_text("uncommitted")
    (repository / "stray").write_text("uncommitted")
    archive = await source.archive(address, first)
    assert names(archive) == ["Dockerfile", "app/main.py"]
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        file = tar.extractfile("app/main.py")
        assert file is not None
        assert file.read() == b"1"
        assert tar.getmember("app/main.py").mode & 0o777 == 0o644
    assert await source.archive(address, first) == archive


async def test_a_folder_of_a_repository_means_its_part(source: Git, repository: Path) -> None:
    folder = str(repository / "app")
    assert names(await source.archive(folder, await source.resolve(folder, "main"))) == ["main.py"]


@pytest.mark.parametrize(
    ("tags", "version", "ahead"),
    [
        ((), "0.0.0", 0),
        (("v1.2.0",), "1.2.0", 1),
        (("1.9.0", "v1.10.0", "v2", "release-3.0.0", "nightly"), "1.10.0", 1),
        (("v2.0.0-rc.2", "v2.0.0-rc.10"), "2.0.0-rc.10", 1),
        (("v2.0.0-rc.2", "v2.0.0"), "2.0.0", 1),
    ],
)
async def test_the_version_comes_from_the_tags(
    source: Git, repository: Path, address: str, tags: tuple[str, ...], version: str, ahead: int
) -> None:
    for tag in tags:
        git(repository, "tag", "-a", tag, "-m", tag)
    here = commit(repository, "2")
    commit(repository, "3")
    git(repository, "tag", "v9.9.9")
    await source.resolve(address, "main")
    facts = await source.describe(address, here)
    assert (facts.version, facts.ahead) == (version, ahead)


async def test_facts_of_a_commit(source: Git, repository: Path, address: str) -> None:
    here = await source.resolve(address, "main")
    facts = await source.describe(address, here)
    assert (facts.id, facts.short, facts.subject, facts.author) == (here, here[:12], "Begin", "alice")
    assert (facts.authored_at, facts.committed_at, facts.warnings) == (1700000000.0, 1700000100.0, ())


async def test_what_is_not_delivered_is_said(source: Git, repository: Path, tmp_path: Path) -> None:
    here = commit(repository, "2")
    (repository / "app" / "main.py").write_text("3")
    (repository / "new file").write_text("")
    warnings = (await source.describe(str(repository), here)).warnings
    assert warnings == ("uncommitted changes are not delivered: app/main.py, new file",)


async def test_errors_say_what_is_wrong(source: Git, repository: Path, tmp_path: Path) -> None:
    empty, plain = tmp_path / "empty", tmp_path / "plain"
    for folder in (empty, plain):
        folder.mkdir()
    git(empty, "init", "-q", "-b", "main")
    for where, reference, expected in (
        (str(plain), "main", "is not a git repository"),
        (str(tmp_path / "absent"), "main", "is no folder"),
        (str(empty), "main", "has no commits yet"),
        (f"file://{empty}", "main", "has no commits yet"),
        (str(repository), "master", "no branch, tag or commit 'master'"),
        (str(repository), "--exec=x", "no branch, tag or commit '--exec=x'"),
        (str(repository), "0" * 40, "no branch, tag or commit"),
        (f"file://{tmp_path}/absent", "main", "is not there"),
        ("ext::sh -c true", "main", "is no folder"),
        ("https://user:secret@127.0.0.1:9/x.git", "main", "cannot be reached"),
    ):
        with pytest.raises(SourceError) as caught:
            await source.resolve(where, reference)
        assert expected in caught.value.message
        assert caught.value.hint
        assert "secret" not in caught.value.message
    with pytest.raises(SourceError, match="does not have this commit"):
        await source.archive(str(repository), "1" * 40)


async def test_known_branches_are_named(source: Git, repository: Path) -> None:
    with pytest.raises(SourceError) as caught:
        await source.resolve(str(repository), "master")
    assert "it has main" in caught.value.hint


async def test_a_detached_head_still_delivers(source: Git, repository: Path) -> None:
    first = git(repository, "rev-parse", "HEAD")
    commit(repository, "2")
    git(repository, "checkout", "-q", first)
    assert await source.resolve(str(repository), "") == first
    assert await source.resolve(str(repository), "main") != first


async def test_without_git_the_error_says_so(repository: Path) -> None:
    with pytest.raises(SourceError, match="was not found") as caught:
        await Git(program="no-such-git").resolve(str(repository), "main")
    assert "install git" in caught.value.hint


async def test_a_hooks_variables_do_not_lead_away(
    source: Git, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    assert await source.resolve(str(repository), "main")
