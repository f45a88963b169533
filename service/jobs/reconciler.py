"""Puts right what was lost: bells that nobody heard, and jobs whose worker is gone.

Runs in every worker. Each step is a compare-and-set in the database, so several reconcilers at once do each thing once.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from service.db.rows import OutboxRow, utcnow
from service.db.session import Database
from service.jobs import lifecycle, repository
from service.jobs.bell import Bell
from service.jobs.watch import Watch
from service.settings import Settings
from service.workers.measures import WorkerMetrics

log = logging.getLogger(__name__)

MAX_BELLS = 32  # the oldest jobs are told of again; the ones behind them follow as these are taken
MAX_SILENCE_SECONDS = 60.0
CLOCKS_DIFFER = timedelta(seconds=5)  # what clocks of several machines may differ by


class Reconciler:
    """Looks every `reconcile_seconds` on a thread of its own."""

    def __init__(
        self, settings: Settings, database: Database, bell: Bell, measures: WorkerMetrics | None = None
    ) -> None:
        self._measures = measures or WorkerMetrics()
        self._settings = settings
        self._database = database
        self._bell = bell
        self._watch = Watch(settings.reconcile_seconds)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reconciler", daemon=True)

    def start(self) -> None:
        """Start looking."""
        self._thread.start()

    def stop(self) -> None:
        """Stop looking; returns when the last look is over."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> None:
        """One look: give up lost attempts, then ring what is owed."""
        self.recover()
        self._measures.rung(len(self.ring()))
        self._measures.looked()

    def recover(self) -> list[str]:
        """Queue (and ring for) or end every job whose worker no longer renews its lease; their ids."""
        began = time.monotonic()
        with self._database.read() as session:
            lost = self._watch.lost(repository.held(session), began)
        done = []
        for held in lost:
            with self._database.write() as session:
                job = repository.get(session, held.job_id, lock=True)
                if job is None or job.lease_expires_at != held.lease_expires_at:
                    continue
                requeued = lifecycle.lose(session, job, "The worker that ran the job stopped answering.")
            if requeued is not None:
                log.warning(
                    "job %s lost its worker %s: %s", job.id, job.worker, "queued again" if requeued else "ended"
                )
                done.append(job.id)
                self._measures.lost(requeued)
            if requeued and self._bell.ring(job.id, job.device):
                with self._database.write() as session:
                    repository.mark_rung(session, job.id, utcnow())
        return done

    def ring(self) -> list[str]:
        """Ring the bells that are due; the ids of their jobs."""
        now = utcnow()
        with self._database.read() as session:
            due = [bell for bell in repository.owed_bells(session, MAX_BELLS) if self._is_due(bell, now)]
        rung = []
        for bell in due:
            with self._database.write() as session:
                mine = repository.take_bell(session, bell, now)
                job = repository.get(session, bell.job_id)
            if mine and job is not None and self._bell.ring(bell.job_id, job.device):
                rung.append(bell.job_id)
        return rung

    def _is_due(self, bell: OutboxRow, now: datetime) -> bool:
        """Who queued the job rings at once; each further ring waits twice as long, for a busy queue is no lost bell."""
        if (bell.rung_at or bell.created_at) > now + CLOCKS_DIFFER:
            return True  # a clock was set back since: better one ring too many than an hour's silence
        if bell.rung_at is None:
            return now >= bell.created_at + timedelta(seconds=min(1.0, self._settings.bell_seconds))
        wait = min(self._settings.bell_seconds * 2 ** min(bell.rings - 1, 16), MAX_SILENCE_SECONDS)
        return now >= bell.rung_at + timedelta(seconds=wait)

    def _run(self) -> None:
        while not self._stopping.wait(self._settings.reconcile_seconds):
            try:
                self.look()
            except SQLAlchemyError as error:
                self._watch.forget()  # nor could workers write their heartbeats, perhaps
                log.warning("the database did not answer the reconciler: %s", type(error).__name__)
            except Exception:
                log.exception("the reconciler failed; it looks again in %g s", self._settings.reconcile_seconds)
