# ruff: noqa: E501 - tables: a row is easier to read than a folded one
"""Good specs: Compose's short and long forms, variables, compose files, overlays, defaults."""

import textwrap
from pathlib import Path

import pytest

from tidegate.model.errors import SpecError
from tidegate.model.spec import Analyse, BlueGreen, Canary, Pause, Rolling, SetMirror, SetRoute, SetScale, SetWeight
from tidegate.model.traffic import Match, MatchKind, MatchOn, Preview, Sticky
from tidegate.model.workload import (
    HealthCheck,
    Mount,
    MountKind,
    PortProtocol,
    Probe,
    ProbeKind,
    PublishedPort,
    Resources,
    Route,
    RouteProtocol,
    SecretRef,
    Workload,
)
from tidegate.spec import load_spec, parse_spec

TCP, UDP = PortProtocol.TCP, PortProtocol.UDP


def workload(keys: str, environ: dict[str, str] | None = None, file: str = "/srv/web/tidegate.yaml") -> Workload:
    """The workload of a spec whose `workload` holds an image and these keys."""
    text = "agent: web\nworkload:\n  image: web:1\n" + textwrap.indent(textwrap.dedent(keys), "  ")
    return parse_spec(text, file, environ or {}).workload


@pytest.mark.parametrize(
    ("keys", "name", "expected"),
    [
        ("command: run --name 'a b'", "command", ("run", "--name", "a b")),
        ("command: [sleep, 5]", "command", ("sleep", "5")),
        ("command: []", "command", ()),
        ("entrypoint: /bin/agent", "entrypoint", ("/bin/agent",)),
        ("environment: {A: 1.10, B: yes, C: true, D: '', E: 0o17}", "environment", {"A": "1.10", "B": "yes", "C": "true", "D": "", "E": "0o17"}),
        ("environment: [A=1=2, B=]", "environment", {"A": "1=2", "B": ""}),
        ("ports: ['80:81', '127.0.0.1:53:53/udp', '[::1]:9:9']", "ports", (PublishedPort(80, 81), PublishedPort(53, 53, UDP, "127.0.0.1"), PublishedPort(9, 9, TCP, "::1"))),
        ("ports: ['8000-8001:80-81']", "ports", (PublishedPort(8000, 80), PublishedPort(8001, 81))),
        ("ports: [{target: 80, published: '8080', host_ip: 127.0.0.1, protocol: udp, mode: host}]", "ports", (PublishedPort(8080, 80, UDP, "127.0.0.1"),)),
        ("volumes: [data:/d, ./conf:/c:ro, /etc/x:/x:rw, /anon]", "mounts", (Mount(MountKind.VOLUME, "/d", "data"), Mount(MountKind.BIND, "/c", "/srv/web/conf", True), Mount(MountKind.BIND, "/x", "/etc/x"), Mount(MountKind.VOLUME, "/anon"))),
        ("volumes: [{type: bind, source: ../x, target: /x, read_only: true}, {type: tmpfs, target: /t}]", "mounts", (Mount(MountKind.BIND, "/x", "/srv/x", True), Mount(MountKind.TMPFS, "/t"))),
        ("tmpfs: /run:size=64m", "mounts", (Mount(MountKind.TMPFS, "/run"),)),
        ("networks: [a, b]", "networks", ("a", "b")),
        ("networks: {a: , b: {}}", "networks", ("a", "b")),
        ("healthcheck: {test: curl -f localhost, interval: 1m30s, timeout: 500ms, retries: 5, start_period: 10}", "healthcheck", HealthCheck(("CMD-SHELL", "curl -f localhost"), 90.0, 0.5, 5, 10.0)),
        ("healthcheck: {test: [NONE]}", "healthcheck", HealthCheck(disable=True)),
        ("deploy: {replicas: '3', resources: {limits: {cpus: '0.50', memory: 50M, pids: 7}}}", "resources", Resources(0.5, 50 * 1024**2, 7)),
        ("cpus: 2\nmem_limit: 1.5g\npids_limit: 9", "resources", Resources(2.0, 3 * 512 * 1024**2, 9)),
        ("restart: on-failure:3", "restart", "on-failure:3"),
        ("restart: no", "restart", "no"),
        ("stop_grace_period: 1m", "stop_grace_s", 60.0),
        ("user: 1000:1000", "user", "1000:1000"),
        ("user: 1000", "user", "1000"),
        ("init: true", "init", True),
        ("extra_hosts: {db: 10.0.0.1, v6: '::1'}", "extra_hosts", ("db:10.0.0.1", "v6:::1")),
        ("extra_hosts: ['db:10.0.0.1', 'gw=host-gateway']", "extra_hosts", ("db:10.0.0.1", "gw:host-gateway")),
        ("dns: 10.0.0.53", "dns", ("10.0.0.53",)),
        ("ulimits: {nofile: {soft: 1, hard: 2}, nproc: 5, core: -1}", "ulimits", {"nofile": (1, 2), "nproc": (5, 5), "core": (-1, -1)}),
        ("sysctls: [net.core.somaxconn=1024]", "sysctls", {"net.core.somaxconn": "1024"}),
        ("shm_size: 64mb", "shm_bytes", 64 * 1024**2),
        ("logging: {driver: json-file, options: {max-size: 10m, max-file: 3}}", "log_options", {"max-size": "10m", "max-file": "3"}),
        ("labels: [a=b, c]", "labels", {"a": "b", "c": ""}),
        ("devices: [/dev/fuse, {source: /dev/a, target: /dev/b, permissions: r}]", "devices", ("/dev/fuse", "/dev/a:/dev/b:r")),
        ("x-anything: {goes: here}", "replicas", 1),
        ("working_dir: ${DIR:-/srv}", "working_dir", "/srv"),
        ("hostname: $HOST", "hostname", "h1"),
        ("environment: {A: $$HOME, B: '${NO-none}', C: '${EMPTY:-full}${EMPTY-kept}', D: '${HOST:+set}', E: '${NO:-${HOST}}'}", "environment", {"A": "$HOME", "B": "none", "C": "full", "D": "set", "E": "h1"}),
        ("environment: [HOST, NOWHERE]", "environment", {"HOST": "h1"}),
        ("depends_on: [db]\nprofiles: [x]\ncontainer_name: y", "replicas", 1),
    ],
)  # fmt: skip
def test_keys_of_a_compose_service(keys: str, name: str, expected: object) -> None:
    assert getattr(workload(keys, {"HOST": "h1", "EMPTY": ""}), name) == expected


