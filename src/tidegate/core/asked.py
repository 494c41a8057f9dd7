"""What an analysis asks of metric sources: kept with the rollout, so that a replay knows what its numbers are about.

A metric is found again by its name. The same name with another source or query is other data, and must never be judged
as though it were this. The gateway's numbers are always the same ones, whatever is asked of them.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from tidegate.model.judges import Judges
from tidegate.model.metering import GATEWAY
from tidegate.model.observation import Block
from tidegate.model.spec import Analysis


def questions(analysis: Analysis) -> Iterator[tuple[str, str, str]]:
    """Name, source and query (as one text) of everything that is asked of sources other than the gateway."""
    asked = [(one.name, one.source, one.query) for one in analysis.metrics]
    for one in analysis.streams:
        asked.append((one.name, one.source, f"{one.query}{one.per and f' per {one.per}'} as {one.form}"))
    asked += [(one.name, one.source, one.query) for _, one in analysis.judges.asked()]
    yield from (one for one in asked if one[1] != GATEWAY)


def kept(analysis: Analysis) -> str:
    """The questions as one text, for an event."""
    return json.dumps(sorted(set(questions(analysis))))


def unlike(recorded: str, analysis: Analysis) -> dict[str, str]:
    """What a policy asks that was not asked then, as `source/metric` with the reason."""
    then = sorted((name, source, query) for name, source, query in json.loads(recorded))
    found = {}
    for name, source, query in questions(analysis):
        if (name, source, query) not in then:
            others = " and ".join(f"`{its}` of {where}" for known, where, its in then if known == name)
            found[f"{source}/{name}"] = f"`{query}` was not measured then{others and f', but {others}'}"
    return found


def without(blocks: Sequence[Block], unlike: Mapping[str, str]) -> Sequence[Block]:
    """The blocks with what was not measured named as missing, whatever else has its name."""
    return [replace(block, missing={**block.missing, **unlike}) for block in blocks] if unlike else blocks


def lenient(judges: Judges, unlike: Mapping[str, str]) -> Judges:
    """The judges, for which what was not measured is no failure, as it would be with `compat`."""
    if not unlike:
        return judges
    return Judges(
        judges.kayenta and replace(judges.kayenta, compat=False),
        judges.argo and replace(judges.argo, compat=False),
        judges.flagger and replace(judges.flagger, compat=False),
    )
