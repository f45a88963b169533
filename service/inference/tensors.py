"""Between the protocol's named tensors and the columnar documents of `recommend`.

A field `on_hand` of the node `hub` is the tensor `on_hand.hub`: the first dot parts field and key. An order from `hub`
to `north` is `orders.hub.north.quantity`. Words are BYTES, and none (null) is the empty word.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from models.core import pointer
from service.errors import ApiError, FieldError, field_error
from service.inference.schemas import Datatype, InputTensor, OutputTensor, TensorMetadata

_WHOLE = ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")
_BROKEN = ("FP16", "FP32", "FP64")


def columns_of(inputs: Sequence[InputTensor]) -> dict[str, Any]:
    """The states as one document of arrays; ApiError 422 names the tensor at fault."""
    columns: dict[str, Any] = {}
    for index, tensor in enumerate(inputs):
        if tensor.shape[0] != inputs[0].shape[0]:
            raise _fault(index, "shape/0", f"{tensor.shape[0]} rows, but the first input has {inputs[0].shape[0]}.")
        field, dot, key = tensor.name.partition(".")
        held = columns.setdefault(field, {} if dot else None)
        taken = key in held if isinstance(held, dict) else held is not None
        if taken or isinstance(held, dict) is not bool(dot):
            raise _fault(index, "name", "This field is given more than once, or both with and without a key.")
        values = _values(index, tensor)
        if dot:
            held[key] = values
        else:
            columns[field] = values
    return columns


def _values(index: int, tensor: InputTensor) -> list[Any]:
    flat = list(_flat(tensor.data))
    if len(flat) != math.prod(tensor.shape):
        raise _fault(index, "data", f"{len(flat)} entries do not fill the shape {tensor.shape}.")
    kinds: tuple[type, ...] = (bool,) if tensor.datatype == "BOOL" else (str,)
    if tensor.datatype in _WHOLE:
        kinds = (int,)
    elif tensor.datatype in _BROKEN:
        kinds = (int, float)
    for place, value in enumerate(flat):
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise _fault(index, f"data/{place}", f"This entry is not of type {tensor.datatype}.")
    if tensor.datatype == "BYTES":
        flat = [word or None for word in flat]
    return _nested(flat, tensor.shape)


def _flat(data: list[Any]) -> Iterator[Any]:
    for entry in data:
        if isinstance(entry, list):
            yield from _flat(entry)
        else:
            yield entry


def _nested(flat: list[Any], shape: Sequence[int]) -> list[Any]:
    for size in reversed(shape[1:]):
        step = max(size, 1)
        flat = [flat[at : at + size] for at in range(0, len(flat), step)]
    return flat


def _fault(index: int, place: str, detail: str) -> ApiError:
    return field_error(f"/inputs/{index}/{place}", detail)


def moved(error: ApiError, inputs: Sequence[InputTensor]) -> ApiError:
    """A refusal of the columnar document, its pointers moved to the tensors that hold the fields."""
    where: dict[str, str] = {}
    for index, tensor in enumerate(inputs):
        field, dot, key = tensor.name.partition(".")
        where["/states" + pointer(field, key) if dot else "/states" + pointer(field)] = f"/inputs/{index}/data"
    for index, tensor in enumerate(inputs):  # what is wrong with a whole field is told at its first tensor
        where.setdefault("/states" + pointer(tensor.name.partition(".")[0]), f"/inputs/{index}")
    errors = [FieldError(_place(fault.pointer, where), fault.detail) for fault in error.errors]
    return ApiError(error.slug, str(error.detail), errors, **error.members)


def _place(found: str, where: Mapping[str, str]) -> str:
    for start, place in where.items():
        if found == start or found.startswith(start + "/"):
            return place + found.removeprefix(start)
    return "/inputs"


def outputs_of(answer: Mapping[str, Any]) -> list[OutputTensor]:
    """A columnar answer as tensors: every array of the decisions, and what is said of each row."""
    named = {
        **_leaves(answer["decisions"]),
        "in_training_range": answer["in_training_range"],
        "repaired": answer["repaired"],
    }
    return [_tensor(name, values) for name, values in named.items()]


def _leaves(document: Mapping[str, Any], prefix: str = "") -> dict[str, list[Any]]:
    """The arrays of a columnar document with the names of the tensors that hold them.

    A list of lines, such as orders, is named by the words in each line; what is the same for every state is no array.
    """
    found: dict[str, list[Any]] = {}
    for name, value in document.items():
        if isinstance(value, Mapping):
            found |= _leaves(value, f"{prefix}{name}.")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            for line in value:
                words = [entry for entry in line.values() if isinstance(entry, str)]
                found |= _leaves(line, prefix + ".".join([name, *words]) + ".")
        elif isinstance(value, list):
            found[prefix + name] = value
    return found


def _tensor(name: str, values: list[Any]) -> OutputTensor:
    shape, at = [len(values)], values
    while at and isinstance(at[0], list):
        at = at[0]
        shape.append(len(at))
    flat = list(_flat(values))
    datatype = _datatype(flat)
    if datatype == "BYTES":
        flat = ["" if value is None else str(value) for value in flat]
    return OutputTensor(name=name, shape=shape, datatype=datatype, data=flat)


def _datatype(flat: Sequence[Any]) -> Datatype:
    kinds = {type(value) for value in flat}
    if kinds == {bool}:
        return "BOOL"
    if kinds == {int}:
        return "INT64"
    return "FP64" if kinds <= {int, float} and kinds else "BYTES"


def inputs_wanted(today: Mapping[str, Any]) -> list[TensorMetadata]:
    """The tensors that make the state `today`; lists in it, such as goods under way, may be left out and are."""
    return [
        TensorMetadata(name=name, datatype=_datatype([value]), shape=[-1]) for name, value in _scalars(today).items()
    ]


def _scalars(document: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field, value in document.items():
        if isinstance(value, Mapping):
            found |= {f"{field}.{key}": entry for key, entry in value.items() if not isinstance(entry, (list, dict))}
        elif not isinstance(value, list):
            found[field] = value
    return found


def today_as_columns(today: Mapping[str, Any]) -> dict[str, Any]:
    """The state `today` as a document of arrays with one row."""
    columns: dict[str, Any] = {}
    for name, value in _scalars(today).items():
        field, dot, key = name.partition(".")
        if dot:
            columns.setdefault(field, {})[key] = [value]
        else:
            columns[field] = [value]
    return columns
