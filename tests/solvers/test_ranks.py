"""Ranks share a batch and find what one process finds: the same weights up to rounding, however the batch is split.

In double precision rounding is out of the way: what is left would be a batch, a mean or a choice that is another one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from models.registry import problem
from solvers import hdpo, pdppo
from solvers.core import Callbacks, RankLost, TrainRequest
from solvers.hdpo import HDPO, HDPOConfig
from solvers.pdppo import PDPPO, PDPPOConfig
from solvers.ranks import ALONE, Ranks, too_many
from tests.models.named_networks import EXAMPLES
from tests.solvers.gang import Gang
from tests.solvers.test_hdpo import filled
from tests.solvers.test_residual import ahead_of, example
from tests.workshop import PROBLEM as WORKSHOP

INVENTORY, LOT_SIZING = problem("inventory_network"), problem("lot_sizing")
CLOSE = {"rtol": 1e-8, "atol": 1e-10}  # rounding, and Adam's division by gradients of its size
NETWORKS: dict[str, Any] = {
    "longer": lambda: EXAMPLES["dc-two-stores"]() | {"periods": 12, "warmup_periods": 0},
    "filled": lambda: filled(0.99, stock=0.0),
    **{name: lambda name=name: EXAMPLES[name]() | {"periods": 10, "warmup_periods": 2} for name in EXAMPLES},
}


@pytest.fixture(scope="module")
def gang() -> Iterator[Gang]:
    with Gang(3) as ready:
        yield ready


def descend(ranks: Ranks, names: list[str], config: dict[str, Any], checkpoint: Any = None) -> list[Any]:
    """Checkpoints of HDPO on networks, in double precision."""
    torch.set_default_dtype(torch.float64)
    small = {"iterations": 6, "batch_size": 7, "width": 8, "validation_every": 3, "validation_scenarios": 17}
    instance, *also = (INVENTORY.parse(NETWORKS[name]()) for name in names)
    wanted = TrainRequest(
        INVENTORY, instance, HDPOConfig(**(small | config)), 3, checkpoint=checkpoint, also=tuple(also)
    )
    kept: list[Any] = []
    hdpo.train_rank(wanted, Callbacks(on_checkpoint=kept.append), ranks)
    return kept


def choose(ranks: Ranks, residual: bool, config: dict[str, Any], checkpoint: Any = None) -> list[Any]:
    """Checkpoints of PDPPO on a workshop, or of its residual start on a plant, in double precision."""
    torch.set_default_dtype(torch.float64)
    small = {"iterations": 4, "scenarios": 7, "stages": 8, "width": 16, "validation_every": 2, "tries": 0.3}
    settings = PDPPOConfig(**(small | {"validation_scenarios": 17, "minibatches": 3, "residual": residual} | config))
    document = {"problem": "workshop", "name": "bench", "days": 20, "items": 2, "machines": 1}
    case, instance = (LOT_SIZING, example(periods=30)) if residual else (WORKSHOP, WORKSHOP.parse(document))
    kept: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("solvers.pdppo.decomposed", lambda own, *_: ahead_of("two-items-one-machine", 30))
        wanted = TrainRequest(case, instance, settings, 1, checkpoint=checkpoint)
        pdppo.train_rank(wanted, Callbacks(on_checkpoint=kept.append), ranks)
    return kept


def agreed(states: list[list[Any]]) -> Any:
    """The last checkpoint, which all ranks hold alike to the last bit."""
    first = states[0][-1]
    for other in states[1:]:
        torch.testing.assert_close(_lasting(other[-1]), _lasting(first), rtol=0, atol=0)
    return first


def _lasting(state: Any) -> Any:
    """A checkpoint without what clocks say, and without moments of weights that nothing has moved."""
    curve = [{name: value for name, value in row.items() if name != "seconds"} for row in state["curve"]]
    moments = {name: kept for name, kept in state["moments"].items() if kept["exp_avg_sq"].any()}
    return {**state, "seconds": 0.0, "curve": curve, "moments": moments}


def assert_same(found: Any, wanted: Any) -> None:
    """Weights, moments, multipliers, rows and curve, up to rounding."""
    torch.testing.assert_close(_lasting(found), _lasting(wanted), **CLOSE)


HDPO_CASES = {
    "graph": (["dc-two-stores"], {"family": "gnn"}),
    "plain": (["dc-two-stores"], {"family": "mlp", "batch_size": 16}),
    "constrained": (["filled"], {"family": "base_stock", "dual_rate": 1.0}),
    "fixed scenarios": (["dc-two-stores"], {"family": "mlp", "training_scenarios": 20}),
    "all fixed scenarios": (["dc-two-stores"], {"family": "mlp", "training_scenarios": 5}),
    "two instances": (["dc-two-stores", "longer"], {"family": "gnn"}),
    "recomputed": (["dc-two-stores"], {"family": "mlp", "checkpoint_every": 4}),
}
PDPPO_CASES = {
    "half steps": (False, {}),
    "maximum": (False, {"advantage": "maximum"}),
    "plain": (False, {"advantage": "plain"}),
    "mirror": (False, {"update": "mirror"}),
    "stopped by divergence": (False, {"kl_stop": 1e-6}),
    "imitating": (False, {"imitate": "scarcest", "imitation_iterations": 3}),
    "restarted": (False, {"restart_stages": 7}),
    "not normalised": (False, {"normalise_values": False}),
    "residual": (True, {}),
    "minibatches without own rows": (False, {"scenarios": 3, "stages": 2, "minibatches": 6, "restart_stages": 3}),
}


@pytest.mark.parametrize("case", HDPO_CASES)
def test_hdpo_by_two_and_three_ranks_is_hdpo_by_one(gang: Gang, case: str) -> None:
    (alone,) = gang.run(1, descend, *HDPO_CASES[case])
    if case == "constrained":
        assert float(alone[-1]["duals"][0]["multipliers"].max()) > 0, "the constraint has a price"
    assert float(sum((alone[-1]["weights"][n] - alone[0]["weights"][n]).abs().sum() for n in alone[0]["weights"])) > 0
    for count in (2, 3):
        assert_same(agreed(gang.run(count, descend, *HDPO_CASES[case])), alone[-1])


@pytest.mark.parametrize("case", PDPPO_CASES)
def test_pdppo_by_two_and_three_ranks_is_pdppo_by_one(gang: Gang, case: str) -> None:
    (alone,) = gang.run(1, choose, *PDPPO_CASES[case])
    for count in (2, 3):
        assert_same(agreed(gang.run(count, choose, *PDPPO_CASES[case])), alone[-1])


def test_divergence_stops_a_rollout_only_where_the_test_has_it_stop(gang: Gang) -> None:
    (stopped,), (free,) = (gang.run(1, choose, *PDPPO_CASES[case]) for case in ("stopped by divergence", "half steps"))
    steps = [max(float(kept["step"]) for kept in found[-1]["moments"].values()) for found in (stopped, free)]
    assert 0 < steps[0] < steps[1]


@pytest.mark.parametrize(("first", "then"), [(1, 3), (2, 3), (3, 1)])
def test_a_run_is_resumed_by_another_number_of_ranks(gang: Gang, first: int, then: int) -> None:
    for train, case in ((descend, HDPO_CASES["constrained"]), (choose, PDPPO_CASES["restarted"])):
        (whole,) = gang.run(1, train, *case)
        begun = gang.run(first, train, *case)[0][0]
        assert begun["iteration"] < whole[-1]["iteration"]
        assert_same(agreed(gang.run(then, train, *case, begun)), whole[-1])


class TestParts:
    @pytest.mark.parametrize(("total", "count"), [(1, 1), (7, 3), (16, 5), (3, 3)])
    def test_every_row_has_one_rank_and_parts_differ_by_one_row_at_most(self, total: int, count: int) -> None:
        ranks = [Ranks(rank, count) for rank in range(count)]
        rows = [row for one in ranks for row in range(total)[one.part(total)]]
        assert rows == list(range(total))
        sizes = [len(range(total)[one.part(total)]) for one in ranks]
        assert max(sizes) - min(sizes) <= 1
        assert sum(one.share(total) for one in ranks) == pytest.approx(1)

    def test_more_ranks_than_rows_are_refused(self) -> None:
        with pytest.raises(ValueError, match="2 scenarios cannot be shared by 3 ranks"):
            Ranks(0, 3).part(2)
        assert [issue.pointer for issue in too_many(3, batch_size=2, validation_scenarios=3)] == ["/ranks"]

    def test_a_configuration_says_so_before_anything_starts(self) -> None:
        network = INVENTORY.parse(EXAMPLES["dc-two-stores"]())
        for config in (
            HDPOConfig(batch_size=3, ranks=4),
            HDPOConfig(training_scenarios=3, ranks=4),
            HDPOConfig(validation_scenarios=3, ranks=4, family="mlp"),
        ):
            assert [issue.pointer for issue in HDPO.refuses(INVENTORY, network, config)] == ["/ranks"]
        plant = example()
        assert [i.pointer for i in PDPPO.refuses(LOT_SIZING, plant, PDPPOConfig(scenarios=3, ranks=4))] == ["/ranks"]


def speak(ranks: Ranks) -> dict[str, Any]:
    """A word of every kind."""
    whole = torch.arange(10, dtype=torch.float32).view(2, 5)
    own, share = whole[:, ranks.part(5)], ranks.share(5)
    weights = torch.full((3,), float(ranks.rank))
    ranks.follow([weights, flags := torch.tensor(ranks.leads)])
    return {
        "mean": ranks.mean(own.mean(1), share),
        "spread": ranks.spread(own, share),
        "whole": ranks.whole(own.T, 5).T,
        "flags": ranks.whole(own[0] > 2, 5),
        "agreed": ranks.agree(7 - ranks.rank),
        "followed": [weights, flags],
        "handed": dict(ranks.handed(lambda: {"from": ranks.rank})),
    }


@pytest.mark.parametrize("count", [1, 2, 3])
def test_what_ranks_say_to_each_other(gang: Gang, count: int) -> None:
    whole = torch.arange(10, dtype=torch.float32).view(2, 5)
    for told in gang.run(count, speak):
        torch.testing.assert_close(told["mean"], whole.mean(1))
        torch.testing.assert_close(told["spread"], whole.std(1))
        assert torch.equal(told["whole"], whole)
        assert torch.equal(told["flags"], whole[0] > 2)
        assert told["agreed"] == 7
        assert torch.equal(told["followed"][0], torch.zeros(3))
        assert bool(told["followed"][1])
        assert told["handed"] == {"from": 0}


def leave(ranks: Ranks) -> str:
    """What the others find when rank 1 leaves in the middle."""
    if ranks.rank == 1:
        return "left"
    try:
        ranks.mean(torch.ones(1 << 16), 1.0)
    except RankLost as error:
        return str(error)
    return "nothing"


def test_who_speaks_to_a_rank_that_left_is_told_by_name(gang: Gang) -> None:
    told = gang.run(2, leave)
    assert told[1] == "left"
    assert told[0].startswith("a process that shares the training is gone or silent"), told


def test_alone_nothing_is_split() -> None:
    assert ALONE.alone
    assert ALONE.leads
    assert ALONE.part(5) == slice(0, 5)
    assert ALONE.share(5) == 1.0
