"""A policy made again from its receipt is the same policy; what changed is told."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch

from models.registry import problem
from solvers.artifact import PolicyArtifact
from solvers.core import Callbacks, TrainRequest
from solvers.receipt import code, dependencies, differences, source_digest, weights_digest
from solvers.registry import solver, solvers
from solvers.reproduction import (
    CannotReproduce,
    CutShort,
    certificates_compared,
    compared,
    reproduce,
    request_of,
    weights_compared,
)
from solvers.training import run_training
from tests.workshop import PROBLEM as WORKSHOP

SMALL = {"width": 8, "batch_size": 8, "validation_scenarios": 16}


def asked(config: dict[str, Any], name: str = "hdpo", seed: int = 7) -> TrainRequest:
    room = problem("inventory_network")
    example = next(example for example in room.examples if example.name == "one-store-backlogged")
    return TrainRequest(room, room.parse(example.document()), solver(name).config(**config), seed)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> PolicyArtifact:
    """A short training, through the store and back."""
    root = tmp_path_factory.mktemp("artifacts")
    artifact = run_training(solver("hdpo"), asked({"iterations": 6, **SMALL}), Callbacks(), 1.0).artifact
    return PolicyArtifact.load(root, artifact.save(root))


class TestReceipt:
    def test_it_says_what_the_weights_are_a_function_of(self, made: PolicyArtifact) -> None:
        assert made.receipt is not None
        receipt = made.receipt
        assert receipt["weights"] == weights_digest(made.weights)
        assert receipt["instance"] == problem(made.problem).parse(made.instance).digest
        assert (receipt["seed"], receipt["config"], receipt["steps"]) == (7, made.config, made.training["iterations"])
        assert receipt["dependencies"]["packages"]["torch"] == torch.__version__
        assert receipt["platform"]["device"] == "cpu"
        assert receipt["platform"]["threads"] == torch.get_num_threads()

    def test_the_code_is_the_files_that_are_read(self) -> None:
        request = asked({})
        found = code(solver("hdpo"), request)
        assert set(found["packages"]) == {"models", "solvers", "service"}
        assert found["packages"]["solvers"] == source_digest("solvers")
        foreign = replace(solver("hdpo"), config=type("Own", (solver("hdpo").config,), {"__module__": "tests.own.it"}))
        assert "tests.own" in code(foreign, request)["packages"]

    def test_a_changed_file_changes_the_digest(self, tmp_path: Path) -> None:
        command = "from solvers.receipt import source_digest; print(source_digest('rooms'))"
        (tmp_path / "rooms").mkdir()
        (tmp_path / "rooms" / "__init__.py").write_text("x = 1\n")

        def digest() -> str:
            place = f"{tmp_path}:{Path(__file__).parents[2]}"
            return subprocess.run(
                [sys.executable, "-c", command], env={"PYTHONPATH": place}, capture_output=True, text=True, check=True
            ).stdout

        before = digest()
        (tmp_path / "rooms" / "notes.txt").write_text("no code")
        assert digest() == before
        (tmp_path / "rooms" / "__init__.py").write_text("x = 2\n")
        assert digest() != before

    def test_dependencies_are_what_is_needed_and_installed(self) -> None:
        found = dependencies()["packages"]
        assert {"herenow", "torch", "numpy", "pydantic-core"} <= set(found)  # the last is needed by another
        assert "pytest" not in found

    def test_differences_are_told_by_part(self, made: PolicyArtifact) -> None:
        assert made.receipt is not None
        now = made.receipt | {
            "dependencies": {"packages": made.receipt["dependencies"]["packages"] | {"torch": "9.9"}},
            "platform": made.receipt["platform"] | {"threads": 64},
            "code": made.receipt["code"] | {"packages": {"models": "sha256:other"}},
        }
        told = {(row["part"], row["name"]) for row in differences(made.receipt, now)}
        assert told == {
            *(("code", name) for name in ("models", "service", "solvers")),
            ("dependencies", "torch"),
            ("platform", "threads"),
        }
        assert differences(made.receipt, made.receipt) == []


class TestReproduce:
    def test_the_same_code_makes_the_same_weights(self, made: PolicyArtifact) -> None:
        found = reproduce(made, request_of(made), Callbacks()).document
        assert found["verdict"] == "identical"
        assert found["weights"]["then"] == found["weights"]["now"]
        assert found["receipt"] == []
        policy = found["certificate"][0]
        assert policy["what"] == "policy"
        low, high = policy["difference"]["ci95"]
        assert low <= 0 <= high

    def test_another_seed_is_told(self, made: PolicyArtifact) -> None:
        request = replace(request_of(made), seed=8)
        found = reproduce(made, request, Callbacks()).document
        assert found["verdict"] != "identical"
        assert found["weights"]["then"] != found["weights"]["now"]
        assert found["weights"]["largest_difference"] > 0
        assert found["weights"]["where"] in made.weights
        assert found["difference"]["scenarios"] == 4096

    def test_a_policy_that_surely_costs_more_is_told(self, made: PolicyArtifact) -> None:
        *_, last = [name for name in made.weights if name.endswith("bias")]
        worse = replace(made, weights={**made.weights, last: made.weights[last] + 3.0})
        found = compared(made, worse, Callbacks())
        assert (found["verdict"], found["weights"]["where"]) == ("other_cost", last)
        assert found["weights"]["largest_difference"] == pytest.approx(3.0)
        low, high = found["difference"]["ci95"]
        assert low > 0 or high < 0

    def test_weights_that_decide_nothing_feasible_are_another_policy(self, made: PolicyArtifact) -> None:
        broken = replace(made, weights={name: value * math.nan for name, value in made.weights.items()})
        found = compared(made, broken, Callbacks())
        assert (found["verdict"], found["difference"]) == ("other_cost", None)

    def test_a_stop_before_its_steps_is_no_answer(self, made: PolicyArtifact) -> None:
        assert made.receipt is not None
        longer = replace(made, receipt=made.receipt | {"steps": 6})
        with pytest.raises(CutShort, match="after 1 of 6 steps"):
            reproduce(longer, request_of(longer), Callbacks(should_stop=lambda: True))

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"receipt": None}, "before receipts were kept"),
            ({"instance": {"name": "another"}}, "not those it was trained on"),
            ({"receipt": {"of_rule": True}}, "reproduce the trained policy"),
            ({"receipt": {"format": 99}}, "format 99"),
            ({"receipt": {"solver": "gone"}}, "no 'gone'"),
            ({"receipt": {"config": {"iterations": -1}}}, "no longer takes"),
            ({"receipt": {"warm_start": "sha256:0"}}, "started from"),
            ({"receipt": {"also": ["sha256:0"]}}, "not those it was trained on"),
        ],
    )
    def test_what_cannot_be_made_again_says_why(
        self, made: PolicyArtifact, change: dict[str, Any], reason: str
    ) -> None:
        assert made.receipt is not None
        if change.get("receipt") is not None:
            change = {"receipt": made.receipt | change["receipt"]}
        if "instance" in change:
            change = {"instance": made.instance | change["instance"]}
        with pytest.raises(CannotReproduce, match=reason):
            request_of(replace(made, **change))


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "hdpo": ("inventory_network", {"validation_every": 3, **SMALL}),
    "cross_entropy": ("inventory_network", {"validation_scenarios": 16, "validation_every": 2}),
    "pdppo": ("workshop", {"validation_every": 2, "stages": 4, "width": 8}),
    "lagrangian": ("lot_sizing", {}),
    "sddp": ("hydrothermal", {"check_every": 2}),
    "tsddr": ("hydrothermal", {"validation_every": 2}),
    "value_iteration": ("lot_sizing", {}),
}
ROOMS = {"workshop": WORKSHOP}  # smaller than any plant


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_run_that_was_stopped_can_be_made_again(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked to stop in the middle; a run that ends after as many steps has the same weights, bit by bit."""
    monkeypatch.setattr("solvers.watch.STOP_EVERY", 0.0)  # it asks the clock before it asks anybody
    room = ROOMS.get(CASES[name][0]) or problem(CASES[name][0])
    config = solver(name).config(**(dict(solver(name).quick) | CASES[name][1]))
    config = config.model_copy(update={"iterations": 1000} if hasattr(config, "iterations") else {})
    examples = {example.name: example for example in room.examples}
    example = examples.get("two-items-one-machine", room.examples[0])  # small enough for a table of every state
    instance = room.parse(example.document() | ({"days": 4} if room is WORKSHOP else {}))
    request, calls = TrainRequest(room, instance, config, 5), count(1)
    train = solver(name).train
    assert train is not None
    first = train(request, Callbacks(should_stop=lambda: next(calls) >= STOPPED_AT.get(name, 7)))
    assert 0 < first.steps < 1000
    again = train(replace(request, until=first.steps), Callbacks())
    assert (again.iterations, again.steps) == (first.iterations, first.steps)
    assert weights_digest(first.policy.state_dict()) == weights_digest(again.policy.state_dict())


