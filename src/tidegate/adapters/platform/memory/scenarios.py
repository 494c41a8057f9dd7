"""How a release may turn out, for simulate: each scenario is the candidate's behaviour and the traffic around it."""

from dataclasses import dataclass, field

from tidegate.adapters.platform.memory.world import Behaviour


@dataclass(frozen=True)
class Scenario:
    """One way for a release to turn out. `pull_fails` is the registry's answer for the candidate's image."""

    about: str
    behaviour: Behaviour = field(default_factory=Behaviour)
    requests_per_s: float = 100.0
    pull_fails: str = ""


SCENARIOS: dict[str, Scenario] = {
    "healthy": Scenario("the release is as good as the one before"),
    "errors": Scenario("it fails 5 % of its requests", Behaviour(error_share=0.05)),
    "late-errors": Scenario(
        "it fails 20 % of its requests from its 30th second", Behaviour(error_share=0.2, fault_after_s=30.0)
    ),
    "latency": Scenario("it answers in 800 ms instead of 20 ms", Behaviour(latency_ms=800.0)),
    "crash-loop": Scenario("it exits a second after each start", Behaviour(exits_after_s=1.0)),
    "late-crash": Scenario("it exits after 20 s, again and again", Behaviour(exits_after_s=20.0)),
    "never-ready": Scenario("its readiness probe never passes", Behaviour(ready_after_s=None)),
    "slow-start": Scenario("it is ready only after 20 s", Behaviour(ready_after_s=20.0)),
    "sick": Scenario("its liveness and readiness fail from its 15th second", Behaviour(sick_after_s=15.0)),
    "oom": Scenario("it is killed for want of memory after 10 s", Behaviour(oom_after_s=10.0)),
    "no-image": Scenario("its image is nowhere to be had", pull_fails="manifest unknown"),
    "port-taken": Scenario("the engine refuses to start it", Behaviour(refused="port is already allocated")),
    "no-traffic": Scenario("no requests arrive while it is rolled out", requests_per_s=0.0),
    "low-traffic": Scenario("one request in 2 s arrives, and it fails 5 % of them", Behaviour(error_share=0.05), 0.5),
}
