"""Hard facts as sentences, and the log lines that go with them."""

from tidegate.core import faults
from tidegate.model.observation import InstanceState, ObservedInstance


def instance(state: InstanceState = InstanceState.RUNNING, **more: object) -> ObservedInstance:
    return ObservedInstance("web.prod.r2.1", 2, state, **more)  # type: ignore[arg-type]


def test_a_fault_is_one_sentence_with_the_log_below_it() -> None:
    seen = instance(last_log=tuple(f"line {n}" for n in range(60)))
    sentence, *lines = faults.with_log("web.prod.r2.1 exited with 1", seen).split("\n")
    assert sentence == "web.prod.r2.1 exited with 1"
    assert (len(lines), lines[0], lines[-1]) == (50, "    line 10", "    line 59")
    assert faults.with_log("it exited", instance()) == "it exited"


def test_a_remark_goes_into_the_sentence_and_not_below_the_log() -> None:
    fault = faults.with_log("it exited with 7", instance(last_log=("giving up",)))
    assert faults.remarked(fault, "no way back") == "it exited with 7; no way back\n    giving up"
    assert faults.remarked("it exited with 7", "no way back") == "it exited with 7; no way back"


def test_unready_says_why_also_where_there_is_no_probe() -> None:
    probed = instance(ready=False, probe_detail="HTTP 503 (3 in a row)")
    assert faults.unready_fault([probed]) == "web.prod.r2.1 is no longer ready: HTTP 503 (3 in a row)"
    looping = instance(InstanceState.RESTARTING, ready=False, exit_code=7)
    assert faults.unready_fault([looping]) == "web.prod.r2.1 is no longer ready: it exited with 7 and is restarting"
    assert faults.unready_fault([probed, instance(ready=True)]) == ""
