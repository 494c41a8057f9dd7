"""SARIF 2.1.0, as linters and scanners write it, into findings.

Source: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from tidegate.model.evidence import Finding
from tidegate.model.stages import Severity
from tidegate.pipeline.reports import ReportError

LEVELS = {"error": Severity.HIGH, "warning": Severity.MEDIUM, "note": Severity.LOW, "none": Severity.INFO}
SCORES = ((9.0, Severity.CRITICAL), (7.0, Severity.HIGH), (4.0, Severity.MEDIUM), (0.1, Severity.LOW))
"""A rule's security-severity is a CVSS score; https://nvd.nist.gov/vuln-metrics/cvss has these steps."""


def sarif(content: bytes, tool: str = "", root: str = "") -> tuple[Finding, ...]:
    """Every result of every run. `root` is cut off the beginning of paths. Raises ReportError."""
    try:
        document = json.loads(content)
        return tuple(finding for run in document["runs"] for finding in _run(run, tool, root))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReportError(f"it is no SARIF: {type(error).__name__}: {error}") from error


def _run(run: Mapping[str, Any], tool: str, root: str) -> Iterator[Finding]:
    driver = run.get("tool", {}).get("driver", {})
    rules = {rule["id"]: rule for rule in driver.get("rules", ()) if "id" in rule}
    name = tool or str(driver.get("name", ""))
    for result in run.get("results") or ():
        rule_id = str(result.get("ruleId", ""))
        rule = rules.get(rule_id, {})
        yield Finding(
            rule_id,
            _severity(result, rule),
            str(result.get("message", {}).get("text", "")).strip(),
            _where(result, root),
            _hint(rule),
            name,
        )


def _severity(result: Mapping[str, Any], rule: Mapping[str, Any]) -> Severity:
    score = rule.get("properties", {}).get("security-severity")
    if score is not None:
        return next((severity for least, severity in SCORES if float(score) >= least), Severity.INFO)
    level = result.get("level") or rule.get("defaultConfiguration", {}).get("level", "warning")
    return LEVELS.get(level, Severity.MEDIUM)


def _where(result: Mapping[str, Any], root: str) -> str:
    for location in result.get("locations") or ():
        physical = location.get("physicalLocation", {})
        uri = unquote(urlsplit(str(physical.get("artifactLocation", {}).get("uri", ""))).path)
        path = uri.removeprefix(root).lstrip("/") if root and uri.startswith(root) else uri
        line = physical.get("region", {}).get("startLine")
        return f"{path}:{line}" if line else path
    return ""


def _hint(rule: Mapping[str, Any]) -> str:
    help_text = rule.get("help", {}).get("text", "") or rule.get("fullDescription", {}).get("text", "")
    address = str(rule.get("helpUri", ""))
    first = str(help_text).strip().split("\n", 1)[0]
    return address or first[:200]
