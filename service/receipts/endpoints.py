"""`POST /v1/policies/{ref}/reproduce`."""

from __future__ import annotations

from fastapi import APIRouter
from sqlalchemy.orm import Session
from starlette.responses import Response

from service.deps import MayTrain, PolicyRef, TheDatabase, TheSettings
from service.idempotency import TheOnce
from service.jobs.endpoints import TheBell, submitted
from service.jobs.schemas import JobView
from service.receipts import service
from service.receipts.schemas import ReproduceBody
from service.requests import StrictRoute

router = APIRouter(prefix="/v1/policies", tags=["policies"], route_class=StrictRoute)


@router.post("/{ref}/reproduce", status_code=202, response_model=JobView)
def reproduce(
    ref: PolicyRef,
    body: ReproduceBody,
    once: TheOnce,
    caller: MayTrain,
    settings: TheSettings,
    database: TheDatabase,
    bell: TheBell,
) -> Response:
    """Train a policy again from its receipt and compare: a job of kind `reproduce`, kept with the policy's card."""

    def make(session: Session) -> Response:
        job = service.submit(session, settings, ref, body, caller.key_id)
        return submitted(session, database, bell, caller, job)

    return once.answer(caller.owner, make)
