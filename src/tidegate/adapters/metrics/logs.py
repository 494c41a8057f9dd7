"""What instances write: lines a second and instance that a pattern is found in, or that are at or above a level."""

import json
import math
import re
import time
from collections.abc import AsyncIterator, Sequence

from tidegate.adapters.metrics.followers import Followers
from tidegate.adapters.metrics.rates import Tally, Totals
from tidegate.adapters.platform.docker.client import Engine
from tidegate.model.metering import Form, Question, Reading, Subject
from tidegate.model.observation import ObservedInstance
from tidegate.model.queries import LEVELS, LogQuery, read_log_query

LONGEST_LINE = 2000
"""Characters of a line that are looked at: the pattern is the user's, and the line is anybody's."""

FIRST_LINES = 1000
"""Lines of a new instance that are read from its beginning."""

_WORD = re.compile(r"""\b(?:level|severity|lvl)["']?\s*[=:]\s*["']?(\w+)|\b([A-Z]{3,11})\b""")


class Logs:
    """ports.MetricSource by log streams. Instances that come after the first look are read from their beginning."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._followers = Followers(self._follow)
        self._queries: dict[str, LogQuery] = {}
        self._tallies: dict[str, dict[str, Tally]] = {}
        self._read_to: dict[str, float] = {}
        self._began = False
        self._totals = Totals()

    async def read(self, subject: Subject, questions: Sequence[Question]) -> Reading:
        """Rates over each question's interval. Raises MetricError when no log at all can be read."""
        self._queries = self._queries or {one.query: read_log_query(one.query) for one in questions}
        running = self._followers.meet(subject.instances)
        self._followers.check(running)
        if not self._began:
            self._read_to = dict.fromkeys(running, math.inf)
            self._began = True
        self._tallies = {id: tallies for id, tallies in self._tallies.items() if id in running}
        return Reading(
            {
                one.metric: self._count(one, subject) if one.form is Form.COUNT else self._rates(one, subject)
                for one in questions
            }
        )

    def _count(self, question: Question, subject: Subject) -> dict[int, float]:
        """Every matching line since the source began; a new instance's from its first line on."""
        for one in subject.instances:
            if one.id in self._tallies:
                seen = float(self._tallies[one.id][question.query].total)
                self._totals.add(question.metric, one.revision, one.id, seen, from_zero=True)
        return self._totals.of(question.metric, subject.revisions)

    def _rates(self, question: Question, subject: Subject) -> dict[int, float]:
        now, found = time.monotonic(), {}
        for number in subject.revisions:
            ours = [self._tallies[one.id] for one in subject.of_revision(number) if one.id in self._tallies]
            rates = [tallies[question.query].rate(now, question.interval_s) for tallies in ours]
            known = [rate for rate in rates if rate is not None]
            if known:
                found[number] = sum(known) / len(known)
        return found

    async def _follow(self, instance: ObservedInstance) -> None:
        async for line in self._lines(instance):
            tallies = self._tallies.get(instance.id)
            if tallies is None:
                continue
            for text, query in self._queries.items():
                if matches(query, line):
                    tallies[text].add(time.monotonic())

    async def _lines(self, instance: ObservedInstance) -> AsyncIterator[str]:
        """Line by line; what is longer than anybody reads is cut, not kept."""
        since = self._read_to.get(instance.id, 0.0)
        tail = 0 if math.isinf(since) else FIRST_LINES
        rest = ""
        async with self._engine.call(f"log of {instance.name}", math.inf) as docker:
            container = docker.containers.container(instance.id)
            now = time.monotonic()
            self._tallies.setdefault(instance.id, {text: Tally(now) for text in self._queries})
            self._followers.broken.pop(instance.id, None)
            after = f"{since:.3f}" if math.isfinite(since) else "0"
            try:
                async for part in container.log(stdout=True, stderr=True, follow=True, tail=tail, since=after):
                    *whole, rest = (rest + part).split("\n")
                    rest = rest[:LONGEST_LINE]
                    for line in whole:
                        yield line[:LONGEST_LINE]
            finally:
                self._read_to[instance.id] = time.time()

    async def close(self) -> None:
        """Let go of the streams."""
        await self._followers.close()


def matches(query: LogQuery, line: str) -> bool:
    """Whether a line counts."""
    if query.pattern is not None:
        return query.pattern.search(line) is not None
    return level_of(line) >= query.level


def level_of(line: str) -> int:
    """The level of a line: of JSON by its key, else by a level key or an upper-case word; 0 when it tells none."""
    if line.lstrip().startswith("{"):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if isinstance(record, dict):
            nested = record.get("log")
            values = [record.get(key) for key in ("level", "severity", "lvl", "levelname", "log.level")]
            values.append(nested.get("level") if isinstance(nested, dict) else None)
            return next((_number(value) for value in values if value is not None), 0)
    for match in _WORD.finditer(line):
        if number := LEVELS.get((match[1] or match[2]).lower()):
            return number
    return 50 if line.startswith("Traceback (most recent call last)") else 0


def _number(value: object) -> int:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return int(value)
    return LEVELS.get(str(value).lower(), 0)
