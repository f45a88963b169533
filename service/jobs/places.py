"""What a worker has room for: so many jobs on the CPU, and one job on each of its GPUs.

There are two queues. Jobs that ask for a GPU ring on `<queue>.gpu`, all others on `<queue>`. A job that leaves it to
the worker (`auto`) takes a free GPU where the worker that hears it has one, and computes on the CPU elsewhere. A job
with a GPU sees that one alone, and a job without sees none: both by CUDA_VISIBLE_DEVICES of its process.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from service.settings import Settings

Device = Literal["auto", "cpu", "gpu"]
Queue = Literal["cpu", "gpu"]

QUEUES: tuple[Queue, ...] = ("cpu", "gpu")
_DEVICE_FILES = Path("/dev")


class NoGpu(RuntimeError):
    """A worker is to serve jobs on GPUs and has none."""


def queue_of(device: str) -> Queue:
    """The queue a job rings on, by what it asks for."""
    return "gpu" if device == "gpu" else "cpu"


def queue_name(settings: Settings, queue: Queue) -> str:
    """The broker's name of a queue."""
    return settings.queue if queue == "cpu" else f"{settings.queue}.{queue}"


def gpus_here(settings: Settings) -> tuple[str, ...]:
    """Ids of the GPUs this process may give away: those it was told of, those it may see, or those of the machine."""
    if settings.device == "cpu":
        return ()
    if settings.gpus:
        return tuple(settings.gpus)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return tuple(name.strip() for name in visible.split(",") if name.strip() not in ("", "-1"))
    count = sum(1 for path in _DEVICE_FILES.glob("nvidia*") if re.fullmatch(r"nvidia\d+", path.name))
    return tuple(str(index) for index in range(count))  # CUDA counts what it sees from 0, whatever the files are called


@dataclass(frozen=True)
class Room:
    """The queues a worker serves, its places on the CPU, and the ids of the GPUs it gives away."""

    queues: tuple[Queue, ...]
    cpu: int
    gpus: tuple[str, ...]

    @classmethod
    def of(cls, settings: Settings) -> Room:
        """What the settings and the machine say; NoGpu if GPUs are asked for and there are none."""
        gpus = gpus_here(settings)
        if not gpus and (settings.device == "cuda" or "gpu" in settings.queues):
            raise NoGpu("this worker is to use GPUs and found none: name them in HERENOW_GPUS, or serve cpu alone")
        queues = tuple(queue for queue in QUEUES if queue in settings.queues) or (("cpu", "gpu") if gpus else ("cpu",))
        return cls(queues, settings.concurrency if "cpu" in queues else 0, gpus if "gpu" in queues else ())

    @property
    def total(self) -> int:
        """Jobs it runs at a time."""
        return self.cpu + len(self.gpus)

    @property
    def slots(self) -> dict[str, int]:
        """Jobs it runs at a time, by queue."""
        return {queue: self.cpu if queue == "cpu" else len(self.gpus) for queue in self.queues}


@dataclass(frozen=True)
class Place:
    """Room for one job: on a GPU, by its id, or on the CPU."""

    gpu: str | None = None


class Places:
    """The places of a worker, each taken by one job at a time; safe to use from several threads."""

    def __init__(self, room: Room) -> None:
        self._cpu = room.cpu
        self._gpus = list(room.gpus)
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, device: str, seconds: float = 0.0) -> Iterator[Place | None]:
        """A place for a job until left; None if none gets free in so many seconds."""
        place = self._take(device, time.monotonic() + seconds)
        try:
            yield place
        finally:
            if place is not None:
                self._give_back(place)

    def _take(self, device: str, until: float) -> Place | None:
        with self._changed:
            while True:
                if device in ("auto", "gpu") and self._gpus:
                    return Place(self._gpus.pop(0))
                if device in ("auto", "cpu") and self._cpu:
                    self._cpu -= 1
                    return Place()
                if not self._changed.wait(max(until - time.monotonic(), 0.0)):
                    return None

    def _give_back(self, place: Place) -> None:
        with self._changed:
            if place.gpu is None:
                self._cpu += 1
            else:
                self._gpus.append(place.gpu)
            self._changed.notify_all()
