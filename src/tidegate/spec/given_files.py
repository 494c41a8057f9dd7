"""A compose file's secrets and configs that are files: mounted read-only, as Compose does it without a swarm.

Source: https://docs.docker.com/reference/compose-file/secrets/ and .../configs/
"""

from collections.abc import Mapping
from dataclasses import replace

from tidegate.spec.context import Context
from tidegate.spec.document import Node
from tidegate.spec.variables import fill_in

TARGETS = {"secrets": "/run/secrets/", "configs": "/"}


def with_files(service: Node, root: Node, variables: Mapping[str, str], context: Context) -> Node:
    """The service with volumes in place of its secrets and configs; where one is no file they stay, to be refused."""
    if not isinstance(service.value, dict) or not isinstance(root.value, dict):
        return service
    own = dict(service.value)
    for key, folder in TARGETS.items():
        given, known = own.get(key), root.value.get(key)
        if given is None or not isinstance(given.value, tuple):
            continue
        files = _files(fill_in(known, variables, context)) if known is not None else {}
        mounts = [_mount(item, files, folder) for item in given.value]
        volumes = own.get("volumes") or replace(given, value=())
        if None not in mounts and isinstance(volumes.value, tuple):
            del own[key]
            own["volumes"] = replace(volumes, value=(*volumes.value, *filter(None, mounts)))
    return replace(service, value=own)


def _files(definitions: Node) -> dict[str, Node]:
    """The paths by name, of those that are files."""
    named = definitions.value if isinstance(definitions.value, dict) else {}
    paths = {name: node.value.get("file") for name, node in named.items() if isinstance(node.value, dict)}
    return {name: path for name, path in paths.items() if path is not None and isinstance(path.value, str)}


def _mount(item: Node, files: Mapping[str, Node], folder: str) -> Node | None:
    """The long form of a bind mount; its source counts from the file that defines it."""
    parts = item.value if isinstance(item.value, dict) else {"source": item}
    source, target = parts.get("source"), parts.get("target")
    if source is None or source.text not in files:
        return None
    file, at = files[source.text], target.text if target is not None else source.text
    place = at if at.startswith("/") else f"{folder}{at}"
    plain: dict[str, str | bool] = {"type": "bind", "target": place, "read_only": True}
    value = {name: replace(item, value=one, text=str(one), raw=str(one)) for name, one in plain.items()}
    return replace(item, value={**value, "source": file})
