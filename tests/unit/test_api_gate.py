"""The gate in front of the API: who gets in, what is refused before a route is asked, and what every answer has."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from tests.api import running
from tidegate.model.access import Role
from tidegate.model.door import Door, check, parse_address
from tidegate.model.errors import StoreError, UsageError


async def test_health_needs_no_token_and_everything_else_does(tmp_path: Path) -> None:
    async with running(tmp_path, decide=False) as here, here.client(None) as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        assert (await client.get("/readyz")).json() == {"status": "ready", "deciding": False}
        for path in ("/metrics", "/v1/agents", "/nowhere"):
            answer = await client.get(path)
            assert answer.status_code == 401
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert len(answer.headers["x-request-id"]) == 32


UNKNOWN = "Bearer tgt_000000000000_" + "a" * 43


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer tgt_", "Basic dTpw", UNKNOWN, "Bearer tga_x", "Bearer " + "x" * 5000]
)
async def test_what_is_no_token_in_force_is_refused(tmp_path: Path, header: str) -> None:
    async with running(tmp_path, decide=False) as here, here.client(None) as client:
        assert (await client.get("/metrics", headers={"Authorization": header})).status_code == 401


async def test_a_token_with_another_secret_an_expired_and_a_revoked_one_are_refused(tmp_path: Path) -> None:
    async with running(tmp_path, decide=False) as here:
        good = here.tokens[Role.VIEWER]
        forged = good[:-1] + ("A" if good[-1] != "A" else "B")
        brief = await here.make_token(Role.VIEWER, seconds=60.0)
        async with here.client(token=good) as one, here.client(token=forged) as two, here.client(token=brief) as three:
            assert (await one.get("/metrics")).status_code == 200
            assert (await two.get("/metrics")).status_code == 401
            assert (await three.get("/metrics")).status_code == 200
            now = here.api.now()
            here.api.site.ports.clock.now = lambda: now + 61.0  # type: ignore[method-assign]
            assert (await three.get("/metrics")).status_code == 401
            assert (await one.get("/metrics")).status_code == 200


async def test_a_token_and_an_address_have_a_rate(tmp_path: Path) -> None:
    async with (
        running(tmp_path, decide=False, rate=2.0) as here,
        here.client() as client,
        here.client(None) as stranger,
    ):
        statuses = [(await client.get("/nowhere")).status_code for _ in range(8)]
        assert statuses[:4] == [404] * 4
        assert 429 in statuses
        wrong = [(await stranger.get("/nowhere")) for _ in range(14)]
        assert [answer.status_code for answer in wrong[:10]] == [401] * 10
        assert wrong[-1].status_code == 429
        assert wrong[-1].headers["retry-after"] == "1"


async def test_bodies_are_bounded_and_have_a_kind(tmp_path: Path) -> None:
    async with running(tmp_path, decide=False) as here, here.client() as client:
        large = await client.post("/v1/tokens", content=b"[" * 2_000_000, headers={"content-type": "application/json"})
        assert large.status_code == 413
        packed = await client.post(
            "/v1/tokens", content=b"{}", headers={"content-type": "application/json", "content-encoding": "gzip"}
        )
        assert packed.status_code == 415
        assert (await client.post("/v1/tokens", content=b"a=b")).status_code == 415


async def test_an_open_door_is_for_localhost_by_name(tmp_path: Path) -> None:
    async with running(tmp_path, decide=False, open=True) as here, here.client(None) as client:
        assert (await client.get("/metrics")).status_code == 200
        assert (await client.get("/metrics", headers={"Host": "evil.example"})).status_code == 421


async def test_a_state_that_does_not_answer_is_told_and_is_no_fault(tmp_path: Path) -> None:
    async with running(tmp_path, decide=False) as here, here.client() as client:

        async def away(*_: Any) -> Any:
            raise StoreError("the disk is gone")

        here.api.books.access.find = away  # type: ignore[method-assign]
        here.api.books.audit.head = away  # type: ignore[method-assign]
        answer = await client.get("/metrics")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/healthz")).status_code == 200


async def test_no_secret_reaches_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "tidegate")
    async with running(tmp_path, decide=False) as here, here.client() as client:
        await client.get("/metrics?token=" + here.tokens[Role.CI])
        await asyncio.sleep(0)
    told = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    assert "/metrics 200" in told
    assert not any(token.split("_", 2)[2] in told for token in here.tokens.values())


def test_the_door_is_safe_by_itself() -> None:
    assert check(Door()).local
    for unsafe in (Door("0.0.0.0", open=True), Door("192.0.2.1"), Door("::"), Door(certificate="c.pem")):
        with pytest.raises(UsageError):
            check(unsafe)
    assert check(Door("0.0.0.0", certificate="c.pem", key="k.pem")).url == "https://0.0.0.0:4321"
    assert parse_address(":80") == ("127.0.0.1", 80)
    assert parse_address("[::1]:443") == ("::1", 443)
    for wrong in ("localhost:1", "1.2.3.4", "1.2.3.4:0", "1.2.3.4:99999", "", "1.2.3.4:-1"):
        with pytest.raises(UsageError):
            parse_address(wrong)
