"""A fleet's rollout: a pure state machine whose children are the hosts' own rollouts.

`decide_fleet` is to a fleet what core.rollout.decide is to a host. It touches nothing: it asks the hosts' loops by
intents, which are saved together with the state that says they were asked. Invariants, for every input:

- A wave begins only when the one before it is settled, something in it is proven, and it has baked.
- A host that cannot be reached is neither proven nor failed, and nobody waits for it.
- The way back takes every host that was begun, all at once and without steps; a rollback is never rolled back.
- Whenever a host comes back, it is led to what is current then.
- Pre hooks run on one host, at most once for a release, and nothing begins elsewhere before they have succeeded.
"""

from tidegate.core.fleet.deciding import decide_fleet
from tidegate.core.fleet.layout import layout
from tidegate.core.fleet.steering import open_intent

__all__ = ["decide_fleet", "layout", "open_intent"]
