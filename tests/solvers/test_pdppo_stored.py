"""What PDPPO leaves on disk: checkpoints as jobs keep them, and policies with their critics."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models.registry import problem
from service.jobs import checkpoint
from solvers.artifact import PolicyArtifact
from solvers.core import Callbacks, TrainRequest
from solvers.pdppo import PDPPO, PDPPOConfig, train
from solvers.serving import ServedPolicy
from solvers.training import run_training

LOT_SIZING = problem("lot_sizing")
QUICK = PDPPO.quick | {"iterations": 4, "validation_every": 2}


def request(example: str, **config) -> TrainRequest:
    document = next(one for one in LOT_SIZING.examples if one.name == example).document()
    return TrainRequest(LOT_SIZING, LOT_SIZING.parse(document), PDPPOConfig(**(QUICK | config)), 1)


@pytest.mark.parametrize("example", ["four-items-two-machines", "gearboxes", "bottling"])
def test_a_run_goes_on_from_a_stored_checkpoint_as_if_it_had_never_stopped(tmp_path: Path, example):
    kept = []
    whole = train(request(example), Callbacks(on_checkpoint=kept.append))
    checkpoint.save(tmp_path, kept[0])
    again = train(replace(request(example), checkpoint=checkpoint.load(tmp_path)), Callbacks())
    for name, value in whole.policy.state_dict().items():
        assert torch.equal(value, again.policy.state_dict()[name]), name


@pytest.mark.processes
@pytest.mark.parametrize("family", ["mlp", "sequential"])
def test_a_stored_policy_decides_as_before_and_says_what_else_would_cost(tmp_path: Path, family):
    trained = request("four-items-two-machines", family=family)
    artifact = run_training(PDPPO, trained, Callbacks(), job_seconds=2.0).artifact
    served = ServedPolicy(PolicyArtifact.load(tmp_path, artifact.save(tmp_path)))
    before = ServedPolicy(artifact)
    states = [served.view.today()]
    (answer,) = served.recommend(states, explain=True)
    (same,) = before.recommend(states, explain=True)
    assert answer == same
    (bare,) = served.recommend(states)
    assert answer["decision"] == bare["decision"]
    state, stage = served.view.decode(states)
    decision = served.policy(state.to(torch.float32), stage)
    costs = served.policy.alternatives(state.to(torch.float32), decision, stage)
    assert torch.isfinite(costs).any(2).all()
