"""`tidegate init`: a tidegate.yaml to begin with, from what already lies in a directory."""

import re
from pathlib import Path

from tidegate.model.errors import ConflictError, UsageError
from tidegate.spec.loader import FILE
from tidegate.spec.recognise import Suggestion, suggest
from tidegate.spec.refused import SERVICE_REFUSED

SCHEMA_LINE = "# yaml-language-server: $schema=./tidegate.schema.json"
_ABOUT = "# (tidegate schema > tidegate.schema.json makes that file; tidegate docs KEY explains a key)"


def init(directory: Path, suggestion: Suggestion | None = None) -> str:
    """Write tidegate.yaml and give its text. Raises ConflictError rather than overwrite one."""
    text = render(suggestion or suggest(directory))
    path = directory / FILE
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConflictError(f"{path} exists already", hint="move it away to begin anew") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", hint="mend the permissions") from None
    return text


def render(found: Suggestion) -> str:
    """The text of tidegate.yaml. Every part that could not be recognised says what to put there."""
    blocks = [_head_block(found), _workload_block(found), *_traffic_blocks(found), _DELIVERY]
    return "\n".join(blocks)


def _head_block(found: Suggestion) -> str:
    lines = [
        SCHEMA_LINE,
        "# (tidegate schema > tidegate.schema.json makes that file; tidegate docs KEY explains a key)",
    ]
    lines += [f"agent: {_quoted(found.agent)}", "source:", f"  branch: {_quoted(found.branch)}", ""]
    if found.dockerfile:
        context, _, name = found.dockerfile.rpartition("/")
        lines += ["build:", f"  context: {_quoted(context or '.')}", f"  dockerfile: {_quoted(name)}", ""]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    plain = re.fullmatch(r"[A-Za-z./][A-Za-z0-9._/\-]*", text) and text.lower() not in ("true", "false", "null")
    return text if plain else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _workload_block(found: Suggestion) -> str:
    lines = ["workload:"]
    if found.compose:
        rest = f"  # one agent a service; there are more: {', '.join(found.others)}" if found.others else ""
        lines += [f"  compose: {_quoted(found.compose)}", f"  service: {_quoted(found.service)}{rest}"]
        if found.has_ports and not found.published:
            lines.append("  ports: !reset []  # the gateway listens there instead: see routes")
        elif found.published:
            kept = ", ".join(f'"{port.host_port}:{port.container_port}/{port.protocol}"' for port in found.published)
            lines.append(f"  ports: !override [{kept}]  # the gateway takes the rest: see routes")
        lines += [f"  {key}: !reset null  # {SERVICE_REFUSED[key].instead}" for key in found.taken_out]
    if not found.compose and not found.dockerfile:
        lines.append(f"  image: {_quoted(found.image or found.agent + ':1.0.0')}  # the image to run, with its version")
    elif found.compose and not found.dockerfile and not found.image:
        lines.append(f"  image: {_quoted(found.agent + ':1.0.0')}  # the image to run, with its version")
    if not found.has_limits:
        lines += ["  deploy:", "    resources:", '      limits: {cpus: "1", memory: 512m, pids: 256}']
    return "\n".join([*lines, ""])


def _traffic_blocks(found: Suggestion) -> list[str]:
    blocks = []
    if found.port and found.path:
        ask = f"{{httpGet: {{port: {found.port}, path: {_quoted(found.path)}}}}}"
        blocks.append(f"probes:\n  readiness: {ask}\n")
    elif found.port and not found.has_healthcheck:
        better = f"{{httpGet: {{port: {found.port}, path: /ready}}}}"
        blocks.append(f"probes:\n  readiness: {{tcp: {found.port}}}  # better: {better}\n")
    if found.port and found.listen:
        blocks.append(f"routes:\n  - {{listen: {found.listen}, target: {found.port}}}\n")
    return blocks


_DELIVERY = """strategy:
  canary:
    steps:
      - set_weight: 10
      - analyse: 30s
      - set_weight: 50
      - analyse: 30s
    bake: 30s

# analysis, rollback and environments have defaults: tidegate docs analysis
"""
