"""A worker tells of itself while it lives; who falls silent is shown as lost, and forgotten after a while."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from service.db.rows import WorkerRow, utcnow
from service.db.session import Database
from service.ids import new_id
from service.jobs.places import Queue, Room
from service.settings import Settings
from service.version import VERSION
from service.workers import repository
from service.workers.schemas import WorkerView

log = logging.getLogger(__name__)

FORGOTTEN_AFTER = timedelta(hours=1)


class Presence:
    """Tells the database every `heartbeat_seconds`, on a thread of its own, that this worker is there."""

    def __init__(self, settings: Settings, database: Database, name: str) -> None:
        self._settings = settings
        self._room = Room.of(settings)
        self._database = database
        self._id = new_id("wrk")
        self._name = name
        self._started_at = utcnow()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)

    def start(self) -> None:
        """Begin to tell."""
        self._thread.start()

    def stop(self) -> None:
        """Stop telling, and take the worker off the list."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self._patiently(self._leave)

    def tell(self) -> None:
        """Tell once: the worker is there."""
        now = utcnow()
        with self._database.write() as session:
            if not repository.touch(session, self._id, now):
                repository.add(session, self._row())
            repository.forget_unseen(session, now - FORGOTTEN_AFTER)

    def _row(self) -> WorkerRow:
        return WorkerRow(
            id=self._id,
            name=self._name,
            queue=self._settings.queue,
            queues=list(self._room.queues),
            gpus=list(self._room.gpus),
            concurrency=self._settings.concurrency,
            device=self._settings.device,
            version=VERSION,
            started_at=self._started_at,
            seen_at=utcnow(),
        )

    def _leave(self) -> None:
        with self._database.write() as session:
            repository.remove(session, self._id)

    def _run(self) -> None:
        self._patiently(self.tell)
        while not self._stopping.wait(self._settings.heartbeat_seconds):
            self._patiently(self.tell)

    def _patiently(self, step: Callable[[], None]) -> None:
        """A database that does not answer now must not end a worker."""
        try:
            step()
        except SQLAlchemyError as error:
            log.warning("the worker could not tell of itself: %s", type(error).__name__)


def views(session: Session, rows: Sequence[WorkerRow], lease_seconds: float) -> list[WorkerView]:
    """What is shown of workers."""
    held, alive_since = repository.held_jobs(session), _alive_since(lease_seconds)
    found = []
    for row in rows:
        jobs = [job_id for claim, job_id in held if claim.startswith(f"{row.name}:")]
        state = "lost" if row.seen_at < alive_since else "busy" if jobs else "idle"
        room = Room(tuple(row.queues), row.concurrency if "cpu" in row.queues else 0, tuple(row.gpus))
        made = ("state", "jobs", "slots")
        shown = {name: getattr(row, name) for name in WorkerView.model_fields if name not in made}
        found.append(WorkerView(state=state, jobs=jobs, slots=room.slots, **shown))
    return found


def slots_alive(session: Session, lease_seconds: float) -> dict[Queue, int]:
    """Jobs that all live workers together run at a time, by the queues they serve."""
    slots: dict[Queue, int] = {}
    for row in repository.serving(session, _alive_since(lease_seconds)):
        for queue in row.queues:
            slots[queue] = slots.get(queue, 0) + (row.concurrency if queue == "cpu" else len(row.gpus))
    return slots


def _alive_since(lease_seconds: float) -> datetime:
    """Who was seen since then is alive."""
    return utcnow() - timedelta(seconds=lease_seconds)
