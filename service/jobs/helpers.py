"""Workers that lend a hand to a training elsewhere: its inner solves spread over more than one machine.

Large systems spend their time in thousands of stage programs. A training that is configured to (`helpers`) opens a
listener, leaves its address and a key with the job in the store that all workers share (in a folder readable by this
user alone), and has the bell call. A worker with a free place hears `{job_id}`, reads that note, and a child process of
it serves lanes (`solvers.lanes.serve`) until the training ends. Nobody has to come: without helpers the training runs
on its own cores.

The message names the job and no more: where to connect to, and the key, come from the store, like a checkpoint does,
so that whoever may write to the broker can still only ring. What passes over the connection is data
(`solvers.messages`).
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Client, Connection, Listener
from types import TracebackType
from typing import Self

from kombu.exceptions import OperationalError

from service.jobs.bell import make_celery
from service.jobs.places import Place, Places, Queue, queue_name
from service.jobs.process import environment
from service.settings import Settings
from service.storage import Storage

log = logging.getLogger(__name__)

HELP_TASK = "herenow.help"
FILE = "help.json"  # left with the job, while it calls
CALL_SECONDS = 15.0  # how long a training waits for helpers; a message not heard by then is dropped


class Helpers:
    """The helpers of one training: invited when it begins, let go of when it ends. A context manager."""

    def __init__(self, settings: Settings, storage: Storage, job_id: str) -> None:
        self._settings, self._storage, self._job_id = settings, storage, job_id
        self._queue: Queue = "gpu" if settings.device == "cuda" else "cpu"  # this process has a GPU, or has none
        self._came: list[Connection] = []

    def invite(self, count: int) -> Sequence[Connection]:
        """Connections to at most so many helpers that came in time to this call; none without a broker."""
        if count < 1 or not self._settings.broker_url:
            return ()
        came: list[Connection] = []
        key = secrets.token_bytes(32)
        with Listener((self._settings.helper_host, 0), authkey=key) as listener:
            self._leave_address(listener.address, key)
            threading.Thread(target=self._accept, args=(listener, count, came), daemon=True, name="helpers").start()
            if self._call(count):
                deadline = time.monotonic() + CALL_SECONDS
                while len(came) < count and time.monotonic() < deadline:
                    time.sleep(0.05)
        self._storage.remove_note(self._job_id, FILE)
        self._came += came
        return tuple(came)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._storage.remove_note(self._job_id, FILE)
        for connection in self._came:
            connection.close()

    def _leave_address(self, address: object, key: bytes) -> None:
        note = json.dumps({"address": address, "key": key.hex(), "queue": self._queue})
        self._storage.leave_note(self._job_id, FILE, note.encode())

    def _accept(self, listener: Listener, count: int, came: list[Connection]) -> None:
        """Take whoever knows the key, until the listener is closed."""
        while len(came) < count:
            try:
                came.append(listener.accept())
            except OSError:
                return
            except Exception as error:  # a stranger, or one that left in the middle
                log.warning("someone who would help was turned away: %s", type(error).__name__)

    def _call(self, count: int) -> bool:
        app, queue = make_celery(self._settings), queue_name(self._settings, self._queue)
        message = {"job_id": self._job_id}
        try:
            for _ in range(count):
                app.send_task(HELP_TASK, kwargs=message, queue=queue, expires=CALL_SECONDS, retry=False)
        except (OperationalError, OSError) as error:
            log.warning("helpers could not be called: %s", error)
            return False
        finally:
            app.close()
        return True


class Helping:
    """A worker's half: a child process for every training that is helped."""

    def __init__(self, storage: Storage, places: Places, threads: int = 1) -> None:
        self._storage, self._places, self._threads = storage, places, threads
        self._children: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def lend_a_hand(self, job_id: str) -> None:
        """Serve a training until it ends; nothing if it no longer calls. Returns when that is over.

        A helper takes a place of the queue the training is from: one on a GPU has a GPU of its own here too.
        """
        try:
            note = self._storage.read_note(job_id, FILE)
            queue = json.loads(note or b"{}").get("queue", "cpu")
        except (ValueError, OSError):
            return
        if self._stopped or note is None:
            return
        with self._places.taken(queue) as place:
            if place is not None:
                self._serve(note, place)

    def _serve(self, note: bytes, place: Place) -> None:
        command = [sys.executable, "-m", "service.jobs.helpers", str(os.getpid())]
        given = environment(self._threads, place.gpu)
        child = subprocess.Popen(command, stdin=subprocess.PIPE, env=given)
        self._children.add(child)
        try:
            child.communicate(note)  # by its standard input: a key never goes on a command line
        finally:
            self._children.discard(child)

    def stop(self) -> None:
        """End what is being done: the trainings go on without."""
        self._stopped = True
        for child in list(self._children):
            child.terminate()


def serve_noted(note: bytes) -> None:
    """Serve the training that left this note; nothing if it is gone."""
    from solvers.helping import serve
    from solvers.messages import MessageError

    with suppress(OSError, EOFError, ValueError, KeyError):
        told = json.loads(note)
        host, port = told["address"]
        with Client((host, port), authkey=bytes.fromhex(told["key"])) as connection:
            try:
                serve(connection)
            except MessageError as error:
                log.warning("a training is no longer helped: %s", error)


def main() -> None:
    """`python -m service.jobs.helpers PARENT`: the child of a worker that helps; the note comes on standard input."""
    from service.jobs.child import die_with

    die_with(int(sys.argv[1]))
    serve_noted(sys.stdin.buffer.read())


if __name__ == "__main__":
    main()
