"""doctor's judgement: facts about the machine in, findings with their mending out. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tidegate.model.machine import EngineFacts, MachineFacts
from tidegate.model.spec import Spec
from tidegate.views.lines import Line, Span, line

GIB = 1024**3
FREE_FOR_IMAGES = 2 * GIB
FREE_FOR_STATE = 64 * 1024**2
MOST_SKEW_S = 2.0
FEW_FILES = 4096


class Grade(StrEnum):
    """How a finding is meant. MISSING makes the machine unusable."""

    GOOD = "ok"
    RISK = "risk"
    MISSING = "missing"


GRADE_TONES = {Grade.GOOD: "green", Grade.RISK: "yellow", Grade.MISSING: "red"}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `mend` is the command, or the sentence, that mends it."""

    grade: Grade
    what: str
    message: str
    mend: str = ""


def usable(findings: Sequence[Finding]) -> bool:
    """Whether Tidegate can work here."""
    return all(finding.grade is not Grade.MISSING for finding in findings)


def findings(facts: MachineFacts, spec: Spec | None, spec_problem: str = "") -> tuple[Finding, ...]:
    """Everything, in the order in which one would mend it."""
    return (
        *_engine(facts.engine),
        *_gateway(facts, spec),
        *_ports(facts),
        *_state(facts),
        *_machine(facts),
        *_tools(facts, spec),
        *_spec(spec, spec_problem),
    )


def _engine(engine: EngineFacts) -> Iterable[Finding]:
    if engine.problem:
        mend = "scripts/engine.sh, or: sudo systemctl start docker; DOCKER_HOST names another engine"
        yield Finding(Grade.MISSING, "engine", engine.problem, mend)
        return
    where = f" at {engine.endpoint}" if engine.endpoint else ""
    yield Finding(Grade.GOOD, "engine", f"Docker Engine {engine.version}, API {engine.api}, {engine.system}{where}")
    if engine.live_restore is False and not engine.desktop:
        yield Finding(
            Grade.RISK,
            "live-restore",
            "off: instances stop when the daemon stops",
            _live_restore(engine),
        )
    if engine.live_restore:
        yield Finding(Grade.GOOD, "live-restore", "on: instances go on while the daemon is away")
    yield Finding(Grade.GOOD, "cgroup", f"version {engine.cgroup}" + (", rootless" if engine.rootless else ""))
    for name, holds in (("memory", engine.memory_limit), ("pids", engine.pids_limit)):
        if holds is False:
            mend = (
                "rootless: delegate the controllers (systemctl edit user@.service, Delegate=cpu cpuset io memory pids)"
            )
            yield Finding(Grade.RISK, f"{name} limit", "the engine cannot hold it", mend)
    if engine.clock_skew_s is not None and abs(engine.clock_skew_s) > MOST_SKEW_S:
        skew = f"the engine's clock is {engine.clock_skew_s:+.1f} s from this one"
        yield Finding(Grade.RISK, "clock", skew, "sudo timedatectl set-ntp true, on both machines")


def _live_restore(engine: EngineFacts) -> str:
    file, reload = "/etc/docker/daemon.json", "sudo systemctl reload docker"
    if engine.rootless:
        file, reload = "~/.config/docker/daemon.json", "systemctl --user reload docker"
    return f'add "live-restore": true to {file}, then: {reload}'


def _gateway(facts: MachineFacts, spec: Spec | None) -> Iterable[Finding]:
    routed = spec is None or any(one.workload.routes for one in spec.environments.values())
    if facts.engine.problem:
        return
    if facts.gateway_problem:
        grade = Grade.MISSING if routed and spec is not None else Grade.RISK
        mend = "pip install 'tidegate[gateway]' brings Envoy along"
        yield Finding(grade, "gateway", facts.gateway_problem, mend)
    elif facts.gateway:
        yield Finding(Grade.GOOD, "gateway", facts.gateway)
    if routed and (facts.engine.desktop or facts.engine.rootless):
        text = "instances have no address that this machine reaches: the gateway publishes its ports, and is replaced"
        yield Finding(Grade.RISK, "gateway", f"{text} for every new one (a second without answers); no heartbeats", "")


