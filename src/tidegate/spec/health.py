"""Healthcheck (the engine's) and probes (ours): shapes and what they become."""

from typing import Any

from tidegate.model.workload import HealthCheck, Probe, ProbeKind
from tidegate.spec.context import Context
from tidegate.spec.document import Node
from tidegate.spec.kinds import COMMAND, PORT, WORDS, duration, flag, text, whole
from tidegate.spec.shapes import INVALID, Either, Key, Object, Record, Refused, mismatch, own

HTTP_PATH = text("a path that begins with /", r"/[^\s]*", example="/health")


class _Test:
    """Compose's healthcheck test: a text is run by a shell, a list begins with CMD, CMD-SHELL or NONE."""

    expected = 'a command: a text, or a list that begins with "CMD", "CMD-SHELL" or "NONE"'

    def read(self, node: Node, context: Context) -> Any:
        """The list form."""
        if isinstance(node.value, str) and node.value:
            return ("CMD-SHELL", node.value)
        if not isinstance(node.value, tuple):
            return mismatch(node, self.expected, context, 'write ["CMD", "program", "argument"]')
        words = WORDS.read(node, context)
        if not words or words[0] not in ("CMD", "CMD-SHELL", "NONE") or (words[0] != "NONE" and len(words) < 2):
            return mismatch(node, self.expected, context, 'write ["CMD", "program", "argument"]')
        return words

    def schema(self, definitions: dict[str, Any]) -> dict[str, Any]:
        """A text or a list."""
        return {"anyOf": [{"type": "string"}, {"type": "array", "minItems": 1}]}


def _healthcheck(record: Record, context: Context) -> HealthCheck:
    test = record.get("test", ())
    default = HealthCheck()
    return HealthCheck(
        test=() if test[:1] == ("NONE",) else test,
        interval_s=record.get("interval", default.interval_s),
        timeout_s=record.get("timeout", default.timeout_s),
        retries=record.get("retries", default.retries),
        start_period_s=record.get("start_period", default.start_period_s),
        disable=record.get("disable", False) or test[:1] == ("NONE",),
    )


HEALTHCHECK = Object(
    "healthcheck",
    "The engine's own check, in Compose's keys. Without a test, the image's HEALTHCHECK with these times.",
    (
        Key("test", _Test(), "Command whose exit code 0 means healthy.", "the image's"),
        Key("interval", duration(0.001), "Time between two checks.", "30s"),
        Key("timeout", duration(0.001), "Time one check may take.", "30s"),
        Key("retries", whole(1, 100), "Failures in a row that make it unhealthy.", "3"),
        Key("start_period", duration(), "Time at the beginning when failures do not count.", "0s"),
        Key("disable", flag(), "Ignore the image's HEALTHCHECK.", "false"),
    ),
    refused={"start_interval": Refused("checks run at interval from the start", error=False)},
    build=_healthcheck,
)

_HTTP_GET = Object(
    "http_get",
    "Ready or live when a GET answers 200 to 399.",
    (
        Key("port", PORT, "Port in the container.", required=True),
        Key("path", HTTP_PATH, "Path of the request.", "/"),
    ),
    refused={
        "scheme": Refused("probes speak plain HTTP: use tcp, or exec with a command that speaks TLS"),
        "host": Refused("probes ask the instance's own address: take it out"),
        "httpHeaders": Refused("use exec with a command that sends the header"),
    },
)
_TCP = Object(
    "tcp",
    "Ready or live when the port accepts a connection.",
    (Key("port", PORT, "Port in the container.", required=True),),
)
_EXEC = Either(
    "a command: a text or a list",
    scalar=COMMAND,
    sequence=WORDS,
    mapping=Object("exec", "Kubernetes' form.", (Key("command", WORDS, "The command.", required=True),)),
)


def _probe(record: Record, context: Context) -> object:
    default = Probe(ProbeKind.TCP)
    times: dict[str, Any] = {
        "initial_delay_s": record.get("initial_delay", default.initial_delay_s),
        "period_s": record.get("period", default.period_s),
        "timeout_s": record.get("timeout", default.timeout_s),
        "failure_threshold": record.get("failure_threshold", default.failure_threshold),
        "success_threshold": record.get("success_threshold", default.success_threshold),
    }
    match record:
        case {"httpGet": {"port": port, **rest}}:
            return Probe(ProbeKind.HTTP, port=port, path=str(rest.get("path", "/")), **times)
        case {"tcp": int(port)} | {"tcp": {"port": port}}:
            return Probe(ProbeKind.TCP, port=port, **times)
        case {"exec": {"command": command}} | {"exec": tuple(command)}:
            if command:
                return Probe(ProbeKind.EXEC, command=command, **times)
            context.error(record.at("exec"), "the command is empty", 'write ["program", "argument"]')
    return INVALID


def _probe_shape(name: str, doc: str) -> Object:
    return Object(
        name,
        doc,
        own(
            Key("httpGet", _HTTP_GET, "Ask by HTTP: port and path.", aliases=("http_get", "http")),
            Key("tcp", Either("a port", PORT, mapping=_TCP), "Ask by connecting.", aliases=("tcpSocket",)),
            Key("exec", _EXEC, "Ask by a command in the container; exit code 0 is yes."),
            Key("initial_delay", duration(), "Time before the first question.", "0s", aliases=("initialDelaySeconds",)),
            Key("period", duration(0.05), "Time between two questions.", "1s", aliases=("periodSeconds",)),
            Key("timeout", duration(0.01), "Time an answer may take.", "1s", aliases=("timeoutSeconds",)),
            Key("failure_threshold", whole(1, 1000), "No's in a row that count.", "3"),
            Key("success_threshold", whole(1, 1000), "Yes's in a row that count.", "1"),
        ),
        one_of=("httpGet", "tcp", "exec"),
        refused={
            "grpc": Refused("use exec with grpc_health_probe, or tcp"),
            "terminationGracePeriodSeconds": Refused("use workload.stop_grace_period"),
        },
        build=_probe,
    )


READINESS = _probe_shape("readiness", "May this instance get traffic? Not ready means no traffic; it is not restarted.")
LIVENESS = _probe_shape("liveness", "Must this instance be restarted? Not live means a restart, with back-off.")


def _probes(record: Record, context: Context) -> Record:
    liveness = record.get("liveness")
    if liveness and liveness.success_threshold != 1:
        message = "liveness needs success_threshold 1"
        context.error(record.at("liveness"), message, "take success_threshold out; it is for readiness")
    return record


PROBES = Object(
    "probes",
    "Questions that the controller puts to every instance.",
    (
        Key("readiness", READINESS, "May it get traffic?", "HEALTHCHECK, else: it runs"),
        Key("liveness", LIVENESS, "Must it be restarted?", "it runs"),
    ),
    refused={"startup": Refused("give readiness or liveness an initial_delay")},
    build=_probes,
)
