"""Where something was read, and the list of everything that is wrong with it."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tidegate.model.errors import Problem, SpecError


@dataclass(frozen=True)
class Where:
    """A place in a file: line counts from 1; key is dotted from the file's top ("workload.ports[0]")."""

    file: str
    line: int
    key: str

    def child(self, name: str, line: int | None = None) -> "Where":
        """The place of an entry below this one. Names begin with "[" for an item of a list."""
        joined = f"{self.key}{name}" if name.startswith("[") or not self.key else f"{self.key}.{name}"
        return Where(self.file, self.line if line is None else line, joined)


@dataclass(frozen=True)
class Variable:
    """A variable that a value took from the process environment or from .env; the value itself is not kept."""

    name: str
    where: Where
    looks_secret: bool


class Context:
    """Collects problems while a spec is read; nothing stops at the first one. `environ` serves `${VARIABLE}`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self._problems: dict[Problem, None] = {}
        self._variables: dict[Variable, None] = {}

    def error(self, where: Where, message: str, hint: str = "") -> None:
        """Note what makes the spec unusable."""
        self._problems[Problem(where.file, where.line, where.key, message, hint)] = None

    def warn(self, where: Where, message: str, hint: str = "") -> None:
        """Note what a person should look at."""
        self._problems[Problem(where.file, where.line, where.key, message, hint, warning=True)] = None

    def use(self, variable: Variable) -> None:
        """Note that a value came from outside the file."""
        self._variables[variable] = None

    @property
    def variables(self) -> tuple[Variable, ...]:
        """What came from outside the files."""
        return tuple(self._variables)

    @property
    def errors(self) -> tuple[Problem, ...]:
        """What makes the spec unusable, by place."""
        return _sorted(problem for problem in self._problems if not problem.warning)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What a person should look at, by place."""
        return _sorted(problem for problem in self._problems if problem.warning)

    def stop_if_wrong(self) -> None:
        """Raise SpecError with every error noted so far, if there is one."""
        if self.errors:
            raise SpecError(self.errors)


def _sorted(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(problems, key=lambda problem: (problem.file, problem.line, problem.key, problem.message)))


def nearest(word: str, valid: Iterable[str]) -> str:
    """The valid word that was probably meant, or an empty text."""
    by_folded = {name.lower().replace("-", "_"): name for name in valid}
    close = difflib.get_close_matches(word.lower().replace("-", "_")[:60], by_folded, n=1, cutoff=0.6)
    return by_folded[close[0]] if close else ""


def did_you_mean(word: str, valid: Iterable[str]) -> str:
    """A hint: the nearest valid word, or all of them when none is near."""
    names = list(valid)
    guess = nearest(word, names)
    return f"did you mean {guess}?" if guess else f"valid: {', '.join(names)}"
