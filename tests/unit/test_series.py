"""Recorded series: CSV and JSON into blocks, gaps, NaN, resets, disorder; and clear errors."""

import json

import pytest

from tidegate.core.replay import of_series
from tidegate.core.series import CANDIDATE, STABLE, Series, fitted, series
from tidegate.core.series_rows import rows_of
from tidegate.model.errors import MetricError
from tidegate.model.judging import SequentialMetric
from tidegate.model.metering import Form, exposure_of
from tidegate.model.observation import Traffic
from tidegate.model.spec import Analysis, Sequential, ThresholdMetric

HEADER = "at,track,metric,value\n"


def read(text: str, name: str = "s.csv") -> Series:
    return series(rows_of(text, name), name)


def test_counts_become_traffic_and_values_stay_values() -> None:
    found = read(
        HEADER
        + "10,stable,requests,90\n10,stable,errors,1\n10,canary,requests,10\n10,canary,errors,3\n10,canary,cpu,0.4\n"
        "11,stable,requests,80\n11,stable,latency_le_100,70\n11,stable,latency_le_inf,80\n"
    )
    first, second = found.blocks
    assert first.traffic == {STABLE: Traffic(90, 1), CANDIDATE: Traffic(10, 3)}
    assert first.values == {"cpu": {CANDIDATE: 0.4}}
    latency = second.traffic[STABLE].latency
    assert sum(latency) == 80
    assert latency[6] == 70
    assert latency[-1] == 10
    assert not found.notes


def test_cumulative_counts_tolerate_a_reset() -> None:
    rows = [(1, 100, 5), (2, 150, 6), (3, 20, 1), (4, 30, 1)]
    text = "".join(f"{at},stable,requests_total,{n}\n{at},stable,errors_total,{k}\n" for at, n, k in rows)
    found = read(HEADER + text)
    assert [block.traffic[STABLE].requests for block in found.blocks] == [0, 50, 20, 10]
    assert [block.traffic[STABLE].errors for block in found.blocks] == [0, 1, 1, 0]


def test_gaps_disorder_and_nan_are_put_up_with_and_told() -> None:
    found = read(HEADER + "3,stable,cpu,0.3\n1,stable,cpu,0.1\n2,stable,cpu,NaN\n60,stable,cpu,0.6\n61,stable,cpu,\n")
    assert [block.at for block in found.blocks] == [1, 2, 3, 60, 61]
    assert [block.duration_s for block in found.blocks] == [1, 1, 1, 57, 1]
    assert [block.values.get("cpu", {}).get(STABLE) for block in found.blocks] == [0.1, None, 0.3, 0.6, None]
    assert found.notes == (
        "1 rows were out of order; they were sorted by at",
        "2 values are NaN or empty: no data",
        "1 gaps; the longest took 57 s where rows are 1 s apart",
    )


def test_json_lists_lines_and_times_are_read_alike() -> None:
    records = [{"at": "2026-01-31T12:00:00Z", "track": "stable", "metric": "cpu", "value": 0.5}]
    records.append({"at": 1769860801, "track": "candidate", "metric": "cpu", "value": None})
    lines = "\n".join(map(json.dumps, records))
    assert read(json.dumps(records), "s.json") == read(lines, "s.jsonl")
    assert read(lines, "s.jsonl").blocks[0].at == 1769860800


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        (HEADER, "a header and no row"),
        ("at,metric,value\n1,cpu,2\n", "line 1: the header has no track: write at,track,metric,value"),
        (HEADER + "x,stable,cpu,1\n", "line 2: 'x' is no time: unix seconds, or 2026-01-31T12:00:00Z"),
        (HEADER + "nan,stable,cpu,1\n", "line 2: at must be a time"),
        (HEADER + "1,old,cpu,1\n", "line 2: track 'old' is unknown: write stable or candidate"),
        (HEADER + "1,stable,cpu,much\n", "line 2: 'much' is no number: leave it empty where nothing is known"),
        (HEADER + "1,stable,cpu,inf\n", "line 2: cpu is infinite"),
        (HEADER + "1,stable,errors,-1\n", "line 2: errors is -1: a count cannot be negative"),
        (HEADER + "1,stable,latency_le_33,1\n", "line 2: 33 ms is no bound of the histogram: they are 0.5, 1, 5"),
        (HEADER + "1,stable,cpu,1\n1,control,cpu,2\n", "line 3: cpu of control at 1 is given twice"),
        (HEADER + "1,stable,cpu\n", "line 2: 4 columns in the header, not here"),
        ("[1]", "line 1: a row has at, track"),
        ('{"at": 1}\n{', "line 2: not JSON"),
        ('{"at": 1, "track": "stable", "value": 1}', "line 1: metric is missing"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, message: str) -> None:
    with pytest.raises(MetricError) as caught:
        read(text)
    assert caught.value.message.startswith("s.csv: ")
    assert message in caught.value.message


