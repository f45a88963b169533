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
from celery.exceptions import SecurityWarning

from service.db.migrate import require_head
from service.db.session import Database
from service.jobs.bell import TASK, make_bell, make_celery
from service.jobs.helpers import HELP_TASK, Helping
from service.jobs.reconciler import Reconciler
from service.jobs.runner import Runner
from service.settings import Settings
from service.storage import Storage
from service.workers.service import Presence

log = logging.getLogger(__name__)


def run_worker(settings: Settings) -> int:
    """Work until SIGTERM or SIGINT, then give running jobs back to the queue; returns the exit code.

    Must be called on the main thread. SchemaMismatch if the database is not at this release's revision.
    """
    database = Database(settings.database)
    require_head(database)
    storage = Storage.of(settings)
    storage.prepare()
    app = make_celery(settings)
    runner = Runner(settings, database, storage)
    helping = Helping(storage)
    reconciler = Reconciler(settings, database, make_bell(settings))
    presence = Presence(settings, database, runner.name)

    @app.task(name=TASK, ignore_result=True)
    def hear(job_id: str) -> None:
        runner.run(job_id)

    @app.task(name=HELP_TASK, ignore_result=True)
    def hear_call(job_id: str) -> None:
        helping.lend_a_hand(job_id)

    def stop(**details: Any) -> None:
        runner.stop()
        helping.stop()

    def ready(**details: Any) -> None:
        presence.start()

    signals.worker_ready.connect(ready, weak=False)
    signals.worker_shutting_down.connect(stop, weak=False)
    reconciler.start()
    try:
        return _listen(app, settings)
    finally:
        signals.worker_ready.disconnect(ready)
        signals.worker_shutting_down.disconnect(stop)
        runner.stop()
        reconciler.stop()
        presence.stop()
        database.close()


def _listen(app: Celery, settings: Settings) -> int:
    # Celery warns superusers of unpickling what a message holds; this application accepts JSON alone.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    worker = app.Worker(
        pool="threads",
        concurrency=settings.concurrency,
        hostname=f"herenow@{socket.gethostname()}",
        loglevel=settings.log_level.upper(),
        queues=[settings.queue],
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    log.info("waiting for jobs, %d at a time", settings.concurrency)
    worker.start()
    return int(worker.exitcode or 0)


def main() -> None:
    """`python -m service.worker`: a worker with the environment's settings."""
    settings = Settings()
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    sys.exit(run_worker(settings))


if __name__ == "__main__":
    main()
