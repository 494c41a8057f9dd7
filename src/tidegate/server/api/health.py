"""/healthz, /readyz, /metrics: for whatever watches the server."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from tidegate.model.errors import StoreError
from tidegate.model.rollout import AgentState, Phase
from tidegate.server.api.parts import Api, Application, Reader
from tidegate.server.problems import problem

READY_S = 2.0

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Whether the process lives: its event loop answers."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"description": "The state cannot be read."}})
async def readyz(api: Application) -> Any:
    """Whether it can do its work: the state answers. A standby is ready too: it takes what is asked."""
    try:
        async with asyncio.timeout(READY_S):
            await api.books.audit.head()
    except (TimeoutError, StoreError) as error:
        why = error.message if isinstance(error, StoreError) else f"the state did not answer within {READY_S:g} s"
        return problem(503, why, code="store", headers={"Retry-After": "2"})
    return {"status": "ready", "deciding": api.deciding()}


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(api: Application, caller: Reader) -> Response:
    """Prometheus' text format."""
    text = generate_latest(api.measures.registry) + generate_latest(await _of_state(api))
    return Response(text, media_type=CONTENT_TYPE_LATEST)


async def _of_state(api: Api) -> CollectorRegistry:
    """What the state says at this moment."""
    registry = CollectorRegistry()
    states = [await api.books.store.load(key) for key in await api.books.store.keys()]
    known = [state for state in states if state is not None]
    Gauge("tidegate_deciding", "Whether this process holds the lease.", registry=registry).set(api.deciding())
    agents = Gauge("tidegate_agents", "Agents that serve.", ["environment"], registry=registry)
    for environment, count in Counter(one.key.environment for one in known if one.stable).items():
        agents.labels(environment).set(count)
    rollouts = Gauge("tidegate_rollouts", "Last rollouts by phase.", ["phase"], registry=registry)
    phases = Counter(one.rollout.phase for one in known if one.rollout is not None)
    for phase in Phase:
        rollouts.labels(phase.value).set(phases[phase])
    weight = Gauge(
        "tidegate_candidate_weight", "Percent of the traffic at the candidate of a rollout under way.",
        ["agent", "environment", "host"], registry=registry,
    )  # fmt: skip
    for state in known:
        if state.active is not None:
            weight.labels(state.key.agent, state.key.environment, state.key.host).set(state.active.weight)
    await _alerts(api, known, registry)
    head = await api.books.audit.head()
    Gauge("tidegate_audit_entries", "Entries of the audit log.", registry=registry).set(head.sequence)
    return registry


async def _alerts(api: Api, states: Sequence[AgentState], registry: CollectorRegistry) -> None:
    """Alerts by phase, and what their rules look at."""
    found = Gauge(
        "tidegate_alerts", "Alerts by phase.", ["agent", "environment", "alert", "severity", "phase"], registry=registry
    )
    signals = Gauge(
        "tidegate_alert_signal", "What an alert rule looks at.",
        ["agent", "environment", "host", "rule", "subject", "revision"], registry=registry,
    )  # fmt: skip
    now = api.now()
    for state in states:
        whose = state.key.agent, state.key.environment
        for alert in state.alerts:
            found.labels(*whose, alert.rule, alert.severity.value, alert.phase.value).inc()
        for rule, by_subject in (await api.signals.of(state, api.books.journal, now)).items():
            for subject, signal in by_subject.items():
                signals.labels(*whose, state.key.host, rule, subject, str(signal.revision)).set(signal.value)