STOPPED_AT = {"pdppo": 60, "lagrangian": 70}  # they ask many times an iteration


def test_every_training_solver_is_tried() -> None:
    without_steps = {name for name in solvers() if name.startswith("rolling_")}
    assert {name for name, found in solvers().items() if found.kind == "train"} == set(CASES) | without_steps


def test_weights_of_other_shapes_are_told() -> None:
    one, two = {"a": torch.zeros(2)}, {"a": torch.zeros(3)}
    assert weights_compared(one, two)["where"] == "a"
    assert weights_compared(one, {"a": torch.tensor([0.0, float("nan")])})["largest_difference"] is None
    nan = {"a": torch.tensor([0.0, float("nan")])}
    assert weights_compared(nan, {"a": nan["a"].clone()})["identical"]
    assert weights_digest(one) != weights_digest({"a": torch.zeros(2, dtype=torch.float64)})


def test_certificates_without_a_bound_or_with_other_rules_are_compared() -> None:
    def entry(mean: float, name: str = "") -> dict[str, Any]:
        return {"name": name, "mean_cost": mean, "standard_error": 3.0}

    then = {"policy": entry(10.0), "rules": [entry(12.0, "base_stock")], "bound": None}
    now = {"policy": entry(14.0), "rules": [], "bound": None}
    policy, rule = certificates_compared(then, now)
    assert policy["difference"]["mean"] == 4.0
    assert policy["difference"]["ci95"][0] == pytest.approx(4 - 1.95996 * 18**0.5, rel=1e-5)
    assert (rule["now"], rule["difference"]) == (None, None)
