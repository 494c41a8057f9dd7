"""Queries of metric sources: what is understood, and the hint for what is not."""

import pytest

from tidegate.adapters.metrics.logs import level_of
from tidegate.adapters.metrics.rates import Counter, Tally
from tidegate.adapters.metrics.stats import cpu_limit, sample_of
from tidegate.model import queries
from tidegate.model.metering import OriginKind, Subject
from tidegate.model.observation import InstanceState, ObservedInstance
from tidegate.model.release import AgentKey
from tidegate.spec.linter import lint_text


@pytest.mark.parametrize(
    ("kind", "query", "hint"),
    [
        (OriginKind.STATS, "cpu", "write cpu_share"),
        (OriginKind.HEARTBEAT, "cpu_share", "write silence_s"),
        (OriginKind.LOGS, "level>=shouting", "shouting is no level"),
        (OriginKind.LOGS, "(a+)+b", "repetition of a repetition"),
        (OriginKind.LOGS, "(", "not a regular expression"),
        (OriginKind.SCRAPE, "rate(x[5m])", "write name"),
        (OriginKind.SCRAPE, 'x{a=~"("}', "not a regular expression"),
        (OriginKind.PROMETHEUS, "up{{revison}}", "{{revison}} is unknown"),
        (OriginKind.PROMETHEUS, "sum(up", ") is missing"),
        (OriginKind.PROMETHEUS, "sum(up))", ") closes nothing"),
        (OriginKind.PROMETHEUS, 'up{a="}', "never closed"),
    ],
)
def test_a_query_that_cannot_be_answered_gets_a_hint(kind: OriginKind, query: str, hint: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        queries.check(kind, query)
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "query"),
    [
        (OriginKind.STATS, "memory_share"),
        (OriginKind.LOGS, "level >= warn"),
        (OriginKind.LOGS, r"^panic: \d+"),
        (OriginKind.SCRAPE, 'max(queue{name="a", kind!="b",} )'),
        (OriginKind.SCRAPE, "a_total / b_total"),
        (OriginKind.PROMETHEUS, 'sum(rate(x{r="{{revision}}", q=")"}[5m])) / 2'),
    ],
)
def test_a_query_that_can_be_answered(kind: OriginKind, query: str) -> None:
    queries.check(kind, query)


def test_placeholders_are_filled_in() -> None:
    made = tuple(ObservedInstance(f"web.prod.r2.{n}", 2, InstanceState.RUNNING) for n in (1, 2))
    subject = Subject(AgentKey("web", "prod"), (1, 2), made)
    text = queries.fill('x{r="{{ revision }}",a="{{agent}}/{{environment}}",i=~"{{instances}}"}', subject, 2)
    assert text == 'x{r="2",a="web/prod",i=~"web[.]prod[.]r2[.]1|web[.]prod[.]r2[.]2"}'


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ('{"level": "error", "msg": "INFO"}', 50),
        ('{"severity": "WARNING"}', 40),
        ('{"level": 60}', 60),
        ('{"log": {"level": "fatal"}}', 60),
        ('{"msg": "ERROR"}', 0),
        ('{"level": broken ERROR', 50),
        ("2026-01-01 ERROR no disk", 50),
        ("ts=1 level=warn msg=x", 40),
        ("GET /error 200", 0),
        ("Traceback (most recent call last):", 50),
        ("", 0),
    ],
)
def test_levels_of_lines(line: str, level: int) -> None:
    assert level_of(line) == level


def test_counters_survive_resets_and_forget_what_is_old() -> None:
    counter = Counter()
    assert counter.rate() is None
    for at, value in ((0, 100), (1, 110), (2, 5), (3, 15)):
        counter.add(at, value, 10)
    assert counter.rate() == pytest.approx((10 + 5 + 10) / 3)
    for at in range(4, 30):
        counter.add(at, 15, 10)
    assert counter.rate() == 0


def test_a_tally_counts_the_latest_seconds() -> None:
    tally = Tally(100.0)
    assert tally.rate(100.5, 5) is None
    for second in range(100, 110):
        tally.add(second + 0.5)
        tally.add(second + 0.6)
    assert tally.rate(110.0, 5) == 2.0
    assert tally.rate(130.0, 5) == 0.0


def test_shares_are_of_the_limit_and_leave_out_the_page_cache() -> None:
    assert cpu_limit({"NanoCpus": 500_000_000}) == 0.5
    assert cpu_limit({"CpuQuota": 150_000}) == 1.5
    assert cpu_limit({}) is None
    raw = {
        "memory_stats": {"usage": 70, "limit": 100, "stats": {"total_inactive_file": 20}},
        "cpu_stats": {"system_cpu_usage": 2000, "online_cpus": 4, "cpu_usage": {"total_usage": 150}},
        "precpu_stats": {"system_cpu_usage": 1000, "cpu_usage": {"total_usage": 50}},
    }
    sample = sample_of(raw, 0.5, 0.0)
    assert (sample.memory_share, sample.memory_bytes) == (0.5, 50.0)
    assert sample.cpu_share == pytest.approx(0.4 / 0.5)
    assert sample_of({}, None, 0.0).cpu_share is None


METRIC = "analysis: {{metrics: [{{name: m, source: {}, query: {}, failure_condition: result > 1}}], sources: {}}}"


@pytest.mark.parametrize(
    ("source", "query", "sources", "message"),
    [
        ("statz", "cpu_share", "{}", "'statz' is no metric source: did you mean stats?"),
        ("prometheus", "up", "{}", "declare it: analysis.sources"),
        ("stats", "cpu", "{}", "stats cannot measure 'cpu'"),
        ("p", "up", "{p: {url: 'http://a'}}", "p is no kind of source"),
        ("p", "up", "{p: {kind: prometheus}}", "url is missing"),
        ("p", "up", "{p: {kind: file}}", "file is missing"),
        ("p", "up", "{p: {kind: prometheus, url: 'http://a:b@c'}}", "credentials in the address"),
        ("p", "up", "{p: {kind: prometheus, url: 'http://a'}}", "asks the same of every revision"),
        ("gateway", "error_share", "{gateway: {kind: stats}}", "is not a valid metric source"),
    ],
)
def test_the_spec_says_where_a_source_is_wrong(source: str, query: str, sources: str, message: str) -> None:
    text = f"agent: web\nworkload: {{image: 'web:1'}}\n{METRIC.format(source, query, sources)}\n"
    found = [f"{problem.file}:{problem.line} {problem.message}: {problem.hint}" for problem in lint_text(text, {})]
    assert any(message in one and ":3 " in one for one in found), found
