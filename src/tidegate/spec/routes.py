"""Routes: traffic that the gateway takes for an agent."""

from tidegate.model.workload import Route, RouteProtocol, Tls
from tidegate.spec.context import Context, Where
from tidegate.spec.health import HTTP_PATH
from tidegate.spec.kinds import PORT, choice, duration, text
from tidegate.spec.shapes import INVALID, Key, ListOf, Object, Record

NO_UDP = (
    "the gateway cannot shift UDP: a datagram has no connection to drain and no answer to judge; "
    'publish it past the gateway with workload.ports: ["514:514/udp"]'
)

_TLS = Object(
    "tls",
    "TLS by files; paths as the gateway's host sees them.",
    (
        Key("certificate", text("a path", example="/etc/tls/chain.pem"), "Certificate chain, PEM.", required=True),
        Key("key", text("a path", example="/etc/tls/key.pem"), "Private key, PEM.", required=True),
    ),
    build=lambda record, context: (
        Tls(record["certificate"], record["key"]) if "certificate" in record and "key" in record else INVALID
    ),
)


def _route(record: Record, context: Context) -> object:
    protocol = RouteProtocol(record.get("protocol", "http"))
    if protocol is RouteProtocol.TCP:
        for key in ("host", "path", "timeout"):
            if key in record.places:
                context.error(
                    record.at(key),
                    "a tcp route knows no requests",
                    "take it out, or write protocol: http for HTTP agents",
                )
    if "listen" not in record or "target" not in record:
        return INVALID
    return Route(
        listen=record["listen"],
        target=record["target"],
        protocol=protocol,
        host=record.get("host", "*"),
        path=record.get("path", "/"),
        tls=record.get("tls"),
        timeout_s=record.get("timeout", 0.0),
    )


ROUTE = Object(
    "route",
    "Traffic that the gateway takes on a port of the host and hands to ready instances.",
    (
        Key("listen", PORT, "Port of the host that the gateway listens on.", required=True),
        Key("target", PORT, "Port in the container.", required=True),
        Key(
            "protocol",
            choice("http", "http2", "grpc", "tcp", refused={"udp": NO_UDP, "https": "write protocol: http and tls:"}),
            "What is spoken. WebSocket and SSE are http.",
            "http",
        ),
        Key(
            "host",
            text("a host name", r"\*|(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.\-]*[A-Za-z0-9_])?", example="api.example.org"),
            "Host name in the request.",
            '"*" (any)',
        ),
        Key("path", HTTP_PATH, "Prefix of the path.", "/"),
        Key("tls", _TLS, "Certificate and key.", "plain"),
        Key("timeout", duration(), "Time a request may take; 0 is no limit.", "0s"),
    ),
    build=_route,
)
ROUTES = ListOf(ROUTE, expected="a list of routes")


def _places(record: Record, count: int) -> list[Where]:
    """The place of each route, or of all together when one of them could not be read."""
    node = record.node.value.get("routes") if isinstance(record.node.value, dict) else None
    items = node.value if node and isinstance(node.value, tuple) else ()
    return [item.where for item in items] if len(items) == count else [record.at("routes")] * count


def check_routes(routes: tuple[Route, ...], record: Record, context: Context) -> None:
    """Routes of one agent must differ, and a port speaks one kind of protocol."""
    by_listen: dict[int, Route] = {}
    seen: set[tuple[int, str, str]] = set()
    for route, where in zip(routes, _places(record, len(routes)), strict=True):
        key = (route.listen, route.host, route.path)
        first = by_listen.setdefault(route.listen, route)
        kinds = {first.protocol is RouteProtocol.TCP, route.protocol is RouteProtocol.TCP}
        if first is not route and True in kinds:
            context.error(
                where, f"port {route.listen} is taken by two routes and one is tcp", "give the tcp route its own listen"
            )
        elif key in seen:
            context.error(
                where,
                f"two routes take port {route.listen}, host {route.host}, path {route.path}",
                "give them different hosts, paths or listen ports",
            )
        elif bool(first.tls) != bool(route.tls):
            context.error(
                where,
                f"port {route.listen} is plain on one route and TLS on another",
                "give both tls, or separate ports",
            )
        seen.add(key)
