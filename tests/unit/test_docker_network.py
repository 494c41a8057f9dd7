"""Fixed addresses: which one an instance gets."""

from __future__ import annotations

import ipaddress

import pytest

from tidegate.adapters.platform.docker.network import dynamic_range, fixed_address, pick_address, taken_addresses
from tidegate.model.errors import EngineError

SMALL = ipaddress.IPv4Network("10.1.0.0/28")  # .2 to .11 can be given; .12 to .15 are the engine's


def test_the_same_name_gets_the_same_address() -> None:
    large = ipaddress.IPv4Network("10.213.0.0/16")
    first = pick_address("shop.prod.r1.0", large, set())
    assert pick_address("shop.prod.r1.0", large, {"10.213.0.1"}) == first
    assert pick_address("shop.prod.r2.0", large, set()) != first


def test_every_address_is_given_once_and_then_none() -> None:
    taken: set[str] = set()
    for index in range(10):
        taken.add(pick_address(f"a.b.r1.{index}", SMALL, taken))
    assert taken == {f"10.1.0.{last}" for last in range(2, 12)}
    with pytest.raises(EngineError, match=r"no free address in 10\.1\.0\.0/28: 10 are in use"):
        pick_address("a.b.r1.10", SMALL, taken)


def test_fixed_addresses_stay_out_of_the_dynamic_range() -> None:
    assert dynamic_range(SMALL) == ipaddress.IPv4Network("10.1.0.12/30")


def test_addresses_of_stopped_containers_count_as_taken() -> None:
    running = {"NetworkSettings": {"Networks": {"tidegate": {"IPAddress": "10.1.0.3", "IPAMConfig": None}}}}
    stopped = {
        "NetworkSettings": {"Networks": {"tidegate": {"IPAddress": "", "IPAMConfig": {"IPv4Address": "10.1.0.4"}}}}
    }
    elsewhere = {"NetworkSettings": {"Networks": {"bridge": {"IPAddress": "172.17.0.2"}}}}
    assert taken_addresses([running, stopped, elsewhere, {}], "tidegate") == {"10.1.0.3", "10.1.0.4"}
    assert fixed_address(None) == ""
