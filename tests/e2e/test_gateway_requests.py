"""Rules, sticky users and mirrors on a real Envoy: every match, a thousand users, and what an observer reads back."""

from __future__ import annotations

import asyncio
import http.client
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiohttp import ClientSession

from tests.engine import Engine
from tests.gateway_kit import KEY, Server, applied, goal, http_server, until
from tidegate.adapters.gateway.envoy import EnvoyGateway
from tidegate.model.desired import Mirror, RouteGoal, Rule
from tidegate.model.operation import StartGateway
from tidegate.model.traffic import Match, MatchKind, MatchOn, Sticky
from tidegate.model.workload import Route

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]
ROUTE = Route(8080, 80)
USERS = [f"user-{n}" for n in range(1000)]
GROUP = "x-user-group"


@pytest.fixture
async def gateway(engine: Engine) -> AsyncIterator[EnvoyGateway]:
    docker = engine.aiodocker()
    gateway = EnvoyGateway(docker)
    try:
        await gateway.execute(StartGateway("the test says so"))
        yield gateway
    finally:
        await gateway.close()
        await docker.close()


def split(one: Server, two: Server, weight: int, **more: object) -> RouteGoal:
    return replace(goal(ROUTE, (1, 100 - weight, [one]), (2, weight, [two])), **more)  # type: ignore[arg-type]


def ask(client: http.client.HTTPConnection, path: str = "/", **headers: str) -> tuple[str, str]:
    """Who answers, and the cookie that came with it."""
    client.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    response = client.getresponse()
    return response.read().decode(), (response.getheader("set-cookie") or "").partition(";")[0]


MATCHES = [
    (Match(MatchOn.HEADER, "yes", "x-test"), ("/", {"x-test": "yes"}), ("/", {"x-test": "yess"})),
    (Match(MatchOn.HEADER, "v2", "x-test", MatchKind.PREFIX), ("/", {"x-test": "v2.1"}), ("/", {"x-test": "1v2"})),
    (Match(MatchOn.HEADER, "v?2\\.0-beta", "v", MatchKind.REGEX), ("/", {"v": "v2.0-beta"}), ("/", {"v": "v2x0-beta"})),
    (Match(MatchOn.PATH, "/new"), ("/new?a=1", {}), ("/newer", {})),
    (Match(MatchOn.PATH, "/new/", kind=MatchKind.PREFIX), ("/new/a", {}), ("/a?b=/new/", {})),
    (Match(MatchOn.PATH, "/v[23]/.*", kind=MatchKind.REGEX), ("/v3/x?y", {}), ("/v4/x", {})),
    (Match(MatchOn.COOKIE, "b", "lane"), ("/", {"cookie": "a=1; lane=b; c=2"}), ("/", {"cookie": "xlane=b; lane=bb"})),
    (
        Match(MatchOn.COOKIE, "b", "lane", MatchKind.PREFIX),
        ("/", {"cookie": "lane=bc"}),
        ("/", {"cookie": "lane=a"}),
    ),
    (Match(MatchOn.GROUP, "beta", GROUP), ("/", {GROUP: "staff, beta"}), ("/", {GROUP: "betas, alphabeta"})),
]


async def test_every_kind_of_match_reaches_the_canary_and_nothing_else_does(
    engine: Engine, gateway: EnvoyGateway
) -> None:
    async with (
        http_server("one", engine.gateway_ip) as one,
        http_server("two", engine.gateway_ip) as two,
        ClientSession(f"http://{engine.address}:8080") as client,
    ):

        async def who(path: str, headers: dict[str, str]) -> str:
            async with client.get(path, headers=headers) as response:
                return await response.text()

        for match, inside, outside in MATCHES:
            wanted = split(one, two, 0, rules=(Rule("step 1", (match,), 2),))
            await gateway.execute(applied(wanted))
            assert (await who(*inside), await who(*outside)) == ("two", "one"), match
            assert (await gateway.observe(KEY)).routes == (wanted,)
        both = (MATCHES[0][0], MATCHES[4][0])
        await gateway.execute(applied(split(one, two, 0, rules=(Rule("step 1", both, 2),))))
        said = [await who("/new/a", {"x-test": "yes"}), await who("/new/a", {}), await who("/", {"x-test": "yes"})]
        assert said == ["two", "one", "one"], "all conditions must hold"


