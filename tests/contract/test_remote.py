"""The command line against a server: the same commands with the same ends as on the state, and a token's limits."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.served import Server, command, server

SPEC = """
agent: web
workload:
  image: web:1.0.0
  environment: {MODE: "${MODE:-calm}"}
environments:
  staging: {platform: memory}
strategy:
  canary: {steps: [{set_weight: 50}, {pause: 100ms}], bake: 200ms, drain: 1s}
"""
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server(tmp_path_factory.mktemp("served"), spec=SPEC) as running:
        yield running


def data(result: tuple[int, str, str]) -> Any:
    assert result[0] == 0, result
    return json.loads(result[1])


@pytest.mark.timeout(300)
def test_a_day_at_the_command_line(here: Server) -> None:
    code, out, err = here.run("deploy", "--reason", "first")
    assert code == 0, err
    assert out.startswith("Update complete: web.staging runs revision 1 (1.0.0) after ")
    assert "asked for deploy" in err

    planned = data(here.run("plan", "--json", MODE="lively"))
    assert {"key": "environment.MODE", "before": "calm", "after": "lively", "hidden": False} in planned["configuration"]
    assert any(one["operation"] == "CreateInstance" for one in planned["operations"])
    assert data(here.run("history", "--json"))["revisions"][-1]["revision"] == 1, "a plan touches nothing"

    assert here.run("deploy", "web:1.1.0")[0] == 0
    rows = data(here.run("history", "--json"))["revisions"]
    assert (rows[0]["version"], rows[0]["reason"], rows[0]["end"]) == ("1.0.0", "first", "promoted")
    assert rows[-1]["version"] == "1.1.0"
    assert "healthy: revision 2 (1.1.0) serves" in here.run("explain")[1]

    assert here.run("undo", "web")[0] == 0
    assert data(here.run("status", "--json"))["tracks"][0]["title"] == "3 = undo to 1 (1.0.0)"
    assert here.run("scale", "2")[0] == 0
    shown = data(here.run("status", "--json"))
    assert [one["ready"] for one in shown["tracks"][0]["instances"]] == [True, True]
    assert "start 1" in here.run("logs")[1]

    told = data(here.run("audit", "list", "--json"))
    assert [one["what"] for one in told] == ["token-create", "deploy", "deploy", "undo", "scale"]
    assert {one["by"] for one in told[1:]} == {told[0]["on"]}, "it is done in the token's name"
    assert here.run("audit", "verify")[0] == 0
    assert here.run("audit", "verify", here=True)[2] == here.run("audit", "verify")[2]

    code, _, err = here.run("decommission")
    assert code == 2
    assert "--yes" in err
    assert here.run("decommission", "--yes")[0] == 0
    assert data(here.run("agents", "--json"))[0]["agent"] == "web"


def test_what_is_wrong_is_told_as_by_the_state_itself(here: Server) -> None:
    code, _, err = here.run("deploy", "9.9.9")
    assert code == 1
    assert "web has no release 9.9.9" in err
    assert here.run("status", TIDEGATE_TOKEN="tgt_000000000000_x")[2].startswith("error: a valid token is needed")
    assert here.run("status", TIDEGATE_URL="http://127.0.0.1:9")[0] == 1
    assert here.run("status", TIDEGATE_URL="ftp://x")[0] == 2
    code, _, err = here.run("serve", "--listen", "off")
    assert (code, "TIDEGATE_URL names another one" in err) == (2, True)
    code, _, err = here.run("adopt", "some-container", "--dry-run")
    assert (code, "run tidegate adopt there" in err) == (2, True)


def test_tokens_are_made_and_revoked_from_afar_and_hold_as_far_as_they_say(here: Server) -> None:
    made = here.run("token", "create", "pipeline", "--role", "ci", "--agent", "other", "-e", "staging")
    assert made[0] == 0, made
    code, _, err = here.run("status", "web", TIDEGATE_TOKEN=made[1].strip())
    assert (code, "this token is for other.staging" in err) == (1, True)
    viewer = here.run("token", "create", "screen", "--role", "viewer")[1].strip()
    assert here.run("history", TIDEGATE_TOKEN=viewer)[0] == 0
    code, _, err = here.run("scale", "3", TIDEGATE_TOKEN=viewer)
    assert (code, "role viewer may not steer" in err) == (1, True)
    assert here.run("token", "revoke", "screen")[0] == 0
    standing = {one["name"]: one["standing"] for one in data(here.run("token", "list", "--json"))}
    assert (standing["screen"], standing["pipeline"]) == ("revoked", "in force")


def test_it_ends_cleanly_and_says_when_it_is_open_or_unsafe(tmp_path: Path) -> None:
    with server(tmp_path, "", "--open", spec=SPEC) as here:
        assert here.run("agents", TIDEGATE_TOKEN="")[0] == 0
        assert here.stop() == 0
    log = (tmp_path / "serve.log").read_text()
    assert "without tokens" in log
    assert "stopped; agents and gateway go on" in log
    code, _, err = command(tmp_path, here.environ, "serve", "--listen", "0.0.0.0:1", "--open")
    assert (code, "everybody who reaches it" in err) == (2, True)
