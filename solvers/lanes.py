"""Hot programs kept in lanes, in this process or in spawned ones.

What a solve finds where optima are many depends on what its HiGHS object solved before. So each lane owns its objects,
work is dealt to lanes by a fixed rule, and however many processes share the lanes, the answers are the same. Spawned
workers end when their pipe closes.

Helpers are processes elsewhere that lend a hand: whoever started the run hands over connections to them, each running
`solvers.helping.serve`. One that is gone is replaced by a process here, whose lanes start afresh.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, Protocol

from solvers.core import InnerSolveError

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

    from solvers.highs import Tally


@dataclass
class Work:
    """What lanes have done."""

    solves: int = 0
    seconds: float = 0.0
    remedies: Counter[str] = field(default_factory=Counter)

    def count(self, tally: Tally) -> None:
        """Add what a hot program has done."""
        self.add(Work(tally.solves, tally.seconds, tally.remedies))

    def add(self, other: Work) -> None:
        """Add what another has done."""
        self.solves, self.seconds = self.solves + other.solves, self.seconds + other.seconds
        self.remedies.update(other.remedies)


Told = tuple[str, tuple[Any, ...]]  # a method of lanes that has no answer, and its arguments


class Worker(Protocol):
    """What a lane holds."""

    def work(self) -> Work:
        """What it has done so far."""


class Lanes:
    """Several lanes, spread over processes. Close it when done (it is a context manager)."""

    def __init__(
        self,
        make: Callable[[], Worker],
        lanes: int,
        processes: int,
        helpers: Sequence[Connection] = (),
        told: Callable[[], Sequence[Told]] = tuple,
    ) -> None:
        """Each lane holds what `make` makes, in the process it lives in; with several, `make` is pickled.

        `told` gives what a lane must have been told to be up to date; one that takes over a helper's place is told it.
        """
        self.count, self._make, self._told = lanes, make, told
        helpers = helpers[: max(lanes - 1, 0)]
        self._helpers = len(helpers)  # the last of the pipes
        spread = min(processes, lanes - len(helpers))
        alone = spread < 2 and not helpers
        self._own = [make() for _ in range(lanes)] if alone else []
        self._workers: list[SpawnProcess] = []
        self._pipes = [] if alone else [self._spawn() for _ in range(spread)]
        for helper in helpers:
            helper.send(make)
            self._pipes.append(helper)

    def _spawn(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        worker = context.Process(target=serve, args=(theirs, self._make), daemon=True)
        worker.start()
        theirs.close()
        self._workers.append(worker)
        return ours

    def tell(self, method: str, *arguments: Any) -> None:
        """Have every lane do something that has no answer."""
        for lane in self._own:
            getattr(lane, method)(*arguments)
        for worker in range(len(self._pipes)):
            self._send(worker, (method, [(lane, arguments) for lane in self._lanes_of(worker, self.count)], False))

    def ask(self, method: str, parts: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The answers of the first lanes, each to its own part of the work.

        Raises:
            InnerSolveError: a lane could not solve its programs, or its process is gone.
        """
        if self._own:
            return [getattr(lane, method)(*part) for lane, part in zip(self._own, parts, strict=False)]
        answers: list[Any] = [None] * len(parts)
        asked = [self._lanes_of(worker, len(parts)) for worker in range(len(self._pipes))]
        # One message a worker and answer: neither side ever waits with a full pipe for the other to read.
        for worker, lanes in enumerate(asked):
            self._send(worker, (method, [(lane, parts[lane]) for lane in lanes], True))
        for worker, lanes in enumerate(asked):
            found, trouble = self._answer(worker, (method, [(lane, parts[lane]) for lane in lanes], True))
            if trouble is not None:
                raise InnerSolveError(trouble)
            for lane, answer in zip(lanes, found, strict=True):
                answers[lane] = answer
        return answers

    def _send(self, worker: int, message: Any) -> None:
        try:
            self._pipes[worker].send(message)
        except OSError:
            self._replace(worker)
            self._pipes[worker].send(message)

    def _answer(self, worker: int, message: Any) -> Any:
        """The worker's answer; asked again of another process if it is a helper that is gone."""
        try:
            return self._pipes[worker].recv()
        except (EOFError, OSError):
            self._replace(worker)
            self._pipes[worker].send(message)
            return self._pipes[worker].recv()

    def _replace(self, worker: int) -> None:
        """A process here takes over a helper's lanes; what they had solved is gone, which costs a cold start."""
        if worker < len(self._pipes) - self._helpers:
            raise InnerSolveError("a worker process ended before it answered")
        self._pipes[worker].close()
        self._pipes[worker] = self._spawn()
        for method, arguments in self._told():
            parts = [(lane, arguments) for lane in self._lanes_of(worker, self.count)]
            self._pipes[worker].send((method, parts, False))

    def work(self) -> Work:
        """What all lanes have done so far."""
        total = Work()
        for part in self.ask("work", [()] * self.count):
            total.add(part)
        return total

    def close(self) -> None:
        """End the workers."""
        for pipe in self._pipes:
            pipe.close()
        for worker in self._workers:
            worker.join(5.0)

    def __enter__(self) -> Lanes:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _lanes_of(self, worker: int, count: int) -> range:
        """Which of the first `count` lanes live in a worker."""
        return range(worker, count, len(self._pipes))


def processes_for(lanes: int, wanted: int | None) -> int:
    """How many processes share so many lanes: as many as wanted, else as there are cores; one in a daemon."""
    if multiprocessing.current_process().daemon:
        return 1
    return min(lanes, wanted if wanted is not None else len(os.sched_getaffinity(0)))


def serve(pipe: Connection, make: Callable[[], Worker]) -> None:
    """A worker: does what it is told, lane by lane, until the pipe closes."""
    kept: dict[int, Worker] = {}
    trouble: str | None = None
    while True:
        try:
            method, parts, wanted = pipe.recv()
        except EOFError:
            return
        answers = []
        for lane, arguments in parts:
            if lane not in kept:
                kept[lane] = make()
            try:
                answers.append(getattr(kept[lane], method)(*arguments))
            except (InnerSolveError, ValueError) as error:
                trouble = str(error)
        if wanted:
            pipe.send((answers, trouble))
