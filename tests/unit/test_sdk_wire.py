import json
import socket
from dataclasses import replace

import pytest

from tests.sdk_centre import Centre
from tidegate.sdk.identity import Identity
from tidegate.sdk.wire import Action, Heartbeat, Refused, Reply, Status, TaskResult, send

BEAT = Heartbeat(Status.DEGRADED, 3, 5.0, "queue 80 % full", {"queue": 80.0}, (TaskResult("t1", True, "", 1.0, 2.0),))
ENV = {
    "TIDEGATE_URL": "http://centre:4300/",
    "TIDEGATE_AGENT": "logship",
    "TIDEGATE_ENVIRONMENT": "production",
    "TIDEGATE_INSTANCE": "logship-7-1",
    "TIDEGATE_REVISION": "7",
    "TIDEGATE_AGENT_TOKEN": "s3cret",
    "OTEL_RESOURCE_ATTRIBUTES": "service.name=other,service.version=1.2.0%2Ba1b2c3d,broken,service.instance.id=x",
}


def test_the_environment_names_the_instance_and_the_token_stays_out_of_its_repr() -> None:
    identity = Identity.from_environment(ENV)
    assert replace(identity, attributes={}) == Identity(
        "logship", "production", "logship-7-1", 7, "1.2.0+a1b2c3d", "http://centre:4300", "s3cret"
    )
    assert identity.attributes["host.name"]
    assert identity.attributes["service.name"] == "other"
    assert "s3cret" not in repr(identity)


def test_opentelemetry_names_do_where_tidegates_are_missing() -> None:
    identity = Identity.from_environment({"OTEL_RESOURCE_ATTRIBUTES": "service.name=a,service.instance.id=i"})
    assert (identity.agent, identity.instance, identity.url) == ("a", "i", "")
    assert Identity.from_environment({"TIDEGATE_REVISION": "seven"}).revision == 0


def test_a_heartbeat_goes_out_as_the_reference_says() -> None:
    with Centre(interval_s=2.5) as centre:
        identity = Identity("logship", "production", "i1", 7, "1.2.0", centre.url, "s3cret")
        centre.actions = [{"action": "run_task", "id": "t9", "task": "compact"}]
        reply = send(identity, BEAT, timeout_s=2.0)
    headers, body = centre.asked[0]
    assert headers["Authorization"] == "Bearer s3cret"
    assert body.pop("sent_at") > 1.7e9
    assert body == {
        "agent": "logship", "environment": "production", "instance": "i1", "revision": 7, "version": "1.2.0",
        "status": "degraded", "sequence": 3, "interval_s": 5.0, "message": "queue 80 % full",
        "metrics": {"queue": 80.0},
        "completed": [{"task": "t1", "ok": True, "detail": "", "started_at": 1.0, "ended_at": 2.0}],
    }  # fmt: skip
    assert reply.interval_s == 2.5
    assert reply.next == (Action("run_task", {"id": "t9", "task": "compact"}),)


def test_a_bare_heartbeat_carries_no_empty_parts() -> None:
    body = json.loads(Heartbeat(Status.OK, 1, 5.0).encode(Identity("a"), sent_at=1.0))
    assert not {"message", "metrics", "completed"} & set(body)


def test_a_refusal_has_the_servers_reason_and_its_wish() -> None:
    with Centre() as centre:
        centre.failures = [(503, {"Retry-After": "7"})]
        with pytest.raises(Refused, match="answered 503: not now") as caught:
            send(Identity("a", url=centre.url), BEAT, 2.0)
    assert (caught.value.code, caught.value.retry_after_s) == (503, 7.0)


def test_a_redirect_is_not_followed() -> None:
    with Centre() as centre, Centre() as thief:
        centre.failures = [(307, {"Location": thief.url + "/v1/agents/heartbeat"})]
        with pytest.raises(Refused, match="307"):
            send(Identity("a", url=centre.url, token="t"), BEAT, 2.0)
    assert thief.asked == []


@pytest.mark.parametrize(
    "answer",
    [b"", b"[]", b"{}", b'{"status": "NO"}', b'{"status": "OK"}', b'{"status": "OK", "interval_s": "soon"}',
     b'{"status": "OK", "interval_s": NaN}', b'{"status": "OK", "interval_s": 0}',
     b'{"status": "OK", "interval_s": 1, "next": [1]}', b'{"status": "OK", "interval_s": 1, "next": 5}', b"[" * 100000,
     b"\xff\xfe"],
)  # fmt: skip
def test_any_other_answer_is_refused_and_nothing_else_is_raised(answer: bytes) -> None:
    with pytest.raises(Refused):
        Reply.parse(answer)


@pytest.mark.parametrize("url", ["ftp://x", "centre:4300", "http://", "http://[::1", "http://h:99999"])
def test_a_bad_url_is_refused(url: str) -> None:
    with pytest.raises(Refused, match="TIDEGATE_URL"):
        send(Identity("a", url=url), BEAT, 1.0)


def test_a_token_that_is_no_header_is_refused_without_being_told() -> None:
    with pytest.raises(Refused) as caught:
        send(Identity("a", url="http://127.0.0.1:9", token="s3cret\nX-Evil: 1"), BEAT, 1.0)
    assert "s3cret" not in str(caught.value)


def test_a_server_that_never_answers_ends_at_the_time_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute, pytest.raises(OSError, match="timed out"):
        send(Identity("a", url=f"http://127.0.0.1:{mute.getsockname()[1]}"), BEAT, 0.2)
