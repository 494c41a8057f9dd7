# ruff: noqa: E501 - tables: a row is easier to read than a folded one
"""Warnings, each at its place and with its mend; init writes what lint accepts; workloads are shown and compared."""

import subprocess
from pathlib import Path

import pytest

from tidegate.model.errors import ConflictError, UsageError
from tidegate.spec import diff_workloads, init, lint, lint_text, load_spec, parse_spec, plain_workload, suggest
from tidegate.spec.plain import HIDDEN

QUIET = """\
agent: web
workload:
  image: web:1.4.0
  deploy: {resources: {limits: {cpus: 1, memory: 64m, pids: 50}}}
probes: {readiness: {tcp: 80}}
routes: [{listen: 80, target: 80}]
"""


def said(text: str, environ: dict[str, str] | None = None) -> list[str]:
    return [str(problem).partition(" (")[0] for problem in lint_text(text, environ or {}, "t.yaml")]


def test_a_careful_spec_has_no_warnings() -> None:
    assert said(QUIET) == []


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("web:1.4.0", "web:latest", "t.yaml:3: workload.image: the tag latest names another image tomorrow"),
        ("web:1.4.0", "host:5000/web", "t.yaml:3: workload.image: the tag latest names another image tomorrow"),
        ("probes: {readiness: {tcp: 80}}\n", "", "t.yaml:1: probes.readiness: no readiness probe"),
        ("cpus: 1, memory: 64m, ", "", "t.yaml:4: workload.deploy.resources.limits: no limit of cpus, memory"),
        ("  deploy", "  privileged: true\n  deploy", "t.yaml:4: workload.privileged: the container has the rights"),
        ("  deploy", "  tty: true\n  deploy", "t.yaml:4: workload.tty: has no effect here"),
        ("  deploy", "  environment: {DB_PASSWORD: abc}\n  deploy", "t.yaml:4: workload.environment.DB_PASSWORD: looks like a secret"),
        ("  deploy", "  environment:\n  - A=1\n  - API_TOKEN=abc\n  deploy", "t.yaml:6: workload.environment.API_TOKEN: looks like"),
        ("  deploy", "  environment: {A: '${MY_TOKEN}'}\n  deploy", "t.yaml:4: workload.environment.A: takes the value of MY_TOKEN"),
        ("  deploy", "  environment: [MY_TOKEN]\n  deploy", "t.yaml:4: workload.environment: takes the value of MY_TOKEN"),
        ("  deploy", "  environment: {A: $NOWHERE}\n  deploy", "t.yaml:4: workload.environment.A: the variable NOWHERE is not set"),
        ("  deploy", "  volumes: ['/var/run/docker.sock:/s']\n  deploy", "t.yaml:4: workload.volumes: the engine's socket"),
        ("agent: web", "agent: web\nstrategy: {blue_green: {keep: 0}}", "t.yaml:2: strategy.blue_green.keep: nothing is kept"),
        ("agent: web", "agent: web\nstrategy: {blue_green: {analyse: 1m}}", "t.yaml:2: strategy.blue_green.analyse: no request reaches"),
        ("agent: web", "agent: web\nstrategy: {canary: {bake: 0}}", "t.yaml:2: strategy.canary.bake: the bake is zero"),
        ("agent: web", "agent: web\nstrategy: {canary: {steps: [{set_weight: 5}]}}", "t.yaml:2: strategy.canary.steps: the last step"),
        ("agent: web", "agent: web\nstrategy: {canary: {steps: [{analyse: 5s}]}}", "t.yaml:2: strategy.canary.steps: no step gives"),
        ("agent: web", "agent: web\nstrategy: {rolling: {bake: 1s}}", "t.yaml:2: strategy.rolling.bake: 1 s is less than two measurements of"),
        ("agent: web", "agent: web\nanalysis: {metrics: []}", "t.yaml:2: analysis: nothing is watched"),
        ("routes: [{listen: 80, target: 80}]\n", "", "t.yaml:1: analysis: nothing is watched"),
        ("agent: web", "agent: web\nrollback: {history: 1}", "t.yaml:2: rollback.history: one revision is kept"),
    ],
)  # fmt: skip
def test_each_warning(before: str, after: str, expected: str) -> None:
    assert before in QUIET
    lines = said(QUIET.replace(before, after), {"MY_TOKEN": "s3cr3t"})
    assert len(lines) == 1
    assert lines[0].startswith(expected)


def test_a_published_port_stands_in_the_canarys_way() -> None:
    text = QUIET.replace("routes: [{listen: 80, target: 80}]", "").replace("  deploy", "  ports: ['80:81']\n  deploy")
    assert (
        "t.yaml:4: workload.ports: one instance holds port 80 of the host: no canary can start beside stable"
        in said(text)
    )


def test_errors_come_without_warnings_and_without_raising() -> None:
    problems = lint_text("agent: 1\nworkload: {image: a}", {}, "t.yaml")
    assert [problem.warning for problem in problems] == [False]


