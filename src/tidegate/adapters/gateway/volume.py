"""The gateway's volume: every agent's fragment and Envoy's files, read and changed by scripts in the container's shell.

    xds/generation               a number that every commit raises; a commit names the one it has read
    xds/fragment.AGENT.ENV.json  what one agent wants
    xds/*.json                   what Envoy watches
    lock                         "ID PID" of the shell that commits at this moment

A commit is one script: take the lock, compare the generation, rename files into place, let go. The controller never
holds the lock while it waits. A lock whose shell no longer lives (or, of another container, is older than LOCK_S) is
broken. A commit is on disk before it returns.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tidegate.adapters.gateway import names
from tidegate.adapters.gateway.merge import Fragment, read_fragment, write_fragment
from tidegate.adapters.gateway.session import RUN, Session
from tidegate.model.errors import GatewayError
from tidegate.model.release import AgentKey

LOCK_S = 5
STALE, LOCKED = 21, 22
GENERATION = "generation"


@dataclass(frozen=True)
class Book:
    """The volume's content at one generation."""

    generation: str = ""
    fragments: tuple[Fragment, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)

    def of(self, key: AgentKey) -> Fragment:
        """An agent's fragment; an empty one when it has none."""
        return next((fragment for fragment in self.fragments if fragment.key == key), Fragment(key))

    def others(self, key: AgentKey) -> tuple[Fragment, ...]:
        """All fragments but an agent's."""
        return tuple(fragment for fragment in self.fragments if fragment.key != key)


@dataclass(frozen=True)
class Change:
    """What a commit does: perhaps a fragment first, then files in this order, then deletions."""

    fragment: Fragment | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    deletes: Sequence[str] = ()


class StaleError(GatewayError):
    """Somebody else committed since the book was read: read it again."""


async def read(session: Session) -> Book:
    """The volume's content. Generation first: a commit during the reading is then noticed by the next commit."""
    script = f"cd {names.XDS} && cat {GENERATION} 2>/dev/null; echo; grep -sH '' *.json || true"
    status, output = await session.run(script)
    if status:
        raise GatewayError(f"the gateway's volume cannot be read: {session.errors()}")
    lines = output.splitlines()
    contents = dict(_cut(line) for line in lines[1:] if ".json:{" in line)
    fragments = tuple(read_fragment(text) for name, text in contents.items() if name.startswith(names.FRAGMENT))
    files = {name: text for name, text in contents.items() if not name.startswith(names.FRAGMENT)}
    return Book(lines[0].strip() if lines else "", fragments, files)


async def is_current(session: Session, book: Book) -> bool:
    """Whether nobody has committed since the book."""
    _, output = await session.run(f"cat {names.XDS}/{GENERATION} 2>/dev/null")
    return output.strip() == book.generation


async def commit(session: Session, book: Book, change: Change) -> Book:
    """Carry out a change if nobody committed since `book`. Returns the new book. Raises StaleError, GatewayError."""
    generation = str(int(book.generation or 0) + 1)
    status, _ = await session.run(script_of(book.generation, generation, change), deadline_s=LOCK_S * 3)
    if status == STALE:
        raise StaleError("another writer changed the gateway's volume")
    if status == LOCKED:
        raise GatewayError("the gateway's lock is held by another writer", hint="try again; a dead one's is broken")
    if status:
        raise GatewayError(f"the gateway's volume cannot be written: {session.errors()}", hint="is its disk full?")
    fragments = book.fragments
    if change.fragment is not None:
        fragments = (*book.others(change.fragment.key), change.fragment)
    files = {name: text for name, text in {**book.files, **change.files}.items() if name not in change.deletes}
    return Book(generation, fragments, files)


def script_of(expected: str, generation: str, change: Change) -> str:
    """The commit as a shell script. Pure.

    Few programs are started, because each costs a millisecond: the shell itself writes and compares.
    """
    texts = (
        {} if change.fragment is None else {names.fragment_file(change.fragment.key): write_fragment(change.fragment)}
    )
    texts |= {GENERATION: generation, **change.files}
    quoted = {shlex.quote(name): shlex.quote(text) for name, text in texts.items()}
    kept = " ".join(name for name in quoted if name != GENERATION) or "."  # a lost number is harmless: all read again
    deletes = " ".join(map(shlex.quote, change.deletes))
    moves = f"mv -f {' '.join(f'$s/{name}' for name in quoted)} {names.XDS}/ && cd {names.XDS}"
    return "\n".join(
        [
            f"s={names.VOLUME}/stage.$$; [ -d $s ] || mkdir -p $s",
            *(f"printf '%s\\n' {text} > $s/{name} &&" for name, text in quoted.items()),
            "{",
            _LOCK,
            f"g=; [ ! -s {names.XDS}/{GENERATION} ] || read -r g < {names.XDS}/{GENERATION}",
            f"if [ $r != 0 ]; then :; elif [ \"$g\" != '{expected}' ]; then r={STALE}; else",
            moves + (f" && rm -f {deletes}" if deletes else "") + f" && sync -d {kept}",
            f"r=$?; fi; [ $r = {LOCKED} ] || rm -f {names.VOLUME}/lock; (exit $r); }}",
        ]
    )


def _cut(line: str) -> tuple[str, str]:
    path, text = line.split(".json:{", 1)
    return f"{path}.json", f"{{{text}"


_LOCK = f"""r=0; n=0; l={names.VOLUME}/lock; read -r me < {RUN}/id; set -C
while ! echo "$me $$ ." 2>/dev/null > $l; do
  o=; p=; d=; {{ read -r o p d < $l; }} 2>/dev/null
  if [ "$d" = . ] && [ "$o" = "$me" ]; then
    if [ "$p" = $$ ] || [ ! -d /proc/$p ]; then rm -f $l; continue; fi
  fi
  if [ "$o" != "$me" ] && t=$(stat -c %Y $l 2>/dev/null) && [ $(( $(date +%s) - t )) -gt {LOCK_S} ]; then
    rm -f $l; continue
  fi
  n=$((n+1)); [ $n -lt 1000 ] || {{ r={LOCKED}; break; }}
  usleep 5000
done
set +C"""
