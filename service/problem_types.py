"""The types of problem documents: slug, status, title and meaning; each is a page under `/problems/`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One type of problem: its slug is the last part of the document's `type`."""

    slug: str
    status: int
    title: str
    meaning: str


_ALL = (
    Kind("bad-request", 400, "Bad request", "The request is not one this service understands."),
    Kind(
        "invalid-json",
        400,
        "Not JSON",
        "The body is not JSON text (RFC 8259) in UTF-8, or is nested too deeply to be read.",
    ),
    Kind("unauthenticated", 401, "Key needed", "Send `Authorization: Bearer KEY` with a key that is valid now."),
    Kind("forbidden", 403, "Scope missing", "The key is valid but its scopes do not allow this request."),
    Kind("origin-not-allowed", 403, "Origin not allowed", "The page that sent this request may not use this service."),
    Kind("not-found", 404, "Not found", "There is nothing of that name."),
    Kind("method-not-allowed", 405, "Method not allowed", "The path exists; `Allow` lists the methods it takes."),
    Kind("not-acceptable", 406, "Not acceptable", "The resource is not offered in any form named by `Accept`."),
    Kind("request-timeout", 408, "Body incomplete", "The body did not arrive in full in the time allowed."),
    Kind("conflict", 409, "Conflict", "The resource's present state does not allow the request."),
    Kind("in-use", 409, "In use", "Other records refer to this one; delete them first."),
    Kind(
        "solver-does-not-serve",
        409,
        "Solver does not serve the instance",
        "The algorithm needs something the problem or the instance does not have; `reasons` says what.",
    ),
    Kind(
        "acceptance-test-failed",
        409,
        "Acceptance test not passed",
        "The version has not passed every test that guards the alias; `tests` says which, and what each found.",
    ),
    Kind("job-not-finished", 409, "Job not finished", "The job has no result yet; ask again after `Retry-After`."),
    Kind("job-finished", 409, "Job finished", "The job has ended already and cannot be changed."),
    Kind("job-failed", 409, "Job gave no result", "The job ended without a result; its `error` says why."),
    Kind(
        "request-in-progress",
        409,
        "First request still running",
        "A request with this Idempotency-Key is being answered; ask again after `Retry-After`.",
    ),
    Kind(
        "precondition-failed",
        412,
        "Changed meanwhile",
        "The resource is not in the state that `If-Match` or `If-None-Match` names: read it again and decide anew.",
    ),
    Kind("too-large", 413, "Body too large", "The body is larger than this path takes; see `/v1/limits`."),
    Kind("unsupported-media-type", 415, "Not JSON by its type", "Send `Content-Type: application/json`."),
    Kind("host-not-allowed", 421, "Host not answered", "This service does not answer for the host named in `Host`."),
    Kind("invalid-input", 422, "Invalid input", "One or more fields break a rule; `errors` names each."),
    Kind(
        "key-reused",
        422,
        "Idempotency-Key used before",
        "The key belongs to an earlier request with another method, path or body.",
    ),
    Kind(
        "precondition-required",
        428,
        "Precondition needed",
        "Several people may change this: send `If-Match` with the `ETag` you have seen, or `If-None-Match: *`.",
    ),
    Kind("rate-limited", 429, "Too many requests", "Ask again after `Retry-After`; the rate is in `/v1/limits`."),
    Kind("queue-full", 429, "Queue full", "Too many jobs wait; submit again after `Retry-After`."),
    Kind(
        "storage-full",
        507,
        "No room left",
        "The disk that keeps the service's data is full; what was stored before can still be read.",
    ),
    Kind("internal", 500, "Internal error", "The fault is the service's; quote the request id when reporting it."),
    Kind("busy", 503, "Busy", "A part of the service did not answer in time; ask again after `Retry-After`."),
    Kind("not-ready", 503, "Not ready", "The service cannot reach its database or its broker."),
    Kind(
        "artifact-unavailable",
        503,
        "Policy's artifact unavailable",
        "What the policy was stored as is missing or does not match its digest.",
    ),
    # What a job's `error` may say.
    Kind("worker-lost", 500, "Worker lost", "The process that ran the job died; the job is tried again if it may."),
    Kind("quarantined", 500, "Quarantined", "The job has lost its worker repeatedly and is not tried again."),
    Kind("time-limit", 500, "Time limit", "The job did not end within its time limit and gave no result."),
    Kind("memory-limit", 500, "Memory limit", "The job needed more memory than it may use."),
    Kind("gpu-unavailable", 500, "No GPU to compute on", "The worker gave the job a GPU that torch cannot use there."),
    Kind("diverged", 500, "Training diverged", "Costs or gradients became non-finite; try a smaller learning rate."),
    Kind("inner-solve-failed", 500, "Program not solved", "A program inside the algorithm could not be solved."),
    Kind("policy-does-not-fit", 409, "Policy does not fit", "A stored policy's weights have other shapes than needed."),
    Kind("job-crashed", 500, "Job crashed", "The job ended with an unexpected error; its log has the details."),
    Kind("cancelled", 500, "Cancelled", "The job was cancelled before it had a result."),
)

KINDS: dict[str, Kind] = {kind.slug: kind for kind in _ALL}

STATUS_KINDS: dict[int, str] = {
    400: "bad-request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    406: "not-acceptable",
    408: "request-timeout",
    409: "conflict",
    412: "precondition-failed",
    413: "too-large",
    415: "unsupported-media-type",
    422: "invalid-input",
    428: "precondition-required",
    429: "rate-limited",
    500: "internal",
    503: "busy",
    507: "storage-full",
}
