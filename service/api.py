"""Every router of the service. A new resource is one room and one line here.

A room's `endpoints.py` holds `router = APIRouter(prefix="/v1/<resource>", tags=[...], route_class=StrictRoute)`.
"""

from __future__ import annotations

from fastapi import FastAPI

from service.acceptance.endpoints import router as acceptance
from service.audit.endpoints import router as audit
from service.dashboard.endpoints import router as dashboard
from service.decisions.endpoints import recommend_router
from service.decisions.endpoints import router as recommendations
from service.deployments.endpoints import router as aliases
from service.evaluations.endpoints import router as evaluations
from service.inference.endpoints import health as inference_health
from service.inference.endpoints import router as inference
from service.instances.endpoints import router as instances
from service.jobs.endpoints import router as jobs
from service.keys.endpoints import router as keys
from service.policies.endpoints import router as policies
from service.problems.endpoints import router as problems
from service.problems.solver_endpoints import router as solvers
from service.receipts.endpoints import router as receipts
from service.scenario_sets.endpoints import router as scenario_sets
from service.scenario_sets.endpoints import schema_router as scenario_schema
from service.settings import Settings
from service.system.endpoints import health, status
from service.system.pages import router as pages
from service.workers.endpoints import router as workers


def include_routers(app: FastAPI, settings: Settings) -> None:
    """Include every room's router under the body limit of its kind."""
    rooms = (
        problems,
        solvers,
        instances,
        jobs,
        policies,
        receipts,
        aliases,
        acceptance,
        recommendations,
        evaluations,
        scenario_sets,
    )
    for router in (*rooms, scenario_schema, keys, audit, workers, status, health, pages, dashboard):
        app.include_router(router, max_body_size=settings.max_body_bytes)
    app.include_router(inference_health, max_body_size=settings.max_body_bytes)
    app.include_router(inference, max_body_size=settings.max_batch_bytes)
    app.include_router(recommend_router, max_body_size=settings.max_batch_bytes)
