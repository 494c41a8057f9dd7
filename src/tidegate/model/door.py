"""Where the HTTP API is served, and the rule that keeps it from being open to everybody by mistake. Pure."""

import ipaddress
from dataclasses import dataclass

from tidegate.model.errors import UsageError

PORT = 4321
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Door:
    """An address, the PEM files of TLS (paths), and what a person insists on.

    `open`: whoever reaches it may do everything, without a token. `plain`: no TLS though it is not loopback, because
    something in front of it speaks TLS. `rate` is requests a second of one token.
    """

    host: str = LOOPBACK
    port: int = PORT
    certificate: str = ""
    key: str = ""
    open: bool = False
    plain: bool = False
    rate: float = 100.0

    @property
    def local(self) -> bool:
        """Whether only this machine reaches it."""
        return ipaddress.ip_address(self.host).is_loopback

    @property
    def url(self) -> str:
        """As a client writes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.certificate else 'http'}://{host}:{self.port}"


def parse_address(text: str) -> tuple[str, int]:
    """HOST:PORT, :PORT or PORT; the host a numeric address. Raises UsageError."""
    host, _, port = text.rpartition(":")
    host = host.strip("[]") or LOOPBACK
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise UsageError(f"{host} is no numeric address", hint="127.0.0.1:4321, or [::1]:4321") from None
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise UsageError(f"{text} names no port", hint="127.0.0.1:4321: a port from 1 to 65535") from None
    return host, int(port)


def check(door: Door) -> Door:
    """The door, when it is safe to open. Raises UsageError that says why it is not."""
    if bool(door.certificate) != bool(door.key):
        raise UsageError("TLS needs both files", hint="--tls-certificate FILE --tls-key FILE")
    if door.open and not door.local:
        raise UsageError(
            f"{door.url} would let everybody who reaches it do everything",
            hint="leave --open out and make tokens (tidegate token create), or listen on 127.0.0.1",
        )
    if not door.local and not door.certificate and not door.plain:
        raise UsageError(
            f"{door.url} would carry tokens in the clear",
            hint="--tls-certificate and --tls-key name PEM files; --plain when a proxy in front of it speaks TLS",
        )
    return door
