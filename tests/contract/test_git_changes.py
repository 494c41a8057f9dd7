"""What git says lies between two commits, on real repositories."""

import io
import tarfile
from pathlib import Path

import pytest

from tests.e2e.repository import Repository
from tidegate.adapters.source.git import Git
from tidegate.model.errors import SourceError


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "agent", "scratch")
    made.write("src/a.py", "one\ntwo\n")
    made.commit("1.0.0", "first")
    return made


async def test_files_authors_and_messages(repository: Repository, tmp_path: Path) -> None:
    git, path = Git(cache=tmp_path / "git"), str(repository.folder)
    base = repository.git("rev-parse", "HEAD")
    repository.write("src/a.py", "one\nthree\nfour\n")
    repository.write("odd name\tü.bin", "\0\1")
    repository.write("CHANGELOG.md", "# 2.0\n- new\n")
    commit = repository.commit("2.0.0", "feat!: everything\n\nwhy\n\nBREAKING CHANGE: all of it")
    change = await git.changes(path, commit, base)
    files = {one.path: one for one in change.files}
    assert set(files) == {"src/a.py", "odd name\tü.bin", "CHANGELOG.md", "version"}
    assert (files["src/a.py"].added, files["src/a.py"].deleted) == (2, 1)
    assert files["src/a.py"].authors == ("tester@example.org",)
    assert files["src/a.py"].last_at > 0
    assert files["CHANGELOG.md"].authors == ()
    assert (files["odd name\tü.bin"].added, change.experience) == (0, 1)
    assert change.changelog == ("# 2.0", "- new")
    (message,) = change.messages
    assert message.subject == "feat!: everything"
    assert "BREAKING CHANGE: all of it" in message.body


async def test_without_a_known_base_it_is_the_commit_alone(repository: Repository, tmp_path: Path) -> None:
    git, path = Git(cache=tmp_path / "git"), str(repository.folder)
    first = repository.git("rev-parse", "HEAD")
    alone = await git.changes(path, first, "")
    assert {one.path for one in alone.files} == {"src/a.py", "Dockerfile", "tidegate.yaml", "version"}
    second = repository.commit("2.0.0")
    unknown = await git.changes(path, second, "f" * 40)
    assert (unknown.base, [one.path for one in unknown.files]) == (first, ["version"])


async def test_a_folder_of_a_repository_is_only_that_folder(repository: Repository, tmp_path: Path) -> None:
    git = Git(cache=tmp_path / "git")
    base = repository.git("rev-parse", "HEAD")
    repository.write("src/a.py", "changed\n")
    commit = repository.commit("2.0.0")
    change = await git.changes(str(repository.folder / "src"), commit, base)
    assert [one.path for one in change.files] == ["a.py"]
    assert change.files[0].authors


async def test_submodules_are_part_of_the_checkout(repository: Repository, tmp_path: Path) -> None:
    library = Repository(tmp_path / "library", "scratch")
    library.write("lib.txt", "pinned\n")
    pinned = library.commit("0.1.0")
    repository.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", "../library", "vendor/library")
    commit = repository.commit("2.0.0")
    library.write("lib.txt", "later\n")
    library.commit("0.2.0")
    git = Git(cache=tmp_path / "git")
    packed = await git.archive(str(repository.folder), commit)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        file = archive.extractfile("vendor/library/lib.txt")
        assert file is not None
        assert file.read() == b"pinned\n"
        assert archive.extractfile("Dockerfile") is not None
    assert pinned != commit


async def test_a_repository_from_elsewhere_cannot_take_folders_of_this_machine(
    repository: Repository, tmp_path: Path
) -> None:
    library = Repository(tmp_path / "private", "scratch")
    library.commit("0.1.0")
    repository.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(library.folder), "vendor")
    commit = repository.commit("2.0.0")
    url = f"file://{repository.folder}"
    git = Git(cache=tmp_path / "git")
    assert await git.resolve(url, "main") == commit
    with pytest.raises(SourceError, match="a folder of this machine"):
        await git.archive(url, commit)
