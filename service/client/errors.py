"""What goes wrong, as exceptions: refusals of the service, answers that never came, jobs that gave nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from .records import JobView


class HerenowError(Exception):
    """Base of everything the client raises on purpose."""


class NoAnswer(HerenowError):
    """The service could not be reached, or the connection broke, as often as it was tried.

    Whether the request was carried out is not known; a POST that creates may be sent again with the same
    `idempotency_key`.
    """


class UnexpectedAnswer(HerenowError):
    """An answer that is not what the API promises: another service, or one of a release this client does not know."""


class StillRunning(HerenowError, TimeoutError):
    """The time to wait for a job is over and it has not finished; it goes on."""


class JobFailed(HerenowError):
    """A job that was waited for failed or was cancelled; `job` is the job, with what a cancelled one has kept."""

    def __init__(self, job: JobView) -> None:
        self.job = job
        detail = (job.error or {}).get("detail", "it was cancelled" if job.state == "cancelled" else "no reason given")
        super().__init__(f"job {job.id} {job.state}: {detail}")


@dataclass(frozen=True)
class FieldError:
    """One field that is wrong: JSON Pointer below `where` (body, query, path or header), and what is wrong with it."""

    pointer: str
    detail: str
    where: str = "body"


class Refused(HerenowError):
    """The service refused a request with a problem document (RFC 9457).

    `slug` is the type (`invalid-input`, `queue-full`, …), `errors` the fields at fault, `members` what the type adds.
    """

    def __init__(self, status: int, document: Mapping[str, Any], retry_after: float | None = None) -> None:
        self.status = status
        self.slug = str(document.get("type", "")).rpartition("/")[2]
        self.title = str(document.get("title", status))
        self.detail = str(document.get("detail", ""))
        self.request_id: str | None = document.get("request_id")
        self.errors = [FieldError(e["pointer"], e["detail"], e["in"]) for e in document.get("errors") or ()]
        self.retry_after = retry_after
        self.members = {name: value for name, value in document.items() if name not in _COMMON}
        super().__init__(f"{self.title}: {self.detail}" if self.detail else self.title)


_COMMON = {"type", "title", "status", "detail", "instance", "request_id", "errors"}


class InvalidInput(Refused):
    """422: fields break rules; `errors` names each."""


class Unauthenticated(Refused):
    """401: no key, or one that is not valid now."""


class Forbidden(Refused):
    """403: the key's scopes do not allow it."""


class NotFound(Refused):
    """404: nothing has that name."""


class Conflict(Refused):
    """409: the present state does not allow it."""


class Changed(Refused):
    """412: somebody changed it meanwhile; read it again and decide anew."""


class TooMany(Refused):
    """429: too many requests, or a queue that is full; `retry_after` says when to come again [s]."""


class Unavailable(Refused):
    """5xx: the fault is the service's."""


_OF_STATUS: dict[int, type[Refused]] = {
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: Changed,
    422: InvalidInput,
    429: TooMany,
}


def refusal(answer: httpx.Response) -> HerenowError:
    """The exception of an answer that is no success; its body has been read."""
    status = answer.status_code
    try:
        document = answer.json()
        kind = _OF_STATUS.get(status, Unavailable if status >= 500 else Refused)
        return kind(status, document, retry_after(answer))
    except (ValueError, AttributeError, KeyError, TypeError):
        if status in _OF_STATUS or status >= 500:  # something between us and the service said it in its own words
            title = f"{status} {answer.reason_phrase}"
            return _OF_STATUS.get(status, Unavailable)(status, {"title": title}, retry_after(answer))
        return UnexpectedAnswer(f"{status} {answer.reason_phrase} without a problem document")


def retry_after(answer: httpx.Response) -> float | None:
    """Seconds after which to come again: `Retry-After` as a number or a date; None where it says nothing."""
    said = answer.headers.get("Retry-After", "")
    if said.isdigit():
        return float(said)
    try:
        moment = parsedate_to_datetime(said)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max((moment - datetime.now(UTC)).total_seconds(), 0.0)
