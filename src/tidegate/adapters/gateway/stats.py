"""What Envoy counted, by revision. Pure: the admin's JSON in, Traffic out.

A request counts when its response has begun or failed; connection failures and time-outs are charged to the cluster as
503 and 504. A gRPC call with a status that maps to a server error counts as an error. On TCP a request is a connection.
"""

import json
import re
from collections.abc import Mapping
from urllib.parse import quote

from tidegate.adapters.gateway import names
from tidegate.model.observation import LATENCY_BOUNDS_MS, Traffic
from tidegate.model.release import AgentKey

GRPC_SERVER_ERRORS = (2, 4, 12, 13, 14, 15)
"""unknown, deadline exceeded, unimplemented, internal, unavailable, data loss: those that map to HTTP 5xx.

Source: https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
"""
WEB = ("upstream_rq_completed", "upstream_rq_5xx", *(f"grpc.{code}" for code in GRPC_SERVER_ERRORS))
TCP = ("upstream_cx_total", "upstream_cx_connect_fail", "upstream_cx_none_healthy")
TIME = "upstream_rq_time"
ACTIVE = "upstream_rq_active"


def path_of(key: AgentKey) -> str:
    """The admin path that answers one agent's counters and histograms."""
    counters = "|".join(re.escape(name) for name in (*WEB, *TCP, TIME))
    return _path(rf"^cluster\.{re.escape(str(key))}\.r\d+_\d+[^.]*\.({counters})$") + "&histogram_buckets=disjoint"


def active_path(key: AgentKey | None = None) -> str:
    """The admin path that answers requests (on TCP: connections) in flight, of one agent or of all."""
    return _path(rf"^cluster\.{re.escape(str(key)) if key else '.+'}\.r\d+_\d+[^.]*\.{ACTIVE}$")


def active_by_cluster(text: str) -> dict[str, int]:
    """Requests in flight by the cluster's name in configuration."""
    found = {}
    for cluster, values in _by_cluster(text)[0].items():
        name = names.parse_cluster(cluster)
        if name is not None:
            suffix = f"/{name.kind}" if name.kind else ""
            found[f"{name.key}.r{name.revision}:{name.port}{suffix}"] = values.get(ACTIVE, 0)
    return found


def active_by_revision(text: str) -> dict[int, int]:
    """Requests in flight by revision; revisions with none are in it too."""
    found: dict[int, int] = {}
    for cluster, count in active_by_cluster(text).items():
        name = names.parse_cluster(cluster)
        assert name is not None
        found[name.revision] = found.get(name.revision, 0) + count
    return found


def traffic(text: str) -> dict[int, Traffic]:
    """Cumulative traffic by revision, over all its target ports."""
    counters, histograms = _by_cluster(text)
    found: dict[int, Traffic] = {}
    for cluster, values in counters.items():
        name = names.parse_cluster(cluster)
        if name is not None:
            one = _traffic(name.kind, values, histograms.get(cluster, ()))
            found[name.revision] = found.get(name.revision, Traffic()).plus(one)
    return found


def _traffic(kind: str, values: Mapping[str, int], latency: tuple[int, ...]) -> Traffic:
    if kind == "tcp":
        errors = values.get("upstream_cx_connect_fail", 0) + values.get("upstream_cx_none_healthy", 0)
        return Traffic(values.get("upstream_cx_total", 0) + values.get("upstream_cx_none_healthy", 0), errors)
    completed, failed = values.get("upstream_rq_completed", 0), values.get("upstream_rq_5xx", 0)
    grpc = sum(values.get(f"grpc.{code}", 0) for code in GRPC_SERVER_ERRORS)
    inside = sum(latency[:-1])
    # The histogram is merged a moment after the counters; what is beyond its last bound is not in its buckets.
    return Traffic(completed, max(failed, grpc), (*latency[:-1], 0) if inside else ())


def _by_cluster(text: str) -> tuple[dict[str, dict[str, int]], dict[str, tuple[int, ...]]]:
    counters: dict[str, dict[str, int]] = {}
    histograms: dict[str, tuple[int, ...]] = {}
    for entry in json.loads(text)["stats"]:
        if "histograms" in entry:
            for histogram in entry["histograms"]:
                cluster, _ = _taken_apart(histogram["name"])
                histograms[cluster] = _buckets(histogram["buckets"])
        else:
            cluster, name = _taken_apart(entry["name"])
            counters.setdefault(cluster, {})[name] = int(entry["value"])
    return counters, histograms


def _taken_apart(name: str) -> tuple[str, str]:
    found = re.fullmatch(r"cluster\.(.+\.r\d+_\d+[^.]*)\.(.+)", name)
    return (found[1], found[2]) if found else (name, "")


def _buckets(buckets: list[dict[str, float]]) -> tuple[int, ...]:
    by_bound = {float(bucket["upper_bound"]): int(bucket["cumulative"]) for bucket in buckets}
    return (*(by_bound.get(float(bound), 0) for bound in LATENCY_BOUNDS_MS), 0)


def _path(pattern: str) -> str:
    return f"/stats?format=json&filter={quote(pattern, safe='')}"
