"""What receivers of notices get, over real HTTP, checked by the standards' own clients."""

import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from cloudevents.core.formats.json import JSONFormat
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.receiver import Receiver, receiving
from tidegate.adapters.notify.notifier import NoticeSender
from tidegate.adapters.source.secrets import Secrets
from tidegate.adapters.store.opening import State, open_state
from tidegate.controller.clock import WallClock
from tidegate.controller.outbox import Books, Teller
from tidegate.model.decision import Decision
from tidegate.model.desired import Desired
from tidegate.model.errors import NoticeError, SecretError
from tidegate.model.event import Event, EventKind
from tidegate.model.policy import Channel, Endpoint
from tidegate.model.release import AgentKey
from tidegate.model.rollout import AgentState
from tidegate.model.workload import SecretRef

KEY = AgentKey("logship", "prod")
NEW, OLD = (f"whsec_{base64.b64encode(bytes([n]) * 32).decode()}" for n in (1, 2))
REFS = (SecretRef("NEW", "environment", "HOOK_NEW"), SecretRef("OLD", "environment", "HOOK_OLD"))
ENVIRON = {"HOOK_NEW": NEW, "HOOK_OLD": OLD, "TOKEN": "glptt-abc", "HIDDEN_URL": "unset"}


def notice(end: str = "promoted", at: float = 1_700_000_000.25, **data: str | int | float | None) -> Event:
    facts = {"rollout": "logship.prod.r7", "version": "1.4.0", "former": "1.3.0", "image": "team/logship:1.4.0"}
    facts |= {"digest": f"sha256:{'a' * 64}", "end": end}
    return Event(at, KEY, EventKind.NOTICE, f"Update: {end} \u2192 <1.4.0>", 7, {**facts, **data})


@pytest.fixture
async def sender() -> AsyncIterator[NoticeSender]:
    made = NoticeSender(Secrets(Path(), ENVIRON), {"PATH": "/usr/bin:/bin"})
    yield made
    await made.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as listening:
        yield listening


async def test_a_web_hook_verifies_with_the_new_key_and_with_the_former_one(
    sender: NoticeSender, receiver: Receiver
) -> None:
    hook = Endpoint("hook", Channel.WEBHOOK, f"{receiver.url}/in", secrets=REFS)
    await sender.deliver(hook, 3, notice())
    await sender.deliver(hook, 3, notice())
    first, again = receiver.requests
    for key in (NEW, OLD):
        Webhook(key).verify(first.body, first.headers)
    assert first.headers["webhook-id"] == again.headers["webhook-id"], "what comes twice can be told"
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(first.body.replace(b"1.4.0", b"1.4.1"), first.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + base64.b64encode(b"3" * 32).decode()).verify(first.body, first.headers)


@pytest.mark.parametrize(
    ("event", "word"),
    [
        (notice(), "service.upgraded"),
        (notice(former=""), "service.deployed"),
        (notice(undo_of=5), "service.rolledback"),
        (notice("rolled_back"), "service.rolledback"),
        (notice("aborted"), "service.rolledback"),
        (notice("failed"), "incident.detected"),
        (notice("unverified"), "incident.detected"),
    ],
)
async def test_it_is_a_cloud_event_that_carries_a_cd_event(
    sender: NoticeSender, receiver: Receiver, event: Event, word: str
) -> None:
    await sender.deliver(Endpoint("hook", Channel.WEBHOOK, receiver.url), 3, event)
    got = receiver.requests[0]
    assert "webhook-signature" not in got.headers, "no key, no signature"
    message = HTTPMessage({"content-type": got.headers["content-type"]}, got.body)
    cloud = from_http_event(message, JSONFormat())
    assert cloud.get_type() == f"dev.cdevents.{word}.0.3.0"
    data = cloud.get_data()
    assert isinstance(data, dict)
    context = data["context"]
    assert (context["id"], context["source"], context["type"]) == (
        cloud.get_id(),
        cloud.get_source(),
        cloud.get_type(),
    )
    assert context["specversion"] == "0.5.1"
    assert data["subject"]["content"]["artifactId"] == (
        f"pkg:oci/logship@sha256%3A{'a' * 64}?repository_url=team%2Flogship&tag=1.4.0"
    )
    assert data["customData"]["text"] == event.because


