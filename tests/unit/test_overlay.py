"""An environment's overlay on a release that is older than the spec."""

from tidegate.core.overlay import overlaid
from tidegate.model.release import Image, Release
from tidegate.model.workload import Workload


def test_the_release_keeps_its_own_and_the_environment_its_changes() -> None:
    old = Workload(environment={"MODE": "old", "LEVEL": "info"}, stop_grace_s=5.0, replicas=1)
    base = Workload(environment={"MODE": "new", "LEVEL": "info"}, stop_grace_s=9.0, replicas=1)
    prod = Workload(environment={"MODE": "new", "LEVEL": "warning"}, stop_grace_s=9.0, replicas=4)
    got = overlaid(Release("id", "web", "1.0.0", Image("web:1.0.0"), old), base, prod)
    assert got.environment == {"MODE": "old", "LEVEL": "warning"}
    assert got.replicas == 4
    assert got.stop_grace_s == 5.0
    assert got.image == "web:1.0.0"


def test_without_a_change_of_the_spec_it_is_the_environments_workload() -> None:
    base = Workload(image="web:1", environment={"A": "1"}, command=("run",))
    prod = Workload(image="web:1", environment={"A": "2", "B": "3"}, command=("run", "--prod"))
    assert overlaid(Release("id", "web", "1", Image("web:1"), base), base, prod) == prod
