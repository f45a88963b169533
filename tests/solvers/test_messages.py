"""What comes out of a message is what went in, to the last bit; what is no message is refused, and nothing is run."""

from __future__ import annotations

import json
import os
import pickle
import socket
import struct
import tracemalloc
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, fields
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import sparse

from models.program import LinearProgram
from solvers.annotations import fits
from solvers.cuts import Cuts
from solvers.holdings import LANGUAGE, METHODS, Answers, Task, held
from solvers.messages import DTYPES, FORMAT, LARGEST, PLAIN, TENSORS, Language, MessageError
from solvers.sddp import nodes_of
from solvers.stage_programs import StagePrograms, Trials
from solvers.team import LANGUAGE as OF_TEAMS
from solvers.team import Order, Place, Ready
from solvers.work import Work
from tests.models.dam import Dam, problem_of

LEAVES = some.none() | some.booleans() | some.integers() | some.floats() | some.text() | some.binary(max_size=40)
VALUES = some.recursive(
    LEAVES,
    lambda inner: some.lists(inner) | some.lists(inner).map(tuple) | some.dictionaries(some.text(), inner, max_size=5),
    max_leaves=20,
)


def again(value: Any, language: Language = LANGUAGE) -> Any:
    return language.unpacked(language.packed(value))


def message(value: Any, *buffers: bytes, sizes: Any = None) -> bytes:
    """A message with a head of one's own making."""
    head = json.dumps({"sizes": [len(one) for one in buffers] if sizes is None else sizes, "value": value}).encode()
    padded = [part + bytes(-len(part) % 8) for part in (head, *buffers)]
    return FORMAT + len(head).to_bytes(8, "little") + b"".join(padded)


@dataclass(frozen=True)
class Stranger:
    """Of no language."""

    name: str


