"""Artifacts: what was stored is what is loaded, and nothing else."""

import json

import pytest
import torch

from models.registry import problem
from solvers.artifact import DOCUMENT_FILE, WEIGHTS_FILE, ArtifactError, PolicyArtifact, _digest, folder_of, names_of
from solvers.core import Callbacks, TrainRequest
from solvers.hdpo import HDPOConfig
from solvers.registry import solver
from solvers.serving import ServedPolicy
from solvers.store import FolderStore
from solvers.training import run_training
from tests.models.named_networks import EXAMPLES

SMALL = HDPOConfig(iterations=3, batch_size=8, width=8, validation_scenarios=32)


def trained(name: str = "dc-two-stores", seed: int = 1) -> PolicyArtifact:
    """A barely trained policy with its certificate."""
    inventory = problem("inventory_network")
    request = TrainRequest(inventory, inventory.parse(EXAMPLES[name]()), SMALL, seed)
    return run_training(solver("hdpo"), request, Callbacks(), job_seconds=3.0).artifact


@pytest.fixture(scope="module")
def artifact() -> PolicyArtifact:
    return trained()


def test_round_trip(artifact, tmp_path):
    digest = artifact.save(tmp_path)
    loaded = PolicyArtifact.load(tmp_path, digest)
    assert loaded.certificate == artifact.certificate
    assert all(torch.equal(loaded.weights[name], tensor) for name, tensor in artifact.weights.items())
    assert loaded.save(tmp_path) == digest


def test_the_same_run_gives_the_same_weights(artifact):
    again = trained()
    assert all(torch.equal(again.weights[name], tensor) for name, tensor in artifact.weights.items())
    assert all(torch.equal(again.training_range[name], tensor) for name, tensor in artifact.training_range.items())


def test_other_weights_give_another_digest(artifact, tmp_path):
    assert trained(seed=2).save(tmp_path) != artifact.save(tmp_path)


@pytest.mark.parametrize("victim", ["weights.safetensors", "artifact.json"])
def test_a_damaged_file_is_noticed(artifact, tmp_path, victim):
    digest = artifact.save(tmp_path)
    path = folder_of(tmp_path, digest) / victim
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ArtifactError):
        PolicyArtifact.load(tmp_path, digest)


def test_a_changed_config_is_noticed(artifact, tmp_path):
    digest = artifact.save(tmp_path)
    path = folder_of(tmp_path, digest) / "artifact.json"
    document = json.loads(path.read_text())
    document["seed"] += 1
    path.write_text(json.dumps(document))
    with pytest.raises(ArtifactError, match="damaged"):
        PolicyArtifact.load(tmp_path, digest)


def test_one_of_a_later_release_says_so(artifact, tmp_path):
    weights, document = (folder_of(tmp_path, artifact.save(tmp_path)) / name for name in (WEIGHTS_FILE, DOCUMENT_FILE))
    later = json.loads(document.read_text()) | {"aura": "purple"}
    digest = _digest(weights.read_bytes(), later)
    for name, content in zip(names_of(digest), (weights.read_bytes(), json.dumps(later).encode()), strict=True):
        FolderStore(tmp_path).write(name, content)
    with pytest.raises(ArtifactError, match="later release: it holds aura"):
        PolicyArtifact.load(tmp_path, digest)


@pytest.mark.parametrize("digest", ["sha256:" + "0" * 64, "sha256:../../etc/passwd", "nonsense", ""])
def test_a_missing_or_strange_digest_is_refused(tmp_path, digest):
    with pytest.raises(ArtifactError):
        PolicyArtifact.load(tmp_path, digest)


def test_the_restored_policy_decides_the_same(artifact, tmp_path):
    before = ServedPolicy(artifact)
    after = ServedPolicy(PolicyArtifact.load(tmp_path, artifact.save(tmp_path)))
    today = before.view.today()
    assert before.recommend([today]) == after.recommend([today])


def test_a_state_outside_what_training_saw_says_what_lies_outside(artifact):
    served = ServedPolicy(artifact)
    today = served.view.today()
    flood = {**today, "on_hand": {**today["on_hand"], "s1": 50_000.0}}
    usual, strange = served.recommend([today, flood])
    assert usual["in_training_range"]
    assert usual["warnings"] == []
    assert not strange["in_training_range"]
    assert "s1" in strange["warnings"][-1]
    assert "50,000" in strange["warnings"][-1]
