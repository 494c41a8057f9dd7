"""The application, composed of its resources. This is the one place where routers join."""

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.types import ASGIApp

from tidegate.server.api import (
    agents,
    alerts,
    audit,
    deliveries,
    failures,
    health,
    hosts,
    intents,
    jobs,
    journal,
    orders,
    releases,
    switches,
    tokens,
    verbs,
)
from tidegate.server.api.gate import PUBLIC, Gate
from tidegate.server.api.parts import Api, right_of

ABOUT = """Closed-loop delivery of containerised agents.

Every error is problem+json (RFC 9457). Every answer has an X-Request-Id. What takes long answers 202 with a Location.
"""

DAILY = (health, agents, alerts, verbs, deliveries, releases, intents, journal, orders, hosts, jobs, switches)
RESOURCES: tuple[APIRouter, ...] = tuple(one.router for one in (*DAILY, tokens, audit))
"""Add a resource here; its routes declare the right that they need (parts.py)."""


def compose(api: Api) -> ASGIApp:
    """The whole application, behind its gate."""
    return Gate(application(api), api)


def application(api: Api) -> FastAPI:
    """The resources. Raises AssertionError for a route that says nothing about who may use it."""
    app = FastAPI(
        title="Tidegate",
        version="1",
        description=ABOUT,
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.api = api
    app.state.jobs = jobs.Jobs()
    failures.install(app)
    for router in RESOURCES:
        app.include_router(router)
    for route in routes():
        assert right_of(route) or route.path in PUBLIC, f"{route.path} says nothing about who may use it"
    return app


def routes() -> list[APIRoute]:
    """Every route of every resource."""
    return [route for router in RESOURCES for route in router.routes if isinstance(route, APIRoute)]
