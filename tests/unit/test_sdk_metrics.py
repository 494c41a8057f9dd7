import math

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tidegate.sdk.metrics import Metrics


def parsed(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.render())
        for sample in family.samples
    }


def test_what_is_rendered_is_what_prometheus_reads() -> None:
    metrics = Metrics()
    requests = metrics.counter("requests_total", 'with a "quote", a \\ and a\nline')
    requests.add(path='/a"b\\c\nd')
    requests.add(2.5, path='/a"b\\c\nd')
    metrics.gauge("queue").set(-3)
    metrics.gauge("heat", read=lambda: math.inf)
    latency = metrics.histogram("latency_seconds", bounds=(0.1, 1.0))
    for value in (0.1, 0.11, 5.0):
        latency.observe(value)

    samples = parsed(metrics)

    assert samples["requests_total", (("path", '/a"b\\c\nd'),)] == 3.5
    assert samples["queue", ()] == -3
    assert samples["heat", ()] == math.inf
    assert samples["latency_seconds_bucket", (("le", "0.1"),)] == 1
    assert samples["latency_seconds_bucket", (("le", "1"),)] == 2
    assert samples["latency_seconds_bucket", (("le", "+Inf"),)] == 3
    assert samples["latency_seconds_count", ()] == 3
    assert samples["latency_seconds_sum", ()] == pytest.approx(5.21)


def test_a_counter_starts_at_zero_and_only_rises() -> None:
    metrics = Metrics()
    counter = metrics.counter("seen_total")
    assert parsed(metrics)["seen_total", ()] == 0
    for bad in (-1.0, math.nan):
        with pytest.raises(ValueError, match="only rises"):
            counter.add(bad)


def test_a_gauge_that_raises_costs_its_own_line_only() -> None:
    metrics = Metrics()
    metrics.gauge("broken", read=lambda: 1 / 0)
    metrics.gauge("fine").set(1)
    assert parsed(metrics) == {("fine", ()): 1}


@pytest.mark.parametrize("name", ["", "9lives", "with space", "dash-ed"])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="metric name"):
        Metrics().counter(name)


def test_a_name_belongs_to_one_metric() -> None:
    metrics = Metrics()
    metrics.counter("twice")
    with pytest.raises(ValueError, match="there already"):
        metrics.gauge("twice")


def test_a_snapshot_is_plain_numbers_without_buckets() -> None:
    metrics = Metrics()
    metrics.histogram("latency_seconds").observe(0.5)
    metrics.gauge("endless").set(math.inf)
    metrics.counter("seen_total").add(2, kind="a")
    assert metrics.snapshot() == {
        "latency_seconds_sum": 0.5,
        "latency_seconds_count": 1,
        'seen_total{kind="a"}': 2,
    }
