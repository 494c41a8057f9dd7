"""The lease: who decides. Whoever holds it renews it; whoever cannot renew it in time touches nothing any more.

It goes on looking, though: a store that cannot be written (a full disk) gives the lease to nobody else either, and a
bad canary must be taken back all the same. Moving traffic is fenced by the gateway itself, which refuses a lower epoch.
"""

from dataclasses import dataclass

from tidegate.model.errors import ConflictError, LeaseLostError
from tidegate.ports import Clock, LeaseStore

TTL_S = 10.0


@dataclass
class Lease:
    """A lease that is ours until `until` (unix seconds of the controller's clock)."""

    store: LeaseStore
    clock: Clock
    holder: str
    epoch: int
    until: float

    @classmethod
    async def take(cls, store: LeaseStore, clock: Clock, holder: str, wait_s: float = 0.0) -> "Lease":
        """Take the lease, waiting at most `wait_s` for another holder's to expire. Raises ConflictError."""
        deadline = clock.now() + wait_s
        while True:
            now = clock.now()
            epoch = await store.acquire(holder, TTL_S, now)
            if epoch is not None:
                return cls(store, clock, holder, epoch, now + TTL_S)
            if now >= deadline:
                raise ConflictError(
                    "another controller holds the lease",
                    hint="`tidegate serve` decides while it runs; a controller that died lets go after 10 s",
                )
            await clock.sleep(0.2)

    @property
    def expired(self) -> bool:
        """Whether it is over by our own clock; another controller may decide now."""
        return self.clock.now() >= self.until

    async def renew(self) -> None:
        """Keep it for another TTL. Raises LeaseLostError when somebody else took it."""
        now = self.clock.now()
        if not await self.store.renew(self.holder, self.epoch, TTL_S, now):
            self.until = 0.0
            raise LeaseLostError("another controller took the lease")
        self.until = now + TTL_S

    async def release(self) -> None:
        """Give it back, so that the next controller need not wait."""
        await self.store.release(self.holder, self.epoch)
        self.until = 0.0
