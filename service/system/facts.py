"""What is true of the whole service, for Prometheus: read from the database at every scrape, by whichever API is asked.

Every replica tells the same, so queries take the maximum over them, not the sum. A database that does not answer makes
`herenow_database_up` 0 and leaves the rest out; the process's own measures are told all the same.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from service.db.rows import AliasRow, PolicyRow, WorkerRow, utcnow
from service.db.session import Database
from service.jobs.places import QUEUES
from service.settings import Settings
from service.storage import Storage
from service.system import repository
from service.system.service import by_queue
from service.workers.service import views

log = logging.getLogger(__name__)

MOST_ALIASES = 100  # whose certificates are told: the ones changed last
JOB_STATES = ("queued", "starting", "running", "finalizing", "cancelling", "succeeded", "failed", "cancelled")
WORKER_STATES = ("busy", "idle", "lost")


class Facts(Collector):
    """The collector."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    def describe(self) -> Iterator[Metric]:
        """Names alone: registering must not need a database."""
        yield GaugeMetricFamily("herenow_database_up", "Whether the database answers.")

    def collect(self) -> Iterator[Metric]:
        """Everything, as it is now."""
        yield from self._disk()
        try:
            with self._database.read() as session:
                found = list(self._of_database(session))
        except SQLAlchemyError as error:
            log.warning("the database did not answer a scrape: %s", type(error).__name__)
            found = []
        yield _family("herenow_database_up", "Whether the database answers.", (), [((), float(bool(found)))])
        yield from found

    def _of_database(self, session: Session) -> Iterator[Metric]:
        counts = repository.count_jobs(session)
        states = [((state,), counts.get(state, 0)) for state in JOB_STATES]
        yield _family("herenow_jobs", "Jobs by state.", ("state",), states)
        yield from self._queues(session)
        yield from self._workers(session)
        yield from _in_use(session)

    def _queues(self, session: Session) -> Iterator[Metric]:
        now, found = utcnow(), by_queue(session, self._settings.lease_seconds)
        depth = [((name,), queue.queued) for name, queue in found.items()]
        yield _family("herenow_queue_jobs", "Jobs that wait for a worker.", ("queue",), depth)
        ages = [((name,), _seconds(now, queue.oldest_queued_at)) for name, queue in found.items()]
        yield _family("herenow_queue_oldest_seconds", "Age of the job that waits longest [s].", ("queue",), ages)
        slots = [((name,), queue.slots) for name, queue in found.items()]
        yield _family("herenow_queue_slots", "Jobs that all live workers run at a time.", ("queue",), slots)

    def _workers(self, session: Session) -> Iterator[Metric]:
        rows = session.scalars(select(WorkerRow)).all()
        shown = views(session, rows, self._settings.lease_seconds)
        seen = [(queue, view.state) for view in shown for queue in view.queues]
        counts = [((queue, state), seen.count((queue, state))) for queue in QUEUES for state in WORKER_STATES]
        yield _family("herenow_workers", "Worker processes by queue they serve and state.", ("queue", "state"), counts)

    def _disk(self) -> Iterator[Metric]:
        try:
            free, total = Storage(self._settings.data_dir).disk()
        except OSError:
            return
        yield _family("herenow_disk_free_bytes", "Free on the data folder's disk [bytes].", (), [((), free)])
        yield _family("herenow_disk_bytes", "Size of the data folder's disk [bytes].", (), [((), total)])


def _in_use(session: Session) -> Iterator[Metric]:
    """What the certificates of policies in use say: are they better than the best rule, how far from the bound."""
    query = select(AliasRow, PolicyRow).join(PolicyRow, PolicyRow.id == AliasRow.policy_id)
    rows = session.execute(query.order_by(AliasRow.updated_at.desc()).limit(MOST_ALIASES)).all()
    found = [((alias.policy_name, alias.alias), figures_of(policy.card.get("certificate"))) for alias, policy in rows]
    labels = ("policy", "alias")
    excess = [(name, excess) for name, (excess, _) in found if excess is not None]
    yield _family(
        "herenow_in_use_excess_over_best_rule",
        "Certified cost above the best rule's, relative; below 0 it is better.",
        labels,
        excess,
    )
    gaps = [(name, gap) for name, (_, gap) in found if gap is not None]
    yield _family("herenow_in_use_gap_to_bound", "Certified gap to the lower bound, relative.", labels, gaps)


def figures_of(certificate: Any) -> tuple[float | None, float | None]:
    """How much more a certificate's policy costs than the best rule, and its gap to the lower bound, both relative.

    Costs may be negative (earnings), so the difference counts, not the ratio. None for what a certificate cannot say.
    """
    if not isinstance(certificate, dict):
        return None, None
    own = (certificate.get("policy") or {}).get("mean_cost")
    rules = [rule.get("mean_cost") for rule in certificate.get("rules") or []]
    best = min((cost for cost in rules if _is_number(cost)), default=None)
    excess = (own - best) / abs(best) if best and _is_number(own) else None
    gap = certificate.get("gap")
    return excess, float(gap) if _is_number(gap) else None


def _seconds(now: datetime, since: datetime | None) -> float:
    return max((now - since).total_seconds(), 0.0) if since is not None else 0.0


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _family(name: str, about: str, labels: tuple[str, ...], values: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    family = GaugeMetricFamily(name, about, labels=labels)
    for label, value in values:
        family.add_metric(label, value)
    return family
