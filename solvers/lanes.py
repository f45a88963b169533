"""Hot programs kept in lanes, in this process or in spawned ones.

What a solve finds where optima are many depends on what its HiGHS object solved before. So each lane owns its objects,
work is dealt to lanes by a fixed rule, and however many processes share the lanes, the answers are the same. What
lanes hold and may be asked is listed in `solvers.holdings`. Spawned workers end when their pipe closes.

Helpers are processes elsewhere that lend a hand: whoever started the run hands over connections to them, each running
`solvers.helping.serve`. One that is gone, or cannot be understood, is replaced by a process here, whose lanes start
afresh.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from solvers.annotations import fits
from solvers.core import InnerSolveError
from solvers.holdings import LANGUAGE, Answers, Held, Task
from solvers.messages import PLAIN, MessageError
from solvers.work import Work, Worker

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

log = logging.getLogger(__name__)

WANTED = "lanes"  # the first word to a helper
Told = tuple[str, tuple[Any, ...]]  # a method of lanes that has no answer, and its arguments


class Lanes:
    """Several lanes, spread over processes. Close it when done (it is a context manager)."""

    def __init__(
        self,
        held: Held,
        lanes: int,
        processes: int,
        helpers: Sequence[Connection] = (),
        told: Callable[[], Sequence[Told]] = tuple,
    ) -> None:
        """Each lane holds its own of what is `held`, in the process it lives in.

        `told` gives what a lane must have been told to be up to date; one that takes over a helper's place is told it.
        """
        self.count, self._held, self._told = lanes, held, told
        helpers = helpers[: max(lanes - 1, 0)]
        self._helpers = len(helpers)  # the last of the pipes
        spread = min(processes, lanes - len(helpers))
        alone = spread < 2 and not helpers
        self._own = [held.make() for _ in range(lanes)] if alone else []
        self._workers: list[SpawnProcess] = []
        self._pipes = [] if alone else [*(self._spawn() for _ in range(spread)), *helpers]
        for helper in helpers:
            with suppress(OSError):  # one that is gone is found out when it is asked
                PLAIN.say(helper, WANTED)
        held_by_all = b"" if alone else LANGUAGE.packed(held)
        for pipe in self._pipes:
            with suppress(OSError):
                pipe.send_bytes(held_by_all)

    def _spawn(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        worker = context.Process(target=_started, args=(theirs,), daemon=True)
        worker.start()
        theirs.close()
        self._workers.append(worker)
        return ours

    def tell(self, method: str, *arguments: Any) -> None:
        """Have every lane do something that has no answer; `MessageError` if it may not be asked for."""
        self._held.gives(method)
        for lane in self._own:
            getattr(lane, method)(*arguments)
        for worker in range(len(self._pipes)):
            parts = [(lane, arguments) for lane in self._lanes_of(worker, self.count)]
            self._send(worker, Task(method, parts, False))

    def ask(self, method: str, parts: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The answers of the first lanes, each to its own part of the work.

        Raises:
            InnerSolveError: a lane could not solve its programs, or its process is gone.
            MessageError: what lanes hold may not be asked for that.
        """
        gives = self._held.gives(method)
        if self._own:
            return [getattr(lane, method)(*part) for lane, part in zip(self._own, parts, strict=False)]
        answers: list[Any] = [None] * len(parts)
        asked = [self._lanes_of(worker, len(parts)) for worker in range(len(self._pipes))]
        tasks = [Task(method, [(lane, parts[lane]) for lane in lanes], True) for lanes in asked]
        # One message a worker and answer: neither side ever waits with a full pipe for the other to read.
        for worker, task in enumerate(tasks):
            self._send(worker, task)
        for worker, (lanes, task) in enumerate(zip(asked, tasks, strict=True)):
            found = self._answer(worker, task, gives)
            if found.trouble is not None:
                raise InnerSolveError(found.trouble)
            for lane, answer in zip(lanes, found.found, strict=True):
                answers[lane] = answer
        return answers

    def _send(self, worker: int, task: Task) -> None:
        try:
            LANGUAGE.say(self._pipes[worker], task)
        except OSError as error:
            self._replace(worker, error)
            LANGUAGE.say(self._pipes[worker], task)

    def _answer(self, worker: int, task: Task, gives: Any) -> Answers:
        """The worker's answer, of an annotated kind; asked again of a process that replaces it if it is a helper."""
        try:
            return self._heard(worker, task, gives)
        except (EOFError, OSError) as error:
            self._replace(worker, error)
            LANGUAGE.say(self._pipes[worker], task)
            return self._heard(worker, task, gives)

    def _heard(self, worker: int, task: Task, gives: Any) -> Answers:
        answers = LANGUAGE.hear(self._pipes[worker], Answers)
        if answers.trouble is None and len(answers.found) != len(task.parts):
            raise MessageError(f"{len(answers.found)} answers for {len(task.parts)} parts")
        if not all(fits(answer, gives) for answer in answers.found):
            raise MessageError(f"an answer to {task.method} is not {gives}")
        return answers

    def _replace(self, worker: int, error: Exception) -> None:
        """A process here takes over a helper's lanes; what they had solved is gone, which costs a cold start."""
        if worker < len(self._pipes) - self._helpers:
            raise InnerSolveError("a worker process ended before it answered") from error
        log.warning("a helper is done without: %s", str(error) or type(error).__name__)
        self._pipes[worker].close()
        self._pipes[worker] = self._spawn()
        LANGUAGE.say(self._pipes[worker], self._held)
        for method, arguments in self._told():
            parts = [(lane, arguments) for lane in self._lanes_of(worker, self.count)]
            LANGUAGE.say(self._pipes[worker], Task(method, parts, False))

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


def serve(pipe: Connection) -> None:
    """A worker: makes lanes of what it is told that they hold, and does what it is told, until the pipe closes.

    Raises:
        EOFError: the pipe closed at once.
        MessageError: what it is told cannot be read, or is none of what may be asked for.
    """
    held = LANGUAGE.hear(pipe, Held)
    kept: dict[int, Worker] = {}
    trouble: str | None = None
    while True:
        try:
            task = LANGUAGE.hear(pipe, Task)
        except EOFError:
            return
        answers = []
        for lane, arguments in task.parts:
            if not held.takes(task.method, arguments):
                raise MessageError(f"{held.kind} cannot {task.method} such arguments")
            if lane not in kept:
                kept[lane] = held.make()
            try:
                answers.append(getattr(kept[lane], task.method)(*arguments))
            except (InnerSolveError, ValueError) as error:
                trouble = str(error)
        if task.answered:
            LANGUAGE.say(pipe, Answers(answers, trouble))


def _started(pipe: Connection) -> None:
    """A worker on the training's own machine."""
    with suppress(EOFError):
        serve(pipe)
