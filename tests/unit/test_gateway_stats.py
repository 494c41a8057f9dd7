"""Reading Envoy's statistics."""

import json
import re
from urllib.parse import parse_qs, urlsplit

from tidegate.adapters.gateway import stats
from tidegate.model.observation import LATENCY_BOUNDS_MS, Traffic
from tidegate.model.release import AgentKey

KEY = AgentKey("web", "prod")


def counters(cluster: str, *buckets: tuple[float, int], **values: int) -> list[object]:
    listed: list[object] = [
        {"name": f"cluster.{cluster}.{n.replace('__', '.')}", "value": v} for n, v in values.items()
    ]
    bounds = [{"upper_bound": float(bound), "interval": 0, "cumulative": count} for bound, count in buckets]
    if bounds:
        listed.append({"histograms": [{"name": f"cluster.{cluster}.upstream_rq_time", "buckets": bounds}]})
    return listed


def test_requests_errors_and_latency_by_revision() -> None:
    buckets = [(bound, index) for index, bound in enumerate(LATENCY_BOUNDS_MS)]
    one = counters("web.prod.r1_80", *buckets, upstream_rq_completed=200, upstream_rq_5xx=3)
    other_port = counters("web.prod.r1_81", upstream_rq_completed=5, upstream_rq_5xx=1)
    two = counters("web.prod.r2_80", upstream_rq_completed=7)
    read = stats.traffic(json.dumps({"stats": [*one, *other_port, *two]}))
    assert read == {1: Traffic(205, 4, (*range(len(LATENCY_BOUNDS_MS)), 0)), 2: Traffic(7, 0)}


def test_bounds_are_recognised_however_envoy_writes_them() -> None:
    text = '{"stats": [{"histograms": [{"name": "cluster.web.prod.r1_80.upstream_rq_time", "buckets": [{"upper_bound": 3e+05, "cumulative": 4}]}]}, {"name": "cluster.web.prod.r1_80.upstream_rq_completed", "value": 4}]}'  # noqa: E501
    assert stats.traffic(text)[1].latency[LATENCY_BOUNDS_MS.index(300000)] == 4


def test_grpc_statuses_that_are_server_errors() -> None:
    values = {"grpc__13": 2, "grpc__14": 1, "grpc__5": 9}
    read = stats.traffic(json.dumps({"stats": counters("web.prod.r1_80/h2", upstream_rq_completed=12, **values)}))
    assert read[1].errors == 3, "not found (5) is the client's"


def test_a_tcp_connection_is_a_request() -> None:
    values = {"upstream_cx_total": 10, "upstream_cx_connect_fail": 2, "upstream_cx_none_healthy": 1}
    read = stats.traffic(json.dumps({"stats": counters("web.prod.r1_90/tcp", upstream_rq_5xx=0, **values)}))
    assert read == {1: Traffic(11, 3)}


def test_active_by_cluster_and_revision() -> None:
    text = json.dumps(
        {
            "stats": [
                {"name": "cluster.web.prod.r1_80.upstream_rq_active", "value": 2},
                {"name": "cluster.web.prod.r1_90/tcp.upstream_rq_active", "value": 1},
                {"name": "cluster.web.prod.r2_80.upstream_rq_active", "value": 0},
            ]
        }
    )
    assert stats.active_by_cluster(text) == {"web.prod.r1:80": 2, "web.prod.r1:90/tcp": 1, "web.prod.r2:80": 0}
    assert stats.active_by_revision(text) == {1: 3, 2: 0}


def test_one_agents_statistics_only() -> None:
    [pattern] = parse_qs(urlsplit(stats.path_of(KEY)).query)["filter"]
    assert re.search(pattern, "cluster.web.prod.r1_80.upstream_rq_completed")
    assert re.search(pattern, "cluster.web.prod.r12_80/h2.grpc.13")
    for foreign in ("web.prod2.r1_80", "my.web.prod.r1_80", "webxprod.r1_80", "web.prod.r1_80.external"):
        assert not re.search(pattern, f"cluster.{foreign}.upstream_rq_completed"), foreign
