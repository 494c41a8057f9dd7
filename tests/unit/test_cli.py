"""The command line from its arguments to its exit code: on an environment in memory, and where nothing is there."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tidegate.cli.app import run
from tidegate.cli.follow import Ending, Follower
from tidegate.cli.output import Output
from tidegate.cli.screen import Screen
from tidegate.controller.session import Session
from tidegate.model.intent import Deploy
from tidegate.wiring import Toolbox

SPEC = """
agent: web
workload:
  image: web:1.0.0
  environment: {MODE: "${MODE:-calm}"}
environments:
  staging: {platform: memory}
strategy:
  canary: {steps: [{set_weight: 50}, PAUSE], bake: 200ms, drain: 1s}
"""
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a spec and a state of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIDEGATE_STATE", str(tmp_path / "state" / "t.db"))
    monkeypatch.setenv("NO_COLOR", "1")
    (tmp_path / "tidegate.yaml").write_text(SPEC.replace("PAUSE", "{pause: 100ms}"))
    return tmp_path


@pytest.fixture
def tidegate(here: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command in this process; its exit code, stdout and stderr. The world in memory lasts for the test."""
    toolbox = Toolbox()

    def command(*arguments: str) -> tuple[int, str, str]:
        code = run(toolbox, arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    return command


def data(result: tuple[int, str, str]) -> Any:
    return json.loads(result[1])


def test_from_the_first_deployment_to_the_end(tidegate: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = tidegate("deploy", "--by", "ada", "--reason", "first")
    assert code == 0
    assert out.startswith("Update complete: web.staging runs revision 1 (1.0.0) after ")
    assert "ada asked for deploy" in err
    assert "\x1b" not in out + err

    monkeypatch.setenv("MODE", "lively")
    planned = data(tidegate("plan", "--json"))
    assert {"key": "environment.MODE", "before": "calm", "after": "lively", "hidden": False} in planned["configuration"]
    assert any(one["operation"] == "CreateInstance" for one in planned["operations"])
    assert data(tidegate("history", "--json"))["revisions"][-1]["revision"] == 1, "a plan touches nothing"

    assert tidegate("deploy", "web:1.1.0")[0] == 0
    rows = data(tidegate("history", "--json"))["revisions"]
    assert (rows[0]["version"], rows[0]["by"], rows[0]["end"]) == ("1.0.0", "ada", "promoted")
    assert rows[-1]["version"] == "1.1.0"
    assert "healthy: revision 2 (1.1.0) serves" in tidegate("explain")[1]

    assert tidegate("undo", "web")[0] == 0
    assert data(tidegate("status", "--json"))["tracks"][0]["title"] == "3 = undo to 1 (1.0.0)"
    assert tidegate("scale", "2")[0] == 0
    shown = data(tidegate("status", "--json"))
    assert [one["ready"] for one in shown["tracks"][0]["instances"]] == [True, True]
    assert "start 1" in tidegate("logs")[1]

    code, _, err = tidegate("decommission")
    assert code == 2
    assert "--yes" in err
    assert tidegate("decommission", "--yes")[0] == 0
    assert data(tidegate("agents", "--json"))[0]["agent"] == "web"


def test_a_pause_for_a_person_ends_with_5_and_can_be_left_and_taken_up(tidegate: Command, here: Path) -> None:
    tidegate("deploy")
    (here / "tidegate.yaml").write_text(SPEC.replace("PAUSE", "{pause: {}}"))
    code, out, err = tidegate("deploy", "web:1.1.0")
    assert code == 5
    assert "waits for a person" in out
    assert "tidegate resume" in err
    assert tidegate("deploy", "web:1.2.0")[0] == 1, "one rollout at a time"
    assert tidegate("abort", "--reason", "enough", "--json")[0] == 0
    explained = data(tidegate("explain", "--json"))
    assert "aborted by" in explained["headline"]
    assert explained["reasons"][0] == "enough"
    assert tidegate("retry", "--timeout", "20")[0] == 5
    assert tidegate("promote", "--full", "--by", "ada")[0] == 0


def test_a_weight_is_set_by_hand_with_who_and_why(tidegate: Command, here: Path) -> None:
    tidegate("deploy")
    (here / "tidegate.yaml").write_text(SPEC.replace("PAUSE", "{pause: {}}"))
    assert tidegate("deploy", "web:1.1.0")[0] == 5
    code, out, _ = tidegate("weight", "70", "--by", "ada", "--reason", "more testers")
    assert code == 0
    assert "50 -> 70 %, by ada: more testers" in out
    assert data(tidegate("status", "--json"))["rollout"]["weight"] == 70
    assert tidegate("weight", "101")[0] == 2
    assert tidegate("abort")[0] == 0
    code, _, err = tidegate("weight", "10")
    assert code == 1
    assert "no rollout is under way" in err


def test_an_abort_works_with_a_broken_spec(tidegate: Command, here: Path) -> None:
    tidegate("deploy")
    (here / "tidegate.yaml").write_text(SPEC.replace("PAUSE", "{pause: {}}"))
    tidegate("deploy", "web:1.1.0")
    (here / "tidegate.yaml").write_text("agent: [")
    assert tidegate("status")[0] == 2
    code, out, err = tidegate("events", "web", "--json", "-n", "1")
    assert code == 0
    assert "going by the state alone" in err
    assert json.loads(out)["agent"] == "web"


def test_time_over_is_4(tidegate: Command, here: Path) -> None:
    (here / "tidegate.yaml").write_text(SPEC.replace("bake: 200ms", "bake: 60s").replace("PAUSE", "{pause: 100ms}"))
    code, _, err = tidegate("deploy", "--timeout", "2")
    assert code == 4
    assert "held as it is" in err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("nonsense",), 2, "No such command"),
        (("scale", "0"), 2, "0 is not in the range"),
        (("status",), 1, "nothing was ever deployed"),
        (("abort",), 1, "nothing was ever deployed"),
        (("deploy", "2.0.0"), 1, "no release 2.0.0"),
        (("deploy", "-e", "prod"), 2, "no environment prod"),
        (("deploy", "-f", "nowhere.yaml"), 2, "nowhere.yaml does not exist"),
        (("simulate", "--scenario", "rain"), 2, "no scenario rain"),
        (("docs", "rotues"), 1, "did you mean"),
    ],
)
def test_errors_say_what_and_how(tidegate: Command, arguments: tuple[str, ...], code: int, words: str) -> None:
    got, out, err = tidegate(*arguments)
    assert (got, out) == (code, "")
    assert err.startswith("error: ")
    assert words in err
    assert "\nsee: docs/reference/errors.md#" in err
    got, _, err = tidegate(*arguments, *(["--json"] if arguments[0] not in ("nonsense", "docs") else []))
    assert got == code
    if arguments[0] not in ("nonsense", "docs"):
        problem = json.loads(err)
        assert words in problem["detail"] + problem["hint"]
        assert problem["exit_code"] == code


