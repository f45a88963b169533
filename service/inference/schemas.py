"""The protocol's documents (Open Inference Protocol, version 2, REST)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Datatype = Literal["BOOL", "INT64", "FP64", "BYTES"]
Taken = Literal[
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES"
]
Parameters = dict[str, str | int | float | bool]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class InputTensor(_Body):
    """One field of the states: its entries in row-major order, flat or nested."""

    name: str = Field(min_length=1, max_length=200, description="The field; `GET /v2/models/{name}` lists them.")
    shape: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=4)]
    datatype: Taken
    parameters: Parameters = {}
    data: list[Any]


class RequestedOutput(_Body):
    """An output that is wanted; left out, all are answered."""

    name: str = Field(min_length=1, max_length=200)
    parameters: Parameters = {}


class InferRequest(_Body):
    """States to decide for, one row of every tensor each."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "monday",
                    "inputs": [
                        {"name": "period", "shape": [2], "datatype": "INT64", "data": [0, 0]},
                        {"name": "on_hand.north", "shape": [2], "datatype": "FP64", "data": [4.0, 9.0]},
                    ],
                }
            ]
        }
    )

    id: str | None = Field(default=None, max_length=200, description="Returned as it came.")
    parameters: Parameters = {}
    inputs: list[InputTensor] = Field(min_length=1, max_length=10_000)
    outputs: list[RequestedOutput] = Field(default=[], max_length=10_000)


class OutputTensor(BaseModel):
    """One field of the decisions, flat in row-major order."""

    name: str
    shape: list[int]
    datatype: Datatype
    data: list[Any]


class InferResponse(BaseModel):
    """Decisions, one row of every tensor for each state."""

    model_name: str
    model_version: str
    id: str | None = None
    parameters: Parameters
    outputs: list[OutputTensor]


class TensorMetadata(BaseModel):
    """A tensor that is taken or given; −1 in its shape is the number of states."""

    name: str
    datatype: Datatype
    shape: list[int]


class ServerMetadata(BaseModel):
    """Who answers."""

    name: Literal["herenow"]
    version: str
    extensions: list[str]


class PolicyMetadata(BaseModel):
    """What a policy takes and gives."""

    name: str
    versions: list[str]
    platform: Literal["herenow_torch"]
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ServerLive(BaseModel):
    """The process answers."""

    live: bool


class ServerReady(BaseModel):
    """The service can do its work."""

    ready: bool


class PolicyReady(BaseModel):
    """The policy can be asked."""

    name: str
    ready: bool
