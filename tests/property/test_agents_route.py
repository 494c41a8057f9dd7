"""No request, whatever its headers and body, gives a 500: the application is asked as a server would ask it."""

import asyncio
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.test_decoding import GOOD
from tests.unit.test_registry import Hand, Memory
from tidegate.control.registry import Registry
from tidegate.control.tokens import Tokens
from tidegate.model.release import AgentKey
from tidegate.server.agents import PATH, agents_app
from tidegate.server.listener import plain_desk
from tidegate.server.load import Load

TOKENS = Tokens(b"k" * 32)
TOKEN = TOKENS.make(AgentKey("mailer", "prod"))

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
near = st.dictionaries(st.sampled_from([*GOOD, "message", "metrics", "completed"]), anything, max_size=3)
bodies = st.binary(max_size=200) | near.map(lambda changes: json.dumps({**GOOD, **changes}).encode())
header_text = st.text(st.characters(max_codepoint=255), max_size=60)
tokens = st.just(f"Bearer {TOKEN}") | header_text | header_text.map("Bearer tga_{}".format)
kinds = st.just("application/json") | header_text
lengths = st.none() | header_text | st.integers().map(str)


async def asked(body: bytes, headers: dict[str, str | None]) -> tuple[int, dict[str, Any]]:
    """Status and body of one POST."""
    sent: list[dict[str, Any]] = []
    parts = [body[:50], body[50:]]

    async def receive() -> dict[str, Any]:
        part = parts.pop(0) if parts else b""
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": PATH,
        "raw_path": PATH.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "headers": [(name.encode(), text.encode("latin-1")) for name, text in headers.items() if text is not None],
    }
    registry = Registry(Memory(), Hand())
    app = agents_app(registry, TOKENS, Load(registry.deafened), lambda: plain_desk(registry, TOKENS))
    await app(scope, receive, send)
    return sent[0]["status"], json.loads(b"".join(message.get("body", b"") for message in sent[1:]))


@given(bodies, tokens, kinds, lengths)
def test_any_request(body: bytes, token: str, kind: str, length: str | None) -> None:
    headers = {"authorization": token, "content-type": kind, "content-length": length}
    status, answer = asyncio.run(asked(body, headers))
    assert status in {200, 400, 401, 403, 413, 415, 422}
    assert (answer["status"] == "OK") if status == 200 else (answer["status"] == status)


@given(near)
def test_any_message(changes: dict[str, Any]) -> None:
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
    status, answer = asyncio.run(asked(json.dumps({**GOOD, **changes}).encode(), dict(headers)))
    assert status in {200, 400, 403, 422}
    assert status == 200 or answer["detail"]
