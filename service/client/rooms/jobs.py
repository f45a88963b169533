"""Work that takes time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from .. import calls
from ..calls import Call, Duration, duration, given
from ..flows import EVENTS, Flow, Retry, finished, followed
from ..operations import Room, W, listing, operation, process, stream
from ..record import Page
from ..records import EventPage, EventView, JobView, ResultView

ONE = "/v1/jobs/{job_id}"


def id_of(job: JobView | str) -> str:
    """The id of a job, given as a job or as its id."""
    return job if isinstance(job, str) else job.id


class Jobs(Room[W]):
    """Jobs: submitted, followed, cancelled, read. Every method takes a job or its id."""

    @operation
    def train(
        self,
        instance_id: str,
        solver: str,
        *,
        config: Mapping[str, Any] | None = None,
        seed: int | None = None,
        time_limit: Duration | None = None,
        policy_name: str | None = None,
        warm_start: str | None = None,
        also_instance_ids: Sequence[str] | None = None,
        device: Literal["auto", "cpu", "gpu"] | None = None,
        idempotency_key: str | None = None,
    ) -> Call[JobView]:
        """Train a policy for an instance."""
        body: dict[str, Any] = {
            "kind": "train",
            "instance_id": instance_id,
            "solver": solver,
            "config": config,
            "seed": seed,
        }
        body |= {"time_limit": duration(time_limit), "policy_name": policy_name, "warm_start": warm_start}
        body |= {"also_instance_ids": also_instance_ids, "device": device}
        return calls.create("/v1/jobs", JobView, given(body), idempotency_key)

    @operation
    def evaluate(
        self,
        instance_id: str,
        policies: Sequence[str] = (),
        rules: Sequence[str] = (),
        *,
        scenarios: int | None = None,
        scenario_set_id: str | None = None,
        seed: int | None = None,
        time_limit: Duration | None = None,
        idempotency_key: str | None = None,
    ) -> Call[JobView]:
        """Compare policies and classical rules on one instance, on common random numbers."""
        body: dict[str, Any] = {
            "kind": "evaluate",
            "instance_id": instance_id,
            "policies": [*policies],
            "rules": [*rules],
        }
        body |= {"scenarios": scenarios, "scenario_set_id": scenario_set_id, "seed": seed}
        return calls.create("/v1/jobs", JobView, given(body | {"time_limit": duration(time_limit)}), idempotency_key)

    @operation
    def solve(
        self,
        instance_id: str,
        solver: str,
        *,
        config: Mapping[str, Any] | None = None,
        seed: int | None = None,
        time_limit: Duration | None = None,
        idempotency_key: str | None = None,
    ) -> Call[JobView]:
        """Solve a program of the instance: a bound or a plan."""
        body: dict[str, Any] = {
            "kind": "solve",
            "instance_id": instance_id,
            "solver": solver,
            "config": config,
            "seed": seed,
        }
        return calls.create("/v1/jobs", JobView, given(body | {"time_limit": duration(time_limit)}), idempotency_key)

    @listing
    def list(
        self,
        *,
        state: Sequence[str] | None = None,
        kind: Sequence[str] | None = None,
        instance_id: str | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
    ) -> Call[Page[JobView]]:
        """The jobs, newest first."""
        query = {"state": state, "kind": kind, "instance_id": instance_id, "limit": page_size, "cursor": cursor}
        return calls.get("/v1/jobs", Page[JobView], query)

    @operation
    def get(self, job: JobView | str) -> Call[JobView]:
        """One job as it stands."""
        return calls.get(ONE, JobView, job_id=id_of(job))

    @operation
    def delete(self, job: JobView | str) -> Call[None]:
        """Delete a finished job with its events and log; what it produced stays."""
        return calls.delete(ONE, job_id=id_of(job))

    @operation
    def result(self, job: JobView | str, *, partial: bool | None = None) -> Call[ResultView]:
        """What the job produced; with `partial` the best so far."""
        return calls.get(f"{ONE}/result", ResultView, {"partial": partial}, job_id=id_of(job))

    @operation
    def cancel(self, job: JobView | str) -> Call[JobView]:
        """Ask a job to stop; it keeps the best policy so far."""
        return calls.ask(f"{ONE}/cancel", JobView, job_id=id_of(job))

    @operation
    def retry(self, job: JobView | str, *, idempotency_key: str | None = None) -> Call[JobView]:
        """Queue the work of a failed or cancelled job again, as a new job with the same seed."""
        return calls.create(f"{ONE}/retry", JobView, None, idempotency_key, job_id=id_of(job))

    @operation
    def log(self, job: JobView | str, *, offset: int | None = None) -> Call[str]:
        """The job's log from a byte on, at most 1 MiB of it."""
        return Call("GET", f"{ONE}/log", calls.text, {"job_id": id_of(job)}, given({"offset": offset}))

    @operation
    def event_page(
        self,
        job: JobView | str,
        *,
        after: int = 0,
        limit: int | None = None,
        wait: float = 0.0,
        about: int | None = None,
    ) -> Call[EventPage]:
        """Events after a number, waiting up to `wait` seconds for the first; or the whole past in `about` so many."""
        query = given({"after": after, "limit": limit, "wait": wait, "about": about})
        places = {"job_id": id_of(job)}
        return Call("GET", EVENTS, calls.Reader(EventPage), places, query, {"Accept": calls.JSON}, holds=wait)

    @stream(EventView)
    def events(self, job: JobView | str, *, after: int = 0) -> Callable[[Retry], Flow[None]]:
        """A job's events as they come, to its `end`. A broken stream is taken up where it broke, without a gap."""
        return partial(followed, id_of(job), after)

    @process
    def wait(
        self,
        job: JobView | str,
        *,
        timeout: float | None = None,
        on_progress: Callable[[dict[str, Any]], Any] | None = None,
    ) -> Callable[[Retry], Flow[JobView]]:
        """A job once it has succeeded. `on_progress` is called with its progress (phase, fraction, cost, …).

        Raises:
            JobFailed: it failed or was cancelled. StillRunning: `timeout` seconds are over.
        """
        return partial(finished, id_of(job), timeout, on_progress)
