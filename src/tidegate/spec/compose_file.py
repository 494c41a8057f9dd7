"""A workload that refers to a service of a compose file: read it there, merge the keys beside the reference over it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tidegate.spec.context import Context, Where, did_you_mean
from tidegate.spec.document import MAX_BYTES, Node, parse_yaml
from tidegate.spec.given_files import with_files
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
    root = _document(compose, context)
    if root is None:
        return None
    services = _services(root)
    if not services:
        context.error(root.where, "has no services", "name a compose file with services: in workload.compose")
        return None
    names = list(services)
    if named is None and len(names) > 1:
        shown = root.where.file
        context.error(compose.where, f"{shown} has {len(names)} services", f"add service: {' or '.join(names[:6])}")
        return None
    return whole_service(root, named or replace(compose, text=names[0]), environ, context)


def _document(path: Node, context: Context) -> Node | None:
    """The compose file that a node names, relative to the file that holds the node."""
    where = Path(host_path(str(path.value), path.where))
    shown = str(Path(path.where.file).parent / str(path.value))
    text = read_text(where, path.where, context, shown, "mend the path; it counts from this file")
    if not text:
        if where.is_file() and where.stat().st_size == 0:
            context.error(path.where, f"{shown} is empty", "name a compose file with services")
        return None
    return parse_yaml(text, shown, context)


def _services(root: Node) -> dict[str, Node]:
    services = root.value.get("services") if isinstance(root.value, dict) else None
    return services.value if services is not None and isinstance(services.value, dict) else {}


def whole_service(
    root: Node, named: Node, environ: Mapping[str, str], context: Context, above: tuple[tuple[str, str], ...] = ()
) -> Node | None:
    """The service that a node names: over what it extends, variables filled in, its files in its volumes."""
    services, file = _services(root), root.where.file
    if named.text not in services:
        context.error(named.where, f"{file} has no such service", did_you_mean(named.text, list(services)))
        return None
    if (file, named.text) in above:
        context.error(named.where, f"{named.text} extends itself", "take the circle out")
        return None
    found = services[named.text]
    if not isinstance(found.value, dict):
        context.error(found.where, "the service is empty", "give it at least an image")
        return None
    variables = with_dotenv(file, context.environ, context) | dict(environ)
    service = with_files(fill_in(found, variables, context), root, variables, context)
    own = dict(service.value) if isinstance(service.value, dict) else {}
    extends = own.pop("extends", None)
    if extends is None:
        return service
    base = _extended(root, extends, environ, context, (*above, (file, named.text)))
    return None if base is None else merge(base, replace(service, value=own))


def _extended(
    root: Node, extends: Node, environ: Mapping[str, str], context: Context, above: tuple[tuple[str, str], ...]
) -> Node | None:
    """What `extends` names: a service of this file (by its name, or under service), or of the one under file.

    Source: https://docs.docker.com/reference/compose-file/services/#extends
    """
    parts = extends.value if isinstance(extends.value, dict) else {"service": extends}
    service, file = parts.get("service"), parts.get("file")
    if service is None or not isinstance(service.value, str) or (file is not None and not isinstance(file.value, str)):
        context.error(extends.where, "names no service", "write extends: {service: NAME}, with file: PATH for another")
        return None
    other = root if file is None else _document(file, context)
    return None if other is None else whole_service(other, service, environ, context, above)
