"""A team of ranks: started here or lent by workers elsewhere, told what to train, ended with their leader.

The leader is the process that was asked to train. It starts followers, by `multiprocessing` on its own machine and
over helpers' connections elsewhere; each is given the whole request as plain values and says when it is ready. Who is
not there in time is left out: the result is the same with fewer. Then all meet at an address of the leader's and run
the solver's `train_rank`.

A follower that dies breaks the next message between ranks; one that hangs is given up after `SILENCE`. The leader
then ends the team and goes on from its last checkpoint with one rank fewer. A leader that dies closes its connections,
and followers end with that.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

import psutil

from models.lazy import torch
from models.registry import problem as find_problem
from solvers.core import Callbacks, RankLost, Solver, TrainRequest, TrainResult
from solvers.messages import LARGEST, PLAIN, Language, MessageError
from solvers.ranks import ALONE, Handed, Ranks

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

READY = 90.0  # [s] that followers have to start
SILENCE = 60.0  # [s] after which a rank that says nothing is given up
LEAVE = 5.0  # [s] that followers have to end
HERE = "127.0.0.1"
WANTED = "rank"  # the first word to a helper


@dataclass(frozen=True)
class Order:
    """What a follower is told: a training as plain values and tensors."""

    solver: str
    problem: str
    instances: tuple[dict[str, Any], ...]  # the request's own first
    config: dict[str, Any]
    seed: int
    prices: dict[str, float]
    checkpoint: dict[str, Any] | None
    warm_start: dict[str, Any] | None
    until: int | None
    device: str  # its kind: cpu or cuda
    threads: int | None  # of a follower on the leader's machine; elsewhere its worker knows

    @classmethod
    def of(cls, solver: Solver, request: TrainRequest) -> Order:
        """The order for a request; its problem must be in the registry."""
        instances = tuple(instance.document() for instance in (request.instance, *request.also))
        names = (solver.name, request.problem.name)
        config, kind = request.config.model_dump(mode="json"), request.device.partition(":")[0]
        prices, until = dict(request.prices), request.until
        begun, warm = (None if state is None else dict(state) for state in (request.checkpoint, request.warm_start))
        return cls(*names, instances, config, request.seed, prices, begun, warm, until, kind, None)

    def request(self, solver: Solver) -> TrainRequest:
        """The request it was made of; what the leader alone looks after is left out."""
        found = find_problem(self.problem)
        instance, *also = (found.parse(document) for document in self.instances)
        config = solver.config.model_validate(self.config)
        own: dict[str, Any] = {"also": tuple(also), "prices": self.prices, "until": self.until}
        own |= {"checkpoint": self.checkpoint, "warm_start": self.warm_start}
        return TrainRequest(found, instance, config, self.seed, self.device, **own)


@dataclass(frozen=True)
class Place:
    """Where a follower stands: its rank of how many, where they meet, and its number on its machine."""

    rank: int
    count: int
    address: tuple[str, int]
    number: int


@dataclass(frozen=True)
class Ready:
    """A follower's word."""

    trouble: str | None  # what keeps it, if anything


LANGUAGE = Language(Order, Place, Ready)


def train_together(solver: Solver, request: TrainRequest, callbacks: Callbacks) -> TrainResult:
    """Train by as many ranks as the config asks for and there are; on a loss go on with fewer from the last
    checkpoint."""
    train_rank = solver.train_rank
    assert train_rank is not None, "asked by a solver that has one"
    going, wanted = request, int(request.config.ranks)

    def keep(state: Mapping[str, Any]) -> None:
        nonlocal going
        going = replace(going, checkpoint=state)
        callbacks.on_checkpoint(state)

    while wanted > 1:
        with _Team(Order.of(solver, going), wanted, callbacks) as team:
            try:
                ranks = team.meet()
                callbacks.on_log(f"{ranks.count} of {request.config.ranks} ranks share every batch")
                told = replace(callbacks, on_checkpoint=keep, on_iteration=_counting(callbacks, ranks.count))
                device = request.device if ranks.alone else _device(team.device, 0)
                result = train_rank(replace(going, device=device), told, ranks)
                return replace(result, ranks=ranks.count)
            except RankLost as error:
                wanted = team.size - 1
                at = 0 if going.checkpoint is None else going.checkpoint["iteration"]
                callbacks.on_log(f"{error}; training goes on from iteration {at} with at most {wanted} ranks")
    return train_rank(going, callbacks, ALONE)