def test_only_an_agent_and_an_image_are_needed() -> None:
    spec = parse_spec("agent: web\nworkload: {image: web:1}")
    assert list(spec.environments) == ["default"]
    assert spec.environments["default"].platform == "docker"
    assert spec.environments["default"].endpoint == ""
    assert spec.environments["default"].workload == spec.workload == Workload(image="web:1")
    assert spec.strategy == Canary()
    assert spec.build is None


def test_probes_routes_strategy_in_both_spellings() -> None:
    spec = parse_spec(
        textwrap.dedent("""\
            agent: web
            workload: {image: "web:1"}
            probes:
              readiness: {httpGet: {port: 80, path: /r}, initialDelaySeconds: 2, periodSeconds: 5, failureThreshold: 4}
              liveness: {exec: {command: [check, 1]}, timeout: 2s}
            routes:
              - {listen: 443, target: 80, protocol: grpc, host: a.b, path: /x, tls: {certificate: /c, key: /k}, timeout: 5s}
              - {listen: 514, target: 514, protocol: tcp}
            strategy:
              canary:
                steps: [{setWeight: 0}, {pause: {}}, {set_weight: 20}, {pause: {duration: 10s}}, {analyze: 1m}]
                drain: 0
            rollback: {max_restarts: 5, history: 9}
            """)
    )
    assert spec.workload.readiness == Probe(ProbeKind.HTTP, 80, "/r", (), 2.0, 5.0, 1.0, 4)
    assert spec.workload.liveness == Probe(ProbeKind.EXEC, command=("check", "1"), timeout_s=2.0)
    assert [route.protocol for route in spec.workload.routes] == [RouteProtocol.GRPC, RouteProtocol.TCP]
    assert spec.strategy.steps == (SetWeight(0), Pause(), SetWeight(20), Pause(10.0), Analyse(60.0))
    assert spec.strategy.drain_s == 0.0
    assert (spec.rollback.max_restarts, spec.rollback.history) == (5, 9)


def test_canary_with_all_its_steps() -> None:
    spec = parse_spec(
        textwrap.dedent("""\
            agent: web
            workload: {image: "web:1"}
            strategy:
              canary:
                sticky: {cookie: session}
                keep: 5m
                steps:
                  - set_scale: {replicas: 2}
                  - set_route: {header: {name: x-tester, exact: "yes"}, path: {prefix: /api}}
                  - set_route: {group: beta}
                  - set_route: {version: x-version}
                  - mirror: 20
                  - set_scale: {}
            """)
    )
    tester = Match(MatchOn.HEADER, "yes", "x-tester")
    assert spec.strategy == Canary(
        steps=(
            SetScale("2"),
            SetRoute((Match(MatchOn.PATH, "/api", kind=MatchKind.PREFIX), tester)),
            SetRoute((Match(MatchOn.GROUP, "beta", "x-user-group"),)),
            SetRoute(version_header="x-version"),
            SetMirror(20),
            SetScale(),
        ),
        sticky=Sticky(cookie="session"),
        keep_s=300.0,
    )


