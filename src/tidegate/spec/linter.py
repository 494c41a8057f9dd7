"""What a person should look at although the spec is valid. Each warning says how to mend it."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from tidegate.model.errors import Problem, SpecError
from tidegate.model.secrecy import looks_secret
from tidegate.model.spec import (
    Analyse,
    BlueGreen,
    Canary,
    Environment,
    InPlace,
    Pause,
    Rolling,
    SetMirror,
    SetRoute,
    SetWeight,
    Spec,
    Strategy,
)
from tidegate.model.workload import MountKind, RouteProtocol, Workload
from tidegate.spec.context import Where
from tidegate.spec.loader import FILE, Loaded, load, parse

Finding = tuple[str, str, str]
"""(key, message, hint)."""
IN_THE_CLEAR = "looks like a secret in the clear: it would be stored with every release"


def lint(path: Path, environ: Mapping[str, str]) -> tuple[Problem, ...]:
    """Every error and warning about a spec, errors first. Never raises for what the file holds."""
    try:
        return warnings_of(load(path, environ))
    except SpecError as error:
        return error.problems


def lint_text(text: str, environ: Mapping[str, str], file: str = FILE) -> tuple[Problem, ...]:
    """As lint, for a spec's text."""
    try:
        return warnings_of(parse(text, file, environ))
    except SpecError as error:
        return error.problems


def warnings_of(loaded: Loaded) -> tuple[Problem, ...]:
    """What was noticed while reading, and what the finished spec shows."""
    spec, found = loaded.spec, list(loaded.warnings)
    findings = [*_delivery(spec, loaded.places), *_secrets_by_variable(loaded)]
    for environment in spec.environments.values():
        findings += _workload(environment, spec)
        findings += _in_the_clear(environment, loaded.places)
    known = {(variable.where.file, variable.where.line) for variable in loaded.variables if variable.looks_secret}
    for key, message, hint in dict.fromkeys(findings):
        where = _place(loaded.places, key, spec.file)
        if message != IN_THE_CLEAR or (where.file, where.line) not in known:
            found.append(Problem(where.file, where.line, where.key or key, message, hint, warning=True))
    return tuple(dict.fromkeys(found))


def _place(places: Mapping[str, Where], key: str, file: str) -> Where:
    """The place of a key, or of the nearest key above it that is written down."""
    shorter = key
    while shorter:
        if shorter in places:
            where = places[shorter]
            return Where(where.file, where.line, key if where.file == file else where.key)
        shorter = shorter.rpartition(".")[0]
    return Where(file, 1, key)


def _delivery(spec: Spec, places: Mapping[str, Where]) -> Iterator[Finding]:
    strategy = spec.strategy
    routed = any(environment.workload.routes for environment in spec.environments.values())
    sources = {metric.source for metric in spec.analysis.metrics} | {stream.source for stream in spec.analysis.streams}
    sources |= {asked.source for _, asked in spec.analysis.judges.asked()}
    if not sources or (sources == {"gateway"} and not routed):
        yield (
            "analysis",
            "nothing is watched but hard facts (crashes, probes, memory)",
            "add analysis.metrics, for example errors with failure_condition: result > 0.02",
        )
    yield from _compat(spec)
    if strategy.bake_s == 0:
        yield (
            f"strategy.{_key_of(strategy)}.bake",
            "the bake is zero: a fault that shows after promotion is nobody's",
            "write bake: 30s or longer",
        )
    web = any(
        route.protocol is not RouteProtocol.TCP
        for environment in spec.environments.values()
        for route in environment.workload.routes
    )
    match strategy:
        case Canary():
            yield from _steps(strategy)
            if not web and (strategy.sticky or any(isinstance(s, SetRoute | SetMirror) for s in strategy.steps)):
                yield (
                    "strategy.canary",
                    "set_route, mirror and sticky look at requests, and no route carries HTTP: they do nothing",
                    "add an http route, or take them out",
                )
        case BlueGreen():
            yield from _sides(strategy, routed)
        case InPlace():
            yield from _in_place(strategy, spec)
        case Rolling():
            pass
    for index, metric in enumerate(spec.analysis.metrics):
        if metric.source == "gateway" and not routed and f"analysis.metrics[{index}]" in places:
            yield (
                f"analysis.metrics[{index}]",
                f"{metric.name} counts requests through the gateway, and there are no routes: it is left out",
                "add routes, or take the metric out",
            )
    yield from _too_short(spec)
    if spec.rollback.history < 2:
        yield "rollback.history", "one revision is kept: there is nothing to go back to", "write history: 5"