async def test_one_chain_for_one_rollout(sender: NoticeSender, receiver: Receiver) -> None:
    hook = Endpoint("hook", Channel.WEBHOOK, receiver.url)
    await sender.deliver(hook, 3, notice("rolled_back"))
    await sender.deliver(hook, 9, notice("unverified"))
    await sender.deliver(hook, 12, notice(rollout="logship.prod.r8"))
    chains = [json.loads(got.body)["data"]["context"]["chainId"] for got in receiver.requests]
    assert chains[0] == chains[1] != chains[2]


async def test_slack_gitlab_and_jenkins(sender: NoticeSender, receiver: Receiver) -> None:
    token = (SecretRef("TOKEN", "environment", "TOKEN"),)
    await sender.deliver(Endpoint("chat", Channel.SLACK, f"{receiver.url}/services/x"), 1, notice())
    lab = Endpoint(
        "lab", Channel.GITLAB, f"{receiver.url}/api/v4/projects/7/trigger/pipeline", secrets=token, ref="dev"
    )
    await sender.deliver(lab, 1, notice())
    job = Endpoint("job", Channel.JENKINS, f"{receiver.url}/job/x/buildWithParameters", secrets=token, user="ci")
    await sender.deliver(job, 1, notice())
    chat, trigger, build = receiver.requests
    assert json.loads(chat.body) == {"text": "Update: promoted \u2192 &lt;1.4.0&gt;"}
    form = parse_qs(trigger.body.decode())
    assert (form["token"], form["ref"]) == (["glptt-abc"], ["dev"])
    assert form["variables[TIDEGATE_VERSION]"] == ["1.4.0"]
    assert build.headers["authorization"] == "Basic " + base64.b64encode(b"ci:glptt-abc").decode()
    assert parse_qs(build.body.decode())["TIDEGATE_END"] == ["promoted"]


async def test_a_command_is_told_by_its_environment(sender: NoticeSender, tmp_path: Path) -> None:
    code = f"import os; open({str(tmp_path / 'out')!r}, 'w').write(os.environ['TIDEGATE_TEXT'])"
    await sender.deliver(Endpoint("own", Channel.COMMAND, command=(sys.executable, "-c", code)), 1, notice())
    assert (tmp_path / "out").read_text() == notice().because
    for command, words in (((sys.executable, "-c", "exit(3)"), "ended with 3"), (("/nowhere",), "No such file")):
        with pytest.raises(NoticeError, match=words):
            await sender.deliver(Endpoint("own", Channel.COMMAND, command=command), 1, notice())


async def test_errors_name_no_secret(sender: NoticeSender, receiver: Receiver) -> None:
    receiver.answer = lambda number: 410 if number == 2 else 500
    secret_path = f"{receiver.url}/services/T0/SECRETPATH"
    for gone in (False, True):
        with pytest.raises(NoticeError) as refused:
            await sender.deliver(Endpoint("chat", Channel.SLACK, secret_path), 1, notice())
        assert "SECRETPATH" not in str(refused.value)
        assert refused.value.gone is gone
    for url in ("http://127.0.0.1:1/SECRETPATH", "http://[SECRETPATH/", "SECRETPATH"):
        with pytest.raises(NoticeError) as refused:
            await sender.deliver(Endpoint("chat", Channel.SLACK, url), 1, notice())
        assert "SECRETPATH" not in str(refused.value)
    absent = (SecretRef("X", "environment", "ABSENT"),)
    with pytest.raises(SecretError, match="ABSENT"):
        await sender.deliver(Endpoint("hook", Channel.WEBHOOK, receiver.url, secrets=absent), 1, notice())
    token = (SecretRef("X", "environment", "TOKEN"),)
    with pytest.raises(NoticeError, match="base64") as refused:
        await sender.deliver(Endpoint("hook", Channel.WEBHOOK, receiver.url, secrets=token), 1, notice())
    assert "glptt" not in str(refused.value)


