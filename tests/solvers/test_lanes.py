"""Lanes give the same answers wherever they live: here, in processes of this machine, or with helpers elsewhere."""

from __future__ import annotations

import pickle
import socket
import struct
import threading
from dataclasses import replace
from multiprocessing import Pipe
from multiprocessing.connection import Client, Connection, Listener

import numpy as np
import pytest

from models.hydrothermal.instance import HydrothermalSystem
from models.hydrothermal.program import HydroProgram
from solvers.core import InnerSolveError
from solvers.helping import serve
from solvers.holdings import LANGUAGE, Answers, Task, held
from solvers.lanes import Lanes
from solvers.messages import PLAIN, MessageError
from solvers.stage_costs import StageCosts, with_targets
from tests.models.hydro_systems import two_buses
from tests.solvers.test_messages import Touching


@pytest.fixture(scope="module")
def make():
    face = HydroProgram(HydrothermalSystem.model_validate(two_buses()))
    stage = face.stage(0)
    program = with_targets(stage, np.array([stage.column("storage[h1]")]))
    return held(StageCosts, [program], 1e4)


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
        self.send_bytes = connection.send_bytes

    def recv_bytes(self, maxlength=None):
        if self.limit == 0:
            self.connection.close()
            raise EOFError
        self.limit = self.limit and self.limit - 1
        return self.connection.recv_bytes(maxlength)


def test_helpers_answer_as_processes_here_do(make, work, expected):
    with Lanes(make, 4, 1, [helper(), helper()]) as lanes:
        assert same(lanes.ask("solve", work), expected)
        lanes.tell("restart")
        assert same(lanes.ask("solve", work), expected)
        assert lanes.work().solves == 24


def test_a_helper_that_is_gone_is_replaced(make, work, expected):
    ours, theirs = Pipe()
    with Lanes(make, 4, 1, [ours]) as lanes:
        theirs.recv_bytes()  # that lanes are wanted; then it leaves without an answer
        theirs.close()
        assert same(lanes.ask("solve", work), expected)
        assert same(lanes.ask("solve", work), expected)


GARBAGE = {
    "a pickle": lambda answer: pickle.dumps(answer),
    "half an answer": lambda answer: LANGUAGE.packed(answer)[:-8],
    "another answer than was asked for": lambda answer: LANGUAGE.packed(Answers([1.0, 2.0], None)),
    "too few answers": lambda answer: LANGUAGE.packed(replace(answer, found=answer.found[:1])),
    "no answer": lambda answer: LANGUAGE.packed("answer"),
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_a_helper_that_says_what_cannot_be_understood_is_replaced(make, work, expected, kind, caplog):
    ours, theirs = Pipe()
    with Lanes(make, 4, 1, [ours]) as lanes:
        theirs.send_bytes(GARBAGE[kind](Answers([expected[1], expected[3]], None)))
        assert same(lanes.ask("solve", work), expected)
        assert "a helper is done without" in caplog.text
        for _ in range(3):
            theirs.recv_bytes()  # a word, what lanes hold, and what was asked; then nothing any more
        with pytest.raises(EOFError):
            theirs.recv_bytes()
        assert lanes.work().solves >= 12


def test_a_helper_that_claims_more_than_may_be_sent_is_replaced(make, work, expected):
    ours, theirs = socket.socketpair()
    with theirs, Lanes(make, 4, 1, [Connection(ours.detach())]) as lanes:
        theirs.sendall(struct.pack("!iQ", -1, 1 << 50))
        assert same(lanes.ask("solve", work), expected)


class TestWhatAHelperDoesNotDo:
    """Whatever comes over its connection, it does what is listed or nothing."""

    @pytest.fixture
    def asked(self, make):
        """What it says to these messages after the words that make it serve lanes."""

        def ask(*messages):
            ours, theirs = Pipe()
            for message in (PLAIN.packed("lanes"), LANGUAGE.packed(make), *messages):
                ours.send_bytes(message)
            with pytest.raises(MessageError) as told:
                serve(theirs)
            return str(told.value)

        return ask

    @pytest.mark.parametrize("method", ["__init__", "__class__", "_leading_back", "forward", "eval"])
    def test_a_method_that_is_not_listed(self, asked, method):
        assert "is not asked to" in asked(LANGUAGE.packed(Task(method, [(0, ())], True)))

    @pytest.mark.parametrize(
        "arguments", [(), (0,), (0, "z"), (0.5, np.zeros((1, 1))), (0, np.zeros((1, 1), np.float32))]
    )
    def test_arguments_that_are_not_the_methods(self, asked, arguments):
        assert "cannot solve such arguments" in asked(LANGUAGE.packed(Task("solve", [(0, arguments)], True)))

    def test_a_pickle(self, asked, tmp_path):
        assert "cannot be read" in asked(pickle.dumps(Touching(tmp_path / "touched")))
        assert not (tmp_path / "touched").exists()

    @pytest.mark.parametrize("word", ["lane", 7, None, ["lanes"]])
    def test_another_word(self, word):
        ours, theirs = Pipe()
        PLAIN.say(ours, word)
        with pytest.raises(MessageError):
            serve(theirs)

    @pytest.mark.parametrize("word", ["lanes", "rank"])
    def test_a_pickle_where_its_work_is_due(self, word, tmp_path):
        ours, theirs = Pipe()
        PLAIN.say(ours, word)
        ours.send_bytes(pickle.dumps(Touching(tmp_path / "touched")))
        with pytest.raises(MessageError):
            serve(theirs)
        assert not (tmp_path / "touched").exists()

    def test_rows_of_another_length_are_trouble_and_no_end(self, make):
        ours, theirs = Pipe()
        threading.Thread(target=serve, args=(theirs,), daemon=True).start()
        for message in (
            PLAIN.packed("lanes"),
            *map(LANGUAGE.packed, (make, Task("solve", [(0, (0, np.zeros((1, 0))))], True))),
        ):
            ours.send_bytes(message)
        assert "z has shape (1, 0)" in LANGUAGE.hear(ours, Answers).trouble
        ours.close()


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


@pytest.mark.parametrize("processes", [1, 2])
def test_what_is_not_listed_is_not_asked_wherever_lanes_live(make, processes):
    with Lanes(make, 2, processes) as lanes:
        with pytest.raises(MessageError, match="is not asked to '_leading_back'"):
            lanes.ask("_leading_back", [(0, np.zeros(1))])
        with pytest.raises(MessageError, match="is not asked to 'forget'"):
            lanes.tell("forget")


def test_who_is_no_training_is_left_alone():
    ours, theirs = Pipe()
    ours.close()
    serve(theirs)
