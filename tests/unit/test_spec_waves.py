"""Hosts and waves in tidegate.yaml: what they become, and what is said of wrong ones."""

from pathlib import Path

import pytest

from tidegate.model.errors import SpecError
from tidegate.model.spec import Canary, Rolling
from tidegate.model.waves import Exponential, Limits
from tidegate.spec import parse_spec

HOSTS = "environments: {edge: {hosts: {e1: {endpoint: ssh://deploy@e1, labels: {ring: canary}}}}}\n"


def spec(strategy: str, hosts: str = HOSTS) -> str:
    return f"agent: web\nworkload: {{image: a}}\n{hosts}{strategy}"


def test_a_wave_takes_what_it_does_not_say_from_all_of_them() -> None:
    text = """
strategy:
  waves:
    within: {rolling: {}}
    concurrency: 4
    abort_threshold: {share: 20%, minimum: 2}
    hostDeadline: 10m
    waves:
      - {hosts: {ring: canary}, bake: 30m}
      - {size: 25%, abort_threshold: {minimum: 5}}
"""
    read = parse_spec(spec(text))
    assert isinstance(read.strategy, Rolling)
    first, second = read.waves.plans
    assert (first.labels, first.size) == ({"ring": "canary"}, "")
    assert first.limits == Limits("4", 1800.0, 20.0, 2, 600.0)
    assert second.limits == Limits("4", 30.0, 20.0, 5, 600.0)
    (host,) = read.environments["edge"].hosts
    assert (host.name, host.endpoint, host.labels) == ("e1", "ssh://deploy@e1", {"ring": "canary"})


def test_nothing_said_is_a_canary_in_waves_that_double() -> None:
    read = parse_spec(spec("strategy: {waves: {}}"))
    assert read.strategy == Canary()
    assert read.waves.plans == ()
    assert read.waves.exponential == Exponential(1, 2.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (spec("strategy: {waves: {}}", ""), "waves go over hosts, and no environment has any"),
        (spec("strategy: {waves: {concurrency: 0}}"), 'expected a number of hosts or a percentage (write 3 or "25%")'),
        (spec("strategy: {waves: {concurrency: 101%}}"), "expected a number of hosts or a percentage"),
        (spec("strategy: {waves: {abort_threshold: {share: 120%}}}"), "expected a percentage (write 20%)"),
        (spec("strategy: {waves: {exponential: {factor: 0.5}}}"), "expected a number of at least 1"),
        (spec("strategy: {waves: {exponential: {}, waves: [{size: 1}]}}"), "waves are given too (keep one of the two)"),
        (spec("strategy: {waves: {within: {waves: {}}}}"), "strategy.waves.within.waves: is unknown"),
        (spec("", "environments: {edge: {hosts: {e1: {endpoint: edge-1}}}}\n"), "unix://, tcp:// or ssh://"),
        (spec("", "environments: {edge: {hosts: {E_1: {endpoint: ssh://e}}}}\n"), "is not a valid host"),
        (spec("", "environments: {edge: {hosts: {e1: {}}}}\n"), "endpoint is missing"),
        (
            spec("", "environments: {edge: {hosts: {e: {endpoint: ssh://e, tls: {ca: a, certificate: b, key: c}}}}}\n"),
            "belongs to tcp:// only",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec(text, "tidegate.yaml", {})
    assert message in caught.value.message
    assert "tidegate.yaml:" in caught.value.message


def test_the_how_to_is_valid() -> None:
    page = Path(__file__).parents[2] / "docs" / "how-to" / "waves.md"
    text = page.read_text().split("```yaml\n")[1].split("```")[0]
    read = parse_spec(text.replace("agent: log-shipper", "agent: log-shipper\nworkload: {image: a}"))
    assert [host.name for host in read.environments["edge"].hosts] == ["edge-1", "edge-2", "edge-3", "here"]
    assert len(read.waves.plans) == 3
