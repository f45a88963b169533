"""The application: `create_app(settings)` builds the API of one process.

Run it with `herenow serve`, or `uvicorn --factory service.app:create_app` behind a proxy of your own.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.middleware import Middleware

from service import errors, openapi, tracing
from service.api import include_routers
from service.db.session import Database
from service.decisions.batches import Batches
from service.decisions.express import Express
from service.decisions.serving import ServedPolicies
from service.instances.drawing import Drawings
from service.jobs.bell import make_bell
from service.jobs.feeds import Feeds
from service.keys.memory import KnownKeys
from service.keys.service import Door
from service.metrics import Metrics
from service.middleware import Gate
from service.rates import CallerRates
from service.settings import Settings
from service.storage import Storage
from service.system.facts import Facts
from service.version import VERSION

SWITCH_SECONDS = 0.0005
"""After how long a busy thread lets another one run: at Python's 5 ms two of them mostly wait for each other."""


def create_app(settings: Settings | None = None) -> FastAPI:
    """The API for these settings (left out: those of the environment); the database must be migrated."""
    settings = settings or Settings()
    tracing.configure(settings, "api")
    metrics = Metrics()
    app = FastAPI(
        title="Herenow",
        summary="Decisions under uncertainty as a service: train, prove and serve policies.",
        description=openapi.DESCRIPTION,
        version=VERSION,
        openapi_tags=openapi.TAGS,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        docs_url=None,  # the dashboard's room has a viewer that needs no other server
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        middleware=[Middleware(Gate, settings=settings, metrics=metrics), Middleware(Express, settings=settings)],
        telemetry={"exclude": _is_probe},
        lifespan=_lifespan,
        separate_input_output_schemas=False,
    )
    app.state.settings = settings
    app.state.metrics = metrics
    app.state.door = Door(settings)
    app.state.known_keys = KnownKeys()
    app.state.caller_rates = CallerRates(settings.rate_per_minute, settings.api_processes)
    app.state.database = Database(settings.database)
    app.state.storage = Storage.of(settings)
    app.state.bell = make_bell(settings)
    app.state.served = ServedPolicies(settings, metrics)
    app.state.batches = Batches(settings, app.state.database, app.state.served, metrics)
    app.state.feeds = Feeds(app.state.database, settings.max_streams)
    app.state.drawings = Drawings()
    metrics.add(Facts(app.state.database, settings))
    errors.install(app)
    include_routers(app, settings)
    openapi.install(app)
    return app


def _is_probe(scope: Any) -> bool:
    return bool(scope.get("path", "").startswith(("/healthz/", "/metrics")))


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    sys.setswitchinterval(SWITCH_SECONDS)
    app.state.served.warm_up(app.state.database)
    app.state.batches.start()
    try:
        async with app.state.feeds.running():
            yield
    finally:
        app.state.batches.close()
        app.state.served.close()
        app.state.database.close()
        tracing.close()
