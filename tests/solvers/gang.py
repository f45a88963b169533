"""Processes that stand ready to be ranks in tests: started once, used by many."""

from __future__ import annotations

import io
import multiprocessing
import os
import tempfile
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from solvers.ranks import ALONE, Ranks


class Gang:
    """So many processes. A context manager: they end with it."""

    def __init__(self, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipes: list[Connection] = []
        self.processes = []
        for _ in range(count):
            ours, theirs = context.Pipe()
            self.processes.append(context.Process(target=_stand_ready, args=(theirs,), daemon=True))
            self.processes[-1].start()
            theirs.close()
            self.pipes.append(ours)

    def run(self, count: int, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """What `function(ranks, *arguments)` returns (tensors and plain values) on each of so many ranks."""
        with tempfile.TemporaryDirectory() as folder:
            for rank, pipe in enumerate(self.pipes[:count]):
                pipe.send((function, arguments, rank, count, str(Path(folder) / "meeting")))
            told = [torch.load(io.BytesIO(pipe.recv_bytes()), weights_only=False) for pipe in self.pipes[:count]]
        for answer in told:
            if isinstance(answer, BaseException):
                raise answer
        return told

    def __enter__(self) -> Gang:
        return self

    def __exit__(self, *error: object) -> None:
        for pipe in self.pipes:
            pipe.close()
        for process in self.processes:
            process.join(5)
            process.kill()


def _stand_ready(pipe: Connection) -> None:
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    while True:
        try:
            function, arguments, rank, count, meeting = pipe.recv()
        except EOFError:
            return
        try:
            found = _as_rank(function, arguments, rank, count, meeting)
        except Exception as error:
            found = error
        buffer = io.BytesIO()
        torch.save(found, buffer)
        pipe.send_bytes(buffer.getvalue())


def _as_rank(function: Callable[..., Any], arguments: Any, rank: int, count: int, meeting: str) -> Any:
    if count == 1:
        return function(ALONE, *arguments)
    store = torch.distributed.FileStore(meeting, count)
    torch.distributed.init_process_group(
        "gloo", store=store, rank=rank, world_size=count, timeout=timedelta(seconds=60)
    )
    try:
        return function(Ranks(rank, count, _hand), *arguments)
    finally:
        torch.distributed.destroy_process_group()


def _hand(values: Any) -> Any:
    told = [values]
    torch.distributed.broadcast_object_list(told, 0)
    return told[0]
