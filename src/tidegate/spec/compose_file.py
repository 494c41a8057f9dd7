"""A workload that refers to a service of a compose file: read it there, merge the keys beside the reference over it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tidegate.spec.context import Context, Where, did_you_mean
from tidegate.spec.document import MAX_BYTES, Node, parse_yaml
from tidegate.spec.merge import merge
from tidegate.spec.mounts import host_path
from tidegate.spec.variables import fill_in, with_dotenv

BEGIN = "tidegate init writes a tidegate.yaml to begin with"


def read_text(path: Path, where: Where, context: Context, shown: str = "", hint: str = BEGIN) -> str:
    """The text of a file, or an empty one after noting why it cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        context.error(where, f"{shown or path} does not exist", hint)
        return ""
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        context.error(where, f"{shown or path} cannot be read: {reason}", "mend the path or its permissions")
        return ""
    try:
        return data[: MAX_BYTES + 1].decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        if len(data) <= MAX_BYTES or error.start < MAX_BYTES - 4:
            context.error(replace(where, line=line), "is not UTF-8 text", "save the file as UTF-8")
            return ""
        return data.decode("utf-8", "replace")


def with_compose(root: Node, environ: Mapping[str, str], context: Context) -> Node:
    """The document with the compose file's service under `workload`, where it refers to one."""
    workload = root.value.get("workload") if isinstance(root.value, dict) else None
    if workload is None or not isinstance(workload.value, dict) or not isinstance(root.value, dict):
        return root
    compose = workload.value.get("compose")
    if compose is None:
        if service := workload.value.get("service"):
            context.error(service.where, "names a service of no file", "add compose: compose.yaml beside it")
        return root
    if not isinstance(compose.value, str) or not compose.value:
        return root
    service = _service(compose, workload.value.get("service"), environ, context)
    if service is None:
        return root
    more = {key: node for key, node in workload.value.items() if key not in ("compose", "service")}
    merged = merge(service, replace(workload, value=more))
    own = merged.value if isinstance(merged.value, dict) else {}
    if "build" in root.value and "build" in own:
        own = {key: node for key, node in own.items() if key != "build"}
    return replace(root, value={**root.value, "workload": replace(workload, value=own)})


def _service(compose: Node, named: Node | None, environ: Mapping[str, str], context: Context) -> Node | None:
    path = Path(host_path(str(compose.value), compose.where))
    shown = str(Path(compose.where.file).parent / str(compose.value))
    text = read_text(path, compose.where, context, shown, "mend the path; it counts from this file")
    if not text:
        if path.is_file() and path.stat().st_size == 0:
            context.error(compose.where, f"{shown} is empty", "name a compose file with services")
        return None
    root = parse_yaml(text, shown, context)
    if root is None:
        return None
    services = root.value.get("services") if isinstance(root.value, dict) else None
    if services is None or not isinstance(services.value, dict) or not services.value:
        context.error(root.where, "has no services", "name a compose file with services: in workload.compose")
        return None
    names = list(services.value)
    if named is None and len(names) > 1:
        context.error(compose.where, f"{shown} has {len(names)} services", f"add service: {' or '.join(names[:6])}")
        return None
    name = names[0] if named is None else named.text
    if name not in services.value:
        context.error(
            named.where if named else compose.where, f"{shown} has no such service", did_you_mean(name, names)
        )
        return None
    found = services.value[name]
    if not isinstance(found.value, dict):
        context.error(found.where, "the service is empty", "give it at least an image")
        return None
    return fill_in(found, with_dotenv(shown, context.environ, context) | dict(environ), context)
