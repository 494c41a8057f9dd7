"""Whatever a file holds, reading it gives a spec or a SpecError with places: never a traceback, never a hang."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.compat import StringIO

from tidegate.model.errors import Problem, SpecError
from tidegate.model.secrecy import looks_secret
from tidegate.model.spec import Spec
from tidegate.spec import diff_workloads, lint_text, load_spec, parse_spec
from tidegate.spec.dotenv import DotenvError
from tidegate.spec.dotenv import parse as parse_dotenv
from tidegate.spec.interpolate import InterpolationError, expand
from tidegate.spec.reference import entries
from tidegate.spec.scalars import byte_size, byte_text, duration, duration_text, resolve

QUICK = settings(max_examples=120, deadline=2000, suppress_health_check=[HealthCheck.too_slow])

KEYS = sorted({name for entry in entries() for name in (entry.key.name, *entry.key.aliases)})
WORDS = st.sampled_from(
    [
        "",
        "a",
        "80:80",
        "30s",
        "512m",
        "${X}",
        "${X:-1}",
        "${",
        "$$",
        "result > 1",
        "true",
        "!reset",
        "/p",
        "a:/b",
        "-1",
        "1e400",
    ]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=20)
NAMES = st.sampled_from(KEYS) | st.text(max_size=8)
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=6), max_leaves=40
)
GOOD = {
    "agent": "web",
    "workload": {"image": "web:1", "environment": {"A": "1"}, "volumes": ["d:/d"], "deploy": {"replicas": 2}},
    "probes": {"readiness": {"httpGet": {"port": 80, "path": "/ready"}}},
    "routes": [{"listen": 80, "target": 80}],
    "environments": {"prod": {"overlay": {"environment": ["B=2"]}, "secrets": {"T": {"file": "t"}}}},
    "strategy": {"canary": {"steps": [{"set_weight": 10}, {"analyse": "30s"}], "bake": "1m"}},
    "analysis": {"metrics": [{"name": "errors", "failure_condition": "result > 0.02"}]},
}


def outcome(text: str) -> Spec | None:
    """The spec, or None after checking that the refusal is a proper one."""
    try:
        return parse_spec(text, "tidegate.yaml", {"X": "value"})
    except SpecError as error:
        problems = error.problems
    check(problems)
    return None


def check(problems: tuple[Problem, ...]) -> None:
    """There is at least one, and each has a place and fits on a line."""
    assert problems
    for problem in problems:
        assert problem.file
        assert problem.line >= 1
        assert problem.message
        assert "\n" not in str(problem)
        assert len(str(problem)) < 2000


@QUICK
@given(st.text(max_size=300))
def test_any_text(text: str) -> None:
    outcome(text)


@QUICK
@given(st.text(alphabet="ab:- \n\t[]{}&*!|>'\"#%@`,?<$0", max_size=120))
def test_any_yaml_looking_text(text: str) -> None:
    outcome(text)


@QUICK
@given(st.binary(max_size=300))
def test_any_bytes(tmp_path_factory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "tidegate.yaml"
    path.write_bytes(data)
    try:
        load_spec(path, {})
    except SpecError as error:
        problems = error.problems
    else:
        return
    check(problems)


def dumped(tree: object) -> str:
    out = StringIO()
    YAML(typ="safe", pure=True).dump(tree, out)
    return out.getvalue()


@QUICK
@given(TREES)
def test_any_tree_of_known_keys(tree: object) -> None:
    outcome(dumped(tree))


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, object]:
    """A good spec with one value somewhere replaced, and one key added."""

    def walk(value: object) -> object:
        if draw(st.integers(0, 79)) == 79:
            return draw(TREES)
        if isinstance(value, dict):
            result = {key: walk(child) for key, child in value.items()}
            if draw(st.integers(0, 39)) == 39:
                result[draw(NAMES)] = draw(TREES)
            return result
        return [walk(child) for child in value] if isinstance(value, list) else value

    return {key: walk(child) for key, child in GOOD.items()}


@settings(QUICK, max_examples=250)
@given(damaged())
def test_a_good_spec_with_damage(tree: dict[str, object]) -> None:
    text = dumped(tree)
    spec = outcome(text)
    problems = lint_text(text, {"X": "value"})
    assert (spec is None) == any(not problem.warning for problem in problems)
    if spec is not None:
        for environment in spec.environments.values():
            assert diff_workloads(environment.workload, environment.workload) == ()


def test_the_good_spec_is_good() -> None:
    assert outcome(dumped(GOOD)) is not None


@QUICK
@given(st.text(alphabet="${}:-?+ABX x", max_size=40))
def test_variables_expand_or_say_why(text: str) -> None:
    hint = "none needed"
    try:
        assert "$" in text or expand(text, {"X": "v"}).text == text
    except InterpolationError as error:
        hint = error.hint
    assert hint


@QUICK
@given(st.text(alphabet="ABx=:'\"\\#$ {}\nexport", max_size=80))
def test_files_of_variables_parse_or_say_where(text: str) -> None:
    line = 1
    try:
        parse_dotenv(text, {})
    except DotenvError as error:
        line = error.line
    assert 1 <= line <= len(text.splitlines()) + 1


@QUICK
@given(st.integers(0, 10_000_000))
def test_durations_come_back(milliseconds: int) -> None:
    assert abs(duration(duration_text(milliseconds / 1000)) - milliseconds / 1000) < 1e-9


@QUICK
@given(st.integers(1, 2**60))
def test_byte_sizes_come_back(count: int) -> None:
    assert abs(byte_size(byte_text(count)) - count) <= count * 2**-50


@QUICK
@given(st.text(max_size=30))
def test_scalars_resolve(text: str) -> None:
    value = resolve(text)
    assert value is None or isinstance(value, (str, bool, int, float))


@QUICK
@given(st.text(alphabet=st.characters(codec="ascii", categories=["L", "N"]), min_size=12, max_size=20))
def test_a_secret_in_the_clear_is_never_printed(secret: str) -> None:
    """Neither by an error in the same block nor by a diff."""
    marked = f"pw-{secret}-pw"
    assert looks_secret("PASSWORD", marked)
    first = parse_spec(f"agent: a\nworkload: {{image: a, environment: {{PASSWORD: {marked}}}}}", "t.yaml", {})
    second = parse_spec(f"agent: a\nworkload: {{image: a, environment: {{PASSWORD: {marked}x}}}}", "t.yaml", {})
    changes = diff_workloads(first.workload, second.workload)
    assert len(changes) == 1
    assert marked not in str(changes[0])
    broken = f"agent: a\nworkload: {{image: a, environment: [PASSWORD={marked}, {{}}], ports: [x]}}"
    with pytest.raises(SpecError) as caught:
        parse_spec(broken, "t.yaml", {})
    assert marked not in caught.value.message