def _counting(callbacks: Callbacks, count: int) -> Any:
    """Progress with the number of ranks among its metrics."""

    def on_iteration(iteration: int, iterations: int, metrics: Mapping[str, float]) -> None:
        callbacks.on_iteration(iteration, iterations, {**metrics, "ranks": float(count)})

    return on_iteration


@dataclass(frozen=True)
class _Follower:
    pipe: Connection
    process: SpawnProcess | None  # None: on another machine


class _Team:
    """The followers of one leader. A context manager: none of them outlives it."""

    def __init__(self, order: Order, wanted: int, callbacks: Callbacks) -> None:
        self._order, self._callbacks, self.device = order, callbacks, order.device
        self._threads = torch.get_num_threads()
        here = min(callbacks.ranks(wanted), wanted)
        if order.device == "cuda":
            here = min(here, torch.cuda.device_count())
        if multiprocessing.current_process().daemon:
            here = 1  # may start none
        self._here = max(here, 1)
        self._wanted = wanted
        self._followers: list[_Follower] = []

    @property
    def size(self) -> int:
        """Ranks there are, the leader among them."""
        return 1 + len(self._followers)

    def __enter__(self) -> _Team:
        threads = max(self._threads // self._here, 1)
        torch.set_num_threads(threads)
        for _ in range(self._here - 1):
            self._start(replace(self._order, threads=threads))
        for pipe in self._callbacks.helpers(self._wanted - self._here) if self._wanted > self._here else ():
            with suppress(OSError):
                PLAIN.say(pipe, WANTED)
                LANGUAGE.say(pipe, self._order)
                self._followers.append(_Follower(pipe, None))
        return self

    def __exit__(self, *error: object) -> None:
        for follower in self._followers:
            follower.pipe.close()
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        deadline = time.monotonic() + LEAVE
        for process in (follower.process for follower in self._followers if follower.process is not None):
            process.join(max(deadline - time.monotonic(), 0.0))
            process.kill()
            process.join()
        torch.set_num_threads(self._threads)

    def meet(self) -> Ranks:
        """The ranks of all that are ready in time; they can be spoken to from now on."""
        self._keep_the_ready()
        if not self._followers:
            return ALONE
        address = next((_own_address(f.pipe) for f in self._followers if f.process is None), HERE)
        listener = socket.create_server((address, 0))
        meeting = listener.getsockname()
        store = _store(meeting, self.size, listener)
        for rank, follower in enumerate(self._followers, 1):
            number = rank if follower.process is not None else 0
            with _gone():
                LANGUAGE.say(follower.pipe, Place(rank, self.size, meeting, number))
        _join(store, 0, self.size, address, _device(self._order.device, 0))
        return Ranks(0, self.size, self._hand)

    def _start(self, order: Order) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_started, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        with suppress(OSError):
            LANGUAGE.say(ours, order)
        self._followers.append(_Follower(ours, process))

    def _keep_the_ready(self) -> None:
        """Wait for followers' word; who has none in time, cannot take part or is gone is left out."""
        deadline = time.monotonic() + READY
        waiting, ready = {follower.pipe: follower for follower in self._followers}, []
        while waiting and time.monotonic() < deadline and not self._callbacks.should_stop():
            for pipe in wait(list(waiting), 0.25):
                follower = waiting.pop(pipe)  # type: ignore[call-overload]
                if (trouble := _word(follower.pipe)) is None:
                    ready.append(follower)
                else:
                    self._callbacks.on_log(f"a rank cannot take part: {trouble}")
        for follower in self._followers:
            if follower not in ready:
                follower.pipe.close()
                if follower.process is not None:
                    follower.process.kill()
                    follower.process.join()
        self._followers = [follower for follower in self._followers if follower in ready]

    def _hand(self, values: Handed | None) -> Handed:
        assert values is not None, "the leader gives"
        packed = LANGUAGE.packed(values)
        for follower in self._followers:
            with _gone():
                follower.pipe.send_bytes(packed)
        return values


def serve(pipe: Connection) -> None:
    """Be a follower: take part in the training that the leader's order describes. Ends this process when the leader is
    gone.

    Raises:
        MessageError: what the leader says cannot be read.
        EOFError: it left before the training began.
    """
    from solvers.registry import solver as find_solver

    order = LANGUAGE.hear(pipe, Order)
    try:
        solver = find_solver(order.solver)
        request = order.request(solver)
        if order.device == "cuda" and not torch.cuda.is_available():
            raise ValueError("the training is on GPUs and there is none here")
        if order.threads is not None:
            torch.set_num_threads(order.threads)
    except Exception as error:  # whatever it is, the leader does without
        LANGUAGE.say(pipe, Ready(f"{type(error).__name__}: {error}"))
        return
    LANGUAGE.say(pipe, Ready(None))
    place = LANGUAGE.hear(pipe, Place)
    heard: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_listen, args=(pipe, heard), daemon=True, name="leader").start()
    ranks = Ranks(place.rank, place.count, lambda _: LANGUAGE.unpacked(heard.get()))
    device = _device(order.device, place.number)
    try:
        store = _store(place.address, place.count)
        _join(store, place.rank, place.count, _own_address(pipe, place.address[0]), device)
        assert solver.train_rank is not None, "asked by a solver that has one"
        solver.train_rank(replace(request, device=device), Callbacks(), ranks)
    except RankLost:
        return
    threading.Event().wait()  # for the leader, who may still be reading what was said last


