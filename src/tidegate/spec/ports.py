"""Published ports, in Compose's short syntax ([IP:][HOST:]CONTAINER[/PROTOCOL], ranges) and long syntax."""

import ipaddress
import re

from tidegate.model.workload import PortProtocol, PublishedPort
from tidegate.spec.context import Context
from tidegate.spec.kinds import PORT, choice, free, text
from tidegate.spec.shapes import INVALID, Either, Key, ListOf, Object, Record, Refused

_SHORT = re.compile(
    r"(?:(?P<ip>\[[0-9a-fA-F:.]+\]|[0-9]+(?:\.[0-9]+){3}):)?(?:(?P<host>[0-9]+(?:-[0-9]+)?)?:)?(?P<box>[0-9]+(?:-[0-9]+)?)"
    r"(?:/(?P<protocol>[a-zA-Z]+))?"
)
NO_HOST_PORT = (
    "the engine would choose a port of the host and another one after a restart: "
    'write "8080:80" to publish, or a route to take traffic through the gateway'
)


def short(written: str) -> tuple[PublishedPort, ...]:
    """The ports of one entry in short syntax. Raises ValueError with a hint."""
    match = _SHORT.fullmatch(written.strip())
    if not match:
        raise ValueError('write "8080:80" or "127.0.0.1:514:514/udp"')
    if not match["host"]:
        raise ValueError(NO_HOST_PORT)
    protocol = _protocol(match["protocol"] or "tcp")
    address = _address((match["ip"] or "").strip("[]"))
    inside, outside = _span(match["box"]), _span(match["host"])
    if len(inside) != len(outside):
        raise ValueError("give both ranges the same length")
    return tuple(PublishedPort(host, box, protocol, address) for host, box in zip(outside, inside, strict=True))


def _span(written: str) -> range:
    first, _, last = written.partition("-")
    if len(first) > 5 or len(last) > 5:
        raise ValueError("ports are 1 to 65535")
    span = range(int(first), int(last or first) + 1)
    if not span or span[0] < 1 or span[-1] > 65535:
        raise ValueError("ports are 1 to 65535, the lower end of a range first")
    return span


def _protocol(written: str) -> PortProtocol:
    try:
        return PortProtocol(written.lower())
    except ValueError:
        raise ValueError("the protocol of a port is tcp or udp") from None


def _address(written: str) -> str:
    if not written:
        return ""
    try:
        return str(ipaddress.ip_address(written))
    except ValueError:
        raise ValueError("write an IP address of the host before the ports") from None


def _long(record: Record, context: Context) -> object:
    if "target" not in record:
        return INVALID
    if "published" not in record.places:
        context.error(record.node.where, "published is missing", NO_HOST_PORT)
        return INVALID
    if "published" not in record:
        return INVALID
    outside, address = record["published"], record.get("host_ip", "")
    if len(outside) != 1:
        context.error(
            record.at("published"), "a range needs a range as its target", 'write it short: "8000-8001:80-81"'
        )
        return INVALID
    protocol = PortProtocol(record.get("protocol", "tcp"))
    return (PublishedPort(outside[0], record["target"], protocol, address),)


_LONG = Object(
    "port",
    "A published port, in Compose's long syntax.",
    (
        Key("target", PORT, "Port in the container.", required=True),
        Key("published", free("a port", _span, "write 8080"), "Port of the host."),
        Key("host_ip", free("an IP address", _address, "write 127.0.0.1"), "Address of the host to listen on.", "all"),
        Key("protocol", choice("tcp", "udp"), "Protocol.", "tcp"),
        Key("name", text(), "For people."),
        Key("mode", choice("host"), "Ports are published on the host itself.", "host"),
    ),
    refused={"app_protocol": Refused("only people read it: take it out", error=False)},
    build=_long,
)
PORT_ENTRY = Either(
    "a port: HOST:CONTAINER, or a mapping",
    scalar=free("a port: HOST:CONTAINER", short, 'write "8080:80"'),
    mapping=_LONG,
    hint='write "8080:80"',
)
PORTS = ListOf(PORT_ENTRY, expected="a list of ports")
