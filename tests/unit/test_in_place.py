"""in_place: what breaks, what a web hook's address shows, and the spec."""

import pytest

from tidegate.core.breaking import breaks, major_step
from tidegate.model.desired import Call
from tidegate.model.errors import SpecError
from tidegate.model.spec import BackedUp, Hook, InPlace, OnFail, Verify, VersionIn
from tidegate.spec import parse_spec


@pytest.mark.parametrize(
    ("before", "after", "step"),
    [
        ("1.4.0", "2.0.0", True),
        ("1.4.0", "1.5.0", False),
        ("v1.4.0", "v2.0.0-rc.1", True),
        ("0.4.0", "0.5.0", True),
        ("0.4.0", "0.4.1", False),
        ("2.0.0", "1.9.0", False),
        ("latest", "2.0.0", False),
    ],
)
def test_a_step_of_the_first_number_breaks(before: str, after: str, step: bool) -> None:
    assert major_step(before, after) is step


@pytest.mark.parametrize(("said", "yes"), [("true", True), ("config format 2", True), ("false", False), ("", False)])
def test_a_label_breaks_unless_it_says_no(said: str, yes: bool) -> None:
    assert breaks(said) is yes


def test_an_address_shows_neither_password_nor_query() -> None:
    assert Call("https://user:pass@ci.example:8443/hook/x?token=t#f").shown == "https://ci.example:8443/hook/x"


def test_the_spec_says_it_all() -> None:
    spec = parse_spec(
        """
agent: shipper
workload: {image: "shipper:1.0.0"}
strategy:
  in_place:
    backup: {volumes: [spool, {name: index, restore: true}], keep: 5, timeout: 2m}
    verify: {fatal: "boom", version_in: log, expected: "up {version}", deadline: 9s}
    refuse_breaking: false
    bake: 5s
hooks:
  pre: [{name: migrate, command: [migrate, --all], timeout: 5m}]
  post: [{name: tell, url: "https://ci.example/x", repeatable: true, on_fail: notify}]
"""
    )
    verify = Verify("boom", VersionIn.LOG, "up {version}", 9.0)
    volumes = (BackedUp("spool"), BackedUp("index", restore=True))
    assert spec.strategy == InPlace(volumes, 5, 120.0, "", verify, False, 5.0)
    assert spec.hooks.pre == (Hook("migrate", ("migrate", "--all"), timeout_s=300.0),)
    assert spec.hooks.post == (Hook("tell", url="https://ci.example/x", repeatable=True, on_fail=OnFail.NOTIFY),)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("strategy: {in_place: {verify: {fatal: '('}}}", "regular expression"),
        ("hooks: {pre: [{name: a, command: [x], url: 'https://a.example'}]}", "exactly one of command or url"),
        ("hooks: {pre: [{name: a, command: [x]}], post: [{name: a, command: [x]}]}", "two hooks are called a"),
        ("strategy: {in_place: {backup: {}}}", "volumes"),
    ],
)
def test_what_is_wrong_is_named(part: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        parse_spec(f"agent: shipper\nworkload: {{image: a:1}}\n{part}\n")
