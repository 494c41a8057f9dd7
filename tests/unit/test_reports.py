"""Reports of tests, in the dialects that are met."""

import pytest

from tidegate.model.evidence import Case, CaseState
from tidegate.pipeline.reports import ReportError, counted, coverage, failed, junit

PYTEST = b"""<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests"><testsuite name="pytest" errors="0"
failures="1" skipped="1" tests="4" time="0.035"><testcase classname="test_a" name="test_ok" time="0.001" />
<testcase classname="test_a" name="test_bad" time="1,000.5">
<failure message="assert 1 == 2">def test_bad():</failure></testcase>
<testcase classname="test_a" name="test_err" time="x"><error message="boom">trace</error>
<system-out>x</system-out></testcase>
<testcase classname="test_a" name="test_skip"><skipped message="later" /></testcase></testsuite></testsuites>"""
NESTED = (
    b"""<testsuite name="outer"><properties/><testsuite name="inner"><testcase name="one"/></testsuite></testsuite>"""
)
COBERTURA = b'<?xml version="1.0" ?>\n<coverage line-rate="0.8321" branch-rate="0" version="7.4"></coverage>'
LCOV = b"TN:\nSF:a.c\nLF:8\nLH:6\nend_of_record\nSF:b.c\nLF:2\nLH:2\nend_of_record\n"


def test_every_case_of_a_report() -> None:
    cases = junit(PYTEST)
    assert cases == (
        Case("test_a", "test_ok", CaseState.PASSED, 0.001),
        Case("test_a", "test_bad", CaseState.FAILED, 1000.5, "assert 1 == 2\ndef test_bad():"),
        Case("test_a", "test_err", CaseState.FAILED, 0.0, "boom\ntrace"),
        Case("test_a", "test_skip", CaseState.SKIPPED, 0.0, "later"),
    )
    assert [case.name for case in failed(cases)] == ["test_bad", "test_err"]
    assert counted(cases) == "4 tests: 1 passed, 2 failed, 1 skipped"
    assert counted(()) == "no tests"
    assert junit(NESTED) == (Case("inner", "one", CaseState.PASSED),)


def test_a_share_of_covered_lines() -> None:
    assert coverage(COBERTURA) == pytest.approx(83.21)
    assert coverage(LCOV) == pytest.approx(80.0)


@pytest.mark.parametrize("content", [b"", b"<a", b"<html/>", b"\xff\xfe", b"<testsuite"])
def test_what_is_no_report_is_said(content: bytes) -> None:
    with pytest.raises(ReportError):
        junit(content)


@pytest.mark.parametrize("content", [b"", b"<coverage/>", b"LF:0\nLH:0\n", b"hello"])
def test_what_is_no_coverage_is_said(content: bytes) -> None:
    with pytest.raises(ReportError):
        coverage(content)


def test_entities_do_not_grow_without_end() -> None:
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    case = '<testcase name="a"><failure>&l9;</failure></testcase>'
    bomb = f'<!DOCTYPE testsuite [<!ENTITY l0 "lol">{laughs}]><testsuite>{case}</testsuite>'
    with pytest.raises(ReportError):
        junit(bomb.encode())
