"""tidegate.yaml into a Spec: read, fill in variables, follow the compose file, merge each environment, check."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tidegate.model.errors import Problem, SpecError
from tidegate.model.spec import NO_HOOKS, Analysis, Canary, Environment, Rollback, Source, Spec
from tidegate.model.stages import Stages
from tidegate.model.waves import Waves
from tidegate.model.workload import Workload
from tidegate.spec.checks import check_environment
from tidegate.spec.compose_file import read_text, with_compose
from tidegate.spec.context import Context, Variable, Where
from tidegate.spec.document import Node, parse_yaml
from tidegate.spec.format import OVERLAY, TOP, secret_refs
from tidegate.spec.judging import ANALYSIS
from tidegate.spec.merge import merge
from tidegate.spec.policy import policy_of
from tidegate.spec.shapes import INVALID, Record
from tidegate.spec.variables import fill_in, with_dotenv
from tidegate.spec.waves import Fleetwide, hosts_of

FILE = "tidegate.yaml"
HOSTS_HINT = "add environments.NAME.hosts: {edge-1: {endpoint: ssh://deploy@edge-1}}"


@dataclass(frozen=True)
class Loaded:
    """A spec with what was noticed while reading it."""

    spec: Spec
    warnings: tuple[Problem, ...]
    variables: tuple[Variable, ...]
    places: Mapping[str, Where]


def load_spec(path: Path, environ: Mapping[str, str]) -> Spec:
    """Read a spec, or the tidegate.yaml of a directory. Raises SpecError with every problem found."""
    return load(path, environ).spec


def parse_spec(text: str, file: str = FILE, environ: Mapping[str, str] | None = None) -> Spec:
    """Read a spec from its text. `file` is where it counts as standing: for messages and relative paths."""
    return parse(text, file, environ or {}).spec


def load(path: Path, environ: Mapping[str, str]) -> Loaded:
    """As load_spec, with warnings and places."""
    if path.is_dir():
        path = path / FILE
    context = Context(environ)
    text = read_text(path, Where(str(path), 1, ""), context)
    context.stop_if_wrong()
    return parse(text, str(path), environ)


def parse(text: str, file: str, environ: Mapping[str, str]) -> Loaded:
    """As parse_spec, with warnings and places."""
    probe = Context(environ)
    environ = with_dotenv(file, environ, probe)
    probe.stop_if_wrong()
    context = Context(environ)
    root = parse_yaml(text, file, context)
    if root is not None:
        root = with_compose(fill_in(root, environ, context), environ, context)
    spec = _spec(root, context) if root is not None else None
    context.stop_if_wrong()
    if spec is None:  # the context always says why; this is for a bug, in plain words
        raise SpecError((Problem(file, 1, "", "cannot be read as a spec", "tidegate init writes one to begin with"),))
    return Loaded(spec, context.warnings, context.variables, _places(root) if root else {})


def load_policy(path: Path, environ: Mapping[str, str]) -> Analysis:
    """The analysis of a spec, or of a file that has nothing but `analysis`. Raises SpecError."""
    if path.is_dir():
        path = path / FILE
    context = Context(environ)
    text = read_text(path, Where(str(path), 1, ""), context)
    context.stop_if_wrong()
    root = parse_yaml(text, str(path), context)
    context.stop_if_wrong()
    if root is None or not isinstance(root.value, dict) or set(root.value) != {"analysis"}:
        return load_spec(path, environ).analysis
    read = ANALYSIS.read(fill_in(root.value["analysis"], with_dotenv(str(path), environ, context), context), context)
    context.stop_if_wrong()
    assert isinstance(read, Analysis)
    return read


def _places(node: Node, path: str = "") -> dict[str, Where]:
    """Where each key stands (a compose file's under workload), for warnings that are found later."""
    result = {path: node.where}
    match node.value:
        case dict(entries):
            for name, child in entries.items():
                result.update(_places(child, f"{path}.{name}" if path else name))
        case tuple(items):
            for index, item in enumerate(items):
                result.update(_places(item, f"{path}[{index}]"))
                if path.endswith("environment") and isinstance(item.value, str):
                    result[f"{path}.{item.value.partition('=')[0]}"] = item.where
    return result


def _spec(root: Node, context: Context) -> Spec | None:
    record = TOP.read(root, context)
    if record is INVALID:
        return None
    environments = _environments(root, record, context)
    strategy = record.get("strategy", Canary())
    if isinstance(strategy, Fleetwide) and not any(one.hosts for one in environments.values()):
        context.error(record.at("strategy"), "waves go over hosts, and no environment has any", HOSTS_HINT)
    return Spec(
        agent=record.get("agent", ""),
        workload=_complete(record.get("workload", Workload()), record, {}),
        environments=environments,
        source=record.get("source", Source()),
        build=record.get("build"),
        strategy=strategy.within if isinstance(strategy, Fleetwide) else strategy,
        waves=strategy.waves if isinstance(strategy, Fleetwide) else Waves(),
        analysis=record.get("analysis", Analysis()),
        rollback=record.get("rollback", Rollback()),
        hooks=record.get("hooks", NO_HOOKS),
        stages=record.get("stages", Stages()),
        file=root.where.file,
    )


def _environments(root: Node, record: Record, context: Context) -> dict[str, Environment]:
    nodes = root.value if isinstance(root.value, dict) else {}
    base = nodes.get("workload") or Node(root.where.child("workload"), {})
    overlays = nodes.get("environments")
    entries = overlays.value if overlays and isinstance(overlays.value, dict) else {}
    own = record.get("environments", {"default": {}}) if "environments" in record.places else {"default": {}}
    result: dict[str, Environment] = {}
    for name, settings in own.items():
        entry = entries.get(name)
        overlay = entry.value.get("overlay") if entry and isinstance(entry.value, dict) else None
        workload, plain = _merged(base, overlay, context)
        complete = _complete(workload, record, settings)
        where = settings if isinstance(settings, Record) else record
        check_environment(complete, where, record, context)
        result[name] = Environment(
            name=name,
            platform=settings.get("platform", "docker"),
            endpoint=settings.get("endpoint", ""),
            overlay=plain,
            workload=complete,
            policy=policy_of(record, settings, context),
            drill=settings.get("drill", False),
            hosts=hosts_of(settings.get("hosts", {})),
        )
    return result


def _merged(base: Node, overlay: Node | None, context: Context) -> tuple[Workload, dict[str, Any]]:
    if not isinstance(base.value, dict):
        return Workload(), {}
    own = {key: node for key, node in base.value.items() if key not in ("compose", "service")}
    base = replace(base, value=own)
    if overlay is None or not isinstance(overlay.value, dict):
        node, plain = base, {}
    else:
        node, plain = merge(base, overlay), _plain(overlay)
    workload = OVERLAY.read(node, context)
    return (workload if isinstance(workload, Workload) else Workload()), plain


def _plain(node: Node) -> Any:
    match node.value:
        case tuple(items):
            return [_plain(item) for item in items]
        case dict(entries):
            return {key: _plain(child) for key, child in entries.items() if child.tag != "!reset"}
        case value:
            return value


def _complete(workload: Workload, record: Record, settings: Any) -> Workload:
    """The workload with probes, routes and secrets: the environment's own first, then those at the top."""
    probes = {**record.get("probes", {}), **settings.get("probes", {})}
    return replace(
        workload,
        secrets=secret_refs(settings.get("secrets", {})),
        readiness=probes.get("readiness"),
        liveness=probes.get("liveness"),
        routes=settings.get("routes", record.get("routes", ())),
    )
