"""The Docker planner: the printed plan is what is compared."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.docker_support import BUSYBOX, KEY, desired, goals, revision
from tidegate.adapters.platform.docker.planner import plan
from tidegate.model.desired import Backend, Desired, Endpoint, RouteGoal, Run
from tidegate.model.observation import (
    ImageState,
    InstanceState,
    Observation,
    ObservedGateway,
    ObservedImage,
    ObservedInstance,
)
from tidegate.model.operation import describe
from tidegate.model.release import Image
from tidegate.model.workload import Route

R1, R2 = revision(1), revision(2)
PRESENT = ObservedImage(BUSYBOX, ImageState.PRESENT, "sha256:1")


def seen(name: str, state: InstanceState = InstanceState.RUNNING, **more: Any) -> ObservedInstance:
    return ObservedInstance(name, int(name.split(".r")[1].split(".")[0]), state, **more)


def observation(*instances: ObservedInstance, images: tuple[ObservedImage, ...] = (PRESENT,)) -> Observation:
    return Observation(0.0, images=images, instances=instances)


def routed(observed: Observation, address: str, weight: int = 100) -> Observation:
    backend = Backend(1, weight, (Endpoint(address, 8080),))
    return replace(observed, gateway=ObservedGateway(True, (RouteGoal(Route(80, 8080), (backend,)),)))


def printed(wanted: Desired, observed: Observation) -> list[str]:
    return [describe(operation) for operation in plan(wanted, observed)]


def test_nothing_is_planned_while_the_engine_does_not_answer() -> None:
    assert printed(desired(*goals(R1)), Observation(0.0, reachable=False)) == []


def test_a_missing_image_is_pulled_and_nothing_is_created_before_it_is_there() -> None:
    assert printed(desired(*goals(R1)), observation(images=())) == [f"pull {BUSYBOX} (not on this host)"]


def test_an_image_is_pulled_once_though_several_want_it() -> None:
    assert len(printed(desired(*goals(R1, 3), images=(R1.release.image,)), observation(images=()))) == 1


def test_no_second_pull_while_one_runs_or_has_just_failed() -> None:
    for state in (ImageState.PULLING, ImageState.FAILED):
        assert printed(desired(*goals(R1)), observation(images=(ObservedImage(BUSYBOX, state),))) == []


def test_the_same_tag_with_another_content_is_another_image() -> None:
    moved = revision(2, digest="sha256:2")
    assert printed(desired(*goals(moved)), observation()) == [f"pull {BUSYBOX} (not on this host)"]
    known = ObservedImage(BUSYBOX, ImageState.PRESENT, "sha256:2")
    assert printed(desired(*goals(moved)), observation(images=(PRESENT, known))) == ["create shop.prod.r2.0 (test)"]


def test_missing_instances_are_created_and_then_started() -> None:
    wanted = desired(*goals(R1, 2))
    assert printed(wanted, observation()) == ["create shop.prod.r1.0 (test)", "create shop.prod.r1.1 (test)"]
    created = observation(seen("shop.prod.r1.0", InstanceState.CREATED), seen("shop.prod.r1.1"))
    assert printed(wanted, created) == ["start shop.prod.r1.0 (created and not started)"]


def test_an_instance_to_be_kept_stopped_is_not_made() -> None:
    assert printed(desired(*goals(R1, run=Run.STOPPED)), observation()) == []


def test_what_exited_is_started_again_with_the_reason() -> None:
    gone = seen("shop.prod.r1.0", InstanceState.EXITED, exit_code=137, oom_killed=True)
    assert printed(desired(*goals(R1)), observation(gone)) == [
        "start shop.prod.r1.0 (should run and exited with 137, killed for lack of memory)"
    ]


def test_restart_is_planned_for_exactly_that_incarnation() -> None:
    wanted = desired(*goals(R1, restart_of="t1"))
    unwell = seen("shop.prod.r1.0", started_at="t1", live=False, probe_detail="GET /live answered 500")
    assert printed(wanted, observation(unwell)) == ["restart shop.prod.r1.0 (GET /live answered 500)"]
    assert printed(wanted, observation(seen("shop.prod.r1.0", started_at="t2"))) == []


def test_surplus_is_stopped_and_removed_in_two_ticks() -> None:
    wanted = desired(*goals(R2))
    both = observation(seen("shop.prod.r1.0", stop_grace_s=7.0), seen("shop.prod.r2.0"))
    assert printed(wanted, both) == ["stop shop.prod.r1.0 (no longer wanted)"]
    (stop,) = plan(wanted, both)
    assert getattr(stop, "grace_s", None) == 7.0
    stopped = observation(seen("shop.prod.r1.0", InstanceState.EXITED), seen("shop.prod.r2.0"))
    assert printed(wanted, stopped) == ["remove shop.prod.r1.0 (no longer wanted)"]


def test_an_orphan_of_any_name_is_surplus() -> None:
    orphan = replace(seen("shop.prod.r1.9"), name="shop-by-hand")
    assert printed(desired(), observation(orphan)) == ["stop shop-by-hand (no longer wanted)"]


def test_what_the_gateway_routes_to_is_neither_stopped_nor_removed() -> None:
    for state in (InstanceState.RUNNING, InstanceState.EXITED):
        observed = observation(seen("shop.prod.r1.0", state, address="10.0.0.9"), seen("shop.prod.r2.0"))
        assert printed(desired(*goals(R2)), routed(observed, "10.0.0.9")) == []
        assert printed(desired(*goals(R2)), routed(observed, "10.0.0.9", weight=0)) != []
        assert printed(desired(*goals(R2)), routed(observed, "10.0.0.8")) != []


def test_stopping_what_is_kept_waits_for_the_gateway_too() -> None:
    wanted = desired(*goals(R1, run=Run.STOPPED))
    observed = observation(seen("shop.prod.r1.0", address="10.0.0.9"))
    assert printed(wanted, routed(observed, "10.0.0.9")) == []
    assert printed(wanted, observed) == ["stop shop.prod.r1.0 (should be stopped and kept)"]


def test_an_adopted_container_is_stopped_and_left_to_its_owner() -> None:
    wanted = desired(*goals(R2))
    running = observation(seen("shop.prod.r1.0", adopted=True), seen("shop.prod.r2.0"))
    assert printed(wanted, running) == ["stop shop.prod.r1.0 (no longer wanted)"]
    stopped = observation(seen("shop.prod.r1.0", InstanceState.EXITED, adopted=True), seen("shop.prod.r2.0"))
    assert printed(wanted, stopped) == []


def test_what_is_off_our_network_is_made_anew() -> None:
    wanted = desired(*goals(R1))
    running = observation(seen("shop.prod.r1.0", detached=True))
    assert printed(wanted, running) == ["stop shop.prod.r1.0 (somebody took it off our network: it is made anew)"]
    stopped = observation(seen("shop.prod.r1.0", InstanceState.EXITED, detached=True))
    assert printed(wanted, stopped) == ["remove shop.prod.r1.0 (somebody took it off our network: it is made anew)"]
    assert printed(wanted, observation()) == ["create shop.prod.r1.0 (test)"]


def test_an_image_goes_after_the_last_container_that_was_made_from_it() -> None:
    there = (ObservedImage(BUSYBOX, ImageState.PRESENT),)
    wanted = Desired(KEY, surplus_images=(Image(BUSYBOX),))
    going = replace(observation(seen("shop.prod.r1.0", InstanceState.EXITED)), images=there)
    assert printed(wanted, going) == ["remove shop.prod.r1.0 (no longer wanted)"]
    removed = f"remove image {BUSYBOX} (no revision that is kept runs it)"
    assert printed(wanted, replace(observation(), images=there)) == [removed]
    kept = observation(seen("shop.prod.r1.0", InstanceState.EXITED, adopted=True))
    assert printed(wanted, replace(kept, images=there)) == [removed], "its owner's, made from another image"


def test_a_dead_container_is_removed_before_its_name_is_used_again() -> None:
    assert printed(desired(*goals(R1)), observation(seen("shop.prod.r1.0", InstanceState.DEAD))) == [
        "remove shop.prod.r1.0 (dead)"
    ]


def test_nothing_is_left_to_do_when_all_is_as_it_should_be() -> None:
    wanted = desired(*goals(R2, 2), *goals(R1, run=Run.STOPPED), images=(Image(BUSYBOX),))
    observed = observation(seen("shop.prod.r2.0"), seen("shop.prod.r2.1"), seen("shop.prod.r1.0", InstanceState.EXITED))
    assert printed(wanted, observed) == []
    assert wanted.key == KEY
