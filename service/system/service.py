"""Whether the service's parts answer, and how busy it is."""

from __future__ import annotations

import logging
from pathlib import Path

from kombu import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from service.db.migrate import standing
from service.db.session import Database
from service.errors import ApiError
from service.jobs.places import QUEUES, queue_of
from service.jobs.places import Queue as QueueName
from service.settings import Settings
from service.storage import Storage
from service.system import repository
from service.system.schemas import Queue, QueueOf, StorageUsed
from service.workers.service import slots_alive

log = logging.getLogger(__name__)

_FILE_BROKER = "filesystem://"


def check_parts(database: Database, storage: Storage, settings: Settings) -> dict[str, str]:
    """What is known of each part the service needs; ApiError 503 unless every one begins with `ok`."""
    checks = parts(database, storage, settings)
    if wrong := "; ".join(f"{part}: {state}" for part, state in checks.items() if not is_fine(state)):
        raise ApiError("not-ready", wrong, headers={"Retry-After": "1"}, checks=checks)
    return checks


def is_fine(state: str) -> bool:
    """Whether a part can do its work; it may have something to say all the same."""
    return state.startswith("ok")


def parts(database: Database, storage: Storage, settings: Settings) -> dict[str, str]:
    """`ok` or what is wrong, for each part a process needs."""
    answers = _database(database)
    return {
        "database": answers,
        "migrations": _migrations(database) if answers == "ok" else "unknown while the database does not answer",
        "storage": storage.check(),
        "disk": _disk(storage, settings),
        "broker": _broker(settings.broker_url),
    }


def _database(database: Database) -> str:
    try:
        with database.read() as session:
            repository.ping(session)
    except SQLAlchemyError as error:
        log.warning("database: %s", error)
        return "does not answer"
    return "ok"


def _migrations(database: Database) -> str:
    try:
        return standing(database)
    except SQLAlchemyError as error:
        log.warning("migrations: %s", error)
        return "cannot be read"


def _disk(storage: Storage, settings: Settings) -> str:
    try:
        free, _ = storage.disk()
    except OSError:
        return "the data folder is missing"
    if free < settings.min_free_mb * 2**20:
        return f"only {free / 2**20:.0f} MiB are free, HERENOW_MIN_FREE_MB asks for {settings.min_free_mb}"
    return "ok"


def _broker(url: str) -> str:
    if not url:
        return "none is set"
    if url.startswith(_FILE_BROKER):
        return "ok" if Path(url.removeprefix(_FILE_BROKER)).is_dir() else "its folder is missing"
    try:
        with Connection(url, connect_timeout=2, transport_options={"socket_connect_timeout": 2}) as connection:
            connection.ensure_connection(max_retries=1, timeout=2)
    except Exception as error:  # each transport raises its own; every one of them means the same here
        log.warning("broker: %s", error)
        return "does not answer"
    return "ok"


def queue(session: Session, lease_seconds: float) -> Queue:
    """How many jobs wait and run."""
    counts = repository.count_jobs(session)
    queued = counts.get("queued", 0)
    unfinished = sum(number for state, number in counts.items() if not repository.is_finished(state))
    return Queue(
        queued=queued,
        active=unfinished - queued,
        oldest_queued_at=repository.oldest_queued(session),
        jobs=counts,
        queues=by_queue(session, lease_seconds),
    )


def by_queue(session: Session, lease_seconds: float) -> dict[QueueName, QueueOf]:
    """How each of the two queues stands, and whether workers serve it."""
    slots, waiting = slots_alive(session, lease_seconds), repository.queued_by_device(session)
    found: dict[QueueName, QueueOf] = {}
    for name in QUEUES:
        rows = [(number, oldest) for device, number, oldest in waiting if queue_of(device) == name]
        oldest = min((oldest for _, oldest in rows), default=None)
        found[name] = QueueOf(
            queued=sum(number for number, _ in rows), oldest_queued_at=oldest, slots=slots.get(name, 0)
        )
    return found


def storage_used(session: Session, storage: Storage) -> StorageUsed:
    """What the service keeps, and how much room is left."""
    sizes, (free, total) = storage.sizes(), storage.disk()
    return StorageUsed(
        artifacts_bytes=sizes["artifacts"],
        jobs_bytes=sizes["jobs"],
        database_bytes=repository.database_bytes(session),
        free_bytes=free,
        total_bytes=total,
    )