def _too_short(spec: Spec) -> Iterator[Finding]:
    """Watching that ends before a threshold can have been measured twice, which is what finds a lasting fault."""
    slowest = max(spec.analysis.metrics, key=lambda metric: metric.interval_s, default=None)
    if slowest is None:
        return
    least, strategy = 2 * slowest.interval_s, spec.strategy
    steps = strategy.steps if isinstance(strategy, Canary) else ()
    watched = {
        f"canary.steps[{n}].analyse": step.duration_s for n, step in enumerate(steps) if isinstance(step, Analyse)
    }
    watched |= {"blue_green.analyse": strategy.analyse_s} if isinstance(strategy, BlueGreen) else {}
    watched |= {f"{_key_of(strategy)}.bake": strategy.bake_s}
    for key, seconds in watched.items():
        if seconds and seconds < least:
            yield (
                f"strategy.{key}",
                f"{seconds:g} s is less than two measurements of {slowest.name}, one every {slowest.interval_s:g} s",
                f"write {least:g}s or longer, or a shorter interval",
            )


def _compat(spec: Spec) -> Iterator[Finding]:
    """What is unsafe in the judges' own behaviour."""
    unsafe = {
        "kayenta": "a metric without data can pass (replace, or a group without data), and half of them without fails",
        "argo": "NaN passes a failure condition and fails a success condition, and a source in error aborts",
        "flagger": "a check without values counts as failed: a metric source that is down rolls back",
    }
    for name in {judge for judge, _ in spec.analysis.judges.asked()}:
        if spec.analysis.judges.of(name).compat:
            yield f"analysis.judges.{name}.compat", unsafe[name], "take compat out: no data is then inconclusive"


def _key_of(strategy: Strategy) -> str:
    match strategy:
        case Canary():
            return "canary"
        case Rolling():
            return "rolling"
        case BlueGreen():
            return "blue_green"
        case InPlace():
            return "in_place"


def _in_place(strategy: InPlace, spec: Spec) -> Iterator[Finding]:
    """Volumes that do not exist, data that is not backed up, and more than one instance."""
    for name, environment in spec.environments.items():
        workload = environment.workload
        if workload.replicas != 1:
            why = f"in_place replaces one instance, and {name} has {workload.replicas}: deploy will be refused"
            yield "strategy.in_place", why, "use rolling with max_surge 0, or one replica"
        mounted = {mount.source for mount in workload.mounts if mount.kind is MountKind.VOLUME}
        saved = {volume.name for volume in strategy.volumes}
        for volume in sorted(saved - mounted):
            yield "strategy.in_place.backup", f"{name} mounts no volume {volume}", "name a volume of the workload"
        for volume in sorted(mounted - saved - {""}):
            yield "strategy.in_place", f"volume {volume} of {name} is not backed up", f"add it: volumes: [{volume}]"


def _sides(both: BlueGreen, routed: bool) -> Iterator[Finding]:
    if not routed:
        yield (
            "strategy.blue_green",
            "there are no routes: nothing can be switched, so the former instances are stopped first",
            "add routes, or use rolling",
        )
    if routed and both.analyse_s and not both.preview and not both.mirror:
        yield (
            "strategy.blue_green.analyse",
            "no request reaches the candidate before the switch: only crashes, probes and memory are watched",
            "add preview: {listen: 9090} and send requests there, or mirror: 10",
        )
    if both.keep_s == 0:
        yield "strategy.blue_green.keep", "nothing is kept: undo has to start instances", "write keep: 10m"


