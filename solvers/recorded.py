"""A training step recorded once on a GPU and replayed: one launch instead of thousands.

A rollout of small networks over many stages is thousands of kernels of a few microseconds; launched one by one they
wait for the processor that launches them. A CUDA graph keeps the sequence, and a replay reads the same memory:
scenarios are copied into the buffers it was recorded on, and gradients appear in the buffers it wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from models.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

    from solvers.rollout import Outcome

WARM_UPS = 3  # steps before recording, in which libraries allocate what they need; PyTorch advises so


class Recorded:
    """The forward and backward pass of one lesson as a CUDA graph.

    Args:
        attempt: (state, noise) → outcome, differentiable; it must not wait for the device and must read all that
            changes between steps (weights, multipliers) from memory that stays where it is.
        loss: outcome → what is descended.
        parameters: the weights; their gradients are overwritten by every replay.
        state, noise: scenarios of the size that every step has.

    Raises:
        RuntimeError: the step does something that cannot be recorded.
    """

    def __init__(
        self,
        attempt: Callable[[Any, Any], Outcome],
        loss: Callable[[Outcome], Tensor],
        parameters: Iterable[nn.Parameter],
        state: Any,
        noise: Any,
    ) -> None:
        self._parameters = list(parameters)
        self._state, self._noise = state.map(torch.clone), noise.map(torch.clone)
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UPS):
                self._forget()
                torch.autograd.backward(loss(attempt(self._state, self._noise)))
        torch.cuda.current_stream().wait_stream(aside)
        self._forget()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            outcome = attempt(self._state, self._noise)
            torch.autograd.backward(loss(outcome))
        self._gradients = [parameter.grad for parameter in self._parameters]
        detached = {name: getattr(outcome, name).detach() for name in ("cost", "slacks", "slack_sizes")}
        self._outcome: Outcome = replace(outcome, **detached)

    def __call__(self, state: Any, noise: Any) -> Outcome:
        """What the policy did on these scenarios; the gradients of the loss are in its weights.

        Both are overwritten by the next call.
        """
        for kept, new in ((self._state, state), (self._noise, noise)):
            for field in fields(kept):
                getattr(kept, field.name).copy_(getattr(new, field.name))
        self._graph.replay()
        for parameter, gradient in zip(self._parameters, self._gradients, strict=True):
            parameter.grad = gradient
        return self._outcome

    def _forget(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None
