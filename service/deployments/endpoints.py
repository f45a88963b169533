"""`/v1/policies/{name}/aliases`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from service.audit.service import note
from service.deployments import service
from service.deployments.schemas import AliasBody, AliasView
from service.deps import AliasName, Collection, MayRead, MayTrain, PolicyName, Reading, Writing
from service.preconditions import Required, tag
from service.requests import StrictRoute

router = APIRouter(prefix="/v1/policies/{name}/aliases", tags=["aliases"], route_class=StrictRoute)

_TAGGED: dict[str, Any] = {
    "headers": {"ETag": {"description": "Send it as `If-Match` with the next change.", "schema": {"type": "string"}}}
}


@router.get("", response_model=Collection[AliasView])
def list_aliases(name: PolicyName, session: Reading, caller: MayRead) -> dict[str, Any]:
    """What the versions of a policy are in use for, by alias; all on one page."""
    return {"items": service.listed(session, name), "next_cursor": None}


@router.get("/{alias}", response_model=AliasView, responses={200: _TAGGED})
def get_alias(name: PolicyName, alias: AliasName, session: Reading, caller: MayRead) -> Response:
    """One alias; its `ETag` is what `If-Match` wants."""
    return _answer(service.get(session, name, alias))


@router.put(
    "/{alias}",
    response_model=AliasView,
    responses={200: _TAGGED, 201: {"model": AliasView, "description": "The alias is new.", **_TAGGED}},
)
def put_alias(
    name: PolicyName, alias: AliasName, body: AliasBody, caller: MayTrain, precondition: Required, session: Writing
) -> Response:
    """Let `name@alias` stand for a version: `If-None-Match: *` if it is new, `If-Match` to move one you have seen."""
    view, is_new = service.put(session, name, alias, body, precondition, caller.owner)
    note(session, caller, "alias.set", f"{name}@{alias}", version=view.policy.version, policy_id=view.policy.id)
    answer = _answer(view, 201 if is_new else 200)
    if is_new:
        answer.headers["Location"] = f"/v1/policies/{name}/aliases/{alias}"
    return answer


@router.delete("/{alias}", status_code=204)
def delete_alias(
    name: PolicyName, alias: AliasName, caller: MayTrain, precondition: Required, session: Writing
) -> None:
    """Delete an alias you have seen (`If-Match`); the version it named stays."""
    service.delete(session, name, alias, precondition)
    note(session, caller, "alias.deleted", f"{name}@{alias}")


def _answer(view: AliasView, status: int = 200) -> Response:
    return Response(view.model_dump_json(), status, {"ETag": tag(view.etag)}, "application/json")
