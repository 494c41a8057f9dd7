"""schemathesis over the whole API, by its own description: whatever is sent, no answer is a fault of the server's."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.served import Server, server

MOST_EXAMPLES = 6
NEGATIVE = schemathesis.GenerationMode.NEGATIVE
CALL_S = 30.0
STREAMS = ("/v1/events/stream", "/logs/stream")
"""They stay open; tests/unit/test_api_resources.py has them."""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server(tmp_path_factory.mktemp("schema")) as running:
        path = f"{running.url}/v1/environments/staging/agents/web"
        assert requests.post(f"{path}/deploy", json={}, headers=running.headers, timeout=CALL_S).status_code == 202
        yield running


def quick(examples: int) -> Any:
    return settings(
        max_examples=examples, deadline=None, derandomize=True, database=None, print_blob=False,
        suppress_health_check=list(HealthCheck), phases=(Phase.explicit, Phase.generate),
    )  # fmt: skip


@pytest.mark.timeout(600)
def test_no_answer_is_a_fault_of_the_servers(here: Server) -> None:
    description = schemathesis.openapi.from_url(f"{here.url}/v1/openapi.json")
    asked: dict[str, set[int]] = {}
    for found in description.get_all_operations():
        operation = found.ok()
        if operation.path.endswith(STREAMS):
            continue

        @quick(MOST_EXAMPLES)
        @given(case=st.one_of(operation.as_strategy(), operation.as_strategy(NEGATIVE)), real=st.booleans())
        def ask(case: Any, real: bool) -> None:
            if real:
                ours = {"agent": "web", "environment": "staging", "release": "1.0.0"}
                case.path_parameters = {name: ours.get(name, one) for name, one in (case.path_parameters or {}).items()}
            answer = case.call(headers=here.headers, timeout=CALL_S)
            asked.setdefault(f"{case.method} {case.path}", set()).add(answer.status_code)
            assert answer.status_code < 500, (case.as_curl_command(), answer.text)
            if answer.status_code >= 400:
                assert answer.headers["content-type"] == ["application/problem+json"], answer.text

        ask()
    assert requests.get(f"{here.url}/readyz", timeout=CALL_S).json()["deciding"]
    assert len(asked) > 60
    assert sum(bool(statuses & {200, 201, 202, 204}) for statuses in asked.values()) > 30, "most were understood too"


HOSTILE = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from([
        b"", b"null", b"[]", b"{", b"[" * 50_000, b'{"a":' * 20_000, b'{"reason": "\\ud800"}', b'{"reason": "\\u0000"}',
        b'{"reason": 1e999}', b"NaN", b'{"reason": "a", "reason": "b"}', b"\xff\xfe{}",
        b'{"weight": 1' + b"0" * 5000 + b"}",
    ]),
)  # fmt: skip
BODIES = ("undo", "scale", "set-weight", "take-lock", "deploy", "plan", "intents", "events", "deliveries", "preview")


@pytest.mark.timeout(300)
def test_bodies_that_are_no_json_of_ours_are_refused(here: Server) -> None:
    session = requests.Session()
    kind = {"Content-Type": "application/json"}

    @quick(80)
    @given(verb=st.sampled_from(BODIES), body=HOSTILE)
    def ask(verb: str, body: bytes) -> None:
        url = f"{here.url}/v1/environments/staging/agents/web/{verb}"
        answer = session.post(url, data=body, headers=here.headers | kind, timeout=CALL_S)
        assert answer.status_code in (202, 400, 403, 409, 413, 422), (verb, body, answer.text)

    ask()


def test_the_description_is_what_is_served(here: Server, tmp_path: Path) -> None:
    described = requests.get(f"{here.url}/v1/openapi.json", timeout=CALL_S).json()
    assert described["openapi"].startswith("3.1")
    phases = described["components"]["schemas"]["Phase"]["enum"]
    table = requests.get(f"{here.url}/v1/transitions", headers=here.headers, timeout=CALL_S).json()
    assert set(phases) == set(table)