def test_rolling_and_blue_green() -> None:
    head = "agent: web\nworkload: {image: web:1}\nstrategy: "
    rolling = parse_spec(head + "{rolling: {maxSurge: 2, max_unavailable: 25%, min_ready: 3s, bake: 1m}}").strategy
    assert rolling == Rolling("2", "25%", min_ready_s=3.0, bake_s=60.0)
    both = parse_spec(
        head
        + "{blueGreen: {preview: {listen: 9090, host: p.test}, mirror: 5, analyse: 1m, automatic: false, keep: 1h}}"
    ).strategy
    assert both == BlueGreen(Preview(9090, "p.test"), 5, 60.0, False, keep_s=3600.0)
    assert parse_spec(head + "{rolling: {}}").strategy == Rolling()
    assert parse_spec(head + "{blue_green: {}}").strategy == BlueGreen()


OVERLAID = """\
agent: web
workload:
  image: web:1
  command: [a, b]
  environment: {A: "1", B: "2"}
  volumes: [data:/d, logs:/l]
  ports: ["80:80"]
  dns: 10.0.0.1
  healthcheck: {test: [CMD, a], retries: 5}
  logging: {driver: json-file, options: {max-size: 1m}}
  labels: [x=1]
routes: [{listen: 8080, target: 80}]
environments:
  plain:
  prod:
    overlay:
      command: [c]
      environment: [B=3, C=4]
      volumes: ["other:/d:ro"]
      ports: !reset []
      dns: [10.0.0.2]
      healthcheck: {test: [CMD, b]}
      logging: {driver: syslog}
      labels: {y: 2}
      deploy: {replicas: 3}
    routes: [{listen: 80, target: 80}]
    secrets:
      TOKEN: {file: secrets/token}
      KEY: {environment: MY_KEY}
      PIN: {command: [vault, read, "a b"]}
"""


def test_an_overlay_is_merged_by_the_rules_of_compose() -> None:
    spec = parse_spec(OVERLAID, "/srv/tidegate.yaml")
    prod = spec.environments["prod"].workload
    assert prod.command == ("c",)
    assert prod.environment == {"A": "1", "B": "3", "C": "4"}
    assert prod.mounts == (Mount(MountKind.VOLUME, "/d", "other", True), Mount(MountKind.VOLUME, "/l", "logs"))
    assert prod.ports == ()
    assert prod.dns == ("10.0.0.1", "10.0.0.2")
    assert prod.healthcheck == HealthCheck(("CMD", "b"), retries=5)
    assert (prod.log_driver, prod.log_options) == ("syslog", {})
    assert prod.labels == {"x": "1", "y": "2"}
    assert prod.replicas == 3
    assert prod.routes == (Route(80, 80),)
    assert prod.secrets == (
        SecretRef("TOKEN", "file", "/srv/secrets/token"),
        SecretRef("KEY", "environment", "MY_KEY"),
        SecretRef("PIN", "command", "vault read 'a b'"),
    )
    plain = spec.environments["plain"].workload
    assert plain == spec.workload
    assert plain.routes == (Route(8080, 80),)


def test_override_replaces_a_list() -> None:
    text = "agent: a\nworkload: {image: a, cap_add: [X]}\nenvironments: {p: {overlay: {cap_add: !override [Y]}}}"
    assert parse_spec(text).environments["p"].workload.cap_add == ("Y",)


