"""ServerToAgent: the answer as bytes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from functools import lru_cache
from typing import Any, cast

from tidegate.control.opamp.messages import opamp_pb2

ABILITIES = 1 | 2 | 4 | 32
"""ServerCapabilities: accepts status and effective configuration, offers remote configuration and connection settings.

No packages: a partial offer would make agents delete what it does not name.
"""


class Flag(IntFlag):
    """ServerToAgentFlags."""

    NONE = 0
    REPORT_FULL_STATE = 1


class Fault(IntEnum):
    """ServerErrorResponseType."""

    UNKNOWN = 0
    BAD_REQUEST = 1
    UNAVAILABLE = 2


@dataclass(frozen=True, slots=True)
class Content:
    """A configuration file that is offered."""

    body: bytes
    content_type: str = ""


@dataclass(frozen=True, slots=True)
class ConfigOffer:
    """A configuration to take: all of it. `digest` tells it from others; `keep`: again, if it has another one later."""

    digest: bytes
    files: Mapping[str, Content]
    keep: bool = True


@dataclass(frozen=True, slots=True)
class ConnectionOffer:
    """How to connect from now on: an own credential where one is due, the interval of heartbeats (seconds, > 0)."""

    digest: bytes
    interval_s: int
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a message is answered. A restart goes alone: with a command, agents ignore everything else."""

    uid: bytes
    flags: Flag = Flag.NONE
    new_uid: bytes = b""
    config: ConfigOffer | None = None
    connection: ConnectionOffer | None = None
    restart: bool = False


def encode(answer: Answer) -> bytes:
    """The answer's bytes."""
    if answer == Answer(answer.uid):
        return _plain(answer.uid)
    message = opamp_pb2.ServerToAgent(instance_uid=answer.uid, capabilities=ABILITIES)
    if answer.restart:
        message.command.type = opamp_pb2.CommandType_Restart
        return bytes(message.SerializeToString())
    message.flags = int(answer.flags)
    if answer.new_uid:
        message.agent_identification.new_instance_uid = answer.new_uid
    if answer.config is not None:
        _offer_config(message.remote_config, answer.config)
    if answer.connection is not None:
        _offer_connection(message.connection_settings, answer.connection)
    return bytes(message.SerializeToString())


def encode_fault(uid: bytes, fault: Fault, because: str, retry_after_s: float = 0.0) -> bytes:
    """An error response."""
    message = opamp_pb2.ServerToAgent(instance_uid=uid, capabilities=ABILITIES)
    message.error_response.type = cast(Any, int(fault))
    message.error_response.error_message = because
    if retry_after_s:
        message.error_response.retry_info.retry_after_nanoseconds = int(retry_after_s * 1e9)
    return bytes(message.SerializeToString())


@lru_cache(maxsize=1)
def _tail() -> bytes:
    return bytes(opamp_pb2.ServerToAgent(capabilities=ABILITIES).SerializeToString())


def _plain(uid: bytes) -> bytes:
    """The answer that most messages get: field 1 with the uid's 16 bytes, then the capabilities."""
    return b"\x0a\x10" + uid + _tail()


def _offer_config(message: Any, offer: ConfigOffer) -> None:
    message.config_hash = offer.digest
    for name, content in offer.files.items():
        file = message.config.config_map[name]
        file.body = content.body
        file.content_type = content.content_type


def _offer_connection(message: Any, offer: ConnectionOffer) -> None:
    message.hash = offer.digest
    message.opamp.heartbeat_interval_seconds = offer.interval_s
    if offer.token:
        header = message.opamp.headers.headers.add()
        header.key, header.value = "Authorization", f"Bearer {offer.token}"
