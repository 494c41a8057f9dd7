"""Reference of the format, made from the tables of keys: `tidegate docs KEY` and docs/reference/spec.md."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tidegate.model.errors import NotFoundError
from tidegate.spec.context import did_you_mean
from tidegate.spec.format import TOP
from tidegate.spec.kinds import OneOrMore
from tidegate.spec.shapes import Either, Key, ListOf, MapOf, Object, Shape

HEADER = """# tidegate.yaml, key by key

This page is made from the code; `tests/unit/test_spec_reference.py` fails when it is stale.

- Durations are Go's: `500ms`, `30s`, `1m30s`; a plain number is seconds. Byte sizes are Compose's: `512m`, `1g`.
- Every value may hold variables by Compose's rules (`${NAME:-default}`, `$$` for a dollar sign), from the process
  environment and from `.env` beside the file. Secrets go to `environments.NAME.secrets`, never through variables.
- Keys that begin with `x-` are ignored; YAML anchors and `<<` work.
- Keys of ours are understood in Kubernetes' spelling too (`failureThreshold` for `failure_threshold`).
"""

REPEATED = ("routes", "probes", "freeze", "notify")
"""Keys of an environment that replace those at the top and have the same keys below them."""


@dataclass(frozen=True)
class Entry:
    """One key with its dotted path; `inside` are the keys below it."""

    path: str
    key: Key
    inside: Object | None


def _object(shape: Shape) -> tuple[str, Object | None]:
    """The object below a shape, and what stands between ("[]" for lists, ".NAME" for free names)."""
    match shape:
        case Object():
            return "", shape
        case ListOf(item=item):
            between, found = _object(item)
            return f"[]{between}", found
        case MapOf(value=value, noun=noun):
            between, found = _object(value)
            return f".{noun.upper()}{between}", found
        case Either(sequence=sequence, mapping=mapping):
            for option in (mapping, sequence):
                between, found = _object(option) if option else ("", None)
                if found:
                    return between, found
        case OneOrMore():
            between, found = _object(shape.item)
            return f"[]{between}" if found else "", found
    return "", None


def entries(top: Object = TOP, path: str = "") -> Iterator[Entry]:
    """Every key of the format. The overlay's keys are the workload's and are not repeated."""
    for key in top.keys:
        between, inside = _object(key.shape)
        here = f"{path}{key.name}"
        repeated = inside is not None and inside.name == "overlay"
        yield Entry(here, key, inside)
        if inside and not repeated and not (path and key.name in REPEATED):
            yield from entries(inside, f"{here}{between}.")


def explain_key(key: str) -> str:
    """What a key means, by dotted path or by last name. Raises NotFoundError with the nearest key."""
    wanted = _normal(key)
    known = list(entries())
    chosen = [entry for entry in known if _normal(entry.path) == wanted]
    chosen = chosen or [entry for entry in known if wanted and _normal(entry.path).endswith(f".{wanted}")]
    if not chosen:
        chosen = [entry for entry in known if key in entry.key.aliases]
    if not chosen and not wanted:
        return "\n".join(f"{each.name:14}{each.doc}" for each in TOP.keys)
    if not chosen:
        names = [entry.path for entry in known] + [entry.key.name for entry in known]
        hint = did_you_mean(key, dict.fromkeys(names))
        top = "tidegate docs lists the keys at the top"
        raise NotFoundError(f"tidegate.yaml has no key {key[:80]!r}", hint=hint if hint.startswith("did") else top)
    return "\n\n".join(_explain(entry) for entry in chosen)


def _normal(key: str) -> str:
    """Without indices and free names: environments.production.overlay is environments.*.overlay."""
    plain = re.sub(r"\[[^\]]*\]", "", key.strip().strip("."))
    plain = re.sub(r"^environments\.[^.]+(?=\.|$)", "environments.*", plain)
    plain = re.sub(r"^environments\.\*\.overlay\.", "workload.", plain)
    plain = re.sub(r"^environments\.\*\.(routes|probes|freeze|notify)\.", r"\1.", plain)
    return re.sub(r"\.secrets\.[^.]+(?=\.|$)", ".secrets.*", plain)


def _explain(entry: Entry) -> str:
    key, lines = entry.key, [entry.path, f"  {entry.key.doc}", f"  expected: {entry.key.shape.expected}"]
    if key.required:
        lines.append("  required")
    elif key.default:
        lines.append(f"  default: {key.default}")
    if key.aliases:
        lines.append(f"  also written: {', '.join(key.aliases)}")
    if entry.inside:
        lines.append("  keys:")
        width = max(len(inner.name) for inner in entry.inside.keys) + 2
        lines += [f"    {inner.name:{width}}{inner.doc}" for inner in entry.inside.keys]
    return "\n".join(lines)


def markdown() -> str:
    """docs/reference/spec.md."""
    parts = [HEADER, _table("", TOP)]
    for entry in entries():
        if entry.inside is None or (entry.path.startswith("environments") and entry.key.name in REPEATED):
            continue
        between, _ = _object(entry.key.shape)
        note = f"\n{entry.inside.doc}\n"
        if entry.inside.name == "overlay":
            parts.append(f"## {entry.path}\n{note}\nThe keys are those of [workload](#workload).\n")
            continue
        parts.append(f"## {entry.path}{between}\n{note}\n{_table(entry.path, entry.inside)}")
    parts.append(_refused())
    return "\n".join(parts)


def _table(path: str, shape: Object) -> str:
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for key in shape.keys:
        default = "**required**" if key.required else key.default
        rows.append(f"| `{key.name}` | {_cell(key.shape.expected)} | {_cell(default)} | {_cell(key.doc)} |")
    return "\n".join(rows) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _refused() -> str:
    rows = ["## Keys of Compose that are not supported", "", "| key | what happens | instead |", "|---|---|---|"]
    tables = [(entry.path, entry.inside) for entry in entries() if entry.inside and entry.path.startswith("workload")]
    for path, shape in tables:
        for name, refused in sorted(shape.refused.items()):
            shown = f"{path}.{name}".removeprefix("workload.")
            outcome = "error" if refused.error else "warning"
            rows.append(f"| `{shown}` | {outcome} | {_cell(refused.instead)} |")
    return "\n".join(rows) + "\n"