COMPOSE = """\
x-common: &common
  restart: always
services:
  db: {image: "postgres:16"}
  web:
    <<: *common
    image: web:${TAG}
    depends_on: [db]
    ports: ["8080:80"]
    env_file: [web.env, {path: missing.env, required: false}]
    environment: {FROM_COMPOSE: "1", MODE: compose}
    volumes: ["./conf:/conf"]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "compose.yaml").write_text(COMPOSE)
    (tmp_path / "deploy" / "web.env").write_text("# comment\nexport FILE_ONLY='a b'\nMODE=file\n")
    (tmp_path / "deploy" / ".env").write_text("TAG=7\n")
    (tmp_path / "tidegate.yaml").write_text(
        "agent: web\nworkload: {compose: deploy/compose.yaml, service: web, ports: !reset [], environment: {MODE: mine}}\n"
        "routes: [{listen: 8080, target: 80}]\n"
    )
    return tmp_path


def test_a_service_of_a_compose_file(project: Path) -> None:
    found = load_spec(project, {}).workload
    assert found.image == "web:7"
    assert found.restart == "always"
    assert found.environment == {"FILE_ONLY": "a b", "MODE": "mine", "FROM_COMPOSE": "1"}
    assert found.mounts == (Mount(MountKind.BIND, "/conf", str(project / "deploy" / "conf")),)
    assert found.ports == ()


def test_the_process_environment_wins_over_dotenv(project: Path) -> None:
    assert load_spec(project, {"TAG": "8"}).workload.image == "web:8"


def test_problems_in_the_compose_file_have_its_place(project: Path) -> None:
    path = project / "deploy" / "compose.yaml"
    path.write_text(COMPOSE.replace("8080:80", "8080:x").replace("depends_on: [db]", "links: [db]"))
    (project / "tidegate.yaml").write_text("agent: web\nworkload: {compose: deploy/compose.yaml, service: web}\n")
    with pytest.raises(SpecError) as caught:
        load_spec(project, {})
    assert caught.value.message.splitlines() == [
        f"{path}:8: services.web.links: is not supported (name a network that both are on: networks: [name])",
        f"{path}:9: services.web.ports[0]: found the text '8080:x'; expected a port: HOST:CONTAINER "
        '(write "8080:80" or "127.0.0.1:514:514/udp")',
    ]


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("{compose: deploy/compose.yaml}", "has 2 services (add service: db or web)"),
        ("{compose: deploy/compose.yaml, service: wbe}", "has no such service (did you mean web?)"),
        ("{compose: deploy/web.env}", "web.env:1: has no services (name a compose file with services:"),
        ("{compose: deploy}", "deploy cannot be read: Is a directory (mend the path or its permissions)"),
    ],
)
def test_references_that_lead_nowhere(project: Path, reference: str, expected: str) -> None:
    (project / "tidegate.yaml").write_text(f"agent: web\nworkload: {reference}\n")
    with pytest.raises(SpecError) as caught:
        load_spec(project, {})
    assert expected in caught.value.message
    assert len(caught.value.problems) == 1


EXTENDING = """
services:
  web:
    extends: {file: base/common.yaml, service: agent}
    environment: {MODE: web}
    command: [serve]
    secrets: [token, {source: key, target: /etc/key}]
    configs: [rules]
  plain:
    extends: web
    command: [plain]
secrets:
  token: {file: "./${PLACE:-here}/token"}
  key: {file: ./key}
configs:
  rules: {file: ./rules.yaml}
"""
COMMON = """
services:
  agent:
    image: agent:1.0.0
    environment: {MODE: base, LEVEL: info}
    command: [nothing]
    volumes: ["./data:/data"]
"""


def test_a_service_that_extends_others_and_its_files(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "compose.yaml").write_text(EXTENDING)
    (tmp_path / "base" / "common.yaml").write_text(COMMON)
    (tmp_path / "tidegate.yaml").write_text("agent: web\nworkload: {compose: compose.yaml, service: plain}\n")
    (environment,) = load_spec(tmp_path / "tidegate.yaml", {}).environments.values()
    workload = environment.workload
    assert workload.image == "agent:1.0.0"
    assert workload.command == ("plain",)
    assert workload.environment == {"MODE": "web", "LEVEL": "info"}
    assert {(mount.source, mount.target, mount.read_only) for mount in workload.mounts} == {
        (str(tmp_path / "base/data"), "/data", False),
        (str(tmp_path / "here/token"), "/run/secrets/token", True),
        (str(tmp_path / "key"), "/etc/key", True),
        (str(tmp_path / "rules.yaml"), "/rules", True),
    }


@pytest.mark.parametrize(
    ("service", "top", "message"),
    [
        ("extends: web", "", "web extends itself"),
        ("extends: {service: wbe}", "", "compose.yaml has no such service (did you mean web?)"),
        ("extends: {file: none.yaml, service: web}", "", "none.yaml does not exist"),
        ("extends: [web]", "", "names no service (write extends: {service: NAME}"),
        (
            "image: a:1\n    secrets: [tokn]",
            "secrets: {token: {file: ./t}}",
            "is not supported (files work in a compose file",
        ),
        (
            "image: a:1\n    secrets: [token]",
            "secrets: {token: {environment: T}}",
            "is not supported (files work in a compose file",
        ),
        (
            "image: a:1\n    configs: [one]",
            "configs: {one: {content: x}}",
            "is not supported (files work in a compose file",
        ),
    ],
)
def test_what_is_wrong_with_extends_and_files(tmp_path: Path, service: str, top: str, message: str) -> None:
    (tmp_path / "compose.yaml").write_text(f"services:\n  web:\n    {service}\n{top}\n")
    (tmp_path / "tidegate.yaml").write_text("agent: web\nworkload: {compose: compose.yaml, service: web}\n")
    with pytest.raises(SpecError) as failed:
        load_spec(tmp_path / "tidegate.yaml", {})
    assert message in str(failed.value)