def _ports(facts: MachineFacts) -> Iterable[Finding]:
    for port in facts.ports:
        if port.holder:
            mend = f"stop it (ss -ltnp 'sport = :{port.port}' shows it), or listen on another port in routes"
            yield Finding(Grade.MISSING, f"port {port.port}", f"taken by {port.holder}", mend)
        else:
            yield Finding(Grade.GOOD, f"port {port.port}", "free, or the gateway's already")


def _state(facts: MachineFacts) -> Iterable[Finding]:
    state = facts.state
    if state.problem:
        yield Finding(Grade.MISSING, "state", state.problem, "TIDEGATE_STATE=PATH names a place that can be written")
        return
    yield Finding(Grade.GOOD, "state", state.location)
    if state.mode is not None and state.mode & 0o077:
        mend = f"chmod 700 {state.folder}"
        yield Finding(Grade.RISK, "state", f"{state.folder} is open to other users ({state.mode:03o})", mend)
    if state.free is not None and state.free < FREE_FOR_STATE:
        mend = "free some space there: a full disk stops every decision but the way back"
        yield Finding(Grade.RISK, "state", f"{_size(state.free)} free at {state.folder}", mend)


def _machine(facts: MachineFacts) -> Iterable[Finding]:
    if facts.data_free is not None:
        root = facts.engine.data_root
        if facts.data_free < FREE_FOR_IMAGES:
            yield Finding(Grade.RISK, "disk", f"{_size(facts.data_free)} free at {root}", "docker system prune")
        else:
            yield Finding(Grade.GOOD, "disk", f"{_size(facts.data_free)} free at {root}")
    if facts.nofile is not None and facts.nofile[1] < FEW_FILES:
        yield Finding(
            Grade.RISK, "open files", f"at most {facts.nofile[1]}", "raise LimitNOFILE or /etc/security/limits.conf"
        )
    if facts.clock_synchronised is False:
        yield Finding(Grade.RISK, "clock", "not synchronised", "sudo timedatectl set-ntp true")


def _tools(facts: MachineFacts, spec: Spec | None) -> Iterable[Finding]:
    building = spec is not None and spec.build is not None
    mends = {"git": "sudo apt-get install git", "buildx": "sudo apt-get install docker-buildx"}
    for name, version in facts.tools.items():
        if version:
            yield Finding(Grade.GOOD, name, version)
        elif name == "git":
            grade = Grade.MISSING if building else Grade.RISK
            yield Finding(grade, name, "not found: nothing can be delivered from a commit", mends[name])
        elif name == "buildx":
            text = "not found: the classic builder is used, without RUN --mount"
            yield Finding(Grade.RISK if building else Grade.GOOD, name, text, mends[name] if building else "")


def _spec(spec: Spec | None, problem: str) -> Iterable[Finding]:
    if problem:
        yield Finding(Grade.MISSING, "spec", problem, "tidegate lint says more; tidegate docs KEY explains a key")
    elif spec is not None:
        yield Finding(Grade.GOOD, "spec", f"{spec.file}: agent {spec.agent}, {', '.join(spec.environments)}")


def _size(count: int) -> str:
    return f"{count / GIB:.1f} GiB" if count >= GIB else f"{count / 1024**2:.0f} MiB"


def finding_lines(found: Sequence[Finding]) -> tuple[Line, ...]:
    """One line a finding, its mending below it, and the sum."""
    width = max((len(one.what) for one in found), default=0)
    lines: list[Line] = []
    for one in found:
        head, *more = one.message.split("\n")
        lines.append(
            line(Span(f"{one.grade:<8}", GRADE_TONES[one.grade]), Span(f"{one.what:<{width}}  ", "bold"), head)
        )
        lines += [line(" " * (10 + width), text) for text in more]
        lines += [line(" " * (10 + width), Span(f"mend: {one.mend}", "dim"))] if one.mend else []
    missing = sum(one.grade is Grade.MISSING for one in found)
    risks = sum(one.grade is Grade.RISK for one in found)
    text = f"not usable: {missing} missing" if missing else "usable"
    lines.append(line(Span(f"{text}{f', {risks} risky' if risks else ''}", "red" if missing else "green")))
    return tuple(lines)
