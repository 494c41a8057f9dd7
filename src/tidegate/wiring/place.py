"""The state as the controller of one environment sees it."""

from dataclasses import dataclass

from tidegate.model.decision import Decision
from tidegate.model.intent import Answer, Intent
from tidegate.model.release import AgentKey
from tidegate.model.rollout import AgentState
from tidegate.ports import Store


@dataclass(frozen=True)
class OnePlace:
    """ports.Store as one environment sees it: a controller never decides about agents whose host it does not hold."""

    store: Store
    environment: str

    async def keys(self) -> tuple[AgentKey, ...]:
        """The agents of this environment."""
        return tuple(key for key in await self.store.keys() if key.environment == self.environment)

    async def asked(self) -> tuple[AgentKey, ...]:
        """Those of them that were asked something."""
        return tuple(key for key in await self.store.asked() if key.environment == self.environment)

    async def load(self, key: AgentKey) -> AgentState | None:
        """The state last saved."""
        return await self.store.load(key)

    async def save(self, decision: Decision, epoch: int) -> None:
        """One transaction a decision."""
        await self.store.save(decision, epoch)

    async def save_in_reserve(self, decision: Decision, epoch: int) -> None:
        """When `save` cannot."""
        await self.store.save_in_reserve(decision, epoch)

    async def submit(self, intent: Intent) -> None:
        """Write an intent."""
        await self.store.submit(intent)

    async def pending(self, key: AgentKey) -> tuple[Intent, ...]:
        """Intents not answered yet."""
        return await self.store.pending(key)

    async def find_intent(self, intent: str) -> Intent | None:
        """An intent by its id."""
        return await self.store.find_intent(intent)

    async def answer(self, intent: str) -> Answer | None:
        """What became of an intent."""
        return await self.store.answer(intent)