def _started(pipe: Connection) -> None:
    """A follower on the leader's machine."""
    with suppress(EOFError, OSError):
        serve(pipe)


def _listen(pipe: Connection, heard: queue.Queue[bytes]) -> None:
    """Hear the leader; its end is this process's."""
    with suppress(EOFError, OSError):
        while True:
            heard.put(pipe.recv_bytes(LARGEST))
    os._exit(0)


def _store(address: tuple[str, int], count: int, listener: socket.socket | None = None) -> Any:
    """Where the ranks learn each other's addresses; who brings a listener keeps it, and it is heard nowhere else."""
    own = {} if listener is None else {"is_master": True, "master_listen_fd": listener.detach()}
    make: Any = torch.distributed.TCPStore  # type: ignore[attr-defined]
    with _unmet():
        return make(*address, count, timeout=_seconds(READY), wait_for_workers=False, **own)


def _join(store: Any, rank: int, count: int, address: str, device: str) -> None:
    """Enter the group, which speaks over the interface that has the address."""
    os.environ["GLOO_SOCKET_IFNAME"] = _interface(address)
    os.environ.setdefault("TORCH_NCCL_BLOCKING_WAIT", "1")  # a silent GPU is an error here, not the end of the process
    backend, own = "gloo", None
    if device != "cpu":
        backend, own = "cpu:gloo,cuda:nccl", torch.device(device)
        torch.cuda.set_device(own)
    with _unmet():
        torch.distributed.init_process_group(
            backend, store=store, rank=rank, world_size=count, timeout=_seconds(SILENCE), device_id=own
        )


@contextmanager
def _unmet() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise RankLost(f"the ranks did not meet: {error}".splitlines()[0]) from error


def _device(kind: str, number: int) -> str:
    """The device of a rank with this number on its machine: one GPU each."""
    return f"cuda:{number}" if kind == "cuda" else kind


def _own_address(pipe: Connection, other: str = "") -> str:
    """This machine's address on a connection to another; for one within the machine, that by which `other` is seen."""
    with socket.socket(fileno=os.dup(pipe.fileno())) as end:
        if end.family == socket.AF_INET:
            return str(end.getsockname()[0])
    return other or HERE


def _interface(address: str) -> str:
    """The network interface that has an address."""
    for name, addresses in psutil.net_if_addrs().items():
        if address in [found.address for found in addresses] or (address.startswith("127.") and name.startswith("lo")):
            return str(name)
    raise RankLost(f"no network interface has the address {address}")


def _word(pipe: Connection) -> str | None:
    """None from a follower that is ready, else what keeps it."""
    try:
        return LANGUAGE.hear(pipe, Ready).trouble
    except MessageError as error:
        return str(error)
    except (EOFError, OSError):
        return "its process ended"


@contextmanager
def _gone() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RankLost("a process that shares the training is gone") from error


def _seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


__all__: Sequence[str] = ["Order", "serve", "train_together"]
