"""SARIF of the tools that are met."""

import json

import pytest

from tidegate.model.evidence import Finding
from tidegate.model.stages import Severity
from tidegate.pipeline.reports import ReportError
from tidegate.pipeline.sarif import sarif


def document(result: dict[str, object], *rules: dict[str, object], tool: str = "t") -> bytes:
    run = {"tool": {"driver": {"name": tool, "rules": list(rules)}}, "results": [result]}
    return json.dumps({"version": "2.1.0", "runs": [run]}).encode()


def result(**more: object) -> dict[str, object]:
    place = {"physicalLocation": {"artifactLocation": {"uri": "a%20b.py"}, "region": {"startLine": 3}}}
    return {"ruleId": "R1", "message": {"text": " bad "}, "locations": [place], **more}


def test_a_result_is_a_finding() -> None:
    (found,) = sarif(document(result(level="error"), {"id": "R1", "helpUri": "https://r1"}))
    assert found == Finding("R1", Severity.HIGH, "bad", "a b.py:3", "https://r1", "t")


@pytest.mark.parametrize(
    ("level", "rule", "severity"),
    [
        ("error", {}, Severity.HIGH),
        ("warning", {}, Severity.MEDIUM),
        ("note", {}, Severity.LOW),
        ("none", {}, Severity.INFO),
        (None, {}, Severity.MEDIUM),
        (None, {"defaultConfiguration": {"level": "error"}}, Severity.HIGH),
        ("error", {"properties": {"security-severity": "9.8"}}, Severity.CRITICAL),
        ("error", {"properties": {"security-severity": "5.0"}}, Severity.MEDIUM),
        ("error", {"properties": {"security-severity": "0.0"}}, Severity.INFO),
    ],
)
def test_severities(level: str | None, rule: dict[str, object], severity: Severity) -> None:
    given = result() if level is None else result(level=level)
    (found,) = sarif(document(given, {"id": "R1", **rule}))
    assert found.severity is severity


def test_the_checkouts_place_is_cut_off() -> None:
    place = {"physicalLocation": {"artifactLocation": {"uri": "file:///src/deep/a.py"}}}
    (found,) = sarif(document(result(locations=[place])), root="/src")
    assert found.where == "deep/a.py"


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"runs": 3}', b'{"runs": [1]}', b'{"runs": [{"results": [3]}]}']
)
def test_what_is_no_sarif_is_said(content: bytes) -> None:
    with pytest.raises(ReportError):
        sarif(content)
