"""TS-DDR on small hydrothermal systems: gradients, the oracle, both modes, what a run is a function of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from models.hydrothermal.instance import HydrothermalSystem
from models.program import chain
from solvers.core import Callbacks, InnerSolveError, TrainRequest
from solvers.evaluation import check_feasible
from solvers.highs import HotProgram
from solvers.sddp import SDDPConfig
from solvers.sddp import train as train_sddp
from solvers.stage_costs import SINGLE, Oracle, StageCosts, aiming, elastic, with_targets
from solvers.tsddr import TSDDRConfig, _Run, train
from tests.models.hydro_systems import every_option
from tests.solvers.hydro_runs import PROBLEM, cascade, small


def request(system: HydrothermalSystem, seed: int = 1, **options: Any) -> TrainRequest:
    fields = {name: options.pop(name) for name in ("checkpoint", "warm_start", "time_limit") if name in options}
    quick = {"iterations": 6, "batch_size": 8, "validation_scenarios": 4, "validation_every": 3, "width": 8}
    return TrainRequest(PROBLEM, system, TSDDRConfig(**(quick | options)), seed, **fields)


@pytest.mark.parametrize(
    ("system", "options"),
    [
        (small(), {}),
        (small(), {"network": "linear"}),
        (cascade(), {}),
        (cascade(2, inflows__cyclic=True, physics="dc"), {}),
        (every_option(1), {}),
    ],
    ids=["reservoir", "linear", "cascade-losses", "cascade-dc", "penalty"],
)
def test_gradients_are_finite_differences(system: HydrothermalSystem, options: dict[str, Any]) -> None:
    """To six digits, through what is reachable and down the cascade."""
    run = _Run(request(system, oracle=False, **options), Callbacks())
    network = run.policy.network.double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(0.3 * torch.randn(weight.shape, generator=generator, dtype=weight.dtype))
    batch = run.draws.batch(3)

    def cost() -> Any:
        return run.trajectories.costs(*batch, exact=True).mean()

    slopes = torch.autograd.grad(cost(), list(network.parameters()))
    for _ in range(3):
        way = [torch.randn(slope.shape, generator=generator, dtype=slope.dtype) for slope in slopes]
        along = float(sum((a * b).sum() for a, b in zip(slopes, way, strict=True)))
        errors = []
        for step in (1e-5, 1e-6):
            ends = []
            for sign in (1.0, -2.0, 1.0):
                with torch.no_grad():
                    for weight, direction in zip(network.parameters(), way, strict=True):
                        weight += sign * step * direction
                    ends.append(float(cost()))
            errors.append(abs((ends[0] - ends[1]) / (2 * step) / along - 1))
        assert min(errors) < 1e-6


class TestPrograms:
    def test_targets_as_data_cost_what_held_columns_cost(self) -> None:
        system = cascade()
        face, targets, state, reached = self.a_state(system)
        stage, aims = face.stage(0), targets.columns(0)
        held, moved = HotProgram(stage), HotProgram(with_targets(stage, aims))
        struck = np.zeros(len(stage.noises))
        for vector, target in zip(targets.vector(state).numpy(), reached.numpy(), strict=True):
            held.set_column_bounds(aims.astype(np.int32), target, target)
            held.set_data(vector, struck)
            moved.set_data(np.concatenate([vector, target]), struck)
            exact = held.solve()
            assert exact.status == "optimal"  # what is reachable can be met
            assert moved.solve().value == pytest.approx(exact.value, rel=1e-9)

    def test_a_dear_enough_price_meets_every_target(self) -> None:
        system = cascade()
        face, targets, state, reached = self.a_state(system)
        stage, aims = face.stage(0), targets.columns(0)
        aimed = HotProgram(aiming(stage, aims, 1e7))
        for vector, target in zip(targets.vector(state).numpy(), reached.numpy(), strict=True):
            aimed.set_data(vector, np.concatenate([np.zeros(len(stage.noises)), target]))
            aimed.solve().require("test")
            assert aimed.columns()[aims] == pytest.approx(target, abs=1e-6)

    def test_stages_that_aim_chain_as_before(self) -> None:
        face, targets, *_ = self.a_state(every_option(1))
        stages = [aiming(face.stage(t), targets.columns(t), 5.0) for t in range(3)]
        joined = chain(stages, np.ones(3)).program
        assert len(joined.noises) == sum(len(stage.noises) for stage in stages)
        assert len(joined.outgoing) == len(stages[-1].outgoing)

    def test_out_of_reach_leads_back(self) -> None:
        """Beyond what is there, rows are missed at a price, and slopes point back into what is feasible."""
        face, targets, *_ = self.a_state(small())
        program = with_targets(face.stage(0), targets.columns(0))
        costs = StageCosts([program], price=1e6)
        data = np.array([[100.0, 20.0, 250.0], [100.0, 20.0, 251.0]])  # storage, inflow, target: 130 too much
        shifts = data @ program.state_matrix.toarray()[program.touched].T
        values, duals, missed = costs.solve(0, shifts)
        assert missed == 2
        assert values[1] - values[0] == pytest.approx(1e6, rel=1e-6)
        assert float(-duals[0] @ (shifts[1] - shifts[0])) == pytest.approx(1e6, rel=1e-6)
        loose = HotProgram(elastic(program, 1e6))
        loose.set_shift(shifts[0] * 0.0)
        assert loose.solve().status == "optimal"

    def a_state(self, system: HydrothermalSystem) -> Any:
        run = _Run(request(system), Callbacks())
        state, _ = run.draws.batch(40)
        share = torch.rand(40, len(run.policy.targets.names), generator=torch.Generator().manual_seed(2)).double()
        share[:8], share[8:16] = 0.0, 1.0
        targets = run.policy.targets
        return run.trajectories.face, targets, state, targets.reach(state, share, 0)


class TestTheOracle:
    def test_it_answers_at_most_the_truth_and_what_it_knows_exactly(self) -> None:
        run = _Run(request(cascade()), Callbacks())
        program = run.trajectories.kinds[0].program  # type: ignore[attr-defined]
        costs, oracle = StageCosts([program], 1e9), Oracle(len(program.touched))
        vectors, aims, _ = run.trajectories.walk(*run.draws.batch(60))
        data = torch.cat((vectors[0], aims[0]), 1).detach().numpy()
        shifts = data @ program.state_matrix.toarray()[program.touched].T
        values, duals, _ = costs.solve(0, shifts)
        oracle.learn(shifts[:30], values[:30], duals[:30])
        answered, slopes = oracle.answer(shifts)
        unit = 1e-9 * np.abs(values).max()
        assert (answered <= values + unit).all()
        assert answered[:30] == pytest.approx(values[:30], abs=unit)
        assert len(oracle) <= 30
        assert slopes.shape == duals.shape
        oracle.learn(shifts[:30], values[:30], duals[:30])
        assert len(oracle) == len(np.unique(np.round(duals[:30], 6), axis=0))  # nothing twice

    def test_of_many_vertices_it_finds_one_as_high(self) -> None:
        rng = np.random.default_rng(3)
        few, many = Oracle(6), Oracle(6)
        slopes, shifts = rng.normal(0, 40, (SINGLE + 200, 6)), rng.normal(0, 9, (5_000, 6))
        few.restore(slopes[:SINGLE], 1_000 - 0.02 * (slopes[:SINGLE] ** 2).sum(1))
        many.restore(slopes, 1_000 - 0.02 * (slopes**2).sum(1))
        highest = (many.heights - shifts @ many.slopes.T).max(1)
        answered, chosen = many.answer(shifts)
        assert (answered <= highest + 1e-9).all()
        assert answered == pytest.approx(highest, rel=1e-5)
        assert chosen.shape == shifts.shape
        assert (few.answer(shifts)[0] <= highest + 1e-9).all()

    def test_training_with_it_is_training_without(self) -> None:
        """Re-checking every stage, the gradients are the exact ones."""
        with_it, without = (
            train(request(small(), checks=10_000, oracle=on), Callbacks()).curve[-1]["cost"] for on in (True, False)
        )
        assert with_it == pytest.approx(without, rel=1e-5)

    def test_what_it_was_worth_is_logged(self) -> None:
        rows: list[Any] = []
        callbacks = Callbacks(on_iteration=lambda i, n, metrics: rows.append(metrics))
        train(request(small()), callbacks)
        assert rows[-1]["vertices"] > 0
        assert rows[-1]["checked"] > 0
        assert rows[-1]["oracle_gap"] >= -1e-12
        assert rows[-1]["missed"] == rows[-1]["remedies"] == 0


class TestModes:
    def logged(self, system: HydrothermalSystem, **options: Any) -> tuple[str, Any]:
        lines: list[str] = []
        found = train(request(system, iterations=2, **options), Callbacks(on_log=lines.append))
        return lines[0], found.policy

    def test_strict_where_load_may_go_unserved(self) -> None:
        line, policy = self.logged(cascade())
        assert line.startswith("strict mode")
        assert policy.describe()["mode"].startswith("strict")

    def test_penalty_where_it_may_not_with_the_reason(self) -> None:
        line, policy = self.logged(small(buses__1__deficit_allowed=False, thermals__0__max_mw=150))
        assert "penalty mode" in line
        assert "b2 may not go unserved" in line
        assert policy.describe()["price"] > 0

    def test_penalty_where_other_things_go_on_into_the_next_stage(self) -> None:
        line, _ = self.logged(every_option(1))
        assert "thermal[coal,peak] goes on into the next stage" in line

    def test_penalty_on_request_at_a_price(self) -> None:
        line, policy = self.logged(small(), mode="penalty", penalty=77.0)
        assert "77 a unit" in line
        assert policy.describe()["price"] == 77.0

    def test_strict_is_refused_where_it_does_not_fit(self) -> None:
        with pytest.raises(InnerSolveError, match="strict mode does not fit"):
            train(request(every_option(1), mode="strict"), Callbacks())


class TestThePolicy:
    @pytest.mark.parametrize("system", [small(), cascade(), every_option(1)], ids=["small", "cascade", "penalty"])
    def test_decisions_are_feasible_all_along(self, system: HydrothermalSystem) -> None:
        policy = train(request(system, iterations=2), Callbacks()).policy
        simulator = PROBLEM.simulator(system)
        generator = torch.Generator().manual_seed(5)
        state, noise = simulator.initial(5, generator), simulator.sample(5, generator)
        for stage in range(system.stages):
            decision = policy(state, stage)
            check_feasible(simulator, state, decision, stage)
            post, _ = simulator.decide(state, decision, stage)
            state, _ = simulator.realize(post, noise, stage)

    def test_a_met_target_is_where_the_stage_ends(self) -> None:
        system = cascade()
        policy = train(request(system, iterations=2), Callbacks()).policy
        simulator = PROBLEM.simulator(system)
        state = simulator.initial(4, torch.Generator().manual_seed(5))
        post, _ = simulator.decide(state, policy(state, 0), 0)
        torch.testing.assert_close(post.storage, policy.target(state, 0).detach(), rtol=0, atol=1e-6)

    def test_a_decision_does_not_depend_on_what_was_asked_before(self) -> None:
        system = cascade()
        policy = train(request(system, iterations=2), Callbacks()).policy
        state = PROBLEM.simulator(system).initial(6, torch.Generator().manual_seed(5))
        before = policy(state.rows(slice(3, 4)), 1)
        policy(state, 0)
        after = policy(state.rows(slice(3, 4)), 1)
        for name, value in vars(before).items():
            assert torch.equal(value.nan_to_num(), getattr(after, name).nan_to_num()), name

    def test_training_brings_it_nearer_the_bound(self) -> None:
        system = small(stages=3)
        bound = train_sddp(TrainRequest(PROBLEM, system, SDDPConfig(iterations=30), 1), Callbacks()).bound
        assert bound is not None
        options = {"batch_size": 32, "validation_every": 20, "width": 32, "learning_rate": 0.02}
        found = train(request(system, iterations=100, validation_scenarios=64, **options), Callbacks())
        first, last = (found.curve[k]["best_cost"] - bound.value_per_stage for k in (0, -1))
        assert last < 0.5 * first


class TestWhatItIsAFunctionOf:
    def weights(self, found: Any) -> list[Any]:
        return [value for _, value in sorted(found.policy.state_dict().items())]

    def test_seed_and_not_processes(self) -> None:
        one, two = (train(request(cascade(), lanes=2, processes=count), Callbacks()) for count in (1, 2))
        other = train(request(cascade(), seed=2, lanes=2, processes=1), Callbacks())
        assert all(torch.equal(a, b) for a, b in zip(self.weights(one), self.weights(two), strict=True))
        assert not all(torch.equal(a, b) for a, b in zip(self.weights(one), self.weights(other), strict=True))

    @pytest.mark.parametrize("system", [cascade(), every_option(1)], ids=["strict", "penalty"])
    def test_a_run_goes_on_from_its_checkpoint_as_if_it_had_not_stopped(self, system: HydrothermalSystem) -> None:
        kept: list[Any] = []
        whole = train(request(system), Callbacks(on_checkpoint=kept.append))
        again = train(request(system, checkpoint=kept[0]), Callbacks())
        assert kept[0]["iteration"] == 3
        assert [row["cost"] for row in again.curve] == [row["cost"] for row in whole.curve]
        assert all(torch.equal(a, b) for a, b in zip(self.weights(whole), self.weights(again), strict=True))

    def test_a_request_or_the_clock_ends_it(self) -> None:
        assert train(request(small()), Callbacks(should_stop=lambda: True)).stopped_by == "request"
        assert train(request(small(), iterations=10_000, time_limit=0.01), Callbacks()).stopped_by == "time_limit"
