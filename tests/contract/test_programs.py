"""The real hadolint, bandit, ruff and detect-secrets on a real repository with planted faults."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.repository import SPEC, Repository
from tidegate.adapters.source.git import Git
from tidegate.adapters.workshop.programs import run_programs
from tidegate.model.delivery import DeliveryKey
from tidegate.model.evidence import Evidence
from tidegate.model.release import AgentKey
from tidegate.model.verdict import Outcome
from tidegate.model.work import Program, RunPrograms
from tidegate.pipeline import scan
from tidegate.pipeline.stage import Candidate, Finished
from tidegate.spec import load_spec

# Made up for this test, and split so that no scanner takes this file itself for a leak.
KEY = "AKIA" + "QYLPMN5HFIQR7BBB"
CLEAN = 'FROM debian:12\nCOPY version /\nCMD ["cat", "/version"]\n'


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "agent", "debian:12")
    made.write("Dockerfile", CLEAN)
    made.write("tidegate.yaml", f"{SPEC}stages: {{scan: true}}\n")
    made.write("app.py", "print('hello')\n")
    made.commit("1")
    return made


async def scanned(repository: Repository, tmp_path: Path, since: str = "") -> Evidence:
    git, path = Git(cache=tmp_path / "git"), str(repository.folder)
    commit = replace(await git.describe(path, await git.resolve(path, "main")), repository=path)
    key = DeliveryKey(AgentKey("web", "prod"), 1)
    candidate = Candidate(key, load_spec(repository.spec, {}), commit=commit)
    (job,) = scan.STAGE.proceed(candidate, {})  # type: ignore[misc]
    assert isinstance(job, RunPrograms)
    ran = await run_programs(git, replace(job, since=since), lambda line: None)
    step = scan.STAGE.proceed(candidate, {"programs": ran})
    assert isinstance(step, Finished)
    return step.evidence


async def test_a_clean_repository_passes(repository: Repository, tmp_path: Path) -> None:
    found = await scanned(repository, tmp_path)
    assert found.outcome is Outcome.PASS, found
    assert found.numbers["files"] == 4


async def test_planted_faults_are_found_each_by_its_tool(repository: Repository, tmp_path: Path) -> None:
    first = repository.git("rev-parse", "HEAD")
    repository.write("config.ini", f"key = {KEY}\n")
    leaked = repository.commit("2")
    (repository.folder / "config.ini").unlink()
    repository.write("Dockerfile", "FROM debian\nRUN sudo true\nCOPY version /\n")
    repository.write("app.py", "import subprocess\n\n\ndef f(x):\n    return subprocess.call(x, shell=True), nowhere\n")
    repository.write("deep/keys.txt", f"aws {KEY[:-1]}C\n")
    repository.commit("3")
    found = await scanned(repository, tmp_path, since=first)
    told = {(one.tool, one.rule): one for one in found.findings}
    assert told["hadolint", "DL3004"].where == "Dockerfile:2"
    assert told["bandit", "B602"].where == "app.py:5"
    assert told["ruff", "F821"].where == "app.py:5"
    places = {one.where for one in found.findings if one.tool == "detect-secrets"}
    assert places == {"deep/keys.txt:1", f"config.ini in commit {leaked[:7]}"}
    assert found.outcome is Outcome.FAIL
    assert KEY not in repr(found)
    assert all(one.hint for one in found.findings), "each says how to mend it"


async def test_a_tree_that_reaches_outside_is_refused_and_a_program_that_is_not_there_is_said(
    repository: Repository, tmp_path: Path
) -> None:
    git = Git(cache=tmp_path / "git")
    checkout = Candidate(
        DeliveryKey(AgentKey("web", "prod"), 1),
        load_spec(repository.spec, {}),
        commit=replace(
            await git.describe(str(repository.folder), await git.resolve(str(repository.folder), "main")),
            repository=str(repository.folder),
        ),
    ).checkout
    job = RunPrograms("p", checkout, (Program("none", ("no-such-program",)),), reads=("../agent/version", "version"))
    ran = await run_programs(git, job, lambda line: None)
    assert ran.parts["none"].facts == {"missing": "no-such-program"}
    assert dict(ran.outputs) == {"version": b"1"}
