"""Fleets: an environment's hosts, and the strategy that goes over them in waves."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tidegate.model.spec import Canary, Strategy
from tidegate.model.waves import Exponential, Host, HostTls, Limits, WavePlan, Waves
from tidegate.spec.context import Context
from tidegate.spec.kinds import Pairs, duration, free, number, text, whole
from tidegate.spec.mounts import host_path
from tidegate.spec.scalars import duration_text
from tidegate.spec.shapes import INVALID, Key, ListOf, MapOf, Object, Record, own
from tidegate.spec.strategies import STRATEGY as ONE_HOST

HOST_NAME = r"[a-z0-9]([a-z0-9.\-]{0,61}[a-z0-9])?"
ENDPOINT = r"(unix|tcp|ssh)://.+"


@dataclass(frozen=True)
class Fleetwide:
    """A strategy for each host, and the waves in which it goes over them."""

    within: Strategy
    waves: Waves


def _host_name(name: str) -> None:
    if not re.fullmatch(HOST_NAME, name):
        raise ValueError("lower-case letters, digits, dots and dashes: edge-1")


def _count(written: str) -> str:
    if not re.fullmatch(r"[1-9][0-9]{0,5}|([1-9][0-9]?|100)%", written):
        raise ValueError('write 3 or "25%"')
    return written


def _percent(written: str) -> float:
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]+)?%?", written) or float(written.rstrip("%")) > 100:
        raise ValueError("write 20%")
    return float(written.rstrip("%"))


HOSTS_OR_SHARE = free("a number of hosts or a percentage", _count, 'write 3 or "25%"')
_LABELS = Pairs("label", bare=False)
TLS = Object(
    "host_tls",
    "Certificates for a host reached by tcp:// (as docker --tlsverify takes them).",
    (
        Key("ca", text("a path"), "Whose signature the host's certificate carries.", required=True),
        Key("certificate", text("a path"), "Our certificate.", required=True, aliases=("cert",)),
        Key("key", text("a path"), "Its key.", required=True),
    ),
    build=lambda record, context: HostTls(
        *(host_path(record[name], record.at(name)) if name in record else "" for name in ("ca", "certificate", "key"))
    ),
)


def _host(record: Record, context: Context) -> object:
    endpoint, tls = record.get("endpoint", ""), record.get("tls")
    if endpoint.startswith("tcp://") and tls is None:
        context.warn(
            record.at("endpoint"),
            "without tls whoever reaches this port is root on the host",
            "add tls: {ca, certificate, key}, or use ssh://",
        )
    if tls is not None and endpoint and not endpoint.startswith("tcp://"):
        context.error(record.at("tls"), "belongs to tcp:// only", "take it out")
    for path in (tls.ca, tls.certificate, tls.key) if tls is not None else ():
        if path and not Path(path).is_file():
            context.warn(record.at("tls"), f"{path} does not exist here", "the controller reads it where it runs")
    return Host("", endpoint, dict(record.get("labels", {})), tls) if "endpoint" in record else INVALID


HOST = Object(
    "host",
    "One Docker host of the fleet.",
    own(
        Key(
            "endpoint",
            text("an address: unix://, tcp:// or ssh://", ENDPOINT, example="ssh://deploy@edge-1"),
            "Where its engine listens.",
            required=True,
        ),
        Key("labels", _LABELS, "What waves choose it by.", "none"),
        Key("tls", TLS, "Certificates for tcp://.", "none"),
    ),
    build=_host,
)
HOSTS = MapOf(HOST, "host", _host_name, f"^({HOST_NAME})$", least=1)


def hosts_of(read: dict[str, Host]) -> tuple[Host, ...]:
    """The hosts in the order of the file, each with its name."""
    return tuple(replace(host, name=name) for name, host in read.items())


_DEFAULT = Limits()
_LIMITS = own(
    Key("concurrency", HOSTS_OR_SHARE, "Hosts of the wave that roll at once.", _DEFAULT.concurrency),
    Key("bake", duration(), "Time to watch after the wave, before the next one.", duration_text(_DEFAULT.bake_s)),
    Key(
        "abort_threshold",
        Object(
            "abort_threshold",
            "When the fleet goes back, the waves that were done included. Unreachable hosts do not count.",
            own(
                Key(
                    "share",
                    free("a percentage", _percent, "write 20%"),
                    "Failed hosts of the wave, in percent of those that can be reached.",
                    "0%",
                ),
                Key("minimum", whole(1, 100_000), "Never before so many have failed.", "1"),
            ),
        ),
        "How many failed hosts are too many.",
        "the first one",
    ),
    Key(
        "host_deadline",
        duration(0.001),
        "A host that is not done in this time has failed; time out of reach does not count.",
        duration_text(_DEFAULT.host_deadline_s),
    ),
)


def _limits(record: Record, default: Limits) -> Limits:
    threshold = record.get("abort_threshold", {})
    return Limits(
        concurrency=record.get("concurrency", default.concurrency),
        bake_s=record.get("bake", default.bake_s),
        failed_share=threshold.get("share", default.failed_share),
        failed_minimum=threshold.get("minimum", default.failed_minimum),
        host_deadline_s=record.get("host_deadline", default.host_deadline_s),
    )


WAVE = Object(
    "wave",
    "One wave: hosts by label, and how many of them. Its limits replace those of all waves.",
    (
        *own(
            Key("hosts", _LABELS, "Labels that its hosts carry.", "any host that is left"),
            Key("size", HOSTS_OR_SHARE, "How many; percent of the whole fleet, rounded up.", "all that fit"),
        ),
        *_LIMITS,
    ),
    may_be_empty=True,
)


def _waves(record: Record, context: Context) -> Fleetwide:
    limits = _limits(record, _DEFAULT)
    if "waves" in record.places and "exponential" in record.places:
        context.error(record.at("exponential"), "waves are given too", "keep one of the two")
    growing = record.get("exponential", {})
    default = Exponential()
    plans = tuple(
        WavePlan(dict(one.get("hosts", {})), one.get("size", ""), _limits(one, limits))
        for one in record.get("waves", ())
    )
    grows = Exponential(growing.get("first", default.first), growing.get("factor", default.factor))
    return Fleetwide(record.get("within", Canary()), Waves(plans, grows, limits))


WAVES = Object(
    "waves",
    "Over many hosts, some at a time. Hosts that no wave takes form a last one.",
    own(
        Key("within", replace(ONE_HOST, name="within"), "How each host moves to the release.", "canary"),
        Key("waves", ListOf(WAVE, least=1, expected="a list of waves"), "The waves, in order.", "exponential"),
        Key(
            "exponential",
            Object(
                "exponential",
                "Waves that grow.",
                own(
                    Key("first", whole(1, 100_000), "Hosts of the first wave.", "1"),
                    Key("factor", number(1.0, "a number of at least 1"), "Growth from wave to wave.", "2"),
                ),
                may_be_empty=True,
            ),
            "Waves that grow, without naming them.",
            "1, 2, 4, 8 ... hosts",
        ),
    )
    + _LIMITS,
    may_be_empty=True,
    build=_waves,
)


def _strategy(record: Record, context: Context) -> Any:
    if "waves" in record:
        return record["waves"]
    return ONE_HOST.build(record, context) if ONE_HOST.build else INVALID


STRATEGY = replace(
    ONE_HOST,
    keys=(*ONE_HOST.keys, Key("waves", WAVES, "Over many hosts, some at a time, each by one of the others.")),
    one_of=(*ONE_HOST.one_of, "waves"),
    build=_strategy,
)
