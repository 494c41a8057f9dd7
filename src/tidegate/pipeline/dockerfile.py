"""The little of a Dockerfile that has to be understood: which image the wanted stage is made from.

Source: https://docs.docker.com/reference/dockerfile/#from
"""

import re
from collections.abc import Mapping

FROM = re.compile(
    r"^\s*FROM\s+(?:--platform=\S+\s+)?(?P<image>\S+)(?:\s+AS\s+(?P<name>\S+))?\s*$", re.IGNORECASE | re.MULTILINE
)
ARG = re.compile(r"^\s*ARG\s+(?P<name>\w+)(?:=(?P<value>\S+))?\s*$", re.IGNORECASE | re.MULTILINE)
VARIABLE = re.compile(r"\$(?:\{(\w+)(?::-([^}]*))?\}|(\w+))")
SCRATCH = "scratch"


def first_stage(text: str) -> str | None:
    """The name of the first stage, to build up to it; empty where it is the only one, None where it has no name."""
    stages = [match["name"] or "" for match in FROM.finditer(re.sub(r"\\\n", " ", text))]
    if len(stages) < 2:
        return ""
    return stages[0] or None


def base_of(text: str, target: str, args: Mapping[str, str]) -> str:
    """The image that a stage (a name or number; empty: the last) begins from in the end; empty when nobody can tell."""
    text = re.sub(r"\\\n", " ", text)
    stages = [(match["image"], (match["name"] or "").lower()) for match in FROM.finditer(text)]
    if not stages:
        return ""
    first = FROM.search(text)
    declared = (
        {m["name"]: (m["value"] or "").strip("\"'") for m in ARG.finditer(text[: first.start()])} if first else {}
    )
    values = {**declared, **{name: value for name, value in args.items() if name in declared}}
    names = {name: index for index, (_, name) in enumerate(stages) if name}
    if not target:
        index = len(stages) - 1
    elif target.isdecimal():
        index = min(int(target), len(stages) - 1)
    else:
        index = names.get(target.lower(), len(stages) - 1)
    for _ in stages:
        image = VARIABLE.sub(lambda m: values.get(m[1] or m[3], "") or m[2] or "", stages[index][0])
        if names.get(image.lower(), index) >= index:
            return image
        index = names[image.lower()]
    return ""
