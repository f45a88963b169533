"""PDPPO's rollouts and lessons never leave the device they run on (see `test_recorded` for how `meta` shows it)."""

import pytest
import torch

from models.registry import problems
from solvers.core import TrainRequest
from solvers.lessons import surrogate
from solvers.pdppo import PDPPO, Learner, PDPPOConfig
from tests.solvers.test_recorded import NothingFromTheProcessor
from tests.workshop import PROBLEM as WORKSHOP

CASES = [
    pytest.param(found, example, family.name, id=f"{example.name}-{family.name}")
    for found in (*problems().values(), WORKSHOP)
    if not PDPPO.reasons_against(found)
    for example in found.examples
    for family in found.families
    if family.role == "learned" and family.refuses(found.parse(example.document())) is None
]


@pytest.mark.parametrize(("found", "example", "family"), CASES)
def test_a_stage_and_a_lesson_read_nothing_back(found, example, family):
    instance = found.parse(example.document())
    config = PDPPOConfig(scenarios=4, stages=3, width=8, validation_scenarios=2)
    learner = Learner(TrainRequest(found, instance, config, 1), config, family)
    with torch.no_grad():
        learner.simulate(False, lambda: None)
        lessons = learner.study(1.0).rows(torch.arange(8))
    part = lessons.map(lambda record: record.to("meta"))
    rows, choice = learner.rows, part.choice[:4]
    learner.simulator.to("meta")
    learner.policy.to("meta")
    rows.state, rows.noise, rows.stage = rows.state.to("meta"), rows.noise.to("meta"), rows.stage.to("meta")
    with NothingFromTheProcessor():
        new = torch.log_softmax(learner.actor.logits(part.state, part.stage, part.choice), -1)
        loss = surrogate(new, part, config, 1.0).loss + learner._critics_error(part).sum()
        torch.autograd.backward(loss)
        with torch.no_grad():
            learner.actor.pick(rows.state, rows.stage, lambda logits: logits.argmax(-1))
            post, _, _ = rows.step(learner.actor.choices.decision(choice))
            learner.critics.post_value(post, rows.stage)
    assert all(parameter.grad is not None for parameter in learner.critics.parameters())
