"""The log of a process that stays: one line each, whatever is in it."""

import logging
import sys

from tidegate.cli.logfmt import Logfmt, quoted


def line(message: str, name: str = "tidegate.controller", **extra: object) -> str:
    record = logging.LogRecord(name, logging.WARNING, "", 0, message, (), None)
    record.created = 1767225600.25
    record.__dict__.update(extra)
    return Logfmt().format(record)


def test_a_line() -> None:
    expected = 'at=2026-01-01T00:00:00.250+00:00 level=warning msg="10 % to the canary"'
    assert line("10 % to the canary") == expected
    fields = {"agent": "mailer.prod", "revision": 3, "kind": None}
    assert line("up", fields=fields).endswith("msg=up agent=mailer.prod revision=3")
    assert line("up", "asyncio").endswith("msg=up from=asyncio")


def test_nothing_breaks_the_line() -> None:
    told = line('a "b"\nlevel=info msg=forged\x1b[31m')
    assert told.splitlines() == [told]
    assert r'msg="a \"b\"\nlevel=info msg=forged\x1b[31m"' in told
    assert quoted("") == '""'
    assert quoted("a=b") == '"a=b"'


def test_a_traceback_stays_on_the_line() -> None:
    try:
        raise ValueError("wrong\nagain")
    except ValueError:
        told = line("failed", exc_info=sys.exc_info())
    assert told.splitlines() == [told]
    assert "ValueError: wrong" in told
