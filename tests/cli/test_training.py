"""Train, evaluate and recommend on this machine, on a store small enough for seconds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.cli.receipts import report
from solvers.artifact import PolicyArtifact
from tests.cli.terminal import COMMAND, say, say_json
from tests.cli.test_words import STORE, store
from tests.service.test_api_reproduce import FOUND

pytestmark = pytest.mark.processes

STATE = {"period": 0, "on_hand": {"shop": 2}, "in_transit": []}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `herenow train --json` says, with the folder it was told to use."""
    folder = tmp_path_factory.mktemp("artifacts")
    words = ["train", "-", "--seed", "3", "-c", "iterations=30", "--time-limit", "8s", "--out", str(folder)]
    return say_json(*words, stdin=store()) | {"root": folder}


def test_training_leaves_an_artifact_that_carries_its_proof(trained: dict[str, Any]) -> None:
    artifact = PolicyArtifact.load(trained["root"], trained["digest"])
    assert Path(trained["path"]).is_dir()
    assert artifact.instance == STORE.document()
    assert (artifact.seed, artifact.config["iterations"]) == (3, 30)
    assert artifact.certificate == trained["certificate"]
    assert trained["certificate"]["policy"]["mean_cost"] >= trained["certificate"]["bound"]["value"]


def test_the_same_seed_gives_the_same_policy(trained: dict[str, Any], tmp_path: Path) -> None:
    words = ["train", "-", "--seed", "3", "-c", "iterations=30", "--time-limit", "8s", "--out", str(tmp_path)]
    again = PolicyArtifact.load(tmp_path, say_json(*words, stdin=store())["digest"])
    first = PolicyArtifact.load(trained["root"], trained["digest"])
    assert all((again.weights[name] == first.weights[name]).all() for name in first.weights)


def test_a_policy_is_made_again_from_its_receipt(trained: dict[str, Any]) -> None:
    assert "hdpo, seed 3" in say("receipt", trained["path"]).stdout
    found = say_json("reproduce", trained["path"])
    assert (found["verdict"], found["weights"]["largest_difference"]) == ("identical", 0.0)


def test_a_policy_without_a_receipt_says_so(trained: dict[str, Any], tmp_path: Path) -> None:
    older = replace(PolicyArtifact.load(trained["root"], trained["digest"]), receipt=None).save(tmp_path)
    for command in ("receipt", "reproduce"):
        refused = say(command, older, "--out", str(tmp_path))
        assert refused.exit_code == 2
        assert "before receipts were kept" in " ".join(refused.stderr.split())


def test_what_making_again_showed_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    differing = {**FOUND, "remarks": ["A GPU does not promise the same sums twice."]}
    report(differing)
    told = " ".join(capsys.readouterr().out.split())
    for words in ("cannot be told apart", "largest difference 1e-07 (in a)", "torch: 2.12 then, 2.13 now", "A GPU"):
        assert words in told


def test_the_table_shows_policy_rules_and_bound(tmp_path: Path) -> None:
    result = say("train", "-", "-c", "iterations=2", "--time-limit", "4s", "--out", str(tmp_path), stdin=store())
    assert result.exit_code == 0
    for word in ("hdpo", "base stock", "perfect information (bound)", "scenarios never seen", "policy: ", "next: "):
        assert word in result.stdout
    assert "training" in result.stderr


def test_recommend_answers_for_today_and_for_a_state(trained: dict[str, Any]) -> None:
    today = say_json("recommend", trained["path"])
    low = say_json("recommend", trained["path"], "--state", "-", stdin=json.dumps(STATE))
    assert [(line["from"], line["to"]) for line in today["decision"]["orders"]] == [("depot", "shop")]
    assert low["decision"]["orders"][0]["quantity"] > today["decision"]["orders"][0]["quantity"]


def test_recommend_by_digest_finds_the_artifact(trained: dict[str, Any]) -> None:
    assert say_json("recommend", trained["digest"], "--out", str(trained["root"])) == say_json(
        "recommend", trained["path"]
    )


def test_recommend_shows_a_table_with_units_and_reasons(trained: dict[str, Any]) -> None:
    shown = say("recommend", trained["path"], "--explain").stdout
    assert "Quantity [units]" in shown
    assert "shop holds 8" in shown


@pytest.mark.parametrize(
    ("state", "pointer"),
    [
        ({"period": 0, "on_hand": {"moon": 1, "shop": 2}}, "/on_hand/moon"),
        ({"period": 0, "on_hand": {}}, "/on_hand/shop"),
        ({"period": 0, "on_hand": {"shop": "two"}}, "/on_hand/shop"),
    ],
)
def test_a_bad_state_is_refused_by_field(trained: dict[str, Any], state: dict[str, Any], pointer: str) -> None:
    result = say("recommend", trained["path"], "--state", "-", stdin=json.dumps(state))
    assert result.exit_code == 2
    assert f" {pointer} " in result.stderr


def test_evaluate_compares_on_the_same_scenarios(trained: dict[str, Any]) -> None:
    words = ["--rule", "base_stock", "--scenarios", "64", "--seed", "5", "--time-limit", "6s"]
    document = say_json("evaluate", trained["path"], *words)
    assert (document["scenarios"], document["scenario_seed"]) == (64, 5)
    assert {row["name"] for row in document["policies"]} == {"hdpo", "base_stock"}
    assert document["bound"]["value"] <= min(row["mean_cost"] for row in document["policies"])


def test_evaluate_refuses_a_rule_that_does_not_fit(trained: dict[str, Any]) -> None:
    result = say("evaluate", trained["path"], "--rule", "horoscope")
    assert result.exit_code == 2
    assert "base_stock" in result.stderr


def test_a_damaged_artifact_is_refused(trained: dict[str, Any], tmp_path: Path) -> None:
    digest = trained["digest"].removeprefix("sha256:")
    copy = tmp_path / digest[:2] / digest
    copy.mkdir(parents=True)
    for file in Path(trained["path"]).iterdir():
        (copy / file.name).write_bytes(file.read_bytes().replace(b'"seed":3', b'"seed":4'))
    result = say("recommend", str(copy))
    assert result.exit_code == 2
    assert "damaged" in result.stderr


def test_ctrl_c_keeps_the_best_policy_so_far(tmp_path: Path) -> None:
    words = ["train", "-", "-c", "iterations=1000000", "--json", "--out", str(tmp_path)]
    process = subprocess.Popen(
        [*COMMAND, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(store())
    process.stdin.close()
    while "training " not in (line := process.stderr.readline()) or "%" not in line:
        assert line, "training never began"
    process.send_signal(signal.SIGINT)
    output = process.stdout.read() if process.stdout else ""
    assert process.wait(60) == 0, process.stderr.read()
    document = json.loads(output)
    assert document["training"]["stopped_by"] == "request"
    assert PolicyArtifact.load(tmp_path, document["digest"]).family == document["family"]
