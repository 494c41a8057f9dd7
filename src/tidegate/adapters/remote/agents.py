"""What agents say of themselves and what they are asked to do, over the API."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import quote

from tidegate.adapters.remote.client import Client, path_of
from tidegate.model import codec
from tidegate.model.errors import NotFoundError, UsageError
from tidegate.model.order import Order, Run
from tidegate.model.record import AgentRecord
from tidegate.model.release import AgentKey
from tidegate.ports import Contents


@dataclass(frozen=True)
class RemoteRecords:
    """AgentRecords."""

    client: Client

    async def records(self, key: AgentKey | None) -> list[AgentRecord]:
        """The record of each instance, by name; of every agent that the token reaches when `key` is None."""
        if key is None:
            keys = [codec.load(one, AgentKey) for one in await self.client.get("/v1/reporting")]
        else:
            keys = [key.fleet]
        found = [await self.client.get(f"{path_of(one)}/records") for one in keys]
        return [codec.load(one, AgentRecord) for each in found for one in each]

    async def content(self, key: AgentKey, instance: str, digest: str) -> bytes | None:
        """A file of the configuration that an instance runs with."""
        try:
            found = await self.client.get(f"{path_of(key.fleet)}/configurations/{quote(digest)}", instance=instance)
        except NotFoundError:
            return None
        return str(found["text"]).encode()

    async def save_records(self, records: Sequence[AgentRecord], contents: Contents) -> None:
        """Only who hears saves."""
        _refuse()

    async def drop_records(self, names: Collection[tuple[AgentKey, str]]) -> None:
        """As `save_records`."""
        _refuse()


@dataclass(frozen=True)
class RemoteOrders:
    """OrderBook."""

    client: Client

    async def add_order(self, order: Order) -> None:
        """Ask the server, in the token's name; the order keeps its id, so asking twice is harmless."""
        plain = codec.dump(order)
        body = {name: plain[name] for name in ("id", "selector", "work", "reason")}
        await self.client.call("POST", "/v1/orders", body)

    async def end_order(self, order: str, at: float) -> bool:
        """Take it back."""
        try:
            await self.client.call("DELETE", f"/v1/orders/{quote(order)}")
        except NotFoundError:
            return False
        return True

    async def open_orders(self) -> list[Order]:
        """Orders that are not over, oldest first."""
        return [order for order in await self.orders() if order.ended_at is None]

    async def orders(self, limit: int = 100) -> list[Order]:
        """The newest orders that the token reaches, oldest first."""
        return [codec.load(one, Order) for one in await self.client.get("/v1/orders", limit=limit)]

    async def runs(self, order: str) -> list[Run]:
        """What became of an order."""
        return [codec.load(one, Run) for one in await self.client.get(f"/v1/orders/{quote(order)}/runs")]

    async def save_runs(self, runs: Sequence[Run]) -> None:
        """Only who hands out saves."""
        _refuse()


def _refuse() -> NoReturn:
    raise UsageError("with TIDEGATE_URL set the server decides, and nobody else", hint="unset TIDEGATE_URL")
