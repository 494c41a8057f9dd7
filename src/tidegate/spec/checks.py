"""What must hold between the keys of one environment's workload. Each finding names the key to change."""

from dataclasses import dataclass

from tidegate.model.workload import ProbeKind, Workload
from tidegate.spec.context import Context, Where
from tidegate.spec.routes import check_routes
from tidegate.spec.shapes import Record

_IMAGE_FROM = ("image", "build", "compose", "service")
"""Where any of these is given and wrong, its own problem is enough."""


@dataclass(frozen=True)
class _Places:
    """Where the keys of a merged workload stand: in the overlay, else in the workload."""

    own: Record
    top: Record

    def at(self, key: str) -> Where:
        """The place of a workload's key, or of the workload."""
        for record, name in ((self.own, "overlay"), (self.top, "workload")):
            node = record.node.value.get(name) if isinstance(record.node.value, dict) else None
            if node and isinstance(node.value, dict) and key in node.value:
                return node.value[key].where
        return self.top.at("workload")

    def has(self, key: str) -> bool:
        """Whether a key is given, right or wrong."""
        node = self.top.node.value.get("workload") if isinstance(self.top.node.value, dict) else None
        if node and not isinstance(node.value, dict):
            return True
        return self.at(key) != self.top.at("workload")


def check_environment(workload: Workload, own: Record, top: Record, context: Context) -> None:
    """Note what cannot work: `own` is the environment's record, `top` the file's."""
    places = _Places(own, top)
    if not workload.image and "build" not in top.places and not any(map(places.has, _IMAGE_FROM)):
        context.error(top.at("workload"), "there is nothing to run", "add workload.image, or build: to make an image")
    routes = own if "routes" in own.places else top
    check_routes(workload.routes, routes, context)
    _check_ports(workload, places.at("ports"), routes.at("routes"), context)
    _check_network(workload, places, context)
    _check_secrets(workload, own.at("secrets"), context)


def _check_ports(workload: Workload, where: Where, routes: Where, context: Context) -> None:
    taken: dict[tuple[str, int, str], int] = {}
    for port in workload.ports:
        for address in {port.host_address, ""}:
            other = taken.get((address, port.host_port, port.protocol))
            if other is not None and (address or not port.host_address or other != port.container_port):
                context.error(
                    where,
                    f"port {port.host_port} of the host is published twice ({port.protocol})",
                    "give each container port its own port of the host",
                )
                break
        taken[port.host_address, port.host_port, port.protocol] = port.container_port
    if workload.replicas > 1 and workload.ports:
        context.error(
            where,
            f"{workload.replicas} replicas cannot share port {workload.ports[0].host_port} of the host",
            f"take ports out and write a route: routes: [{{listen: {workload.ports[0].host_port}, "
            f"target: {workload.ports[0].container_port}}}]; or replicas: 1",
        )
    published = {port.host_port for port in workload.ports if port.protocol == "tcp"}
    for route in workload.routes:
        if route.listen in published:
            context.error(
                routes,
                f"port {route.listen} of the host is published by workload.ports too",
                "the gateway listens there: take it out of workload.ports",
            )


def _check_network(workload: Workload, places: _Places, context: Context) -> None:
    where = places.at("network_mode")
    mode = workload.network_mode
    if mode and workload.networks:
        context.error(where, "network_mode and networks exclude each other", "keep networks")
    if mode == "host":
        if workload.ports:
            context.error(where, "nothing is published in the host's network", "take ports or network_mode out")
        if workload.routes or workload.replicas > 1:
            context.error(
                where,
                "in the host's network two instances cannot listen on the same port, so nothing can be shifted",
                "take network_mode: host out; the gateway reaches instances at their own addresses",
            )
    probes = [probe for probe in (workload.readiness, workload.liveness) if probe and probe.kind is not ProbeKind.EXEC]
    if mode == "none" and (workload.routes or workload.ports or probes):
        context.error(
            where,
            "without a network there are no routes, ports, or probes by http and tcp",
            "take network_mode: none out, or use exec probes only",
        )


def _check_secrets(workload: Workload, where: Where, context: Context) -> None:
    for secret in workload.secrets:
        if secret.variable in workload.environment:
            context.error(
                where.child(secret.variable),
                "is given in the clear in workload.environment too",
                "take it out of environment; the reference is enough",
            )
