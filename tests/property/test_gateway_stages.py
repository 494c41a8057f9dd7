"""Whatever the files are and whoever died in between, no route in force ever lacks its cluster or its endpoints."""

import json
import re

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidegate.adapters.gateway import names, render, stages
from tidegate.adapters.gateway.merge import Fragment, merge
from tidegate.model.desired import Backend, Endpoint, RouteGoal
from tidegate.model.release import AgentKey
from tidegate.model.workload import Route, RouteProtocol

KEY = AgentKey("web", "prod")
ROUTES = (Route(80, 8080), Route(80, 8081, path="/a"), Route(81, 8080), Route(90, 9000, RouteProtocol.TCP))
endpoint = st.builds(Endpoint, st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.3"]), st.just(80))
backend = st.tuples(st.integers(0, 2), st.frozensets(endpoint, max_size=2))


@st.composite
def configs(draw: st.DrawFn) -> render.Config:
    goals = []
    for route in draw(st.frozensets(st.sampled_from(ROUTES))):
        backends = draw(st.dictionaries(st.integers(1, 3), backend, max_size=3))
        shares = tuple(Backend(r, w, tuple(sorted(e))) for r, (w, e) in sorted(backends.items()))
        goals.append(RouteGoal(route, shares))
    return render.render(merge([Fragment(KEY, tuple(goals))]))


def listening(files: dict[str, str]) -> set[str]:
    """Ports that have a listener."""
    listeners = json.loads(files.get("lds.json", '{"resources": []}'))["resources"]
    return {body["name"].removeprefix("p") for body in listeners}


def named(files: dict[str, str]) -> set[str]:
    """Clusters to which the routes and splits of listening ports send traffic."""
    in_force = {f"{kind}.{port}.json" for port in listening(files) for kind in ("rds", "tcp")} & set(files)
    return {name for file in in_force for name in re.findall(r'"name": "(web\.prod\.[^"]+)"', files[file])}


def steps(files: dict[str, str], want: render.Config, busy: frozenset[str] = frozenset()) -> list[dict[str, str]]:
    """The files after every single rename and deletion, in order."""
    seen = [dict(files)]
    for make in (stages.grow, stages.switch, lambda now, to: stages.shrink(now, to, busy)):
        stage = make(seen[-1], want)
        for name, text in stage.files.items():
            seen.append({**seen[-1], name: text})
        for name in stage.deletes:
            seen.append({n: t for n, t in seen[-1].items() if n != name})
    return seen


@settings(suppress_health_check=[HealthCheck.too_slow])  # a busy machine draws slowly
@given(configs(), configs(), configs(), st.integers(0, 40))
def test_no_route_ever_lacks_its_cluster(
    first: render.Config, second: render.Config, third: render.Config, died: int
) -> None:
    half = steps(steps({}, first)[-1], second)
    interrupted = half[min(died, len(half) - 1)]
    for files in [*half, *steps(interrupted, third)]:
        assert named(files) <= set(stages.clusters_of(files))
        assert listening(files) <= {name.split(".")[1] for name in files if name.startswith(("rds.", "tcp."))}


@given(configs(), configs())
def test_no_cluster_in_use_loses_an_endpoint_before_its_routes_change(one: render.Config, two: render.Config) -> None:
    files = steps({}, one)[-1]
    grown = {**files, **stages.grow(files, two).files}
    before, after = stages.endpoints_of(files), stages.endpoints_of(grown)
    assert all(before[name] <= after[name] for name in before)
    assert all(two.endpoints[name] <= after[name] for name in two.endpoints)


@given(configs(), configs())
def test_the_end_is_the_same_whatever_was_before(one: render.Config, two: render.Config) -> None:
    end = steps(steps({}, one)[-1], two)[-1]
    fresh = steps({}, two)[-1]
    assert {**end, "cds.json": ""} == {**fresh, "cds.json": ""}
    assert stages.clusters_of(end) == stages.clusters_of(fresh) == dict(two.clusters)
    assert stages.endpoints_of(end) == dict(two.endpoints)
    assert steps(end, two) == [end], "nothing more to do"


@given(configs(), configs())
def test_busy_clusters_stay(one: render.Config, two: render.Config) -> None:
    files = steps({}, one)[-1]
    busy = stages.leaving(files, two)
    end = steps(files, two, busy)[-1]
    assert busy <= set(stages.clusters_of(end))
    assert {names.endpoints_file(name) for name in busy} <= set(end)


@given(configs())
def test_a_change_of_weights_is_one_file_a_port(one: render.Config) -> None:
    files = steps({}, one)[-1]
    assert stages.grow(files, one).files == {}
    assert stages.switch(files, one).files == {}
