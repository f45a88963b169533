"""A training step never leaves the device it runs on, so a GPU can record it.

On the device `meta` tensors have shapes and no values: whatever reads one back, or mixes it with a tensor left on the
processor, fails there. So a machine without a GPU sees what a recording would refuse.
"""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from models.registry import problem, problems
from solvers.core import Callbacks, TrainRequest
from solvers.hdpo import HDPO, HDPOConfig, Lesson, train
from solvers.rollout import roll_out

CASES = [
    pytest.param(name, example.name, family.name, id=f"{example.name}-{family.name}")
    for name, found in problems().items()
    if not HDPO.reasons_against(found)
    for example in found.examples
    for family in found.families
    if family.role == "learned" and family.refuses(found.parse(example.document())) is None
]


class NothingFromTheProcessor(TorchDispatchMode):
    """Refuses operations that take a tensor from the processor; single numbers travel with a launch."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        for leaf in tree_leaves((args, kwargs or {})):
            if isinstance(leaf, torch.Tensor) and leaf.device.type == "cpu" and (leaf.dim() or "copy" in str(func)):
                raise AssertionError(f"{func} takes a tensor {tuple(leaf.shape)} from the processor")
        return func(*args, **(kwargs or {}))


def _lesson(name, example, family, device="cpu", **config):
    case = problem(name)
    document = next(e for e in case.examples if e.name == example).document()
    instance = case.parse(document | {"periods": min(document["periods"], 16), "warmup_periods": 0})
    settings = HDPOConfig(family=family, width=8, batch_size=4, validation_scenarios=4, **config)
    torch.manual_seed(0)
    lesson = Lesson(TrainRequest(case, instance, settings, seed=1, device=device), settings, family, 0)
    lesson.begin({})
    return lesson


@pytest.mark.parametrize(("name", "example", "family"), CASES)
def test_a_step_reads_nothing_back_and_leaves_nothing_behind(name, example, family):
    lesson = _lesson(name, example, family)
    scenarios = [part.to("meta") for part in lesson.draws.batch(4)]
    lesson.simulator.to("meta")
    lesson.policy.to("meta")
    lesson.duals.size, lesson.duals.multipliers = lesson.duals.size.to("meta"), lesson.duals.multipliers.to("meta")
    with NothingFromTheProcessor():
        torch.autograd.backward(lesson.loss(lesson.attempt(*scenarios)))
    assert any(parameter.grad is not None for parameter in lesson.policy.parameters())


def test_multipliers_stay_where_a_recorded_step_reads_them():
    lesson = _lesson("inventory_network", "fill-rate", "mlp")
    place = lesson.duals.multipliers.data_ptr()
    lesson.duals.ascend(lesson.learn(), 0.5)
    lesson.duals.restore(lesson.duals.state())
    assert lesson.duals.multipliers.data_ptr() == place


def test_a_rehearsal_spends_no_training_scenario():
    one, other = (_lesson("inventory_network", "dc-two-stores", "mlp") for _ in range(2))
    rehearsed = one.draws.rehearsal(4)
    drawn = one.draws.batch(4)
    assert torch.equal(drawn[1].demand, other.draws.batch(4)[1].demand)
    assert not torch.equal(drawn[1].demand, rehearsed[1].demand)
    assert rehearsed[1].demand.stride() == drawn[1].demand.stride()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
class TestOnAGPU:
    @pytest.mark.parametrize("family", ["mlp", "gnn"])
    def test_a_replay_has_the_gradients_of_a_step_launched_kernel_by_kernel(self, family):
        lesson = _lesson("inventory_network", "dc-two-stores", family, device="cuda")
        scenarios = lesson.draws.batch(4)
        torch.autograd.backward(lesson.loss(lesson.attempt(*scenarios)))
        exact = [parameter.grad.clone() for parameter in lesson.policy.parameters()]
        lesson.record()
        lesson.recorded(*scenarios)
        for parameter, gradient in zip(lesson.policy.parameters(), exact, strict=True):
            torch.testing.assert_close(parameter.grad, gradient)

    def test_training_recorded_gives_the_policy_of_training_launched(self):
        case = problem("inventory_network")
        instance = case.parse(next(e for e in case.examples if e.name == "dc-two-stores").document())
        best = [
            train(
                TrainRequest(case, instance, HDPOConfig(iterations=20, recorded=recorded), seed=1, device="cuda"),
                Callbacks(),
            ).curve[-1]["cost"]
            for recorded in (True, False)
        ]
        assert best[0] == pytest.approx(best[1], rel=1e-3)


@pytest.mark.parametrize("family", ["mlp", "gnn", "symmetric"])
@pytest.mark.parametrize("example", ["warehouse-20-stores", "history-in-blocks", "perishable"])
def test_bfloat16_lowers_the_networks_and_not_the_units_they_count(family, example):
    lesson = _lesson("inventory_network", example, family)
    scenarios = lesson.draws.batch(64)
    with torch.no_grad():  # off the kinks untrained policies stand on, where rounding chooses the side of the slope
        for parameter in lesson.policy.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)))
    gradients = []
    for lowered in (False, True):
        lesson.policy.zero_grad(set_to_none=True)
        outcome = roll_out(lesson.simulator, lesson.policy, *scenarios, bfloat16=lowered)
        torch.autograd.backward(outcome.cost)
        gradients.append(
            torch.cat([p.grad.flatten() for p in lesson.policy.parameters() if p.grad is not None and p.grad.any()])
        )
    exact, low = gradients
    assert float((low - exact).norm()) < 0.1 * float(exact.norm())
