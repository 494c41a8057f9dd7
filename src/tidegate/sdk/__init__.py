"""What an agent written in Python imports. Standard library only; depends on nothing else of Tidegate.

Here belong: heartbeats, status, metrics exposition, graceful stop, configuration updates, scheduled tasks and their
results, back-off. Never here: anything that the control centre does, or that decides about a release.

    from tidegate.sdk import Agent

    agent = Agent("mailer", version="1.4.0")
    sent = agent.metrics.counter("mailer_mails_sent_total", "mails handed to the relay")

    @agent.every(60.0)
    def clean_outbox() -> str:
        return "3 old mails removed"

    with agent:                                  # heartbeats begin; SIGTERM and SIGINT ask for a graceful stop
        agent.serve(9100)                        # /health /ready /metrics
        while not agent.stopping.wait(1.0):
            sent.add(send_waiting_mails())

With no TIDEGATE_URL in the environment nothing is sent, nothing is logged, and the rest works as it is.
"""

from tidegate.sdk.agent import Agent
from tidegate.sdk.aio import AsyncAgent
from tidegate.sdk.backoff import Backoff
from tidegate.sdk.identity import Identity
from tidegate.sdk.metrics import Counter, Gauge, Histogram, Metrics
from tidegate.sdk.wire import Action, Heartbeat, Refused, Reply, Status, TaskResult

__all__ = [
    "Action",
    "Agent",
    "AsyncAgent",
    "Backoff",
    "Counter",
    "Gauge",
    "Heartbeat",
    "Histogram",
    "Identity",
    "Metrics",
    "Refused",
    "Reply",
    "Status",
    "TaskResult",
]
