"""A soak of random faults: `python -m tests.faults.chaos --seconds 600 --seed 1`.

Clients submit, repeat themselves, cancel and ask for decisions while processes are killed, stopped and frozen, Redis is
emptied and PostgreSQL restarted, all drawn from one seed. At the end every job must be accounted for: each accepted
one ended once, each that succeeded has one policy whose weights are those of an undisturbed run, every decision was
the right one, and nothing runs on.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from statistics import median
from typing import Any

import httpx
import torch
from sqlalchemy import select

from service.db.patience import AWAY
from service.db.rows import JobRow, PolicyRow
from service.jobs.states import FINISHED
from solvers import registry
from solvers.artifact import PolicyArtifact
from tests.faults.breaking import Breaker, Fault
from tests.faults.plant import Plant, end_events, gone, lab, once, pids_below, plant, small
from tests.faults.report import PATIENCE
from tests.service.api_server import add_policy
from tests.service.lab import LAB, LAB_PROGRAM

HDPO = {"iterations": 120, "batch_size": 16, "width": 8, "depth": 1, "validation_every": 20, "validation_scenarios": 16}
SEEDS = (1, 2)
MOST_UNFINISHED = 6
SETTLE_SECONDS = 300.0
STOP_SECONDS = 60.0

Weights = dict[str, torch.Tensor]


class Clients:
    """Everybody who uses the service during the soak, and what they were told."""

    def __init__(self, site: Plant, seed: int) -> None:
        self.site = site
        self.instance_id = site.desk.instance(small())
        self.policy_id = add_policy(site.desk, small(), "asked")  # type: ignore[arg-type]
        self.accepted: dict[str, tuple[str, int]] = {}  # job → what was asked: solver and seed
        self.wrong: list[str] = []
        self.counts: Counter[str] = Counter()
        self._draw = random.Random(seed)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.right = self._decision()

    def start(self) -> None:
        """Begin."""
        for task in (self._submit, self._cancel, self._ask):
            self._threads.append(threading.Thread(target=self._repeat, args=(task,), name=task.__name__))
            self._threads[-1].start()

    def stop(self) -> None:
        """Finish what is begun."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def body(self, solver: str, seed: int) -> dict[str, Any]:
        """A training of seconds."""
        asked = lab(self.instance_id, iterations=30, pace=0.1) | {"solver": solver, "seed": seed}
        return asked | ({"config": HDPO} if solver == "hdpo" else {})

    def _repeat(self, task: Callable[[], float]) -> None:
        while not self._stop.is_set():
            try:
                wait = task()
            except AWAY:
                wait = 1.0
            except Exception as error:
                self.wrong.append(f"{task.__name__} failed: {error!r}")
                wait = 1.0
            self._stop.wait(wait)

    def _submit(self) -> float:
        """One job, asked for until it is accepted; a third of them twice at once with the same key."""
        with self.site.database.read() as session:
            if len(session.scalars(select(JobRow.id).where(JobRow.state.not_in(FINISHED))).all()) >= MOST_UNFINISHED:
                return 1.0
        solver, seed = self._draw.choice(("lab", "hdpo")), self._draw.choice(SEEDS)
        body, key = self.body(solver, seed), f"chaos-{self._draw.getrandbits(64):x}"
        twice = self._draw.random() < 1 / 3
        with ThreadPoolExecutor(2) as pool:
            told = set(pool.map(lambda _: self._insist(body, key), range(2 if twice else 1)))
        if len(told) != 1:
            self.wrong.append(f"one key made {told}")
        self.accepted |= dict.fromkeys(told, (solver, seed))
        self.counts["jobs accepted"] += len(told)
        self.counts["posted twice at once"] += twice
        return self._draw.uniform(0.5, 4.0)

    def _insist(self, body: dict[str, Any], key: str) -> str:
        """The job's id, however often one has to ask; stopping, it still finds out."""
        while True:
            answer = self._request("POST", "/v1/jobs", json=body, headers={"Idempotency-Key": key})
            if answer is not None and answer.status_code == 202:
                return str(answer.json()["id"])
            if answer is not None and answer.status_code not in (409, 503):
                self.wrong.append(f"a submission was answered {answer.status_code}: {answer.text[:200]}")
            self.counts["submissions repeated"] += 1
            time.sleep(0.5)

    def _cancel(self) -> float:
        with self.site.database.read() as session:
            unfinished = session.scalars(select(JobRow.id).where(JobRow.state.not_in(FINISHED))).all()
        if unfinished and self._draw.random() < 0.3:
            answer = self._request("POST", f"/v1/jobs/{self._draw.choice(unfinished)}/cancel")
            self.counts["cancels"] += answer is not None and answer.status_code in (200, 202)
        return self._draw.uniform(4.0, 12.0)

    def _ask(self) -> float:
        with suppress(httpx.HTTPError):
            if (found := self._decision()) is not None and found != self.right:
                self.wrong.append("a decision differed from the undisturbed one")
        return 0.3

    def _decision(self) -> Any:
        """Today's decision; None when the service says that it cannot answer now."""
        answer = self._request("POST", f"/v1/policies/{self.policy_id}/recommend", json={})
        if answer is None or answer.status_code == 503:
            self.counts["decisions not available"] += 1
            return None
        if answer.status_code != 200:
            self.wrong.append(f"a decision was answered {answer.status_code}: {answer.text[:200]}")
            return None
        self.counts["decisions"] += 1
        return answer.json()["decision"]

    def _request(self, method: str, path: str, **more: Any) -> httpx.Response | None:
        """An answer of either API process, or None without one."""
        api = random.choice(self.site.apis)
        try:
            return httpx.request(method, api.url + path, timeout=30, **more)
        except httpx.HTTPError:
            return None


