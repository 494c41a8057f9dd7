"""What agents say of themselves, in memory; what changed is saved in batches. Not thread-safe: one event loop."""

import logging
from collections.abc import Iterable, Mapping

from tidegate.model.errors import StoreError
from tidegate.model.record import AgentRecord, Change, with_history
from tidegate.model.release import AgentKey
from tidegate.ports import AgentRecords

Name = tuple[AgentKey, str]
"""An instance: whose it is, and its name."""

log = logging.getLogger(__name__)


class Records:
    """Records by name, by uid and by host. Without a store they last as long as the process."""

    def __init__(self, store: AgentRecords | None = None) -> None:
        self._store = store
        self._known: dict[Name, AgentRecord] = {}
        self._of_uid: dict[tuple[AgentKey, str], Name] = {}
        self._on_host: dict[str, set[Name]] = {}
        self._unsaved: set[Name] = set()
        self._dropped: set[Name] = set()
        self._contents: dict[Name, Mapping[str, bytes]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def get(self, name: Name) -> AgentRecord | None:
        """The record of an instance, where it said anything of itself."""
        return self._known.get(name)

    def of_uid(self, key: AgentKey, uid: str) -> AgentRecord | None:
        """The record of whoever has this OpAMP instance_uid (hexadecimal)."""
        name = self._of_uid.get((key, uid))
        return self._known.get(name) if name is not None else None

    def host_of(self, name: Name) -> str:
        """Where it says that it runs; empty when it does not."""
        record = self._known.get(name)
        return record.host if record is not None else ""

    def on_host(self, host: str) -> Iterable[Name]:
        """Who says that it runs there."""
        return self._on_host.get(host, ())

    def all(self) -> Iterable[AgentRecord]:
        """Every record."""
        return self._known.values()

    def put(self, record: AgentRecord, contents: Mapping[str, bytes] | None = None) -> None:
        """Take the place of what was known. `contents`: those of its configuration files, by digest."""
        name = (record.key, record.instance)
        self._take(name, record)
        self._unsaved.add(name)
        self._dropped.discard(name)
        if contents:
            self._contents[name] = contents

    def note(self, name: Name, at: float, *news: str) -> None:
        """Add lines to the history of a record, where there is one."""
        record = self._known.get(name)
        if record is not None:
            self.put(with_history(record, tuple(Change(at, what) for what in news)))

    def drop(self, name: Name) -> None:
        """Forget it."""
        record = self._known.pop(name, None)
        if record is None:
            return
        self._let_go(name, record)
        self._unsaved.discard(name)
        self._contents.pop(name, None)
        self._dropped.add(name)

    def _take(self, name: Name, record: AgentRecord) -> None:
        former = self._known.get(name)
        if former is not None and (former.host != record.host or former.uid != record.uid):
            self._let_go(name, former)
        self._known[name] = record
        if record.uid:
            self._of_uid[record.key, record.uid] = name
        if record.host:
            self._on_host.setdefault(record.host, set()).add(name)

    def _let_go(self, name: Name, record: AgentRecord) -> None:
        if self._of_uid.get((record.key, record.uid)) == name:
            del self._of_uid[record.key, record.uid]
        neighbours = self._on_host.get(record.host)
        if neighbours is not None:
            neighbours.discard(name)
            if not neighbours:
                del self._on_host[record.host]

    async def load(self) -> None:
        """Take over what was saved and is not known better here. Raises StoreError."""
        for record in await self._store.records(None) if self._store is not None else ():
            name = (record.key, record.instance)
            if name not in self._known:
                self._take(name, record)

    async def save(self) -> None:
        """Keep what changed; what cannot be kept now is tried again. Raises StoreError."""
        if self._store is None or not (self._unsaved or self._dropped or self._contents):
            return
        unsaved, dropped, contents = self._unsaved, self._dropped, self._contents
        self._unsaved, self._dropped, self._contents = set(), set(), {}
        try:
            await self._store.save_records([self._known[name] for name in unsaved], contents)
            await self._store.drop_records(dropped)
        except StoreError:
            self._unsaved |= {name for name in unsaved if name in self._known}
            self._dropped |= dropped - self._unsaved
            self._contents = contents | self._contents
            raise
