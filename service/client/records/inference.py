"""Records of inference.

Made by `python -m tests.client.records` of the OpenAPI document; not written by hand.
"""

from __future__ import annotations

from typing import Any, Literal

from ..record import Record


class InferResponse(Record):
    """Decisions, one row of every tensor for each state."""

    model_name: str
    model_version: str
    id: str | None = None
    parameters: dict[str, str | int | float | bool]
    outputs: list[OutputTensor]


class OutputTensor(Record):
    """One field of the decisions, flat in row-major order."""

    name: str
    shape: list[int]
    datatype: Literal["BOOL", "INT64", "FP64", "BYTES"] | str
    data: list[Any]


class PolicyMetadata(Record):
    """What a policy takes and gives."""

    name: str
    versions: list[str]
    platform: Literal["herenow_torch"]
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class PolicyReady(Record):
    """The policy can be asked."""

    name: str
    ready: bool


class ServerLive(Record):
    """The process answers."""

    live: bool


class ServerMetadata(Record):
    """Who answers."""

    name: Literal["herenow"]
    version: str
    extensions: list[str]


class ServerReady(Record):
    """The service can do its work."""

    ready: bool


class TensorMetadata(Record):
    """A tensor that is taken or given; −1 in its shape is the number of states."""

    name: str
    datatype: Literal["BOOL", "INT64", "FP64", "BYTES"] | str
    shape: list[int]
