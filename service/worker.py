"""The worker process: hears the bell through Celery, runs jobs, and looks after those that others lost.

Celery is the doorbell alone: a message is `{job_id}`, acknowledged before the work, without a result. Each job has a
child process of its own, so Celery's threads only wait for children and N threads run N jobs.
"""

from __future__ import annotations

import logging
import socket
import sys
import warnings
from typing import Any

from celery import Celery, signals
from celery.apps import worker as celery_worker
from celery.exceptions import SecurityWarning

from service import logs, tracing
from service.db.migrate import require_head
from service.db.patience import AWAY
from service.db.session import Database
from service.jobs import repository
from service.jobs.bell import TASK, make_bell, make_celery
from service.jobs.helpers import HELP_TASK, Helping
from service.jobs.places import Places, Room, queue_name
from service.jobs.reconciler import Reconciler
from service.jobs.runner import Runner
from service.jobs.states import QUEUED
from service.settings import Settings
from service.storage import Storage
from service.workers.listener import listening
from service.workers.measures import WorkerMetrics
from service.workers.service import Presence

log = logging.getLogger(__name__)

PLACE_SECONDS = 2.0  # a bell heard waits so long for a place, where jobs of the other queue have taken all of its own


def run_worker(settings: Settings) -> int:
    """Work until SIGTERM or SIGINT, then give running jobs back to the queue; returns the exit code.

    Must be called on the main thread. SchemaMismatch if the database is not at this release's revision, NoGpu if it is
    to use GPUs and has none.
    """
    room = Room.of(settings)
    database = Database(settings.database)
    require_head(database)
    tracing.configure(settings, "worker")
    storage = Storage.of(settings)
    storage.prepare()
    app = make_celery(settings)
    measures = WorkerMetrics(settings.job_memory_mb)
    runner = Runner(settings, database, storage, measures)
    places = Places(room)
    helping = Helping(storage, places, settings.job_threads)
    bell = make_bell(settings)
    reconciler = Reconciler(settings, database, bell, measures)
    presence = Presence(settings, database, runner.name)

    @app.task(name=TASK, ignore_result=True)
    def hear(job_id: str) -> None:
        device = _device_of(database, job_id)
        if device is None:
            return
        with places.taken(device, PLACE_SECONDS) as place:
            if place is not None:
                runner.run(job_id, place.gpu)
            else:
                bell.ring(job_id, device)  # behind the others: a worker with a place may hear it sooner

    @app.task(name=HELP_TASK, ignore_result=True)
    def hear_call(job_id: str) -> None:
        helping.lend_a_hand(job_id)

    def stop(**details: Any) -> None:
        runner.stop()
        helping.stop()

    def ready(**details: Any) -> None:
        presence.start()

    signals.setup_logging.connect(_keep_logging, weak=False)  # Celery would set the root logger's level
    signals.worker_ready.connect(ready, weak=False)
    signals.worker_shutting_down.connect(stop, weak=False)
    reconciler.start()
    try:
        with listening(settings, database, storage, measures):
            return _listen(app, settings, room)
    finally:
        signals.setup_logging.disconnect(_keep_logging)
        signals.worker_ready.disconnect(ready)
        signals.worker_shutting_down.disconnect(stop)
        runner.stop()
        reconciler.stop()
        presence.stop()
        database.close()
        tracing.close()


def _keep_logging(**details: Any) -> None:
    """Logging is set up already."""


def _device_of(database: Database, job_id: str) -> str | None:
    """What a job that waits asks for; None if it is taken already, or if the database does not answer now."""
    try:
        with database.read() as session:
            job = repository.get(session, job_id)
    except AWAY as error:
        log.warning("job %s could not be looked at now: %s", job_id, type(error).__name__)
        return None
    return job.device if job is not None and job.state == QUEUED else None


def _listen(app: Celery, settings: Settings, room: Room) -> int:
    # Celery warns superusers of unpickling what a message holds; this application accepts JSON alone.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    celery_worker.safe_say = lambda text, *place: log.info("%s", text)  # it would write past all logging
    worker = app.Worker(
        pool="threads",
        concurrency=room.total,
        hostname=f"herenow@{socket.gethostname()}",
        queues=[queue_name(settings, queue) for queue in room.queues],
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    log.info("waiting for jobs at a time: %s", ", ".join(f"{slots} {queue}" for queue, slots in room.slots.items()))
    worker.start()
    return int(worker.exitcode or 0)


def main() -> None:
    """`python -m service.worker`: a worker with the environment's settings."""
    settings = Settings()
    logs.configure(settings, "worker")
    sys.exit(run_worker(settings))


if __name__ == "__main__":
    main()
