"""Processes that live and die together: one lock on a data folder, children that never outlive their parent."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)

STOP_ON_EOF = "--stop-on-eof"  # a command's flag: call `stop_on_eof` first thing
ORPHAN_SECONDS = 8.0  # an orphan that has not ended by itself this long after its parent is killed
RESTART_SECONDS = (1.0, 2.0, 5.0, 15.0, 30.0)  # waits before a child that ends too soon is started again
STEADY_SECONDS = 60.0  # a child that lived this long starts over with the shortest wait


class DataFolderBusy(RuntimeError):
    """Another process serves this data folder."""


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the folder for this process alone; DataFolderBusy names the holder. The lock goes with the process."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "serve.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read(20).strip()
            who = f" (pid {holder})" if holder else ""
            raise DataFolderBusy(f"{folder} is in use by another Herenow{who}") from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


@contextmanager
def terminal_interrupts_blocked() -> Iterator[None]:
    """Processes started inside never see Ctrl-C, which a terminal sends to the whole group: their parent stops them.

    The signal mask is inherited through exec and, unlike a handler, no library in the child replaces it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Child:
    """A process of the parent's own group, restarted when it ends unasked, gone when its parent is gone.

    It is started with `--stop-on-eof` and a pipe as standard input whose other end only the parent holds; the system
    closes that however the parent ends. Its output goes to a file.
    """

    def __init__(self, name: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        self._arguments = list(arguments)
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._turn = threading.Lock()  # starting again and stopping never overlap
        self._keeper = threading.Thread(target=self._keep, name=f"keep-{name}", daemon=True)
        self._started_at = 0.0

    def start(self) -> None:
        """Start the process and the thread that keeps it alive."""
        self.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._spawn()
        self._keeper.start()

    @property
    def pid(self) -> int:
        """Process id of the present process."""
        assert self._process is not None
        return self._process.pid

    def stop(self, grace: float) -> None:
        """SIGTERM, then SIGKILL after `grace` seconds; returns when the process is gone."""
        with self._turn:
            self._stopping.set()
            process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(grace)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            process.kill()
            process.wait()

    def _spawn(self) -> None:
        with self.log.open("ab") as log, terminal_interrupts_blocked():
            self._process = subprocess.Popen(
                [*self._arguments, STOP_ON_EOF],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
            )
        self._started_at = time.monotonic()

    def _keep(self) -> None:
        failures = 0
        while True:
            assert self._process is not None
            code = self._process.wait()
            if self._process.stdin is not None:
                self._process.stdin.close()
            if self._stopping.is_set():
                return
            failures = 0 if time.monotonic() - self._started_at > STEADY_SECONDS else failures + 1
            wait = RESTART_SECONDS[min(failures, len(RESTART_SECONDS) - 1)]
            log.error("the %s ended with code %d (see %s); starting it again in %g s", self.name, code, self.log, wait)
            self._stopping.wait(wait)
            with self._turn:
                if self._stopping.is_set():
                    return
                self._spawn()


def stop_on_eof() -> None:
    """End this process soon after its standard input ends: SIGTERM to itself, SIGKILL if that does not do.

    Whoever holds the other end of the pipe need not do anything, not even end well, to be followed.
    """
    descriptor = os.dup(0)
    os.set_inheritable(descriptor, False)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)  # nothing else in this process, or below it, waits on that pipe

    def watch() -> None:
        while os.read(descriptor, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(ORPHAN_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="stop-on-eof", daemon=True).start()
