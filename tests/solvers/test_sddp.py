"""SDDP on programs small enough for their whole tree of outcomes to be solved."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from models.program import Outcomes
from solvers.core import Callbacks, InnerSolveError, TrainRequest, WeightsDoNotFit
from solvers.cut_policy import CutPolicy, weights_of
from solvers.cuts import CutPool, Cuts
from solvers.sddp import SDDP, SDDPConfig, nodes_of, risk_weights, train
from tests.models.dam import Dam, Stall, extensive_optimum, problem_of
from tests.solvers.test_lanes import helper


def run(face: Any, discount: float = 1.0, callbacks: Callbacks | None = None, **options: Any) -> Any:
    fields = {name: options.pop(name) for name in ("checkpoint", "warm_start", "time_limit") if name in options}
    config = SDDPConfig(**({"iterations": 40, "gap": 0.0, "simulation_paths": 16} | options))
    return train(TrainRequest(problem_of(face, discount), None, config, 3, **fields), callbacks or Callbacks())


class TestTheBound:
    @pytest.mark.parametrize("face", [Dam(4), Dam(4, water_left=2.0), Stall()], ids=["dam", "water-left", "stall"])
    @pytest.mark.parametrize("discount", [1.0, 0.9])
    def test_many_cuts_reach_the_optimum_of_the_whole_tree(self, face: Any, discount: float) -> None:
        found = run(face, discount, multi_cut=True, trials=4)
        optimum = extensive_optimum(face, discount)
        assert found.bound.value_per_stage * face.num_stages == pytest.approx(optimum, rel=1e-7)

    @pytest.mark.parametrize("options", [{}, {"cut_selection": False}, {"trials": 2}, {"multi_cut": True}])
    def test_it_never_exceeds_the_optimum_and_never_falls(self, options: dict[str, Any]) -> None:
        bounds: list[float] = []
        callbacks = Callbacks(on_iteration=lambda i, n, metrics: bounds.append(metrics["bound"]))
        run(Dam(4), callbacks=callbacks, **options)
        optimum = extensive_optimum(Dam(4)) / 4
        assert bounds[0] < 0.999 * optimum  # it had to be worked for
        assert np.diff(bounds).min() >= -1e-9 * optimum
        assert 0.999 * optimum <= bounds[-1] <= optimum * (1 + 1e-9)

    def test_costs_may_be_negative(self) -> None:
        found = run(Dam(3, water_left=90.0), multi_cut=True, trials=4)
        assert extensive_optimum(Dam(3, water_left=90.0)) < 0
        assert found.bound.value_per_stage * 3 == pytest.approx(extensive_optimum(Dam(3, water_left=90.0)), rel=1e-7)

    def test_simulated_cost_is_near_it(self) -> None:
        found = run(Dam(4), multi_cut=True, simulation_paths=400)
        last = found.curve[-1]
        assert abs(last["cost"] - last["bound"]) < 4 * last["cost_error"]


class TestWhatItIsAFunctionOf:
    def test_processes_change_nothing(self) -> None:
        alone, shared = (run(Dam(4), trials=3, lanes=3, processes=count) for count in (1, 2))
        assert alone.bound == shared.bound
        for name, tensor in alone.policy.state_dict().items():
            assert torch.equal(tensor, shared.policy.state_dict()[name]), name

    def test_helpers_change_nothing(self) -> None:
        asked: list[int] = []

        def helpers(count: int) -> list[Any]:
            asked.append(count)
            return [helper() for _ in range(count)]

        options = {"trials": 4, "lanes": 4, "processes": 1}
        alone = run(Dam(4), **options)
        helped = run(Dam(4), callbacks=Callbacks(helpers=helpers), helpers=2, **options)
        assert asked == [2]
        assert (alone.bound, alone.curve[-1]["cost"]) == (helped.bound, helped.curve[-1]["cost"])
        for name, tensor in alone.policy.state_dict().items():
            assert torch.equal(tensor, helped.policy.state_dict()[name]), name

    @pytest.mark.parametrize("messages", [2, 40])
    def test_whoever_takes_over_a_helpers_lanes_has_the_cuts(self, messages: int) -> None:
        """A helper that leaves in the middle costs nothing of what was learnt: the bound neither falls nor errs."""
        bounds: list[float] = []
        callbacks = Callbacks(
            helpers=lambda count: [helper(leaves_after=messages)],
            on_iteration=lambda i, n, metrics: bounds.append(metrics["bound"]),
        )
        run(Dam(4), callbacks=callbacks, helpers=1, trials=2, lanes=2, processes=1, multi_cut=True)
        optimum = extensive_optimum(Dam(4)) / 4
        assert np.diff(bounds).min() >= -1e-9 * optimum
        assert bounds[-1] == pytest.approx(optimum, rel=1e-7)

    def test_a_run_goes_on_from_its_checkpoint_as_if_it_had_not_stopped(self) -> None:
        kept: list[Any] = []
        options = {"iterations": 12, "check_every": 4, "trials": 2, "lanes": 2, "processes": 1, "stall_iterations": 50}
        whole = run(Dam(4), callbacks=Callbacks(on_checkpoint=kept.append), **options)
        again = run(Dam(4), checkpoint=kept[0], **options)
        assert kept[0]["iteration"] == 4
        assert (again.bound, again.iterations) == (whole.bound, 12)
        assert torch.equal(again.policy.slopes, whole.policy.slopes)

    def test_another_seed_is_another_run(self) -> None:
        config = SDDPConfig(iterations=3, gap=0.0)
        one, two = (train(TrainRequest(problem_of(Dam(4)), None, config, seed), Callbacks()) for seed in (1, 2))
        assert one.bound != two.bound


class TestHowItEnds:
    def test_a_stalled_bound_ends_it(self) -> None:
        found = run(Dam(3), iterations=500, stall_iterations=15, multi_cut=True, trials=4)
        assert found.iterations < 100
        assert found.stopped_by == "finished"

    def test_a_simulated_cost_near_the_bound_ends_it(self) -> None:
        found = run(Dam(3), iterations=500, stall=0.0, check_every=5, gap=0.5, simulation_paths=400)
        assert found.iterations < 100

    def test_a_request_ends_it_with_the_cuts_so_far(self) -> None:
        asked = iter([False] * 20 + [True] * 1000)
        found = run(Dam(4), iterations=500, stall=0.0, callbacks=Callbacks(should_stop=lambda: next(asked)))
        assert found.stopped_by == "request"
        assert 0 < found.iterations < 20
        assert found.curve

    def test_time_ends_it(self) -> None:
        found = run(Dam(4), iterations=100_000, stall=0.0, time_limit=0.2)
        assert found.stopped_by == "time_limit"


class TestRisk:
    def test_the_worst_share_is_weighted_up(self) -> None:
        values, chances = np.array([[3.0, 1.0, 2.0, 4.0]]), np.full(4, 0.25)
        assert risk_weights(values, chances, 1.0, 0.5) == pytest.approx(np.array([[0.5, 0, 0, 0.5]]))
        assert risk_weights(values, chances, 1.0, 0.375) == pytest.approx(np.array([[1 / 3, 0, 0, 2 / 3]]))
        assert risk_weights(values, chances, 0.5, 0.25) == pytest.approx(np.array([[0.125, 0.125, 0.125, 0.625]]))
        assert risk_weights(values, chances, 0.0, 0.25) == pytest.approx(chances[None])

    def test_two_stages_by_hand(self) -> None:
        """All outcomes alike but one: nested CVaR of the worst fifth is the cost of always drying up."""
        dam = Dam(2)
        worst = Dam(2)
        worst.inflows = Outcomes(np.array([[5.0]]), np.ones(1))
        worst.first = dam.first = Outcomes(np.array([[50.0, 5.0]]), np.ones(1))
        found = run(dam, risk_weight=1.0, risk_tail=0.2, trials=4)
        assert float(found.policy.bound) == pytest.approx(extensive_optimum(worst), rel=1e-6)

    def test_it_is_no_bound_of_the_mean(self) -> None:
        averse = run(Dam(4), risk_weight=0.5, risk_tail=0.2)
        assert averse.bound is None
        assert float(averse.policy.bound) > extensive_optimum(Dam(4))

    def test_it_is_refused_where_it_cannot_be_had(self) -> None:
        assert SDDP.refuses(problem_of(Dam(2)), None, SDDPConfig(risk_weight=0.5, multi_cut=True))
        with pytest.raises(InnerSolveError, match="within a stage"):
            run(Stall(), risk_weight=0.5)


class TestCutsOutAndIn:
    def test_json_holds_them_all(self) -> None:
        found = run(Dam(4))
        document = json.loads(json.dumps(self.document(found.policy)))
        weights = weights_of(document)
        for name, tensor in found.policy.state_dict().items():
            if name != "remedies":
                torch.testing.assert_close(weights[name], tensor)
        stage = document["stages"][0]
        assert stage["columns"] == ["storage"]
        assert all(cut["slopes"][0] <= 1e-9 for cut in stage["cuts"])  # water is worth something, never a cost

    def test_a_run_goes_on_from_another_ones_cuts(self) -> None:
        first = run(Dam(4))
        again = run(Dam(4), iterations=1, warm_start=first.policy.state_dict())
        assert again.bound.value_per_stage >= first.bound.value_per_stage * (1 - 1e-9)

    def test_cuts_of_another_instance_are_refused(self) -> None:
        first = run(Dam(4))
        with pytest.raises(WeightsDoNotFit, match="another instance"):
            run(Dam(4, water_left=2.0), warm_start=first.policy.state_dict())
        with pytest.raises(WeightsDoNotFit, match="format"):
            weights_of({"format": "other"})

    def test_they_support_the_cost_to_go_from_below(self) -> None:
        """At every storage the best cut is at most the exact cost of the last stage, and equal where it was made."""
        found = run(Dam(2), iterations=60, trials=4)
        cuts = self.document(found.policy)["stages"][0]["cuts"]
        node = nodes_of(problem_of(Dam(2)), None, 1.0)
        from solvers.highs import HotProgram

        hot = HotProgram(node.bare[1].program)
        for storage in np.linspace(0, 100, 21):
            exact = 0.0
            for inflow, chance in zip((5.0, 20.0, 60.0), (0.5, 0.3, 0.2), strict=True):
                hot.set_data(np.array([storage, inflow]), np.zeros(0))
                exact += chance * hot.solve().value
            assert max(cut["intercept"] + cut["slopes"][0] * storage for cut in cuts) <= exact + 1e-6

    def document(self, policy: CutPolicy) -> dict[str, Any]:
        policy.instance = type("Named", (), {"digest": "sha256:0"})()  # type: ignore[assignment]
        return policy.cuts_document()


def test_level_one_keeps_the_highest_and_brings_cuts_back() -> None:
    pool = CutPool(1, 1)
    zero = np.zeros(1, dtype=np.int64)
    pool.add(Cuts(zero, np.array([1.0]), np.array([[0.0]])), np.array([[0.0]]))
    pool.add(Cuts(zero, np.array([2.0]), np.array([[-1.0]])), np.array([[0.5]]))
    assert pool.selected().tolist() == [1]  # higher at both points
    pool.add(Cuts(zero, np.array([-9.0]), np.array([[0.0]])), np.array([[3.0]]))
    assert pool.selected().tolist() == [0, 1]  # the first is the highest at the new point


def test_stages_without_finite_outcomes_are_refused() -> None:
    from tests.models.reservoir import ReservoirProgram

    with pytest.raises(InnerSolveError, match="too many outcomes"):
        run(ReservoirProgram(3))
