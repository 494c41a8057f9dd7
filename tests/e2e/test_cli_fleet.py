"""A fleet from the command line, on two real engines: waves, status as a tree, history, undo, one host by its name."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_cli import Shell
from tests.engine import Engine, unavailable

pytestmark = pytest.mark.engine

SPEC = """
agent: web
workload:
  image: tidegate/base-busybox:latest
  command: [sh, -c, "trap 'exit 0' TERM; mkdir -p /www; echo ok > /www/ready; httpd -f -p 8080 -h /www & wait"]
  environment: {{VERSION: "${{VERSION:-1}}"}}
  stop_grace_period: 2s
probes:
  readiness: {{httpGet: {{port: 8080, path: /ready}}, period: 200ms}}
environments:
  edge:
    endpoint: "{first}"
    hosts:
      e1: {{endpoint: "{first}", labels: {{ring: canary}}}}
      e2: {{endpoint: "{second}"}}
strategy:
  waves:
    within: {{rolling: {{bake: 500ms, drain: 500ms}}}}
    bake: 1s
    waves:
      - hosts: {{ring: canary}}
analysis: {{metrics: []}}
"""


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Shell, Engine]]:
    if reason := unavailable():
        pytest.skip(reason)
    with Engine() as first, Engine() as second:
        first.load("tidegate/base-busybox")  # the second one gets it from the first
        (tmp_path / "tidegate.yaml").write_text(SPEC.format(first=first.url, second=second.url))
        yield Shell(first, tmp_path), second


def versions(engine: Engine) -> set[str]:
    """What runs, by the engine's own word."""
    facts = [engine.inspect(c["Id"]) for c in engine.containers() if c["Labels"].get("dev.tidegate.agent")]
    return {one for fact in facts for one in fact["Config"]["Env"] if one.startswith("VERSION=")}


def test_a_fleet_from_the_command_line(two: tuple[Shell, Engine]) -> None:
    shell, second = two
    code, out, err = shell.run("deploy")
    assert code == 0, f"{out}\n{err}"
    assert "is promoted: 2 done" in out
    assert "wave 1 of 2: 1 done" in err
    code, out, err = shell.run("deploy", VERSION="2")
    assert code == 0, f"{out}\n{err}"
    assert versions(shell.engine) == versions(second) == {"VERSION=2"}
    code, out, err = shell.run("status")
    assert code == 0, err
    assert "web.edge  2 hosts  revision 2" in out
    for part in ("wave 1", "e1  done", "wave 2", "e2  done", "promoted"):
        assert part in out, out
    told = shell.data("status")
    assert [host["host"] for wave in told["waves"] for host in wave["hosts"]] == ["e1", "e2"]
    code, out, _ = shell.run("status", "web.edge@e2")
    assert code == 0
    assert "web.edge.r2.1" in out
    code, out, err = shell.run("undo", "--reason", "a second thought")
    assert code == 0, f"{out}\n{err}"
    assert versions(shell.engine) == versions(second) == {"VERSION=1"}
    code, out, _ = shell.run("history")
    assert code == 0
    assert "3 = undo to 1" in out
    code, _, err = shell.run("abort")
    assert code == 1
    assert "no rollout is under way" in err