class QuickClock(WallClock):
    """The wall's time with pauses that cost nothing."""

    async def sleep(self, seconds: float) -> None:
        """A moment."""
        await asyncio.sleep(0.002)


@pytest.fixture
async def state(tmp_path: Path) -> AsyncIterator[State]:
    opened = await open_state(str(tmp_path / "t.db"))
    yield opened
    await opened.close()


async def known(state: State, *endpoints: Endpoint, since: float = 0.0) -> None:
    epoch = await state.lease.acquire("a", 10.0, 0.0)
    assert epoch is not None
    agent = AgentState(KEY, endpoints=endpoints, told_since=since)
    await state.store.save(Decision(agent, Desired(KEY)), epoch)


def teller(state: State, sender: NoticeSender) -> Teller:
    return Teller(Books(state.store, state.journal, state.outbox, QuickClock()), sender)


async def until(condition: object, limit_s: float = 10.0) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.01)


async def test_what_fails_is_tried_again_in_order_and_told_once_more_by_nobody(
    state: State, sender: NoticeSender, receiver: Receiver
) -> None:
    receiver.answer = lambda number: 503 if number <= 2 else 200
    now = WallClock().now()
    await known(state, Endpoint("chat", Channel.SLACK, receiver.url), since=now)
    await state.journal.append([notice(at=now - 9, end="before"), notice(at=now, end="one"), notice(at=now, end="two")])
    first = teller(state, sender)
    task = asyncio.create_task(first.run(asyncio.Event()))
    await until(lambda: len(receiver.requests) == 4)
    await first.finish(5.0)
    task.cancel()
    told = [json.loads(got.body)["text"].split()[1] for got in receiver.requests]
    assert told == ["one", "one", "one", "two"]
    again = teller(state, sender)
    await again.finish(5.0)
    assert len(receiver.requests) == 4
    await state.journal.append([notice(at=now, end="three")])
    await again.finish(5.0)
    assert len(receiver.requests) == 5


async def test_a_dead_receiver_delays_no_other_and_is_given_up_after_its_deadline(
    state: State, sender: NoticeSender, receiver: Receiver
) -> None:
    now = WallClock().now()
    dead = Endpoint("dead", Channel.SLACK, "http://127.0.0.1:1/SECRETPATH", timeout_s=0.5)
    await known(state, dead, Endpoint("chat", Channel.SLACK, receiver.url, on=("promoted",)))
    await state.journal.append([notice("rolled_back", at=now), notice(at=now)])
    telling = teller(state, sender)
    await telling.look()
    await until(lambda: len(receiver.requests) == 1)
    assert await state.outbox.position("logship.prod/dead") is None
    await known_late(state, replace(dead, deadline_s=0.0), receiver)
    await telling.look()
    await telling.finish(5.0)
    given_up = [e for _, e in await state.journal.events(KEY) if e.kind is EventKind.OPERATION_FAILED]
    assert [e.data["end"] for e in given_up] == ["rolled_back", "promoted"]
    assert "SECRETPATH" not in "".join(e.because for e in given_up)


async def known_late(state: State, dead: Endpoint, receiver: Receiver) -> None:
    """The same agent with another deadline; an event wakes whoever looks at the log."""
    await state.lease.release("a", 1)
    epoch = await state.lease.acquire("a", 10.0, 0.0)
    assert epoch is not None
    chat = Endpoint("chat", Channel.SLACK, receiver.url, on=("promoted",))
    event = Event(0.0, KEY, EventKind.SCALE, "something else", 7)
    await state.store.save(Decision(AgentState(KEY, endpoints=(dead, chat)), Desired(KEY), (event,)), epoch)