def test_warnings_say_the_place_in_an_overlay_and_in_a_compose_file(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services:\n  web:\n    image: web\n    environment:\n      - A_SECRET=x\n")
    (tmp_path / "tidegate.yaml").write_text(
        "agent: web\nworkload: {compose: compose.yaml}\nenvironments:\n  p:\n    overlay: {environment: {PASSWORD: x}}\n"
    )
    places = [f"{Path(problem.file).name}:{problem.line}:{problem.key}" for problem in lint(tmp_path, {})]
    assert "compose.yaml:3:services.web.image" in places
    assert "compose.yaml:5:services.web.environment[0]" in places
    assert "tidegate.yaml:5:environments.p.overlay.environment.PASSWORD" in places


DOCKERFILE = """\
FROM debian AS build
EXPOSE 99
FROM debian
EXPOSE 9000/udp 8080/tcp
HEALTHCHECK --interval=5s CMD curl -f http://localhost:8080/health || exit 1
"""
SERVICE = """\
services:
  db: {image: "postgres:16"}
  shop:
    build: {context: ./app, dockerfile: D.file}
    ports: ["8000:80", "514:514/udp"]
    ipc: host
    healthcheck: {test: [CMD, curl, "http://localhost/ready"]}
"""


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"Dockerfile": DOCKERFILE}, ["dockerfile: Dockerfile", "{port: 8080, path: /health}", "{listen: 8080, target: 8080}"]),
        ({"compose.yaml": SERVICE}, ["agent: shop", "context: app", "dockerfile: D.file", "{listen: 8000, target: 80}", "/ready", "514/udp"]),
        ({"compose.yaml": "services: {a: {image: 'a:1', ports: ['1:1']}}"}, ["ports: !reset []", "{listen: 1, target: 1}"]),
        ({"compose.yaml": "services: [rubbish"}, ["image:"]),
        ({"compose.yaml": "\x00", "Dockerfile": "\x00"}, ["dockerfile: Dockerfile"]),
        ({"Dockerfile": "FROM x\nEXPOSE $PORT 99999"}, ["dockerfile: Dockerfile"]),
        ({}, ["image:"]),
    ],
)  # fmt: skip
def test_init_writes_what_lint_accepts(tmp_path: Path, files: dict[str, str], expected: list[str]) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    text = init(tmp_path)
    assert text.startswith("# yaml-language-server: $schema=")
    assert all(part in text for part in expected)
    assert [str(problem) for problem in lint(tmp_path, {}) if not problem.warning] == []
    assert (tmp_path / "tidegate.yaml").read_text() == text


def test_init_takes_the_service_that_others_reach(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(
        "services:\n"
        "  base: {image: 'shop:1.0.0'}\n"
        "  debug: {image: 'shop:1.0.0', ports: ['1:1'], profiles: [debug]}\n"
        "  web: {image: 'shop:1.0.0', ports: ['8085:8080']}\n"
    )
    text = init(tmp_path)
    assert "  service: web  # one agent a service; there are more: base, debug\n" in text
    assert [str(problem) for problem in lint(tmp_path, {}) if not problem.warning] == []


def test_init_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "tidegate.yaml").write_text("mine")
    with pytest.raises(ConflictError, match=r"tidegate\.yaml exists already"):
        init(tmp_path)
    assert (tmp_path / "tidegate.yaml").read_text() == "mine"
    with pytest.raises(UsageError, match="is no directory"):
        init(tmp_path / "none")


def test_init_knows_the_branch(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", "-b", "topic/one", tmp_path], check=True)
    (tmp_path / "inner").mkdir()
    assert suggest(tmp_path / "inner").branch == "topic/one"


BEFORE = """\
agent: web
workload: {image: "web:1", environment: {A: "1", PASSWORD: old, GONE: x}, volumes: [d:/d], restart: always}
environments: {default: {secrets: {T: {file: /t}}}}
"""
AFTER = """\
agent: web
workload: {image: "web:2", environment: {A: "1", PASSWORD: new, B: "2"}, volumes: ["d:/d:ro"], deploy: {replicas: 2}}
environments: {default: {secrets: {T: {command: fetch}}}}
"""


def test_the_difference_of_two_workloads() -> None:
    old, new = (parse_spec(text).environments["default"].workload for text in (BEFORE, AFTER))
    assert [str(change) for change in diff_workloads(old, new)] == [
        "~ image: web:1 -> web:2",
        "- restart: always",
        f"~ environment.PASSWORD: changed {HIDDEN}",
        "- environment.GONE: x",
        "~ secrets.T: file: /t -> command: fetch",
        "~ volumes: ['d:/d'] -> ['d:/d:ro']",
        "+ environment.B: 2",
        "+ deploy.replicas: 2",
    ]


def test_the_plain_form_shows_what_was_given_and_no_secret() -> None:
    spec = parse_spec(BEFORE)
    assert plain_workload(spec.environments["default"].workload) == {
        "image": "web:1",
        "restart": "always",
        "environment": {"A": "1", "PASSWORD": HIDDEN, "GONE": "x"},
        "secrets": {"T": "file: /t"},
        "volumes": ["d:/d"],
    }


def test_the_plain_form_of_a_service_reads_back(tmp_path: Path) -> None:
    """Round trip: what is shown is a workload in Compose's keys again."""
    import json

    text = """\
agent: web
workload:
  image: web:1
  command: [run, "a b"]
  ports: ["80:81", "127.0.0.1:53:53/udp", "[::1]:9:9"]
  volumes: [d:/d, /etc/x:/x:ro]
  tmpfs: [/run]
  healthcheck: {test: [CMD, a], interval: 1m30s, timeout: 500ms}
  deploy: {resources: {limits: {cpus: 0.5, memory: 100m, pids: 5}}}
  stop_grace_period: 75
  ulimits: {nofile: {soft: 1, hard: 2}}
  shm_size: 65m
  logging: {driver: json-file, options: {max-size: 1m}}
  sysctls: {a.b: 1}
  extra_hosts: ["db:10.0.0.1"]
  init: true
"""
    workload = parse_spec(text).workload
    (tmp_path / "tidegate.yaml").write_text(json.dumps({"agent": "web", "workload": plain_workload(workload)}))
    assert load_spec(tmp_path, {}).workload == workload
