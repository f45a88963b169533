"""Lanes give the same answers wherever they live: here, in processes of this machine, or with helpers elsewhere."""

from __future__ import annotations

import threading
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Client, Listener

import numpy as np
import pytest

from models.hydrothermal.instance import HydrothermalSystem
from models.hydrothermal.program import HydroProgram
from solvers.core import InnerSolveError
from solvers.helping import serve
from solvers.lanes import Lanes
from solvers.stage_costs import StageCosts, with_targets
from tests.models.hydro_systems import two_buses


@pytest.fixture(scope="module")
def make():
    face = HydroProgram(HydrothermalSystem.model_validate(two_buses()))
    stage = face.stage(0)
    program = with_targets(stage, np.array([stage.column("storage[h1]")]))
    return partial(StageCosts, [program], 1e4)


@pytest.fixture(scope="module")
def work():
    shifts = -np.linspace(5, 150, 12)[:, None]
    return [(0, part) for part in np.array_split(shifts, 4)]


@pytest.fixture(scope="module")
def expected(make, work):
    with Lanes(make, 4, 1) as lanes:
        return lanes.ask("solve", work)


def same(found, expected):
    pairs = zip(found, expected, strict=True)
    return all((a[0] == b[0]).all() and (a[1] == b[1]).all() and a[2] == b[2] for a, b in pairs)


def helper(leaves_after=None):
    """A connection to a thread that lends a hand over a socket, and leaves without a word after so many messages."""
    with Listener(("127.0.0.1", 0), authkey=b"key") as listener:
        address = listener.address
        threading.Thread(target=lambda: serve(Hand(Client(address, authkey=b"key"), leaves_after)), daemon=True).start()
        return listener.accept()


class Hand:
    """One end of a connection, with a limit to the messages it takes."""

    def __init__(self, connection, limit):
        self.connection, self.limit = connection, limit
        self.send = connection.send

    def recv(self):
        if self.limit == 0:
            self.connection.close()
            raise EOFError
        self.limit = self.limit and self.limit - 1
        return self.connection.recv()


def test_helpers_answer_as_processes_here_do(make, work, expected):
    with Lanes(make, 4, 1, [helper(), helper()]) as lanes:
        assert same(lanes.ask("solve", work), expected)
        lanes.tell("restart")
        assert same(lanes.ask("solve", work), expected)
        assert lanes.work().solves == 24


def test_a_helper_that_is_gone_is_replaced(make, work, expected):
    ours, theirs = Pipe()
    with Lanes(make, 4, 1, [ours]) as lanes:
        theirs.recv()  # what lanes are made of; then it leaves without an answer
        theirs.close()
        assert same(lanes.ask("solve", work), expected)
        assert same(lanes.ask("solve", work), expected)


def test_one_lane_stays_here_however_many_would_help(make, work, expected):
    with Lanes(make, 4, 1, [helper() for _ in range(6)]) as lanes:
        assert same(lanes.ask("solve", work), expected)


def test_a_process_of_ones_own_that_is_gone_is_an_error(make, work):
    with Lanes(make, 4, 2) as lanes:
        for worker in lanes._workers:
            worker.kill()
            worker.join()
        with pytest.raises(InnerSolveError, match="ended before it answered"):
            lanes.ask("solve", work)


def test_who_is_no_training_is_left_alone():
    ours, theirs = Pipe()
    ours.close()
    serve(theirs)
