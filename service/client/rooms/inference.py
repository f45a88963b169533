"""The same policies by the Open Inference Protocol: tensors in, tensors out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .. import calls
from ..calls import Call, given
from ..operations import Room, W, operation
from ..records import InferResponse, PolicyMetadata, PolicyReady, ServerLive, ServerMetadata, ServerReady

MODEL = "/v2/models/{name}"
VERSION = "/v2/models/{name}/versions/{version}"


class Inference(Room[W]):
    """Policies by the Open Inference Protocol (version 2, REST, JSON tensors)."""

    @operation
    def live(self) -> Call[ServerLive]:
        """Whether the server is live."""
        return calls.get("/v2/health/live", ServerLive)

    @operation
    def ready(self) -> Call[ServerReady]:
        """Whether the server is ready."""
        return calls.get("/v2/health/ready", ServerReady)

    @operation
    def server(self) -> Call[ServerMetadata]:
        """What serves."""
        return calls.get("/v2", ServerMetadata)

    @operation
    def policy(self, name: str) -> Call[PolicyMetadata]:
        """A policy's inputs and outputs as tensors."""
        return calls.get(MODEL, PolicyMetadata, name=name)

    @operation
    def policy_version(self, name: str, version: str) -> Call[PolicyMetadata]:
        """The same of one version."""
        return calls.get(VERSION, PolicyMetadata, name=name, version=version)

    @operation
    def policy_ready(self, name: str) -> Call[PolicyReady]:
        """Whether a policy can be asked."""
        return calls.get(f"{MODEL}/ready", PolicyReady, name=name)

    @operation
    def policy_version_ready(self, name: str, version: str) -> Call[PolicyReady]:
        """The same of one version."""
        return calls.get(f"{VERSION}/ready", PolicyReady, name=name, version=version)

    @operation
    def infer(
        self,
        name: str,
        inputs: Sequence[Mapping[str, Any]],
        *,
        outputs: Sequence[Mapping[str, Any]] | None = None,
        id: str | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> Call[InferResponse]:
        """Decisions for tensors of states, one row a state. It has no key, so a lost answer is not asked for again."""
        return calls.once(f"{MODEL}/infer", InferResponse, _body(inputs, outputs, id, parameters), name=name)

    @operation
    def infer_version(
        self,
        name: str,
        version: str,
        inputs: Sequence[Mapping[str, Any]],
        *,
        outputs: Sequence[Mapping[str, Any]] | None = None,
        id: str | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> Call[InferResponse]:
        """The same by one version."""
        body = _body(inputs, outputs, id, parameters)
        return calls.once(f"{VERSION}/infer", InferResponse, body, name=name, version=version)


def _body(
    inputs: Sequence[Mapping[str, Any]],
    outputs: Sequence[Mapping[str, Any]] | None,
    name: str | None,
    parameters: Mapping[str, Any] | None,
) -> dict[str, Any]:
    return given({"id": name, "parameters": parameters, "inputs": calls.plain([*inputs]), "outputs": outputs})
