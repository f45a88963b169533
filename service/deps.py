"""What endpoints ask for: the caller and their scopes, transactions, pages, checked path parameters.

Endpoints that touch the database are plain `def` and take a `Reading` or `Writing` session: one transaction per
request, committed before the response is sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Path, Query, Request
from fastapi.security import HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param
from pydantic import BaseModel, Field
from sqlalchemy import Select
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from service.db.session import Database
from service.errors import ApiError
from service.ids import NAME_PATTERN, REF_PATTERN
from service.keys.callers import LOCAL, Caller
from service.keys.memory import KnownKeys
from service.keys.service import digest_of, identify
from service.rates import CallerRates
from service.settings import Settings
from service.storage import Storage

CURSOR_PATTERN = r"^[a-z0-9][A-Za-z0-9_-]{0,62}$"


def settings_of(request: Request) -> Settings:
    """The application's settings."""
    settings: Settings = request.app.state.settings
    return settings


def database_of(request: Request) -> Database:
    """The application's database."""
    database: Database = request.app.state.database
    return database


def _reading(request: Request) -> Iterator[Session]:
    with database_of(request).read() as session:
        yield session


def _writing(request: Request) -> Iterator[Session]:
    with database_of(request).write() as session:
        yield session


Reading = Annotated[Session, Depends(_reading, scope="function")]
"""A transaction that only reads."""

Writing = Annotated[Session, Depends(_writing, scope="function")]
"""A transaction that may write, committed before the response leaves."""


# Dependencies that never wait are coroutines: the framework would send plain functions through its thread pool.
async def _settings(request: Request) -> Settings:
    return settings_of(request)


async def _database(request: Request) -> Database:
    return database_of(request)


async def _storage(request: Request) -> Storage:
    storage: Storage = request.app.state.storage
    return storage


TheSettings = Annotated[Settings, Depends(_settings)]
TheDatabase = Annotated[Database, Depends(_database)]
TheStorage = Annotated[Storage, Depends(_storage)]

_bearer = HTTPBearer(
    scheme_name="key",
    description="An API key: `Authorization: Bearer hnk_…`. Embedded mode on loopback needs none.",
    auto_error=False,
)


async def caller_of(request: Request) -> Caller:
    """Who sends the request, looked up once; ApiError 401 for nobody."""
    known: Caller | None = request.scope.get("herenow.caller")
    if known is None:
        known = request.scope["herenow.caller"] = await _authenticate(request)
    return known


async def _authenticate(request: Request) -> Caller:
    header = request.headers.get("authorization")
    request_id: str = request.scope["herenow.request_id"]
    if header is None:
        if request.app.state.door.is_open_to(request.client):
            return replace(LOCAL, request_id=request_id)
        raise _unauthenticated("This service asks for an API key.")
    scheme, secret = get_authorization_scheme_param(header)
    caller = None
    if scheme.lower() == "bearer":
        caller = await _holder(request, secret)
    rates: CallerRates = request.app.state.caller_rates
    if caller is None:
        rates.take_failure(request.client.host if request.client else "local")
        raise _unauthenticated("The API key is unknown, revoked or expired.", 'error="invalid_token"')
    rates.take(caller.owner, caller.requests_per_minute)
    return replace(caller, request_id=request_id)


async def _holder(request: Request, secret: str) -> Caller | None:
    """Who holds a secret: remembered from a moment ago, or looked up."""
    known: KnownKeys = request.app.state.known_keys
    digest = digest_of(secret)
    caller = known.get(digest, time.monotonic())
    if caller is None:
        caller = await run_in_threadpool(identify, database_of(request), digest)
        if caller is not None:
            known.remember(digest, caller, time.monotonic())
    return caller


async def _caller(request: Request, documented: Annotated[Any, Depends(_bearer)]) -> Caller:
    return await caller_of(request)


def _unauthenticated(detail: str, more: str = "") -> ApiError:
    challenge = 'Bearer realm="herenow"' + (f", {more}" if more else "")
    return ApiError("unauthenticated", detail, headers={"WWW-Authenticate": challenge})


def allow(scope: str) -> Callable[..., Coroutine[Any, Any, Caller]]:
    """A dependency that is the caller, refused with 403 unless their key has the scope."""

    async def check(caller: Annotated[Caller, Depends(_caller)]) -> Caller:
        if not caller.may(scope):
            challenge = f'Bearer realm="herenow", error="insufficient_scope", scope="{scope}"'
            detail = f"The key's scopes do not include {scope!r}."
            raise ApiError("forbidden", detail, headers={"WWW-Authenticate": challenge})
        return caller

    return check


MayRead = Annotated[Caller, Depends(allow("read"))]
MayPlan = Annotated[Caller, Depends(allow("plan"))]
MayTrain = Annotated[Caller, Depends(allow("train"))]
MayAdmin = Annotated[Caller, Depends(allow("admin"))]


@dataclass(frozen=True)
class Page:
    """Which part of a collection is asked for: at most `limit` items after `cursor`."""

    limit: int
    cursor: str | None


async def _page(
    request: Request,
    limit: Annotated[
        int, Query(ge=1, le=1000, description="Most items wanted; `/v1/limits` says the most given.")
    ] = 50,
    cursor: Annotated[
        str | None, Query(pattern=CURSOR_PATTERN, description="`next_cursor` of the page before.")
    ] = None,
) -> Page:
    return Page(min(limit, settings_of(request).max_page), cursor)


ThePage = Annotated[Page, Depends(_page)]

Item = TypeVar("Item")


class Collection(BaseModel, Generic[Item]):
    """One page of a collection, newest first; `next_cursor` is null on the last page."""

    items: list[Item]
    next_cursor: str | None = Field(description="Pass it as `cursor` to get the next page; null when there is none.")


def newest_first(session: Session, query: Select[Any], row: Any, page: Page) -> tuple[list[Any], str | None]:
    """One page of `query` over `row`, newest first, and the cursor of the next.

    Identifiers sort by the time they were made and never change, so an item is neither skipped nor met twice while
    others are added.
    """
    if page.cursor is not None:
        query = query.where(row.id < page.cursor)
    rows = list(session.scalars(query.order_by(row.id.desc()).limit(page.limit + 1)))
    more = len(rows) > page.limit
    rows = rows[: page.limit]
    return rows, rows[-1].id if more else None


def id_path(prefix: str, what: str) -> Any:
    """A path parameter that is an identifier with that prefix, checked before it touches a query."""
    return Path(
        pattern=rf"^{prefix}_[0-9A-HJKMNP-TV-Z]{{26}}$",
        description=f"Identifier of the {what}.",
        examples=[f"{prefix}_01K9ZV6Q5RJ8XAMB4T0CWD3EFG"],
    )


InstanceId = Annotated[str, id_path("ins", "instance")]
JobId = Annotated[str, id_path("job", "job")]
RecommendationId = Annotated[str, id_path("rec", "recommendation")]
KeyId = Annotated[str, id_path("key", "API key")]
AcceptanceTestId = Annotated[str, id_path("acc", "acceptance test")]
ScenarioSetId = Annotated[str, id_path("scn", "scenario set")]
EvaluationId = Annotated[str, id_path("evl", "evaluation")]
PolicyName = Annotated[str, Path(pattern=NAME_PATTERN, description="The policy's name.", examples=["north-stores"])]
AliasName = Annotated[
    str, Path(pattern=NAME_PATTERN, description="What a version is in use for.", examples=["production"])
]
PolicyRef = Annotated[
    str,
    Path(pattern=REF_PATTERN, description="A policy: its id, its `name` (newest version), `name:3` or `name@alias`."),
]
