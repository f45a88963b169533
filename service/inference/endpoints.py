"""`/v2`: the Open Inference Protocol on the policies of `/v1`. What it decides is a recommendation like any other."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request

from service.decisions import asked, repository
from service.decisions import service as decisions
from service.decisions.render import as_json
from service.deps import MayPlan, MayRead, TheDatabase, TheSettings, TheStorage
from service.errors import ApiError, field_error
from service.ids import REF_PATTERN
from service.inference import tensors
from service.inference.schemas import (
    InferRequest,
    InferResponse,
    OutputTensor,
    PolicyMetadata,
    PolicyReady,
    ServerLive,
    ServerMetadata,
    ServerReady,
    TensorMetadata,
)
from service.keys.callers import Caller
from service.policies import service as policies
from service.policies.repository import PolicyKey
from service.requests import StrictRoute
from service.system import service as system
from service.version import VERSION

health = APIRouter(prefix="/v2/health", tags=["inference"], route_class=StrictRoute)
router = APIRouter(prefix="/v2", tags=["inference"], route_class=StrictRoute)

ModelName = Annotated[
    str, Path(alias="name", pattern=REF_PATTERN, description="A policy: its name, `name@alias`, `name:3` or its id.")
]
ModelVersion = Annotated[str, Path(alias="version", pattern=r"^[1-9][0-9]{0,8}$", description="A version of it.")]


@health.get("/live", response_model=ServerLive)
def inference_live() -> dict[str, bool]:
    """Whether the process answers."""
    return {"live": True}


@health.get("/ready", response_model=ServerReady)
def inference_ready(database: TheDatabase, storage: TheStorage, settings: TheSettings) -> dict[str, bool]:
    """Whether the database and the broker answer; 503 names the part that does not."""
    system.check_parts(database, storage, settings)
    return {"ready": True}


@router.get("", response_model=ServerMetadata)
def inference_server(caller: MayRead) -> dict[str, Any]:
    """The server's name and release."""
    return {"name": "herenow", "version": VERSION, "extensions": []}


@router.get("/models/{name}", response_model=PolicyMetadata)
def inference_policy(name: ModelName, request: Request, database: TheDatabase, caller: MayRead) -> PolicyMetadata:
    """What the policy takes and gives, as tensors."""
    return _metadata(request, _key(database, name))


@router.get("/models/{name}/versions/{version}", response_model=PolicyMetadata)
def inference_policy_version(
    name: ModelName, version: ModelVersion, request: Request, database: TheDatabase, caller: MayRead
) -> PolicyMetadata:
    """What one version takes and gives, as tensors."""
    return _metadata(request, _key(database, name, version))


@router.get("/models/{name}/ready", response_model=PolicyReady)
def inference_policy_ready(name: ModelName, request: Request, database: TheDatabase, caller: MayRead) -> PolicyReady:
    """Whether the policy can be asked; its artifact is loaded by asking."""
    return _ready(request, _key(database, name))


@router.get("/models/{name}/versions/{version}/ready", response_model=PolicyReady)
def inference_policy_version_ready(
    name: ModelName, version: ModelVersion, request: Request, database: TheDatabase, caller: MayRead
) -> PolicyReady:
    """Whether one version can be asked."""
    return _ready(request, _key(database, name, version))


@router.post("/models/{name}/infer", response_model=InferResponse, response_model_exclude_none=True)
def infer(
    name: ModelName, body: InferRequest, request: Request, database: TheDatabase, settings: TheSettings, caller: MayPlan
) -> InferResponse:
    """Decide for every row of the tensors."""
    return _infer(request, _key(database, name), body, settings.max_states, caller)


@router.post("/models/{name}/versions/{version}/infer", response_model=InferResponse, response_model_exclude_none=True)
def infer_version(
    name: ModelName,
    version: ModelVersion,
    body: InferRequest,
    request: Request,
    database: TheDatabase,
    settings: TheSettings,
    caller: MayPlan,
) -> InferResponse:
    """Decide by one version."""
    return _infer(request, _key(database, name, version), body, settings.max_states, caller)


def _key(database: TheDatabase, name: str, version: str | None = None) -> PolicyKey:
    with database.read() as session:
        key = policies.get_key(session, name)
        return key if version is None else policies.get_key(session, f"{key.name}:{version}")


def _ready(request: Request, key: PolicyKey) -> PolicyReady:
    request.app.state.served.get(key.artifact_digest)
    return PolicyReady(name=key.name, ready=True)


def _metadata(request: Request, key: PolicyKey) -> PolicyMetadata:
    policy = request.app.state.served.get(key.artifact_digest)
    today = policy.view.today()
    given = tensors.outputs_of(policy.recommend_columns(tensors.today_as_columns(today)))
    return PolicyMetadata(
        name=key.name,
        versions=[str(key.version)],
        platform="herenow_torch",
        inputs=tensors.inputs_wanted(today),
        outputs=[TensorMetadata(name=t.name, datatype=t.datatype, shape=[-1, *t.shape[1:]]) for t in given],
    )


def _infer(request: Request, key: PolicyKey, body: InferRequest, max_states: int, caller: Caller) -> InferResponse:
    columns = tensors.columns_of(body.inputs)
    policy = request.app.state.served.get(key.artifact_digest)
    document, body_read = {"states": columns}, getattr(request, "_body", b"")
    try:
        wanted = asked.read(document, max_states)
        kept = as_json(document) if len(body_read) <= decisions.LARGE else body_read
        found = decisions.recommend(policy, key, wanted, kept, caller.owner)
    except ApiError as error:
        raise tensors.moved(error, body.inputs) from None
    outputs = _wanted(tensors.outputs_of(found.answer), body)
    with request.app.state.database.write() as session:
        repository.add(session, [found.row])
    said: dict[str, str | int | float | bool] = {
        "recommendation_id": found.id,
        "digest": key.artifact_digest,
        "elapsed_ms": found.answer["elapsed_ms"],
    }
    return InferResponse(
        model_name=key.name, model_version=str(key.version), id=body.id, parameters=said, outputs=outputs
    )


def _wanted(outputs: list[OutputTensor], body: InferRequest) -> list[OutputTensor]:
    if not body.outputs:
        return outputs
    by_name = {tensor.name: tensor for tensor in outputs}
    for index, wanted in enumerate(body.outputs):
        if wanted.name not in by_name:
            raise field_error(f"/outputs/{index}/name", "This policy has no such output.")
    return [by_name[wanted.name] for wanted in body.outputs]