def _workload(environment: Environment, spec: Spec) -> Iterator[Finding]:
    workload = environment.workload
    if workload.readiness is None and (workload.healthcheck is None or workload.healthcheck.disable):
        yield (
            "probes.readiness",
            "no readiness probe: an instance gets traffic as soon as it runs, unless its image has a HEALTHCHECK",
            "add probes.readiness, for example {httpGet: {port: 8080, path: /ready}}",
        )
    limits = workload.resources
    missing = [
        name
        for name, value in (("cpus", limits.cpus), ("memory", limits.memory_bytes), ("pids", limits.pids))
        if value is None
    ]
    if missing:
        yield (
            "workload.deploy.resources.limits",
            f"no limit of {', '.join(missing)}: one instance can take all of the host",
            "add deploy: {resources: {limits: {cpus: 0.5, memory: 256m, pids: 200}}}",
        )
    yield from _image(workload, spec)
    if workload.privileged:
        yield "workload.privileged", "the container has the rights of the host's root", "use cap_add or devices instead"
    if any(mount.source == "/var/run/docker.sock" for mount in workload.mounts):
        yield "workload.volumes", "the engine's socket gives the rights of the host's root", "take it out if you can"
    if workload.replicas == 0:
        yield "workload.deploy.replicas", f"nothing runs in {environment.name}", "write replicas: 1 or more"
    if workload.ports and not workload.routes:
        yield (
            "workload.ports",
            f"one instance holds port {workload.ports[0].host_port} of the host: no canary can start beside stable",
            f"take traffic through the gateway: routes: [{{listen: {workload.ports[0].host_port}, "
            f"target: {workload.ports[0].container_port}}}]",
        )
    if workload.restart == "no":
        yield (
            "workload.restart",
            "the agent stays down after a reboot of the host",
            "write restart: unless-stopped",
        )


def _image(workload: Workload, spec: Spec) -> Iterator[Finding]:
    if not workload.image or spec.build is not None:
        return
    name = workload.image.rpartition("/")[2]
    if "@" not in name and (":" not in name or name.endswith(":latest")):
        yield (
            "workload.image",
            "the tag latest names another image tomorrow: nobody can say what runs, and nothing can be undone",
            "name a version: image:1.4.0, or a digest",
        )


def _in_the_clear(environment: Environment, places: Mapping[str, Where]) -> Iterator[Finding]:
    for name, value in environment.workload.environment.items():
        if looks_secret(name, value):
            overlaid = f"environments.{environment.name}.overlay.environment.{name}"
            yield (
                overlaid if overlaid in places else f"workload.environment.{name}",
                IN_THE_CLEAR,
                f"refer to it: environments.NAME.secrets: {{{name}: {{environment: {name}}}}}",
            )


def _secrets_by_variable(loaded: Loaded) -> Iterator[Finding]:
    for variable in loaded.variables:
        if variable.looks_secret:
            yield (
                variable.where.key,
                f"takes the value of {variable.name}, which looks like a secret: it would be stored with every release",
                f"refer to it: environments.NAME.secrets: {{{variable.name}: {{environment: {variable.name}}}}}",
            )


def _steps(canary: Canary) -> Iterator[tuple[str, str, str]]:
    if not any(isinstance(step, SetWeight) for step in canary.steps):
        yield "strategy.canary.steps", "no step gives the canary traffic before promotion", "begin with set_weight: 10"
    if isinstance(canary.steps[-1], SetWeight):
        yield (
            "strategy.canary.steps",
            "the last step sets a weight and nothing watches it before promotion",
            "add analyse: 30s after it",
        )
    if any(isinstance(step, Pause) and step.duration_s is None for step in canary.steps) and len(canary.steps) == 1:
        yield "strategy.canary.steps", "the only step waits for a person", "add analyse: 30s, so that evidence is there"
