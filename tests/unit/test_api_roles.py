"""Every role on every route: who gets through is written down here by hand, and compared with what is answered."""

import re
from pathlib import Path

import pytest

from tests.api import AGENT, ENVIRONMENT, running
from tidegate.model.access import Role
from tidegate.server.api.app import routes

READ, DELIVER, STEER, ADMINISTER = "read", "deliver", "steer", "administer"
THROUGH = {
    READ: {Role.VIEWER, Role.OPERATOR, Role.ADMIN, Role.CI},
    DELIVER: {Role.OPERATOR, Role.ADMIN, Role.CI},
    STEER: {Role.OPERATOR, Role.ADMIN},
    ADMINISTER: {Role.ADMIN},
}
AGENTS = "/v1/environments/{environment}/agents/{agent}"
PLACE = "/v1/environments/{environment}"
TABLE = {
    READ: (
        "GET /v1/alerts", "GET /v1/http_sd", "GET /metrics", "GET /v1/agents",
        "GET /v1/keys", "GET /v1/transitions", "GET /v1/listening",
        "GET /v1/events", "GET /v1/events/stream", "GET /v1/pause", "GET /v1/intents/{intent}", "GET /v1/jobs/{job}",
        "GET /v1/reporting", "GET /v1/orders", "GET /v1/orders/{order}/runs", f"GET {AGENTS}/records",
        "GET /v1/releases/{agent}", "GET /v1/releases/{agent}/{release}/delivery",
        "GET /v1/evidence/{agent}/{stage}/{inputs}", "GET /v1/releases/{agent}/{release:path}",
        f"GET {PLACE}/gateway", f"GET {AGENTS}",
        *(f"GET {AGENTS}/{noun}" for noun in (
            "status", "explanation", "history", "fleet", "notices", "events", "revisions", "blocks", "pulses", "plan",
            "logs", "logs/stream", "deliveries", "deliveries/{number}", "deliveries/{number}/evidence",
        )),
        f"POST {AGENTS}/preview",
    ),
    DELIVER: (
        *(f"POST {AGENTS}/{verb}" for verb in ("deploy", "plan", "intents", "events", "undo", "retry", "abort")),
        f"GET {AGENTS}/backups", f"GET {PLACE}/image", f"POST {AGENTS}/deliveries",
        f"POST {AGENTS}/deliveries/{{number}}/cancel", "POST /v1/alertmanager",
    ),
    STEER: (
        *(f"POST {AGENTS}/{verb}" for verb in (
            "promote", "pause", "resume", "approve", "reject", "set-weight", "scale", "restart", "decommission",
            "take-lock", "unlock", "lift-quarantine", "acknowledge", "clean-up", "restore-backup", "notices/trial",
        )),
        *(f"POST {PLACE}/gateway/{verb}" for verb in ("upgrade", "stop", "purge")),
        "PUT /v1/pause", "DELETE /v1/pause", "POST /v1/orders", "DELETE /v1/orders/{order}",
        f"GET {AGENTS}/configurations/{{digest}}",
    ),
    ADMINISTER: (
        "GET /v1/tokens", "POST /v1/tokens", "DELETE /v1/tokens/{token}", "GET /v1/audit", "GET /v1/audit/head",
    ),
}  # fmt: skip
NEEDS = {route: right for right, found in TABLE.items() for route in found}
OPEN = {"GET /healthz", "GET /readyz"}


def filled(path: str, agent: str = AGENT) -> str:
    """A path with names in the place of its parameters."""
    names = {
        "agent": agent,
        "environment": ENVIRONMENT,
        "token": "0" * 12,
        "release:path": "1.0.0",
        "number": "1",
        "stage": "build",
    }
    return re.sub(r"{([^}]+)}", lambda found: names.get(found[1], "0" * 32), path)


def every() -> list[str]:
    return [f"{method} {route.path}" for route in routes() for method in sorted(route.methods)]


def test_every_route_is_in_the_table_and_every_line_of_it_is_a_route() -> None:
    assert set(every()) - OPEN == set(NEEDS)


@pytest.mark.parametrize("role", [*Role, None])
async def test_a_role_gets_through_where_the_table_says_and_nowhere_else(tmp_path: Path, role: Role | None) -> None:
    async with running(tmp_path, decide=False) as here, here.client(role) as client:
        wrong = []
        for route in every():
            method, _, path = route.partition(" ")
            if route.endswith("/stream"):
                continue  # it stays open: its own test is below
            status = (await client.request(method, filled(path))).status_code
            if route in OPEN or role in THROUGH[NEEDS[route]]:
                right = status not in (401, 403) and status < 500
            else:
                right = status in ((401, 429) if role is None else (403,))
            if not right:
                wrong.append((route, status))
        assert not wrong


async def test_other_verbs_are_refused_on_every_path(tmp_path: Path) -> None:
    async with running(tmp_path, decide=False) as here, here.client(Role.ADMIN) as client:
        allowed: dict[str, set[str]] = {}
        for route in every():
            method, _, path = route.partition(" ")
            allowed.setdefault(path, set()).add(method)
        for path, methods in allowed.items():
            for method in {"GET", "PUT", "PATCH", "DELETE", "TRACE", "OPTIONS", "BREW"} - methods:
                if (method, path) == ("GET", f"{AGENTS}/undo"):
                    continue
                answer = await client.request(method, filled(path))
                assert answer.status_code in (404, 405), (method, path, answer.status_code)
                assert answer.headers["content-type"] == "application/problem+json"


async def test_a_bound_token_sees_and_reaches_its_agent_alone(tmp_path: Path) -> None:
    async with running(tmp_path) as here, here.client(Role.CI) as ci, here.client(Role.ADMIN) as admin:
        assert (await admin.post(filled(f"{AGENTS}/deploy"), json={})).status_code == 202
        assert (await ci.get(filled(AGENTS, "other"))).status_code == 403
        assert (await ci.get("/v1/releases/other")).status_code == 403
        assert (await ci.post(filled(f"{AGENTS}/deploy", "other"), json={})).status_code == 403
        assert (await ci.get(filled(AGENTS).replace(ENVIRONMENT, "production"))).status_code == 403
        other = await here.make_token(Role.CI, agent="other")
        async with here.client(token=other) as foreign:
            assert (await foreign.get("/v1/keys")).json() == []
            assert (await foreign.get("/v1/events")).json()["events"] == []
            intent = (await admin.post(filled(f"{AGENTS}/pause"), json={})).headers["location"]
            assert (await foreign.get(intent)).status_code == 404
            assert (await ci.get(intent)).status_code == 200


async def test_ci_brings_releases_as_a_trigger_and_overrides_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as here, here.client(Role.CI) as ci:
        deploy = filled(f"{AGENTS}/deploy")
        assert (await ci.post(deploy, json={"override_freeze": True, "reason": "now"})).status_code == 403
        given = await ci.post(deploy, json={"reason": "build 7"})
        assert given.status_code == 202
        intent = await here.api.books.store.find_intent(given.json()["id"])
        assert intent is not None
        assert getattr(intent.action, "automatic", False)
        assert intent.by.startswith("ci-")
