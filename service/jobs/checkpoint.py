"""A training's checkpoint on disk: one safetensors file, its plain values as JSON in the file's own header.

Nothing is pickled. The file is replaced atomically, so a reader finds the last whole checkpoint or none.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

NAME = "checkpoint.safetensors"
FORMAT = "1"


class CheckpointError(RuntimeError):
    """The file is no checkpoint this version can read."""


def save(folder: Path, state: Mapping[str, Any]) -> int:
    """Replace the folder's checkpoint by `state`: tensors and plain values and containers. Its size [bytes].

    TypeError if the state holds anything else.
    """
    tensors: dict[str, torch.Tensor] = {}
    document = _encode(state, tensors)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = folder / f".{NAME}.{os.getpid()}"
    # An empty tensor keeps the file valid when the state has none of its own.
    try:
        save_file(tensors or {"none": torch.zeros(0)}, aside, {"format": FORMAT, "document": json.dumps(document)})
        with aside.open("rb") as file:
            os.fsync(file.fileno())
            size = os.fstat(file.fileno()).st_size
        aside.replace(folder / NAME)
    finally:
        aside.unlink(missing_ok=True)
    return size


def load(folder: Path) -> dict[str, Any] | None:
    """The folder's checkpoint, or None if it has none; CheckpointError if it cannot be read."""
    path = folder / NAME
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
        if metadata.get("format") != FORMAT:
            raise CheckpointError(f"unknown format {metadata.get('format')!r}")
        state: dict[str, Any] = _decode(json.loads(metadata["document"]), tensors)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"the checkpoint cannot be read: {error}") from error
    return state


def _encode(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Plain JSON; what JSON lacks is a one-element object with a `$` key."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return {"$float": float(value).hex()}  # exact, and covers infinities
    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().contiguous().clone()  # a copy: no two may share memory in the file
        return {"$tensor": name}
    if isinstance(value, Mapping):
        return {"$map": [[_encode(key, tensors), _encode(item, tensors)] for key, item in value.items()]}
    if isinstance(value, tuple):
        return {"$tuple": [_encode(item, tensors) for item in value]}
    if isinstance(value, list):
        return [_encode(item, tensors) for item in value]
    raise TypeError(f"a checkpoint cannot hold a {type(value).__name__}")


def _decode(value: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    if isinstance(value, list):
        return [_decode(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    match kind:
        case "$float":
            return float.fromhex(content)
        case "$tensor":
            return tensors[content]
        case "$map":
            return {_decode(key, tensors): _decode(item, tensors) for key, item in content}
        case "$tuple":
            return tuple(_decode(item, tensors) for item in content)
    raise ValueError(f"unknown kind {kind!r}")
