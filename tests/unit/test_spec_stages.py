"""stages in tidegate.yaml."""

import pytest

from tidegate.model.errors import SpecError
from tidegate.model.source import Commit
from tidegate.model.stages import Bounds, Stages
from tidegate.pipeline.build import options_of
from tidegate.spec import parse_spec

SPEC = "agent: a\nworkload: {image: a:1}\nbuild: {}\n"


def test_source_and_build_have_bounds() -> None:
    spec = parse_spec(f"{SPEC}stages:\n  build: {{timeout: 2m, cpus: 0.5, memory: 64m, pids: 10}}\n")
    assert spec.stages == Stages(build=Bounds(120.0, 0.5, 64 << 20, 10))
    assert options_of(spec, Commit("c" * 40)).deadline_s == 120.0
    assert parse_spec(SPEC).stages == parse_spec(f"{SPEC}stages:\n").stages == Stages()


@pytest.mark.parametrize(
    ("written", "place"),
    [("stages: {deploy: {}}", "stages.deploy"), ("stages: {build: {timeout: 0}}", "stages.build.timeout")],
)
def test_what_is_wrong_is_said_with_its_place(written: str, place: str) -> None:
    with pytest.raises(SpecError, match=place):
        parse_spec(f"{SPEC}{written}\n")