@pytest.mark.parametrize(
    ("scenario", "code", "phase"),
    [("healthy", 0, "promoted"), ("crash-loop", 3, "rolled_back"), ("no-image", 3, "rolled_back")],
)
def test_simulate_plays_each_to_its_end(tidegate: Command, here: Path, scenario: str, code: int, phase: str) -> None:
    (here / "tidegate.yaml").write_text(SPEC.replace("bake: 200ms", "bake: 30s").replace("PAUSE", "{pause: 10s}"))
    result = tidegate("simulate", "--scenario", scenario, "--json")
    assert result[0] == code
    assert data(result)["phase"] == phase
    assert tidegate("simulate", "-s", scenario)[1].startswith(f"scenario {scenario}: ")


def test_lint_schema_init(tidegate: Command, here: Path) -> None:
    assert tidegate("lint")[0] == 0
    (here / "tidegate.yaml").write_text("agent: web\nroutse: []\n")
    code, out, _ = tidegate("lint", "--json")
    assert code == 2
    assert ("routse", 2) in [(one["key"], one["line"]) for one in json.loads(out)["problems"]]
    assert data(tidegate("schema"))["$schema"].startswith("https://json-schema.org/")
    assert tidegate("init", "--yes")[0] == 1, "nothing is overwritten"
    (here / "new").mkdir()
    (here / "new" / "Dockerfile").write_text("FROM scratch\nEXPOSE 9000\n")
    assert tidegate("init", "new", "--yes")[0] == 0
    assert tidegate("lint", "new/tidegate.yaml")[0] == 0


def test_the_watch_ends_by_itself_and_writes_events_as_lines(tidegate: Command) -> None:
    tidegate("deploy")
    assert tidegate("status", "--watch", "--timeout", "0.3")[0] == 0


async def test_left_without_a_terminal_the_traffic_is_held(here: Path) -> None:
    """What SIGTERM or Ctrl-C without a terminal does: the rollout stays where it is, and the lease is given back."""
    from tidegate.cli.desk import open_desk, order_of
    from tidegate.cli.options import Where
    from tidegate.controller.releases import deploy_action

    (here / "tidegate.yaml").write_text(SPEC.replace("PAUSE", "{pause: {}}"))
    async with open_desk(Toolbox(), Where(), Output()) as desk, desk.site() as site:
        action: Deploy = await deploy_action(order_of(desk, site), "", "ada")
        session = Session(desk.key, site.ports, desk.books.lease_of(desk.key.environment))
        intent = await session.ask(action, "ada")
        follower = Follower(session, site, Screen(Output()), "ada", interactive=False)
        following = asyncio.create_task(follower.follow(intent, lambda progress: False, 20.0))
        while await session.answer(intent) is None:
            await asyncio.sleep(0.02)
        os.kill(os.getpid(), 15)
        result = await following
        assert result.ending is Ending.DETACHED
        assert await desk.books.lease_of(desk.key.environment).acquire("another", 1.0, time.time()) is not None


def environ() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}


START = "from tidegate.wiring import main; main()"


def test_help_imports_nothing_heavy() -> None:
    """First output within 150 ms of typing needs this; the time itself is measured by the benchmark."""
    heavy = {"aiodocker", "aiohttp", "sqlalchemy", "alembic", "pydantic", "rich", "numpy", "asyncio", "ruamel.yaml"}
    script = (
        "import sys; from tidegate.cli.app import run; run(None, ['--help']); "
        f"print(sorted({heavy!r} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=environ(), capture_output=True, text=True, timeout=30, check=True
    )
    assert "deploy" in done.stdout
    assert done.stderr.strip() == "[]"


def test_a_reader_that_leaves_is_no_error(here: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", START, "schema"], env=environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.wait(30) == 0
    assert process.stderr.read() == b""
