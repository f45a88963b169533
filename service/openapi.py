"""The OpenAPI document, completed: every status an operation may answer, problem documents, bodies from the registries.

The framework writes what it knows from the endpoints; this adds what holds for all of them, once, so no endpoint has to
repeat it and none can forget it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from models.core import Problem
from models.registry import problems
from service.jobs.schemas import EventPage
from service.problem_types import KINDS, STATUS_KINDS
from solvers.registry import solvers

DESCRIPTION = """\
Post an *instance* (one planner's data), start a *job* that trains a policy for it, and ask the *policy* what to decide
in the state of today. Every policy carries its certificate: its cost on scenarios it never saw, beside the classical
rules and a lower bound.

Errors are problem documents (RFC 9457); each `type` is a page under `/problems/`. A POST that creates takes an
`Idempotency-Key`. Bodies are strict JSON: no unknown fields, no duplicate keys, finite numbers only.
"""

TAGS = [
    {"name": "problems", "description": "What can be decided: schemas and examples."},
    {"name": "solvers", "description": "The algorithms, their configuration, and what they serve."},
    {"name": "instances", "description": "A planner's data, stored once per content."},
    {"name": "jobs", "description": "Work that takes time: train, evaluate, solve."},
    {"name": "policies", "description": "Trained policies, their cards and certificates."},
    {"name": "aliases", "description": "Which version of a policy is in use for what."},
    {"name": "recommendations", "description": "Decisions asked for, and what the planner did with them."},
    {"name": "evaluations", "description": "Policies compared on common random numbers."},
    {"name": "inference", "description": "The same policies by the Open Inference Protocol (tensors)."},
    {"name": "keys", "description": "Who may use the service and for what; for administrators."},
    {"name": "audit", "description": "Who changed what; for administrators."},
    {"name": "scenario sets", "description": "The planner's own demand or inflow scenarios."},
    {"name": "service", "description": "Health, limits, queue, workers, storage, metrics, problem types."},
]

_REF = "#/components/schemas/"
_METHODS = ("get", "post", "put", "delete", "patch")

_FIELD_ERROR = {
    "type": "object",
    "description": "One field that is wrong.",
    "required": ["pointer", "in", "detail"],
    "properties": {
        "pointer": {"type": "string", "description": "JSON Pointer below `in`; empty for all of it."},
        "in": {"type": "string", "enum": ["body", "query", "path", "header"]},
        "detail": {"type": "string"},
    },
}

_PROBLEM = {
    "type": "object",
    "description": "A problem document (RFC 9457); some types have further members.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "enum": [f"/problems/{slug}" for slug in KINDS]},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "instance": {"type": "string", "description": "The path asked for."},
        "request_id": {"type": "string", "description": "The request's `X-Request-Id`."},
        "errors": {"type": "array", "items": {"$ref": _REF + "FieldError"}},
    },
    "additionalProperties": True,
}


# Where an answer tells a name that other operations take as a path parameter, by the operation answering.
_INSTANCE, _JOB, _KEY = ({name: "$response.body#/id"} for name in ("instance_id", "job_id", "key_id"))
_NAMED_IN = {
    "create_instance": _INSTANCE,
    "import_instance": _INSTANCE,
    "submit_job": _JOB,
    "retry_job": _JOB,
    "create_evaluation": _JOB,
    "run_acceptance_test": _JOB,
    "replay": _JOB,
    "create_scenario_set": {"scenario_set_id": "$response.body#/id"},
    "create_acceptance_test": {"test_id": "$response.body#/id", "name": "$request.path.name"},
    "put_alias": {"name": "$response.body#/policy_name", "alias": "$response.body#/alias"},
    "recommend": {"recommendation_id": "$response.body#/recommendation_id"},
    "create_key": _KEY,
    "rotate_key": _KEY,
}


def install(app: FastAPI) -> None:
    """Let `app.openapi()` answer the completed document, made on first use, and `app.state.methods(path)` read it."""

    def openapi() -> dict[str, Any]:
        if not app.openapi_schema:
            app.openapi_schema = _complete(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
    app.state.methods = lambda path: methods_at(openapi(), path)


def methods_at(document: dict[str, Any], path: str) -> list[str]:
    """The methods the document offers at a path, upper case; empty if it has none there."""
    paths = document["paths"]
    template = path if path in paths else next((known for known in paths if _fits(known, path)), None)
    return sorted(method.upper() for method in paths.get(template, {}) if method in _METHODS)


def _fits(template: str, path: str) -> bool:
    parts, given = template.split("/"), path.split("/")
    return len(parts) == len(given) and all(
        part == piece or (part.startswith("{") and piece) for part, piece in zip(parts, given, strict=True)
    )


def _complete(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
        license_info=app.license_info,
        separate_input_output_schemas=False,
    )
    schemas = document["components"]["schemas"]
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    schemas |= {"Problem": _PROBLEM, "FieldError": _FIELD_ERROR, **_instances()}
    # Answered by a response of its own making, so the framework does not see these.
    definitions = EventPage.model_json_schema(ref_template=_REF + "{model}", mode="serialization")
    schemas |= {**definitions.pop("$defs", {}), "EventPage": definitions}
    document["components"]["headers"] = {
        "X-Request-Id": {"description": "Names this request in logs.", "schema": {"type": "string"}}
    }
    for path, method, operation in _operations(document):
        _complete_responses(path, method, operation)
    _add_links(document)
    _complete_instance_bodies(document)
    jobs = document["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]
    jobs["examples"] = _job_examples()
    sets = document["paths"]["/v1/scenario-sets"]["post"]["requestBody"]["content"]["application/json"]
    sets["examples"] = _scenario_set_examples()
    return document


def _add_links(document: dict[str, Any]) -> None:
    """Say which operations take what an answer names: what was made can be read, followed, changed, deleted."""
    wanted = {
        operation["operationId"]: {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
        for _, _, operation in _operations(document)
    }
    for _, _, operation in _operations(document):
        named = _NAMED_IN.get(operation["operationId"], {})
        links = {
            target: {"operationId": target, "parameters": {name: named[name] for name in sorted(names)}}
            for target, names in wanted.items()
            if names and names <= set(named) and any(named[name].startswith("$response") for name in names)
        }
        for status, response in operation["responses"].items():
            if links and status in ("200", "201", "202"):
                response["links"] = links


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                yield path, method, item[method]


def _complete_responses(path: str, method: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    for status in _statuses(path, method, operation):
        responses.setdefault(str(status), {})
    for status, response in responses.items():
        if int(status) >= 400:
            response.setdefault("description", KINDS[_slug(int(status))].title)
            response["content"] = {"application/problem+json": {"schema": {"$ref": _REF + "Problem"}}}
        headers = response.setdefault("headers", {})
        headers["X-Request-Id"] = {"$ref": "#/components/headers/X-Request-Id"}
    operation["responses"] = dict(sorted(responses.items()))


def _slug(status: int) -> str:
    return {421: "host-not-allowed"}.get(status) or STATUS_KINDS[status]


def _statuses(path: str, method: str, operation: dict[str, Any]) -> Iterator[int]:
    """Statuses at and above 400 an operation may answer."""
    yield from (403, 421, 429, 500, 503, 507)
    if operation.get("security"):
        yield 401
    parameters = operation.get("parameters", [])
    if parameters or "requestBody" in operation:
        yield 422
    if any(parameter["in"] == "path" for parameter in parameters):
        yield 404
    if "requestBody" in operation:
        yield from (400, 408, 413, 415)
    if method != "get":
        yield 409
    if any(parameter["name"].lower() == "if-match" for parameter in parameters):
        yield from (412, 428)


def _instances() -> dict[str, Any]:
    """Components of every problem's instance schema, their inner types named `problem.Type`."""
    schemas: dict[str, Any] = {}
    references, mapping = [], {}
    for problem in problems().values():
        schemas |= _instance_components(problem)
        references.append({"$ref": _REF + problem.name})
        mapping[problem.name] = _REF + problem.name
    schemas["Instance"] = {
        "description": "One planner's data for one problem.",
        "oneOf": references,
        "discriminator": {"propertyName": "problem", "mapping": mapping},
    }
    return schemas


def _instance_components(problem: Problem) -> dict[str, Any]:
    template = f"{_REF}{problem.name}.{{model}}"
    schema = problem.instance.model_json_schema(by_alias=True, ref_template=template)
    inner = {f"{problem.name}.{name}": value for name, value in schema.pop("$defs", {}).items()}
    schema["required"] = sorted({"problem", *schema.get("required", [])})
    return {problem.name: schema, **inner}


def _complete_instance_bodies(document: dict[str, Any]) -> None:
    """Bodies that depend on what is registered, with every problem's first example."""
    examples = {
        example.name: {"summary": example.title, "value": example.document()}
        for problem in problems().values()
        for example in problem.examples[:2]
    }
    create = document["paths"]["/v1/instances"]["post"]["requestBody"]
    create["content"]["application/json"] = {"schema": {"$ref": _REF + "Instance"}, "examples": examples}
    validate = document["paths"]["/v1/instances/validate"]["post"]["requestBody"]
    anything = {"description": "Any JSON: what is wrong with it is the answer."}
    validate["content"]["application/json"] = {"schema": anything, "examples": examples}


def _job_examples() -> dict[str, Any]:
    """A job of each kind, with a solver of this service that does it on an instance of a problem it serves."""
    instance = {"instance_id": "ins_01K9ZV6Q5RJ8XAMB4T0CWD3EFG"}
    policies = {"policies": ["pol_01K9ZV6Q5RJ8XAMB4T0CWD3EFG"]}
    examples: dict[str, Any] = {
        "evaluate": {"kind": "evaluate", **instance, **policies, "scenarios": 1024, "seed": 7},
    }
    for solver in solvers().values():
        asked: dict[str, Any] = {"kind": solver.kind, **instance, "solver": solver.name, "time_limit": "PT10M"}
        if solver.kind == "train":
            asked |= {"config": {}, "seed": 7, "policy_name": "north-stores"}
        examples[solver.name] = asked
    return {name: {"summary": _about(body), "value": body} for name, body in examples.items()}


def _scenario_set_examples() -> dict[str, Any]:
    """Two scenarios for the first example of the first problem that takes them."""
    problem = next((problem for problem in problems().values() if problem.scenarios is not None), None)
    if problem is None or problem.scenarios is None:
        return {}
    instance = problem.examples[0]
    table = problem.scenarios.table(problem.parse(instance.document()))
    scenarios = [{place: [level] * table.stages for place in table.places} for level in (4.0, 6.0)]
    body = {"instance_id": "ins_01K9ZV6Q5RJ8XAMB4T0CWD3EFG", "name": "low-and-high", "scenarios": scenarios}
    return {problem.name: {"summary": f"Two scenarios for the example {instance.name}", "value": body}}


def _about(body: dict[str, Any]) -> str:
    """What an example of a job does, and for whom."""
    if "solver" not in body:
        return f"A job of kind {body['kind']}"
    able = [name for name, problem in problems().items() if not solvers()[body["solver"]].reasons_against(problem)]
    return f"A job of kind {body['kind']} on an instance of {', '.join(able)}"