def requests(candidate_errors: int, seconds: int = 400) -> str:
    rows = [HEADER]
    for at in range(1, seconds + 1):
        rows.append(f"{at},stable,requests,90\n{at},stable,errors,{at % 2}\n")
        if at > 120:
            rows.append(f"{at},candidate,requests,10\n{at},candidate,errors,{candidate_errors}\n")
    return "".join(rows)


def test_the_sequential_engine_judges_a_series() -> None:
    policy = Analysis((), Sequential())
    bad, good = (of_series(fitted(policy, read(requests(n)))[1], policy) for n in (2, 0))
    assert bad.decision == "rolled back"
    assert bad.after_s < 60
    assert "against a limit of 100" in bad.because
    assert good.decision == "promoted", good


def test_a_policy_reads_its_metrics_by_name_and_says_which_are_not_there() -> None:
    policy = Analysis(
        (
            ThresholdMetric("cpu", source="stats", query="cpu_share", failure_condition="result > 0.8", interval_s=1.0),
            ThresholdMetric("absent", source="stats", query="memory_share", failure_condition="result > 0.8"),
        ),
        sequential=None,
        streams=(SequentialMetric("orders", "scrape", "orders_total", Form.COUNT),),
    )
    text = "".join(
        f"{at},{track},cpu,0.5\n{at},{track},orders,{at}\n" for at in (1, 2, 3) for track in ("stable", "canary")
    )
    after, blocks, without = fitted(policy, read(HEADER + text))
    assert without == ("absent",)
    assert blocks[2].values[exposure_of("orders")] == {STABLE: 2.0, CANDIDATE: 2.0}
    judged = of_series(blocks, after)
    assert judged.decision == "undecided"
    assert {one.metric for one in judged.verdict.metrics} == {"cpu", "absent", "orders"}


def test_a_metric_named_like_a_count_is_judged_by_the_traffic() -> None:
    policy = Analysis(
        (ThresholdMetric("errors", query="error_share", failure_condition="result > 0.02", interval_s=5.0),),
        sequential=None,
    )
    after, blocks, without = fitted(policy, read(requests(5)))
    assert without == ()
    assert of_series(blocks, after).decision == "rolled back"


@pytest.mark.parametrize(("unit", "factor"), [("milliseconds", 10**3), ("microseconds", 10**6), ("nanoseconds", 10**9)])
def test_times_too_large_for_seconds_are_converted_and_told(unit: str, factor: int) -> None:
    text = "".join(f"{1769860800 * factor + step * factor // 2},stable,cpu,0.5\n" for step in (0, 2, 4))
    found = read(HEADER + text)
    assert [(block.at, block.duration_s) for block in found.blocks] == [(1769860800 + n, 1.0) for n in range(3)]
    assert found.notes == (f"3 times are too large for seconds; they were read as {unit}",)


@pytest.mark.parametrize("column", ["time", "timestamp", "TS"])
def test_times_and_tracks_have_other_names_too(column: str) -> None:
    found = read(f"{column},track,metric,value\n1,primary,cpu,0.3\n1,experiment,cpu,0.4\n")
    assert found.blocks[0].values == {"cpu": {STABLE: 0.3, CANDIDATE: 0.4}}
    record = {column.lower(): 1, "track": "primary", "metric": "cpu", "value": 0.3}
    assert read(json.dumps([record]), "s.json").blocks[0].at == 1.0