def weights(site: Plant, digest: str) -> Weights:
    """A stored policy's weights."""
    return dict(PolicyArtifact.load(site.desk.storage.artifacts, digest).weights)


def same(ours: Weights, theirs: Weights) -> bool:
    """Whether two policies are equal bit by bit."""
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def undisturbed(clients: Clients) -> dict[tuple[str, int], Weights]:
    """What every kind of training gives when it is left in peace."""
    asked = [(solver, seed) for solver in ("lab", "hdpo") for seed in SEEDS]
    desk = clients.site.desk
    jobs = {desk.submit(**clients.body(*what)): what for what in asked}
    found = {}
    for job_id, what in jobs.items():
        job = desk.finished(job_id, 300 * PATIENCE)
        assert job.state == "succeeded", desk.tell(job_id)
        found[what] = learned(clients.site, job_id)[0]
    return found


def learned(site: Plant, job_id: str) -> list[Weights]:
    """The policies that a job itself trained (a rule that beat it is another row of the same job)."""
    with site.database.read() as session:
        job = session.get_one(JobRow, job_id)
        rows = session.scalars(select(PolicyRow).where(PolicyRow.job_id == job_id, PolicyRow.name == job.policy_name))
        return [weights(site, row.artifact_digest) for row in rows]


def account(clients: Clients, references: dict[tuple[str, int], Weights]) -> Counter[str]:
    """How the jobs ended; what is not as promised goes to `clients.wrong`."""
    site, ends, wrong = clients.site, Counter[str](), clients.wrong
    for job_id, what in clients.accepted.items():
        job = once(
            lambda job_id=job_id: _ended(site, job_id), SETTLE_SECONDS, lambda job_id=job_id: site.desk.tell(job_id)
        )
        ends[job.state] += 1
        events = site.desk.events(job_id)
        if job.state == "failed":
            wrong.append(f"{job_id} failed: {job.error}")
        if len(end_events(site.desk, job_id)) != 1 or [event.seq for event in events] != list(
            range(1, len(events) + 1)
        ):
            wrong.append(f"{job_id}: its events are not one story")
        found = learned(site, job_id)
        if job.state == "succeeded" and (len(found) != 1 or not same(found[0], references[what])):
            wrong.append(f"{job_id} ({what[0]}): {len(found)} policies, not the one of an undisturbed run")
        if len(found) > 1:
            wrong.append(f"{job_id} was run twice to effect")
        clients.counts["attempts beyond the first"] += max(job.attempt - 1, 0)
    with site.database.read() as session:
        strangers = set(session.scalars(select(JobRow.id).where(JobRow.instance_id == clients.instance_id)))
    strangers -= set(clients.accepted)
    if len(strangers) != len(references):
        wrong.append(f"{len(strangers) - len(references)} jobs that nobody was told of")
    return ends


def _ended(site: Plant, job_id: str) -> JobRow | None:
    job = site.desk.job(job_id)
    return job if job.state in FINISHED else None


def soak(seconds: float, seed: int) -> list[str]:
    """Run it and print the tables; what was not as promised."""
    for solver in (LAB, LAB_PROGRAM):
        registry._SOLVERS.setdefault(solver.name, solver)
    with plant("postgresql", concurrency=1, max_attempts=10) as site:
        for _ in range(2):
            site.api()
            site.worker()
        site.listening(2, 120)
        clients = Clients(site, seed)
        references = undisturbed(clients)
        breaker = Breaker(site, seed)
        clients.start()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            breaker.break_something()
        breaker.mend()
        clients.stop()
        ends = account(clients, references)
        _stop(site, clients.wrong)
        _print(breaker.faults, ends, clients, seconds, seed)
        return [*clients.wrong, *breaker.late]


def _stop(site: Plant, wrong: list[str]) -> None:
    """Stop the service as an operator does; nothing may remain."""
    pids = [pid for each in (*site.apis, *site.living()) for pid in pids_below(each.process.pid)]  # type: ignore[union-attr]
    for each in (*site.living(), *site.apis):
        if (code := each.stop(STOP_SECONDS * PATIENCE)) != 0:
            wrong.append(f"a process stopped with code {code}")
    if not gone(pids) or site.children():
        wrong.append(f"still running: {site.children()}")


def _print(faults: list[Fault], ends: Counter[str], clients: Clients, seconds: float, seed: int) -> None:
    kinds = sorted({fault.name for fault in faults})
    print(f"\nA soak of {seconds:g} s with seed {seed}: {len(faults)} faults.\n")
    print("| Fault | Times | Recovery, median | Recovery, worst |\n|---|---|---|---|")
    for kind in kinds:
        took = [fault.recovery for fault in faults if fault.name == kind and fault.recovery is not None]
        times = sum(fault.name == kind for fault in faults)
        figures = f"{median(took):.1f} s | {max(took):.1f} s" if took else "– | –"
        print(f"| {kind} | {times} | {figures} |")
    told = {**clients.counts, **{f"jobs {state}": number for state, number in ends.items()}}
    print("\n" + ", ".join(f"{name}: {number}" for name, number in sorted(told.items())))
    for wrong in clients.wrong:
        print(f"WRONG: {wrong}")
    sys.stdout.flush()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long things break")
    parser.add_argument("--seed", type=int, default=1, help="of everything that is drawn")
    asked = parser.parse_args()
    wrong = soak(asked.seconds, asked.seed)
    print("every job is accounted for" if not wrong else f"{len(wrong)} promises broken")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
