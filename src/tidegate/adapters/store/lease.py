"""Who decides: one row an environment, changed only under the conditions of its WHERE clause (compare-and-set)."""

from sqlalchemy import Connection, insert, or_, select, update

from tidegate.adapters.store.database import Database
from tidegate.adapters.store.folding import EVERYWHERE, epoch_in_force, fold, lease_name
from tidegate.adapters.store.reserve import Reserve
from tidegate.adapters.store.tables import lease


class SqlLease:
    """LeaseStore of one environment; of all that never had one of their own where none is named.

    Time is the caller's: controllers that share a lease need clocks that agree to within its ttl.
    """

    def __init__(self, database: Database, reserve: Reserve, environment: str = "") -> None:
        self._database = database
        self._reserve = reserve
        self._environment = environment
        self._name = lease_name(environment)

    async def acquire(self, holder: str, ttl_s: float, now: float) -> int | None:
        """The epoch when the lease is ours now, None while another holder's has not expired.

        Every success is a new epoch, the same holder's too: a restarted controller shuts its former self out. What the
        former holder could write only to the reserve is folded in first, so that the next one decides on it.
        The first epoch of a store is the time of day (unix seconds): a state that was lost and made anew then counts
        for more than what its predecessor left in gateways and elsewhere.
        """

        def work(connection: Connection) -> tuple[int | None, list[int]]:
            current = epoch_in_force(connection, self._environment)
            folded = fold(connection, self._reserve)
            following = current + 1 if current else max(1, int(now))
            if self._name != EVERYWHERE and not _everywhere_is_over(connection, now, now + 2 * ttl_s):
                return None, folded
            if connection.execute(select(lease.c.name).where(lease.c.name == self._name)).first() is None:
                connection.execute(
                    insert(lease), {"name": self._name, "holder": "", "epoch": current, "expires_at": 0.0}
                )
            # Later than any clock that agrees with ours would have it: the clock was set back since.
            set_back = lease.c.expires_at > now + 2 * ttl_s
            free = or_(lease.c.holder.in_(("", holder)), lease.c.expires_at <= now, set_back)
            mine = update(lease).where(lease.c.name == self._name, lease.c.epoch == current, free)
            taken = connection.execute(mine.values(holder=holder, epoch=following, expires_at=now + ttl_s))
            return (following if taken.rowcount == 1 else None), folded

        epoch, folded = await self._database.write(work)
        if folded:
            await self._database.aside(lambda: self._reserve.empty(folded))
        return epoch

    async def renew(self, holder: str, epoch: int, ttl_s: float, now: float) -> bool:
        """Keep it; False when somebody else took it. An expired lease that nobody took is still ours."""
        return await self._database.note(
            lambda connection: self._change(connection, holder, epoch, holder, now + ttl_s)
        )

    async def release(self, holder: str, epoch: int) -> None:
        """Give it back; nothing happens when it is not ours any more."""
        await self._database.write(lambda connection: self._change(connection, holder, epoch, "", 0.0))

    def _change(self, connection: Connection, holder: str, epoch: int, to: str, expires_at: float) -> bool:
        mine = update(lease).where(lease.c.name == self._name, lease.c.holder == holder, lease.c.epoch == epoch)
        return connection.execute(mine.values(holder=to, expires_at=expires_at)).rowcount == 1


def _everywhere_is_over(connection: Connection, now: float, latest: float) -> bool:
    """Shut out an older Tidegate that decides for everything, once its lease is free; whether it was."""
    everywhere = lease.c.name == EVERYWHERE
    held = connection.execute(select(lease.c.holder, lease.c.expires_at).where(everywhere)).one()
    if held.holder and now < held.expires_at <= latest:
        return False
    if held.holder:
        connection.execute(update(lease).where(everywhere).values(holder="", epoch=lease.c.epoch + 1, expires_at=0.0))
    return True
