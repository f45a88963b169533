"""What every registered problem, family and solver must hold, whatever it is."""

import pytest
import torch

from models.core import NetworkSize
from models.dynamics import concatenate
from models.registry import problems
from solvers.core import Callbacks, TrainRequest
from solvers.families import policy_of
from solvers.registry import solvers
from solvers.serving import ServedPolicy
from solvers.training import run_training

CASES = [
    pytest.param(problem, example, id=f"{problem.name}-{example.name}")
    for problem in problems().values()
    for example in problem.examples
]
PAIRS = [
    pytest.param(problem, solver, id=f"{problem.name}-{solver.name}")
    for problem in problems().values()
    for solver in solvers().values()
]


def first_stages(problem, instance, family, batch: int = 6, stages: int = 4, seed: int = 0):
    """States, decisions and costs of a few stages under an untrained policy."""
    torch.manual_seed(seed)
    simulator = problem.simulator(instance)
    policy = policy_of(problem, instance, family, simulator, NetworkSize(8, 1))
    generator = torch.Generator().manual_seed(seed)
    state, noise = simulator.initial(batch, generator), simulator.sample(batch, generator)
    for stage in range(min(stages, simulator.num_stages)):
        decision = policy(state, stage)
        yield simulator, policy, state, decision, noise, stage
        post, _ = simulator.decide(state, decision, stage)
        state, _ = simulator.realize(post, noise, stage)


def components(simulator, state, decision, noise, stage):
    """What both halves of a stage cost, by component."""
    post, decided = simulator.decide(state, decision, stage)
    _, realized = simulator.realize(post, noise, stage)
    return {**decided.components, **realized.components}


@pytest.mark.parametrize(("problem", "example"), CASES)
class TestEveryExample:
    def test_every_family_decides_feasibly(self, problem, example):
        instance = problem.parse(example.document())
        for family in problem.families:
            if family.refuses(instance) is not None:
                continue
            for simulator, _, state, decision, _, stage in first_stages(problem, instance, family):
                assert decision.batch == state.batch
                assert float(simulator.violation(state, decision, stage).max()) < 1e-3

    def test_rows_do_not_touch_each_other(self, problem, example):
        """A state decided alone and in a batch gets the same decision and costs."""
        instance = problem.parse(example.document())
        family = problem.family(problem.default_family(instance))
        for simulator, policy, state, decision, noise, stage in first_stages(problem, instance, family):
            alone = [policy(state.rows(slice(k, k + 1)), stage) for k in range(state.batch)]
            together = concatenate(alone)
            for name, value in vars(decision).items():
                torch.testing.assert_close(getattr(together, name), value, rtol=1e-4, atol=1e-4)
            charged = components(simulator, state, decision, noise, stage)
            first = (record.rows(slice(3)) for record in (state, decision, noise))
            some = components(simulator, *first, stage)
            for name, value in some.items():
                torch.testing.assert_close(value, charged[name][:3], rtol=1e-4, atol=1e-3)

    def test_a_stage_per_row_means_the_same_as_one_for_all(self, problem, example):
        instance = problem.parse(example.document())
        family = problem.family(problem.default_family(instance))
        for _, policy, state, decision, _, stage in first_stages(problem, instance, family):
            again = policy(state, torch.full((state.batch,), stage))
            for name, value in vars(decision).items():
                torch.testing.assert_close(getattr(again, name), value)

    def test_scenarios_repeat_from_their_seed_only(self, problem, example):
        simulator = problem.simulator(problem.parse(example.document()))
        draws = [simulator.sample(5, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
        first, same, other = (list(vars(draw).values()) for draw in draws)
        assert all(torch.equal(a, b) for a, b in zip(first, same, strict=True))
        assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))

    def test_today_can_be_decided(self, problem, example):
        instance = problem.parse(example.document())
        view = problem.view(instance)
        state, stage = view.decode([view.today()])
        assert state.batch == len(stage) == 1
        assert {column.key for column in view.columns}


@pytest.mark.parametrize(("problem", "solver"), PAIRS)
def test_every_solver_serves_the_problem_or_says_why_not(problem, solver, monkeypatch):
    monkeypatch.setattr("solvers.evaluation.MOMENT", 1.0)  # a certificate on few scenarios shows as much here
    reasons = solver.reasons_against(problem)
    assert all(isinstance(reason, str) and reason for reason in reasons)
    if reasons:
        return
    instance = problem.parse(problem.examples[-1].document())
    if solver.kind == "solve":
        result = solver.solve(problem, instance, solver.config(**solver.quick), 1, Callbacks())
        assert result.status == "optimal"
        assert result.document
        return
    config = solver.config(**solver.quick)
    issues = solver.refuses(problem, instance, config)
    if issues:
        assert all(issue.detail for issue in issues)
        return
    request = TrainRequest(problem, instance, config, 1)
    artifact = run_training(solver, request, Callbacks(), job_seconds=2.0).artifact
    assert artifact.certificate["policy"]["mean_cost"] == pytest.approx(
        sum(artifact.certificate["policy"]["components"].values())
    )
    served = ServedPolicy(artifact)
    (answer,) = served.recommend([served.view.today()], explain=True, figures=True)
    assert answer["decision"][served.view.lines_key]
    assert answer["in_training_range"]
    assert ("schedule" in answer) == bool(served.view.scheduled_periods)
    assert bool(answer["figures"]) == bool(served.view.course_stages)
    assert all(alert["title"] and alert["detail"] for alert in answer["alerts"])
