"""Reports that test programs write: JUnit XML into cases, Cobertura and LCOV into a share of covered lines.

What is read here was written by untrusted programs: sizes are bounded where files are taken out, and expat itself
refuses entities that grow without end (since 2.4.1, https://libexpat.github.io/doc/billion-laughs/).
"""

import re
from collections.abc import Iterable, Iterator
from xml.etree import ElementTree as ET

from tidegate.model.evidence import Case, CaseState

DETAIL = 2000
"""Characters kept of why a case failed."""


class ReportError(ValueError):
    """A report that is not what it should be; the message says why."""


def junit(content: bytes) -> tuple[Case, ...]:
    """Every case of a JUnit report, of any dialect that has <testcase>. Raises ReportError.

    Source: https://github.com/testmoapp/junitxml (there is no standard; these are the common parts).
    """
    root = _parse(content)
    if root.tag not in ("testsuites", "testsuite"):
        raise ReportError(f"its root is <{root.tag[:40]}>, not <testsuites> or <testsuite>")
    return tuple(_cases(root, ""))


def _parse(content: bytes) -> ET.Element:
    try:
        return ET.fromstring(content)  # noqa: S314 - see the module's docstring
    except ET.ParseError as error:
        raise ReportError(f"it is no XML: {error}") from error


def _cases(suite: ET.Element, above: str) -> Iterator[Case]:
    name = suite.get("name", "") or above
    for child in suite:
        if child.tag == "testsuite":
            yield from _cases(child, name)
        elif child.tag == "testcase":
            yield _case(child, child.get("classname", "") or name)


def _case(case: ET.Element, suite: str) -> Case:
    state, detail = CaseState.PASSED, ""
    for child in case:
        if child.tag in ("failure", "error"):
            state, detail = CaseState.FAILED, f"{child.get('message', '')}\n{child.text or ''}".strip()
            break
        if child.tag == "skipped":
            state, detail = CaseState.SKIPPED, child.get("message", "") or (child.text or "")
    return Case(suite, case.get("name", ""), state, _seconds(case.get("time", "")), detail[:DETAIL])


def _seconds(text: str) -> float:
    """Some writers group thousands."""
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return 0.0


def coverage(content: bytes) -> float:
    """Percent of lines covered, of a Cobertura or LCOV report. Raises ReportError.

    Sources: https://cobertura.sourceforge.net/xml/coverage-04.dtd, man geninfo (LF lines found, LH lines hit).
    """
    if content.lstrip().startswith(b"<"):
        rate = _parse(content).get("line-rate", "")
        try:
            return float(rate) * 100
        except ValueError as error:
            raise ReportError("it has no line-rate: it is no Cobertura report") from error
    text = content.decode(errors="replace")
    found, hit = _total(text, "LF"), _total(text, "LH")
    if not found:
        raise ReportError("it is neither Cobertura XML nor LCOV")
    return hit / found * 100


def _total(text: str, name: str) -> int:
    return sum(int(count) for count in re.findall(rf"^{name}:(\d{{1,9}})$", text, re.MULTILINE))


def counted(cases: Iterable[Case]) -> str:
    """For a sentence: 120 tests passed, 2 skipped."""
    states = [case.state for case in cases]
    parts = [f"{states.count(state)} {state.replace('_', ' ')}" for state in CaseState if state in states]
    return f"{len(states)} tests: {', '.join(parts)}" if parts else "no tests"


def failed(cases: Iterable[Case]) -> tuple[Case, ...]:
    """Those that did not pass."""
    return tuple(case for case in cases if case.state is CaseState.FAILED)
