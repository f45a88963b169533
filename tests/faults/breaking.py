"""Who breaks things in the soak: one fault after the other, drawn from a seed, each followed to its recovery."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import httpx
import psutil
import redis
from sqlalchemy.exc import SQLAlchemyError

from service.jobs.repository import held
from service.jobs.states import FINISHED, QUEUED
from tests.faults.plant import Plant, once
from tests.faults.report import PATIENCE, PROMISED_SECONDS
from tests.service.workers import Worker

LONGEST_SECONDS = 90.0


@dataclass(frozen=True)
class Fault:
    """Something that was broken, and how long after its end all was well [s]; None when nothing depended on it."""

    name: str
    recovery: float | None


class Breaker:
    """Breaks one thing at a time."""

    def __init__(self, site: Plant, seed: int) -> None:
        self._site = site
        self._draw = random.Random(seed)
        self.faults: list[Fault] = []
        self.late: list[str] = []
        self._ways: dict[str, Callable[[], float | None]] = {
            "child killed": self._kill_child,
            "worker killed": self._kill_worker,
            "worker stopped (SIGTERM)": self._stop_worker,
            "worker frozen 5 to 20 s": self._freeze_worker,
            "API killed": self._kill_api,
            "API frozen 1 to 5 s": self._freeze_api,
            "Redis killed, 0 to 8 s away": self._kill_redis,
            "Redis emptied": self._flush_redis,
            "Redis frozen 1 to 5 s": self._freeze_redis,
            "PostgreSQL killed, 0 to 10 s away": self._kill_postgres,
            "PostgreSQL frozen 1 to 10 s": self._freeze_postgres,
        }

    def break_something(self) -> None:
        """Draw a fault, bring it about, wait for recovery, and rest a little."""
        name = self._draw.choice(sorted(self._ways))
        took = self._ways[name]()
        self.faults.append(Fault(name, took))
        if took is not None and took > PROMISED_SECONDS * PATIENCE:
            self.late.append(f"{name}: recovery took {took:.1f} s")
        print(f"{time.strftime('%H:%M:%S')} {name}: {'–' if took is None else f'{took:.1f} s'}", flush=True)
        time.sleep(self._draw.uniform(1.0, 4.0))

    def mend(self) -> None:
        """Everything runs again."""
        self._replace()
        self._site.listening(2)

    def _until(self, well: Callable[[], bool]) -> float:
        """Seconds until all is well."""
        began = time.monotonic()

        def look() -> bool:
            with suppress(SQLAlchemyError, httpx.HTTPError, redis.RedisError):
                return well()
            return False

        once(look, LONGEST_SECONDS, self._site.tell)
        return time.monotonic() - began

    def _worker(self) -> Worker:
        return self._draw.choice(self._site.living())

    def _replace(self) -> None:
        """As many workers as there should be, as a supervisor would see to."""
        for _ in range(2 - len(self._site.living())):
            self._site.worker()

    def _held_by(self, worker: Worker) -> dict[str, int]:
        """The jobs that a worker holds, and their attempts; none when nobody can say."""
        mark = f":{worker.process.pid}:"
        found = {}
        with suppress(SQLAlchemyError), self._site.database.read() as session:
            found = {job.job_id: job.attempt for job in held(session) if mark in (job.worker or "")}
        return found

    def _taken_again(self, jobs: dict[str, int]) -> float | None:
        """Until each of these is back in the queue, in other hands, or has ended; busy workers are no fault."""
        if not jobs:
            return None

        def well() -> bool:
            rows = [self._site.desk.job(job_id) for job_id in jobs]
            return all(row.state in (*FINISHED, QUEUED) or row.attempt > jobs[row.id] for row in rows)

        return self._until(well)

    def _answering(self) -> float:
        return self._until(
            lambda: all(httpx.get(f"{a.url}/v1/queue", timeout=5).status_code == 200 for a in self._site.apis)
        )

    def _listening(self) -> float:
        """Until every worker waits at the broker."""

        def well() -> bool:
            with self._site.redis.client() as client:
                waiting = [c for c in client.client_list() if c["cmd"].lower() == "brpop"]
            return len(waiting) >= len(self._site.living())

        return self._until(well)

    def _hearing(self) -> float:
        """Until every worker waits at a Redis that began empty, or was given a bell by it.

        A worker takes one bell while its job runs and waits for the next when that job is done: it has heard.
        """

        def well() -> bool:
            with self._site.redis.client() as client:
                waiting = sum(one["cmd"].lower() == "brpop" for one in client.client_list())
                return waiting + int(client.hlen("unacked")) >= len(self._site.living())

        return self._until(well)

    def _kill_child(self) -> float | None:
        worker = self._worker()
        jobs, children = self._held_by(worker), worker.children()
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        return self._taken_again(jobs) if children else None

    def _kill_worker(self) -> float | None:
        worker = self._worker()
        jobs = self._held_by(worker)
        worker.kill()
        self._replace()
        return self._taken_again(jobs)

    def _stop_worker(self) -> float | None:
        """The job goes back without an attempt used, so it is known by its worker alone."""
        worker = self._worker()
        jobs, mark = self._held_by(worker), f":{worker.process.pid}:"
        worker.stop(60 * PATIENCE)
        self._replace()
        if not jobs:
            return None

        def well() -> bool:
            rows = [self._site.desk.job(job_id) for job_id in jobs]
            return all(row.state in FINISHED or mark not in (row.worker or "") for row in rows)

        return self._until(well)

    def _freeze_worker(self) -> float | None:
        """Frozen for long enough, its job is lost to it; else it goes on."""
        process = psutil.Process(self._worker().process.pid)
        frozen = [process, *process.children(recursive=True)]
        for each in frozen:
            each.suspend()
        time.sleep(self._draw.uniform(5.0, 20.0))
        for each in frozen:
            with suppress(psutil.NoSuchProcess):
                each.resume()
        return self._listening()

    def _kill_api(self) -> float:
        api = self._draw.choice(self._site.apis)
        api.kill()
        api.spawn()
        return self._answering()

    def _freeze_api(self) -> float:
        process = self._draw.choice(self._site.apis).process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        time.sleep(self._draw.uniform(1.0, 5.0))
        process.send_signal(signal.SIGCONT)
        return self._answering()

    def _kill_redis(self) -> float:
        self._site.redis.kill()
        time.sleep(self._draw.uniform(0.0, 8.0))
        self._site.redis.start()
        return self._hearing()

    def _flush_redis(self) -> float:
        self._site.redis.flush()
        return self._listening()

    def _freeze_redis(self) -> float:
        self._site.redis.signal(signal.SIGSTOP)
        time.sleep(self._draw.uniform(1.0, 5.0))
        self._site.redis.signal(signal.SIGCONT)
        return self._listening()

    def _kill_postgres(self) -> float:
        assert self._site.postgres is not None
        self._site.postgres.kill()
        time.sleep(self._draw.uniform(0.0, 10.0))
        self._site.postgres.start()
        return self._answering()

    def _freeze_postgres(self) -> float:
        assert self._site.postgres is not None
        self._site.postgres.signal(signal.SIGSTOP)
        time.sleep(self._draw.uniform(1.0, 10.0))
        self._site.postgres.signal(signal.SIGCONT)
        return self._answering()
