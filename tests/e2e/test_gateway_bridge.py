"""The gateway on the agents' network, with published ports: what Docker Desktop and rootless engines need."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.host import LISTEN, Host
from tests.e2e.test_routes import MORE, ROUTE, answers
from tests.engine import Engine

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]
GATEWAY = "tidegate-gateway-"


def test_releases_behind_published_ports(engine: Engine, tmp_path: Path) -> None:
    host = Host(engine, tmp_path, variables={"TIDEGATE_GATEWAY": "bridge"})
    host.deployed("1.0.0")
    first = gateway(engine)
    assert (first["HostConfig"]["NetworkMode"], list(first["HostConfig"]["PortBindings"])) == (
        "tidegate",
        [f"{LISTEN}/tcp"],
    )
    with host.load() as load:
        host.deployed("1.1.0")
        bad = host.tidegate("deploy", VERSION="1.1.0", MODE="exit")
        assert bad.code == 3, bad
    assert load.report["lost"] == 0, load.report
    assert gateway(engine)["Id"] == first["Id"], "no port is new"

    more = tmp_path / "more.yaml"
    more.write_text(host.spec.read_text().replace(ROUTE, ROUTE + f"\n  - {{listen: {MORE}, target: 8080}}"))
    with host.load():
        replace(host, spec=more).deployed("1.2.0")
    assert (answers(engine, LISTEN), answers(engine, MORE)) == (200, 200)
    assert gateway(engine)["Id"] != first["Id"], "another port needs another container"

    taken, again = MORE + 1, tmp_path / "taken.yaml"
    again.write_text(more.read_text().replace(f"listen: {MORE}", f"listen: {taken}"))
    binding = {"PortBindings": {"80/tcp": [{"HostPort": str(taken)}]}}
    engine.run(host.base, "sleep", "600", name="rival", ExposedPorts={"80/tcp": {}}, HostConfig=binding)
    host.version("1.3.0")
    with host.load():
        refused = replace(host, spec=again).tidegate("deploy", VERSION="1.3.0", SWITCH_DEADLINE="5s", ANALYSE="2s")
    assert refused.code == 5, refused
    assert f"port {taken} of the gateway's host is taken by container rival" in host.explained()["reasons"][0]
    assert answers(engine, LISTEN) == 200, "back to the ports that it had"

    upgraded = host.tidegate("gateway", "upgrade")
    assert upgraded.code == 0, upgraded
    assert answers(engine, LISTEN) == 200


def gateway(engine: Engine) -> dict[str, Any]:
    """The one gateway there is."""
    [found] = [one for one in engine.containers() if one["Names"][0].lstrip("/").startswith(GATEWAY)]
    return engine.inspect(found["Id"])
