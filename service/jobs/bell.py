"""The bell: a Celery message `{job_id}` that wakes a worker. It carries no state, and losing it costs only a delay."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import Any, Protocol

from celery import Celery
from kombu.exceptions import OperationalError
from kombu.transport import TRANSPORT_ALIASES
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from service.db.rows import utcnow
from service.db.session import Database
from service.jobs import repository
from service.jobs.places import queue_name, queue_of
from service.settings import Settings

log = logging.getLogger(__name__)

TASK = "herenow.bell"
FILES = "filesystem://"
_REDIS = "service.jobs.transport:Transport"  # named, not imported: Redis' library is loaded by the first connection
FILE_POLL_SECONDS = 0.2
AWAY_SECONDS = 5.0
LOOK_SECONDS = 2


class Bell(Protocol):
    """Something that wakes a worker for a job."""

    def ring(self, job_id: str, device: str = "auto") -> bool:
        """Wake a worker that serves what the job asks for.

        False if that failed now and somebody must ring again later. Never raises.
        """


class CeleryBell:
    """Rings through the broker. One that does not answer is left alone for a while, so nobody waits for it in turn."""

    def __init__(self, app: Celery, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._silent_until = 0.0

    def ring(self, job_id: str, device: str = "auto") -> bool:
        """Send the message, without waiting long for a broker that is away."""
        if time.monotonic() < self._silent_until:
            return False
        try:
            queue = queue_name(self._settings, queue_of(device))
            self._app.send_task(TASK, kwargs={"job_id": job_id}, queue=queue, ignore_result=True, retry=False)
        except (OperationalError, OSError) as error:
            self._silent_until = time.monotonic() + AWAY_SECONDS
            log.warning("the bell for %s could not be rung now: %s", job_id, error)
            return False
        return True


class NoBell:
    """A process without a broker: the workers' reconcilers find the job in the outbox."""

    def ring(self, job_id: str, device: str = "auto") -> bool:
        """Nothing to ring."""
        return False


def make_bell(settings: Settings) -> Bell:
    """What the API and the reconcilers ring; a process without a broker leaves ringing to the workers."""
    if not settings.broker_url:
        return NoBell()
    app = make_celery(settings)
    once = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "connect_retries_timeout": 1}
    if not settings.broker_url.startswith(FILES):
        once["socket_timeout"] = 2  # a submission does not wait for a broker that hangs
    app.conf.broker_transport_options = {**app.conf.broker_transport_options, **once}
    return CeleryBell(app, settings)


def make_celery(settings: Settings) -> Celery:
    """The Celery application for these settings; ValueError without a broker."""
    if not settings.broker_url:
        raise ValueError("no broker: set HERENOW_BROKER_URL (embedded mode sets it by itself)")
    TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), _REDIS))
    url, options = _transport(settings.broker_url)
    app = Celery("herenow", broker=url, set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        broker_connection_max_retries=None,
        broker_connection_retry_on_startup=True,
        broker_transport_options=options,
        enable_utc=True,
        result_backend=None,
        task_acks_late=False,
        task_default_queue=settings.queue,
        task_ignore_result=True,
        task_serializer="json",
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_prefetch_multiplier=1,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
    )
    _look_often(app)
    return app


def _look_often(app: Celery) -> None:
    """Look for a broker that is away every so many seconds; Celery would wait ever longer, up to half a minute."""
    connect = app.connection_for_read

    def connection_for_read(*given: Any, **more: Any) -> Any:
        connection = connect(*given, **more)
        connection.ensure_connection = partial(connection.ensure_connection, interval_max=LOOK_SECONDS)
        return connection

    app.connection_for_read = connection_for_read


def _transport(url: str) -> tuple[str, dict[str, Any]]:
    if url.startswith(FILES):
        folder = url.removeprefix(FILES)
        folders = {"data_folder_in": folder, "data_folder_out": folder, "control_folder": f"{folder}/control"}
        return FILES, {**folders, "polling_interval": FILE_POLL_SECONDS}
    return url, {"socket_connect_timeout": 2, "socket_timeout": 30, "socket_keepalive": True}


def ring_after_commit(session: Session, database: Database, bell: Bell, job_id: str) -> None:
    """Ring once the transaction that queued the job is committed; if it rolls back, nothing is rung."""
    job = repository.get(session, job_id)
    device = job.device if job is not None else "auto"

    def ring(committed: Session) -> None:
        if bell.ring(job_id, device):
            _note(database, job_id)

    event.listen(session, "after_commit", ring, once=True)


def _note(database: Database, job_id: str) -> None:
    try:
        with database.write() as session:
            repository.mark_rung(session, job_id, utcnow())
    except SQLAlchemyError as error:  # it will be rung once more than needed, which is harmless
        log.warning("the bell for %s is rung but not noted: %s", job_id, type(error).__name__)
