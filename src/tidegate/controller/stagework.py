"""One attempt of one stage: its jobs are done until its evidence is there. What goes wrong is evidence too."""

import asyncio
import logging
from collections import deque
from dataclasses import replace

from tidegate.model.delivery import StageRecord
from tidegate.model.errors import StoreError, TidegateError, UnreachableError
from tidegate.model.evidence import Evidence
from tidegate.model.verdict import Outcome
from tidegate.model.work import Place, Result
from tidegate.pipeline.stage import Candidate, Finished, Stage
from tidegate.ports import Papers, Tell, Workshop

LAST_LINES = 30
"""How much of a log is kept in the evidence of what did not pass."""

log = logging.getLogger(__name__)


def folder_of(candidate: Candidate, record: StageRecord) -> str:
    """Where the papers of a stage are: by what it was given, so that a delivery that uses it again finds them."""
    return f"{candidate.key.agent.agent}/{record.name}-{record.key}"


class StageWork:
    """Runs a stage's jobs in this process; containers that they began outlive it."""

    def __init__(self, stage: Stage, candidate: Candidate, record: StageRecord, resumed: bool) -> None:
        self._stage = stage
        self._candidate = candidate
        self._record = record
        self._place = Place(candidate.key, stage.name, record.attempt, resumed)
        self.last: deque[str] = deque(maxlen=LAST_LINES)

    async def run(self, workshop: Workshop, papers: Papers) -> Evidence:
        """To its end, which is bounded by the stage's time. Never raises but when it is cancelled."""
        folder = folder_of(self._candidate, self._record)
        tell = self._telling(papers.log(folder))
        try:
            async with asyncio.timeout(self._record.bounds.timeout_s):
                finished = await self._proceed(workshop, tell)
            if finished.files:
                await asyncio.to_thread(papers.keep, folder, finished.files)
            evidence = replace(finished.evidence, files=tuple(finished.files))
        except TimeoutError:
            limit = self._record.bounds.timeout_s
            evidence = Evidence(
                Outcome.FAIL, f"no end within {limit:g} s", hint=f"stages.{self._stage.name}.timeout allows more"
            )
        except (UnreachableError, StoreError) as error:
            evidence = _of_error(Outcome.INCONCLUSIVE, error)
        except TidegateError as error:
            evidence = _of_error(Outcome.FAIL, error)
        except Exception as error:
            log.exception("%s: a fault of Tidegate's own in stage %s", self._candidate.key, self._stage.name)
            because = f"a fault of Tidegate's own: {type(error).__name__}: {error}"
            evidence = Evidence(Outcome.INCONCLUSIVE, because, hint="please report it")
        if evidence.outcome is Outcome.PASS or evidence.log:
            return evidence
        return replace(evidence, log=tuple(self.last))

    async def _proceed(self, workshop: Workshop, tell: Tell) -> Finished:
        results: dict[str, Result] = {}
        while True:
            step = self._stage.proceed(self._candidate, results)
            if isinstance(step, Finished):
                return step
            try:
                async with asyncio.TaskGroup() as group:
                    running = {job.name: group.create_task(workshop.run(job, self._place, tell)) for job in step}
            except ExceptionGroup as several:
                raise several.exceptions[0] from None
            results |= {name: task.result() for name, task in running.items()}

    def _telling(self, write: Tell) -> Tell:
        def tell(line: str) -> None:
            self.last.append(line)
            write(line)

        return tell


def _of_error(outcome: Outcome, error: TidegateError) -> Evidence:
    """The error's sentence; the lines below it are a log."""
    because, *more = error.message.split("\n")
    return Evidence(outcome, because, hint=error.hint, log=tuple(line.removeprefix("  | ") for line in more))