async def test_a_rule_whose_revision_has_nobody_is_answered_by_nobody(engine: Engine, gateway: EnvoyGateway) -> None:
    async with (
        http_server("one", engine.gateway_ip) as one,
        ClientSession(f"http://{engine.address}:8080") as client,
    ):
        rule = Rule("preview", (MATCHES[0][0],), 2)
        await gateway.execute(applied(replace(goal(ROUTE, (1, 100, [one])), rules=(rule,))))
        async with client.get("/", headers={"x-test": "yes"}) as response:
            assert response.status == 503
        async with client.get("/") as response:
            assert await response.text() == "one"


async def test_nobody_of_a_thousand_users_goes_back_as_the_share_grows(engine: Engine, gateway: EnvoyGateway) -> None:
    async with http_server("one", engine.gateway_ip) as one, http_server("two", engine.gateway_ip) as two:
        client = http.client.HTTPConnection(engine.address, 8080)

        def everybody() -> set[str]:
            return {user for user in USERS if ask(client, x_user=user)[0] == "two"}

        former: set[str] = set()
        sizes = []
        for weight in (0, 10, 25, 50, 90, 100):
            await gateway.execute(applied(split(one, two, weight, sticky=Sticky(header="x-user"))))
            now = await asyncio.to_thread(everybody)
            assert former <= now
            sizes.append(len(now))
            former = now
        assert sizes[0] == 0
        assert sizes[-1] == len(USERS)
        for size, share in zip(sizes, (0, 0.1, 0.25, 0.5, 0.9, 1.0), strict=True):
            assert abs(size - 1000 * share) < 80, "five standard deviations"


async def test_whoever_has_no_cookie_gets_one_and_stays(engine: Engine, gateway: EnvoyGateway) -> None:
    async with http_server("one", engine.gateway_ip) as one, http_server("two", engine.gateway_ip) as two:
        sticky = Sticky(cookie="lane")
        client = http.client.HTTPConnection(engine.address, 8080)

        def newcomers() -> dict[str, str]:
            return {cookie: name for name, cookie in (ask(client) for _ in range(300))}

        def again(cookies: list[str]) -> list[tuple[str, str]]:
            return [ask(client, cookie=f"other=1; {cookie}") for cookie in cookies]

        await gateway.execute(applied(split(one, two, 30, sticky=sticky)))
        users = await asyncio.to_thread(newcomers)
        assert len(users) == 300
        assert all(cookie.startswith("lane=") for cookie in users)
        assert 50 < Counter(users.values())["two"] < 130
        assert await asyncio.to_thread(again, list(users)) == [(name, "") for name in users.values()]
        await gateway.execute(applied(split(one, two, 60, sticky=sticky)))
        later = [name for name, _ in await asyncio.to_thread(again, list(users))]
        assert not [1 for before, after in zip(users.values(), later, strict=True) if (before, after) == ("two", "one")]
        assert Counter(later)["two"] > Counter(users.values())["two"]


async def test_a_mirror_copies_a_share_and_is_counted_and_its_answers_are_thrown_away(
    engine: Engine, gateway: EnvoyGateway
) -> None:
    async with (
        http_server("one", engine.gateway_ip) as one,
        http_server("two", engine.gateway_ip) as two,
        ClientSession(f"http://{engine.address}:8080") as client,
    ):
        await gateway.execute(applied(split(one, two, 0, mirror=Mirror(2, 25))))
        for number in range(400):
            async with client.post("/status" if number % 2 else "/x", data=str(number)) as response:
                assert (await response.text()).startswith("one")

        async def copied() -> bool:
            return (await gateway.counters(KEY))[2].requests == two.seen["POST"] > 0

        assert await until(copied), (await gateway.counters(KEY), two.seen["POST"])
        assert one.seen["POST"] == 400
        assert 50 < two.seen["POST"] < 150, "100 expected; 5.8 standard deviations"
        assert (await gateway.observe(KEY)).endpoints(2) == {two.endpoint}, "a mirror's target must not be stopped"
