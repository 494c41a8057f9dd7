"""JSON Schema and reference come from the tables that validate, so they must agree with validation."""

import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from tests.unit.test_spec_problems import ONE_LINE
from tidegate.model.errors import NotFoundError
from tidegate.model.spec import GATEWAY_QUERIES
from tidegate.spec import explain_key, load_spec, markdown, schema
from tidegate.spec.reference import entries

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(ROOT.glob("examples/*/tidegate.yaml"))
BEYOND_SCHEMA = (
    *(
        "published twice",
        "replicas cannot",
        "never closed",
        "in the host's network",
        "no higher",
    ),
    *("names a service of no file", "does not exist", "give both ranges", "99999", "sctp", "the target is an absolute"),
    *("success_threshold out", "another spelling", "two routes", "is taken by two", "knows no requests"),
    *(
        "weights rise",
        "unknown name",
        "nothing could move",
        "or a percentage",
        "says nothing",
        "look-around",
        "stands alone",
        "neither success",
        "'rsult'",
        "the gateway cannot measure",
        "does not belong to engine",
        "threshold_range is missing",
        "gives no",
        "above the 60",
        "longer than the interval",
        "stats cannot measure",
        "'rslt",
        "does not belong to form",
        "no sequential evidence",
        "most is missing",
        "is less than stable's",
        "nobody can tell how",
        "is not set",
        "${ is never",
        "X is not set",
        "is not shorter than",
        "nothing is measured before",
    ),
)
"""Parts of messages about what a schema of single keys cannot see."""


def as_tree(text: str) -> object:
    return YAML(typ="safe", pure=True).load(text)


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_examples_are_valid_by_schema_and_by_loading(path: Path) -> None:
    jsonschema.Draft202012Validator(schema()).validate(as_tree(path.read_text()))
    load_spec(path, {})


@pytest.mark.parametrize(("line", "message"), ONE_LINE, ids=[line[:50] for line, _ in ONE_LINE])
def test_the_schema_refuses_what_loading_refuses(line: str, message: str) -> None:
    text = line if line.startswith("agent") else f"agent: web\n{line}"
    valid = jsonschema.Draft202012Validator(schema()).is_valid(as_tree(text))
    assert valid == any(part in message for part in BEYOND_SCHEMA)


def test_every_key_is_explained() -> None:
    for entry in entries():
        assert entry.key.doc.rstrip()[-1] in ".?)", entry.path
        assert entry.path in explain_key(entry.path)


@pytest.mark.parametrize(
    ("asked", "first"),
    [
        ("workload.deploy", "workload.deploy"),
        ("environments.production.overlay.deploy", "workload.deploy"),
        ("environments.production.secrets.TOKEN.file", "environments.ENVIRONMENT.secrets.VARIABLE.file"),
        ("analysis.metrics[0].interval", "analysis.metrics[].interval"),
        ("steps", "strategy.canary.steps"),
        ("failureLimit", "analysis.metrics[].failure_limit"),
        ("", "agent         Name of what is delivered."),
    ],
)
def test_keys_are_found_by_path_index_alias_and_last_name(asked: str, first: str) -> None:
    assert explain_key(asked).splitlines()[0] == first


def test_an_unknown_key_names_the_nearest() -> None:
    with pytest.raises(NotFoundError) as caught:
        explain_key("strategy.canary.stepz")
    assert caught.value.hint == "did you mean strategy.canary.steps?"


def test_the_reference_page_is_fresh() -> None:
    """Make it anew: write what tidegate.spec.markdown() gives into docs/reference/spec.md."""
    assert (ROOT / "docs" / "reference" / "spec.md").read_text() == markdown()


def test_the_gateways_queries_are_those_that_the_analysis_knows() -> None:
    from tidegate.core.analysis import GATEWAY_QUERIES as known

    assert set(GATEWAY_QUERIES) == set(known)


@pytest.mark.parametrize(("page", "least"), [("write-a-spec", 2), ("judge-a-metric", 1), ("bring-your-rules", 1)])
def test_the_how_to_pages_are_valid(tmp_path: Path, page: str, least: int) -> None:
    """Every YAML block of the page that begins with `agent:` is a spec that loads."""
    blocks = (ROOT / "docs" / "how-to" / f"{page}.md").read_text().split("```yaml\n")[1:]
    specs = [block.partition("```")[0] for block in blocks if block.startswith("agent:")]
    assert len(specs) >= least
    (tmp_path / "compose.yaml").write_text("services: {web: {image: web:1}}")
    for text in specs:
        (tmp_path / "tidegate.yaml").write_text(text)
        load_spec(tmp_path, {})


def test_importing_the_package_is_cheap() -> None:
    """`tidegate --help` must not pay for YAML."""
    code = "import sys, tidegate.spec; sys.exit('ruamel.yaml' in sys.modules or 'pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT / "src", check=False).returncode == 0