class Touching:
    """Whose pickle makes a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.fixture(scope="module")
def nodes() -> Any:
    return nodes_of(problem_of(Dam(4)), None, 1.0).scaled(0.5, True)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def honest(nodes: Any) -> bytes:
    return LANGUAGE.packed([held(StagePrograms, nodes[:2]), Work(), (1.5, None, b"x"), torch.ones(2)])


class TestRoundTrips:
    @given(VALUES)
    def test_plain_values(self, value: Any) -> None:
        assert repr(again(value)) == repr(value)  # tells lists from tuples, 1 from 1.0 and True, and −0.0 from 0.0

    @given(some.floats(width=64))
    def test_floats_to_the_last_bit(self, value: float) -> None:
        assert struct.pack("<d", again(value)) == struct.pack("<d", value) or value != value

    @given(some.data())
    def test_arrays_of_every_dtype(self, data: Any) -> None:
        dtype = np.dtype(data.draw(some.sampled_from(sorted(DTYPES))))
        value = data.draw(arrays(dtype, array_shapes(min_dims=0, min_side=0, max_side=4)))
        found = again([value, b"between", value])
        for one in (found[0], found[2]):
            assert (one.dtype, one.shape, one.tobytes()) == (value.dtype, value.shape, value.tobytes())
            assert not one.flags.writeable
            assert one.flags.aligned

    def test_arrays_that_lie_otherwise_in_memory(self) -> None:
        whole = np.arange(24.0).reshape(4, 6)
        for value in (whole.T, whole[::2, 1:4], whole[:, ::-1], np.broadcast_to(whole[0], (3, 6))):
            assert (again(value) == value).all()

    @pytest.mark.parametrize("name", TENSORS)
    @pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
    def test_tensors_of_every_dtype_with_memory_of_their_own(self, name: str, shape: tuple[int, ...]) -> None:
        value = torch.randn(shape).mul(50).to(getattr(torch, name))
        found = again({"weights": value, "moved": value.mT if value.dim() > 1 else value})
        assert found["weights"].dtype == value.dtype
        assert torch.equal(found["weights"], value)
        assert torch.equal(found["moved"], value.mT if value.dim() > 1 else value)
        found["weights"].zero_()

    @given(some.integers(0, 5), some.integers(0, 5), some.integers(0, 2**32 - 1))
    def test_sparse_matrices(self, rows: int, columns: int, seed: int) -> None:
        drawn = sparse.random_array((rows, columns), density=0.5, rng=np.random.default_rng(seed))
        value = sparse.csc_array(drawn)
        found = again(value)
        assert (found.shape, found.dtype) == (value.shape, value.dtype)
        for name in ("data", "indices", "indptr"):
            assert (getattr(found, name) == getattr(value, name)).all()
        found.sort_indices()

    def test_programs(self, nodes: Any) -> None:
        (found,) = again(held(StagePrograms, nodes[:1])).made_of[0]
        for field in fields(LinearProgram):
            one, other = getattr(found.program, field.name), getattr(nodes[0].program, field.name)
            if sparse.issparse(one):
                one, other = one.toarray(), other.toarray()
            assert np.array_equal(one, other), field.name
        assert (found.chances == nodes[0].chances).all()

    def test_what_is_one_object_is_one_afterwards(self, nodes: Any) -> None:
        twice = again(held(StagePrograms, [nodes[0], nodes[1], nodes[0]])).made_of[0]
        assert twice[0] is twice[2]
        assert twice[0] is not twice[1]

    def test_what_lanes_and_teams_say(self) -> None:
        cuts = Cuts(np.zeros(2, dtype=np.int64), np.array([1.5, -np.inf]), np.ones((2, 3)))
        told = again(Task("add_cuts", [(0, (1, cuts)), (2, (1, cuts))], False))
        assert told.parts[1][1][1].intercepts.tolist() == [1.5, -np.inf]
        work = Work(3, 0.25, Counter(cold_start=2))
        found = again(Answers([work, (np.ones(2), np.zeros((2, 1)), 0)], None))
        assert found.found[0] == work
        assert isinstance(found.found[0].remedies, Counter)
        assert again(Trials([np.ones((2, 1))], np.zeros((2, 4)))).carried[0].shape == (2, 1)
        order = Order("hdpo", "x", ({"a": [1, 0.5]},), {}, 2**70, {"p": 1}, {"w": {"b": None}}, None, 3, "cpu", None)
        for said in (order, Place(1, 2, ("127.0.0.1", 4), 0), Ready("no"), Ready(None)):
            assert again(said, OF_TEAMS) == said


class TestNoWordFor:
    @pytest.mark.parametrize(
        "value",
        [
            {1, 2},
            {1: "a"},
            len,
            object(),
            Stranger("a"),
            Ready(None),  # of another language
            np.array([{}]),
            np.array(["a"]),
            np.array(["2026-01-01"], dtype="datetime64[D]"),
            np.array([1j]),
            np.array([1.0], dtype=">f8"),
            np.float32(1),
            torch.zeros(1, dtype=torch.complex64),
            sparse.csr_array(np.eye(2)),
            Work(solves="three"),  # type: ignore[arg-type]
            Work(remedies={"a": 1}),  # type: ignore[arg-type]
            Trials([np.ones(1, dtype=np.float32)], np.ones(1)),
        ],
    )
    def test_what_other_processes_could_not_read_is_not_sent(self, value: Any) -> None:
        with pytest.raises(TypeError):
            LANGUAGE.packed([value])

    def test_what_is_too_large_is_not_sent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("solvers.messages.LARGEST", 1000)
        PLAIN.packed(np.zeros(100))
        with pytest.raises(ValueError, match="more than may be sent"):
            PLAIN.packed(np.zeros(125))


HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "another format": b"herenow2" + message(1)[8:],
    "a head longer than the message": FORMAT + (1 << 62).to_bytes(8, "little"),
    "no JSON": FORMAT + (8).to_bytes(8, "little") + b"{{{{{{{{",
    "no UTF-8": FORMAT + (8).to_bytes(8, "little") + b'"\xff\xff\xff\xff\xff"',
    "no object": FORMAT + (8).to_bytes(8, "little") + b"[1,2,34]",
    "not a number": message(float("nan")),
    "an integer without end": message(0).replace(b'"value": 0', b'"value":' + b"9" * 5000),
    "buffers that are not there": message({"bytes": 0}),
    "a buffer more than is said": message(1, b"12345678", sizes=[]),
    "a buffer that is too short": message({"bytes": 0}, b"1", sizes=[9]),
    "a buffer of a huge length": message({"bytes": 0}, sizes=[1 << 60]),
    "a buffer of a length below zero": message({"bytes": 0}, b"12345678", sizes=[-8, 16]),
    "lengths that are words": message(1, b"12345678", sizes=["8"]),
    "deep lists": FORMAT + (200_016).to_bytes(8, "little") + b'{"sizes":[],"value":' + b"[" * 199_996,
    "deep lists that end": message(0).replace(b'"value": 0', b'"value":' + b"[" * 3000 + b"]" * 3000),
    "an unknown word": message({"function": "os.system"}),
    "two words at once": message({"tuple": [], "dict": {}}),
    "no word": message({}),
    "an array of objects": message({"array": ["|O", [1], 0]}, bytes(8)),
    "an array of text": message({"array": ["<U2", [1], 0]}, bytes(8)),
    "an array of structures": message({"array": ["V8", [1], 0]}, bytes(8)),
    "an array longer than its buffer": message({"array": ["<f8", [2], 0]}, bytes(8)),
    "an array shorter than its buffer": message({"array": ["<f8", [1], 0]}, bytes(16)),
    "an array of another size": message({"array": ["<f4", [1], 0]}, bytes(8)),
    "an array of a huge shape": message({"array": ["<f8", [1 << 40], 0]}, bytes(8)),
    "an array whose shape wraps around": message({"array": ["<f8", [1 << 32, 1 << 32], 0]}, b""),
    "an empty array of a huge shape": message({"array": ["<f8", [0, 1 << 100], 0]}, b""),
    "an array of lengths below zero": message({"array": ["<f8", [-1, -1], 0]}, bytes(8)),
    "an array of half a length": message({"array": ["<f8", [1.0], 0]}, bytes(8)),
    "an array of too many dimensions": message({"array": ["<f8", [1] * 100, 0]}, bytes(8)),
    "a truth value that is neither": message({"array": ["|b1", [1], 0]}, b"\x02"),
    "a tensor of an unknown dtype": message({"tensor": ["load", [1], 0]}, bytes(8)),
    "a tensor longer than its buffer": message({"tensor": ["float64", [2], 0]}, bytes(8)),
    "a tensor of a huge shape": message({"tensor": ["float64", [1 << 40], 0]}, bytes(8)),
    "a tensor of truths that are none": message({"tensor": ["bool", [1], 0]}, b"\x07"),
    "an unknown record": message({"record": ["Popen", ["id"]]}),
    "a record of another language": message({"record": ["Ready", [None]]}),
    "a record without its fields": message({"record": ["Work", [1]]}),
    "a record with more fields": message({"record": ["Work", [1, 0.5, {"counts": {}}, 1]]}),
    "a record with fields of another kind": message({"record": ["Work", ["1", 0.5, {"counts": {}}]]}),
    "counts of words": message({"record": ["Work", [1, 0.5, {"counts": {"a": "b"}}]]}),
    "a record that is yet to come": message([{"same": 0}, {"record": ["Work", [1, 0.5, {"counts": {}}]]}]),
    "cuts that do not fit": message(
        {"record": ["Cuts", [{"array": [t, s, 0]} for t, s in (("<i8", [1]), ("<f8", [1]), ("<f8", [0, 1]))]]}, bytes(8)
    ),
    "a lane that holds what is not known": message({"record": ["Held", ["Popen", {"tuple": ["id"]}]]}),
    "a lane made of something else": message({"record": ["Held", ["StageCosts", {"tuple": [["id"], 1.0]}]]}),
    "a pickle": pickle.dumps(Work()),
}


def _matrix(shape: list[int], rows: list[int], starts: list[int]) -> bytes:
    parts = [np.ones(len(rows)), np.array(rows, dtype=np.int64), np.array(starts, dtype=np.int64)]
    trees = [{"array": [part.dtype.str, [len(part)], k]} for k, part in enumerate(parts)]
    return message({"sparse": [shape, *trees]}, *(part.tobytes() for part in parts))


HOSTILE |= {
    "a matrix with rows it does not have": _matrix([2, 2], [0, 7], [0, 1, 2]),
    "a matrix with rows below zero": _matrix([2, 2], [0, -7], [0, 1, 2]),
    "a matrix whose columns end beyond it": _matrix([2, 2], [0, 1], [0, 1, 9]),
    "a matrix whose columns go back": _matrix([2, 2], [0, 1], [0, 9, 2]),
    "a matrix of a huge shape": _matrix([2, 1 << 50], [0, 1], [0, 1, 2]),
}


class TestWhatIsNoMessage:
    @pytest.mark.parametrize("name", HOSTILE)
    def test_is_refused_whatever_it_is_and_takes_no_memory(self, name: str) -> None:
        tracemalloc.start()
        try:
            with pytest.raises(MessageError):
                LANGUAGE.unpacked(HOSTILE[name])
            assert tracemalloc.get_traced_memory()[1] < 8e6
        finally:
            tracemalloc.stop()

    def test_a_pickle_runs_nothing(self, tmp_path: Path) -> None:
        hostile = pickle.dumps(Touching(tmp_path / "touched"))
        for bytes_ in (hostile, FORMAT + hostile, message({"bytes": 0}, hostile)[:-8]):
            with pytest.raises(MessageError):
                LANGUAGE.unpacked(bytes_)
        assert LANGUAGE.unpacked(message({"bytes": 0}, hostile)) == hostile
        assert not (tmp_path / "touched").exists()
        pickle.loads(hostile)
        assert (tmp_path / "touched").exists(), "it would have"

    def test_one_that_is_cut_short_or_goes_on_is_refused(self, honest: bytes) -> None:
        for end in [*range(0, len(honest), 7), len(honest) - 1]:
            with pytest.raises(MessageError):
                LANGUAGE.unpacked(honest[:end])
        with pytest.raises(MessageError):
            LANGUAGE.unpacked(honest + bytes(8))

    @settings(max_examples=300)
    @given(some.data())
    def test_one_with_other_bytes_is_read_or_refused(self, honest: bytes, data: Any) -> None:
        changed = bytearray(honest)
        for _ in range(data.draw(some.integers(1, 3))):
            changed[data.draw(some.integers(0, len(changed) - 1))] = data.draw(some.integers(0, 255))
        with suppress(MessageError):
            LANGUAGE.unpacked(bytes(changed))

    @given(some.binary(max_size=200))
    def test_bytes_at_random_are_refused(self, drawn: bytes) -> None:
        for one in (drawn, FORMAT + drawn, FORMAT + len(drawn).to_bytes(8, "little") + drawn):
            with pytest.raises(MessageError):
                LANGUAGE.unpacked(one)

    @settings(max_examples=200)
    @given(
        some.recursive(
            LEAVES.filter(lambda leaf: not isinstance(leaf, bytes) and leaf == leaf) | some.just(0),
            lambda inner: (
                some.lists(inner, max_size=4)
                | some.tuples(
                    some.sampled_from(
                        ["float", "tuple", "dict", "counts", "bytes", "array", "tensor", "sparse", "record", "same"]
                    ),
                    inner,
                ).map(lambda pair: {pair[0]: pair[1]})
            ),
        )
    )
    def test_any_head_is_read_or_refused(self, tree: Any) -> None:
        with suppress(MessageError):
            LANGUAGE.unpacked(message(tree, bytes(8)))


class TestConnections:
    def test_a_value_passes(self) -> None:
        ours, theirs = Pipe()
        PLAIN.say(ours, ("word", 1.5))
        assert PLAIN.hear(theirs, tuple) == ("word", 1.5)

    def test_another_kind_than_is_due_is_refused(self) -> None:
        ours, theirs = Pipe()
        PLAIN.say(ours, 1)
        with pytest.raises(MessageError, match="int came where a str was due"):
            PLAIN.hear(theirs, str)

    @pytest.mark.parametrize(
        "said", [struct.pack("!i", 0x7FFFFFFF), struct.pack("!iQ", -1, 1 << 60), struct.pack("!i", LARGEST + 1)]
    )
    def test_a_length_beyond_what_may_be_is_refused_before_anything_is_read(self, said: bytes) -> None:
        ours, theirs = socket.socketpair()
        with ours, Connection(theirs.detach()) as pipe:
            ours.sendall(said)
            with pytest.raises(MessageError):
                PLAIN.hear(pipe, str)

    def test_one_that_broke_or_ended_is_told_from_one_that_speaks_otherwise(self) -> None:
        ours, theirs = Pipe()
        ours.close()
        with pytest.raises(EOFError):
            PLAIN.hear(theirs, str)
        assert issubclass(MessageError, OSError), "and treated as one that broke"


@pytest.mark.parametrize("kind", METHODS, ids=lambda kind: kind.__name__)
def test_every_method_that_may_be_asked_for_says_what_it_takes_and_gives(kind: type) -> None:
    made_of = {"StageCosts": ([], 1.0), "StagePrograms": ([],), "PathCosts": (Dam(2).stage(0), np.zeros(0, np.int64))}
    own = held(kind, *made_of[kind.__name__])
    for name in METHODS[kind]:
        fits(None, own.gives(name))
        assert not own.takes(name, (object(),) * 9)
    for name in ("__init__", "__class__", "_solve", "nodes", "elsewhere"):
        with pytest.raises(MessageError):
            own.gives(name)
        with pytest.raises(MessageError):
            own.takes(name, ())
