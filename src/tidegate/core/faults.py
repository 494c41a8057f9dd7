"""Hard facts about the candidate: not statistics, they fail at once by their own limits."""

import re
from collections.abc import Mapping, Sequence

from tidegate.core import liveness
from tidegate.model.desired import instance_name
from tidegate.model.heartbeat import AgentStatus
from tidegate.model.observation import InstanceState, ObservedInstance
from tidegate.model.rollout import AgentState, Rollout
from tidegate.model.spec import InPlace

LOG_LINES = 50


def refused(rollout: Rollout, failures: Mapping[str, str], agent: AgentState) -> str:
    """Why the engine does not let the candidate exist: a port that is taken, a mount that is not there."""
    prefix = instance_name(agent.key, rollout.candidate.runs_as, 0)[:-1]
    for name, reason in sorted(failures.items()):
        if name.startswith(prefix):
            return f"{name} cannot be started: {reason}"
    return ""


def hard_fault(state: AgentState, rollout: Rollout, instances: Sequence[ObservedInstance]) -> str:
    """Why the candidate has failed beyond dispute, with its last log lines; empty when it has not."""
    for instance in instances:
        fault = _fault_of(state, rollout, instance)
        if fault:
            return with_log(fault, instance)
    return ""


def _fault_of(state: AgentState, rollout: Rollout, instance: ObservedInstance) -> str:
    limits = rollout.rollback
    ours = state.restarts[instance.name].count if instance.name in state.restarts else 0
    restarts = instance.restart_count + ours
    if instance.oom_killed:
        code = f" (exit {instance.exit_code})" if instance.exit_code else ""
        return f"{instance.name} was killed for want of memory{code}"
    if instance.state in (InstanceState.EXITED, InstanceState.DEAD) and instance.started_at:
        return f"{instance.name} exited with {instance.exit_code}"
    if restarts > limits.max_restarts:
        return f"{instance.name} restarted {restarts} times, more than the {limits.max_restarts} allowed"
    return _heartbeat_fault(instance, limits.heartbeat_deadline_s)


def _heartbeat_fault(instance: ObservedInstance, configured_s: float) -> str:
    """Silence of an instance that reported once, or its own word that it is failing; stopping is on purpose."""
    heartbeat = instance.heartbeat
    if heartbeat is None:
        return ""
    if liveness.silent(heartbeat, configured_s):
        allowed = liveness.deadline(heartbeat.interval_s, configured_s)
        every = f"{allowed:g} s allowed; it reported every {heartbeat.interval_s:g} s"
        return f"no heartbeat of {instance.name} for {heartbeat.age_s:.1f} s, {every}"
    if heartbeat.status is AgentStatus.FAILING:
        return f"{instance.name} reports that it is failing{': ' if heartbeat.message else ''}{heartbeat.message}"
    return ""


def unready_fault(instances: Sequence[ObservedInstance]) -> str:
    """Why a candidate that was ready once no longer is; empty unless every instance's probe fails."""
    if instances and all(i.ready is False for i in instances):
        return with_log(f"{instances[0].name} is no longer ready: {_unready(instances[0])}", instances[0])
    return ""


def _unready(instance: ObservedInstance) -> str:
    if instance.probe_detail or instance.exit_code is None:
        return instance.probe_detail or f"it is {instance.state}"
    return f"it exited with {instance.exit_code} and is {instance.state}"


def fatal_line(rollout: Rollout, instances: Sequence[ObservedInstance]) -> str:
    """A line in the candidate's log that says that it is over; only in_place looks for one."""
    strategy = rollout.strategy
    if not isinstance(strategy, InPlace) or not strategy.verify.fatal:
        return ""
    pattern = re.compile(strategy.verify.fatal)
    for instance in instances:
        line = next((line for line in instance.last_log if pattern.search(line)), None)
        if line is not None:
            return with_log(f"{instance.name} wrote a fatal line: {line.strip()[:200]}", instance)
    return ""


def with_log(fault: str, instance: ObservedInstance) -> str:
    """The fault with the instance's last log lines below it."""
    lines = instance.last_log[-LOG_LINES:]
    return "\n".join((fault, *(f"    {line}" for line in lines)))


def remarked(fault: str, remark: str) -> str:
    """The fault's own sentence with something added, its log lines below as they were."""
    sentence, newline, lines = fault.partition("\n")
    return f"{sentence}; {remark}{newline}{lines}"
