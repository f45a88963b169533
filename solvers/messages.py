"""What processes that share a training say to each other: values as bytes, none of which runs code when it is read.

A message is eight bytes that name the format, the length of its head (eight bytes, little-endian), the head as JSON,
and buffers, each begun at a multiple of eight. The head has the buffers' `sizes` and one `value`:

    null, true, 12, .5, "word", […]         themselves; a list
    {"float": "inf"}                        what JSON has no number for
    {"tuple": […]}, {"dict": {…}}           keys are words
    {"counts": {…}}                         a `Counter`
    {"bytes": k}                            buffer k
    {"array": [dtype, shape, k]}            numbers or truth values in buffer k, row by row; read-only where it is read
    {"tensor": [dtype, shape, k]}           the same as a torch tensor on the processor, with memory of its own
    {"sparse": [shape, data, rows, starts]} a `csc_array` of three arrays
    {"record": [name, [field, …]]}          a dataclass of the `Language`, its fields held to their annotations
    {"same": k}                             record k of those before, counted where they end: it is one object

Every length is checked against what is there before anything is made of it, so a small message cannot ask for much
memory. The programs of a penalty over 120 stages of 150 reservoirs are 16 MB, 5 MB of them the head.
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Mapping
from itertools import accumulate, pairwise
from multiprocessing.connection import Connection
from typing import Any, TypeVar

import numpy as np

from models.lazy import sparse, torch
from solvers.annotations import fields, fits

FORMAT = b"herenow1"
LARGEST = 1 << 30  # [bytes] of a message
LARGEST_HEAD = 1 << 27  # [bytes] of its JSON, which takes many times as much memory when it is read
ALIGNED = 8  # [bytes]
DTYPES = {
    name: np.dtype(name) for name in ("<f8", "<f4", "<i8", "<i4", "<i2", "|i1", "<u8", "<u4", "<u2", "|u1", "|b1")
}
TENSORS = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")

T = TypeVar("T")


class MessageError(OSError):
    """What came is no message. An `OSError`, since who sent it is to be treated as one whose connection broke."""


class Language:
    """Who speaks it understands plain values, arrays, tensors, sparse matrices, and the dataclasses it is given."""

    def __init__(self, *records: type) -> None:
        self._records = {kind.__name__: kind for kind in records}

    def packed(self, value: Any) -> bytes:
        """The message that says a value.

        Raises:
            TypeError: it holds what there is no word for, or a record whose fields are not what they are annotated.
            ValueError: it is too large.
        """
        writer = _Writer(self._records)
        tree = writer.tree(value)
        sizes = [len(buffer) if isinstance(buffer, bytes) else buffer.nbytes for buffer in writer.buffers]
        head = json.dumps({"sizes": sizes, "value": tree}, separators=(",", ":"), allow_nan=False).encode()
        parts: list[Any] = [FORMAT, len(head).to_bytes(8, "little"), head, bytes(-len(head) % ALIGNED)]
        for buffer, size in zip(writer.buffers, sizes, strict=True):
            parts += (buffer, bytes(-size % ALIGNED))
        message = b"".join(parts)
        if len(head) > LARGEST_HEAD or len(message) > LARGEST:
            raise ValueError(f"a message of {len(message)} bytes, {len(head)} of them words, is more than may be sent")
        return message

    def unpacked(self, message: bytes) -> Any:
        """The value that a message says; its arrays are views into it.

        Raises:
            MessageError: it is none of this language.
        """
        try:
            return _Reader(self._records, message).value
        except (
            ValueError,
            TypeError,
            LookupError,
            AttributeError,
            ArithmeticError,
            RecursionError,
            MemoryError,
        ) as error:
            raise MessageError(f"a message cannot be read: {error}") from error

    def say(self, pipe: Connection, value: Any) -> None:
        """Say a value over a connection."""
        pipe.send_bytes(self.packed(value))

    def hear(self, pipe: Connection, kind: type[T]) -> T:
        """The next value of a connection, which is of this kind.

        Raises:
            MessageError: it is not, or no message of this language, or longer than may be.
            EOFError: the other side has closed the connection.
            OSError: it broke.
        """
        try:
            message = pipe.recv_bytes(LARGEST)
        except OSError as error:
            if error.errno is not None:
                raise
            raise MessageError(f"a message cannot be read: {error}") from error  # its length
        value = self.unpacked(message)
        if not isinstance(value, kind):
            raise MessageError(f"a {type(value).__name__} came where a {kind.__name__} was due")
        return value


PLAIN = Language()


class _Writer:
    """One value on its way to a message."""

    def __init__(self, records: Mapping[str, type]) -> None:
        self._records = records
        self.buffers: list[Any] = []  # bytes, or arrays row by row
        self._places: dict[int, int] = {}  # by the identity of an array: its buffer
        self._ended: dict[int, int] = {}  # by the identity of a record: its number

    def tree(self, value: Any) -> Any:
        """A value as JSON."""
        if value is None or isinstance(value, (bool, str)):
            return value
        if isinstance(value, int):
            return int(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else {"float": repr(float(value))}
        if isinstance(value, list):
            return [self.tree(item) for item in value]
        if isinstance(value, tuple):
            return {"tuple": [self.tree(item) for item in value]}
        if isinstance(value, Mapping):
            if not all(isinstance(key, str) for key in value):
                raise TypeError("keys in a message are words")
            kind = "counts" if isinstance(value, Counter) else "dict"
            return {kind: {key: self.tree(item) for key, item in value.items()}}
        if isinstance(value, bytes):
            return {"bytes": self._place(value)}
        if isinstance(value, np.ndarray):
            return {"array": self._array(value)}
        record = self._records.get(type(value).__name__)
        if record is not None and record is type(value):
            return self._record(record, value)
        if "torch" in sys.modules and isinstance(value, torch.Tensor):
            return {"tensor": self._tensor(value)}
        if isinstance(value, sparse.csc_array):
            return {"sparse": [list(value.shape), *map(self.tree, (value.data, value.indices, value.indptr))]}
        raise TypeError(f"there is no word for a {type(value).__name__}")

    def _place(self, buffer: Any) -> int:
        self.buffers.append(buffer)
        return len(self.buffers) - 1

    def _array(self, value: np.ndarray[Any, Any]) -> list[Any]:
        if value.dtype.str not in DTYPES:
            raise TypeError(f"there is no word for arrays of {value.dtype}")
        # Whoever asks keeps the value until it is written, so no two of its arrays have the same identity.
        if id(value) not in self._places:
            self._places[id(value)] = self._place(np.ascontiguousarray(value))
        return [value.dtype.str, list(value.shape), self._places[id(value)]]

    def _tensor(self, value: torch.Tensor) -> list[Any]:
        name = str(value.dtype).removeprefix("torch.")
        if name not in TENSORS:
            raise TypeError(f"there is no word for tensors of {name}")
        plain = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        return [name, list(value.shape), self._place(plain.numpy())]

    def _record(self, kind: type, value: Any) -> Any:
        if id(value) in self._ended:
            return {"same": self._ended[id(value)]}
        own = []
        for name, annotation in fields(kind).items():
            item = getattr(value, name)
            if not fits(item, annotation):
                raise TypeError(f"{kind.__name__}.{name} is not {annotation}")
            own.append(self.tree(item))
        self._ended[id(value)] = len(self._ended)
        return {"record": [kind.__name__, own]}


class _Reader:
    """One message on its way to a value."""

    def __init__(self, records: Mapping[str, type], message: bytes) -> None:
        whole = memoryview(message)
        first = len(FORMAT) + 8
        length = int.from_bytes(whole[len(FORMAT) : first], "little")
        if whole[: len(FORMAT)] != FORMAT or length > min(LARGEST_HEAD, len(whole) - first):
            raise ValueError("it does not begin as one")
        head = _JSON.decode(bytes(whole[first : first + length]).decode())
        sizes = _lengths(head["sizes"])
        begun = first + length + -length % ALIGNED
        starts = list(accumulate((size + -size % ALIGNED for size in sizes), initial=begun))
        if starts[-1] != len(whole):
            raise ValueError(f"it has {len(whole)} bytes and says {starts[-1]}")
        self._buffers = [whole[start : start + size] for (start, _), size in zip(pairwise(starts), sizes, strict=True)]
        self._records, self._ended = records, list[Any]()
        self.value = self._read(head["value"])

    def _read(self, tree: Any) -> Any:
        if isinstance(tree, list):
            return [self._read(item) for item in tree]
        if not isinstance(tree, dict):
            return tree
        ((kind, content),) = tree.items()
        match kind:
            case "float":
                return _UNWRITTEN[content]
            case "tuple":
                return tuple([self._read(item) for item in content])
            case "dict" | "counts":
                made = {key: self._read(item) for key, item in content.items()}
                return made if kind == "dict" else Counter(made)
            case "bytes":
                return bytes(self._buffers[content])
            case "array":
                name, shape, place = content
                return self._array(DTYPES[name], shape, place)
            case "tensor":
                return self._tensor(*content)
            case "sparse":
                return self._sparse(*content)
            case "record":
                return self._record(*content)
            case "same":
                return self._ended[content]
        raise ValueError(f"there is no word {kind!r}")

    def _array(self, dtype: np.dtype[Any], shape: Any, place: Any) -> np.ndarray[Any, Any]:
        buffer = self._buffers[place]
        if math.prod(_lengths(shape)) * dtype.itemsize != len(buffer):
            raise ValueError(f"an array {shape} of {dtype} does not have {len(buffer)} bytes")
        found: np.ndarray[Any, Any] = np.ndarray(shape, dtype, buffer)
        if dtype == np.bool_:
            _true_or_false(buffer)
        return found

    def _tensor(self, name: str, shape: Any, place: Any) -> torch.Tensor:
        dtype, buffer = getattr(torch, TENSORS[TENSORS.index(name)]), self._buffers[place]
        if math.prod(_lengths(shape)) * dtype.itemsize != len(buffer):
            raise ValueError(f"a tensor {shape} of {name} does not have {len(buffer)} bytes")
        if dtype == torch.bool:
            _true_or_false(buffer)
        plain = torch.frombuffer(bytearray(buffer), dtype=dtype) if len(buffer) else torch.zeros(0, dtype=dtype)
        return plain.reshape(shape)

    def _sparse(self, shape: Any, *parts: Any) -> Any:
        arrays = [self._read(part) for part in parts]
        if len(_lengths(shape)) != 2 or not all(isinstance(array, np.ndarray) for array in arrays):
            raise ValueError("a sparse matrix has two lengths and three arrays")
        # Copies: scipy sorts a matrix in place when somebody asks for it in order.
        made = sparse.csc_array(tuple(array.copy() for array in arrays), shape=tuple(shape))
        made.check_format(full_check=True)
        return made

    def _record(self, name: str, trees: list[Any]) -> Any:
        kind = self._records[name]
        own = [self._read(tree) for tree in trees]
        for value, (field, annotation) in zip(own, fields(kind).items(), strict=True):
            if not fits(value, annotation):
                raise ValueError(f"{name}.{field} is not {annotation}")
        self._ended.append(kind(*own))
        return self._ended[-1]


def _lengths(values: Any) -> list[int]:
    if not isinstance(values, list) or not all(type(value) is int and value >= 0 for value in values):
        raise ValueError("a length is a whole number, not below zero")
    return values


def _true_or_false(buffer: memoryview) -> None:
    if np.frombuffer(buffer, np.uint8).max(initial=0) > 1:
        raise ValueError("a truth value is neither 0 nor 1")


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON")


_JSON = json.JSONDecoder(parse_constant=_no_number)
_UNWRITTEN = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}
