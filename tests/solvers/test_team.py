"""A training that several processes share: started, ended, and gone on with when one of them dies."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from multiprocessing import Pipe, get_context
from typing import Any

import psutil
import pytest
import torch

from models.registry import problem
from solvers.core import Callbacks, Solver, TrainRequest, TrainResult
from solvers.hdpo import HDPO, HDPOConfig, train
from solvers.messages import PLAIN
from solvers.pdppo import PDPPO, PDPPOConfig
from solvers.pdppo import train as train_choices
from solvers.team import LANGUAGE, Order, Ready
from tests.models.named_networks import EXAMPLES
from tests.workshop import PROBLEM as WORKSHOP

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="counts processes and speaks over the interface lo"),
]
INVENTORY = problem("inventory_network")
SMALL = {"batch_size": 7, "width": 8, "validation_every": 4, "validation_scenarios": 17, "family": "mlp"}


def request(**config: Any) -> TrainRequest:
    document = EXAMPLES["dc-two-stores"]() | {"periods": 8, "warmup_periods": 2}
    return TrainRequest(INVENTORY, INVENTORY.parse(document), HDPOConfig(**(SMALL | config)), 3)


def followers(leader: int = 0) -> list[psutil.Process]:
    """The processes that multiprocessing started for a leader, its own attendants left out."""
    found = [one for one in psutil.Process(leader or os.getpid()).children() if one.status() != psutil.STATUS_ZOMBIE]
    return [child for child in found if "spawn_main" in " ".join(child.cmdline())]


def gone(processes: list[psutil.Process], seconds: float = 20.0) -> bool:
    """Whether none of them runs any more within that time."""
    return not psutil.wait_procs(processes, seconds)[1]


class Watched:
    """Callbacks that note what was said and do something once at an iteration."""

    def __init__(self, at: int, do: Any) -> None:
        self.at, self.do, self.said, self.counts = at, do, [], {}

    def on_iteration(self, iteration: int, iterations: int, metrics: Any) -> None:
        self.counts[iteration] = metrics.get("ranks", 1.0)
        if iteration == self.at and self.do is not None:
            do, self.do = self.do, None
            do()

    @property
    def callbacks(self) -> Callbacks:
        return Callbacks(on_iteration=self.on_iteration, on_log=self.said.append)


def assert_alike(found: TrainResult, wanted: TrainResult) -> None:
    weights = wanted.policy.state_dict()
    for name, value in found.policy.state_dict().items():
        torch.testing.assert_close(value, weights[name], rtol=1e-3, atol=1e-4)


def test_two_ranks_train_the_policy_of_one_and_leave_nothing_running() -> None:
    started: list[psutil.Process] = []
    watched = Watched(6, lambda: started.extend(followers()))
    shared = train(request(iterations=12, ranks=2), watched.callbacks)
    assert shared.ranks == 2
    assert watched.counts == dict.fromkeys(range(1, 13), 2.0)
    assert "2 of 2 ranks share every batch" in watched.said
    assert len(started) == 1
    assert gone(started)
    assert_alike(shared, train(request(iterations=12), Callbacks()))


def test_who_cannot_take_part_is_done_without() -> None:
    """The workshop is no problem of the registry, so another process cannot know it."""
    document = {"problem": "workshop", "name": "bench", "days": 20, "items": 2, "machines": 1}
    config = PDPPOConfig(iterations=2, scenarios=4, stages=4, width=8, validation_scenarios=8, ranks=2)
    watched = Watched(0, None)
    result = train_choices(TrainRequest(WORKSHOP, WORKSHOP.parse(document), config, 1), watched.callbacks)
    assert result.ranks == 1
    assert any("a rank cannot take part" in line and "workshop" in line for line in watched.said), watched.said
    assert gone(followers())


@pytest.mark.parametrize("word", [pickle.dumps("ready"), PLAIN.packed("ready"), LANGUAGE.packed(Ready(None))[:-4]])
def test_who_cannot_be_understood_is_done_without(word: bytes) -> None:
    ours, theirs = Pipe()
    theirs.send_bytes(word)
    watched = Watched(0, None)
    callbacks = replace(watched.callbacks, ranks=lambda count: 1, helpers=lambda count: [ours])
    assert train(request(iterations=1, ranks=2), callbacks).ranks == 1
    assert any("a rank cannot take part: a" in line for line in watched.said), watched.said
    assert PLAIN.hear(theirs, str) == "rank"
    assert LANGUAGE.hear(theirs, Order).solver == "hdpo"
    with pytest.raises(EOFError):
        theirs.recv_bytes()


@pytest.mark.parametrize("solver", [HDPO, PDPPO], ids=lambda solver: solver.name)
def test_an_order_says_the_whole_request(solver: Solver) -> None:
    kept: list[Any] = []
    begun = request(iterations=4) if solver is HDPO else choosing()
    result = solver.train(begun, Callbacks(on_checkpoint=kept.append))  # type: ignore[misc]
    wanted = replace(begun, checkpoint=kept[-1], warm_start=result.policy.state_dict(), prices={"water": 2.5}, until=7)
    order = Order.of(solver, wanted)
    told = LANGUAGE.unpacked(LANGUAGE.packed(order))
    assert_equal(told.checkpoint, kept[-1])
    assert_equal(told.warm_start, dict(result.policy.state_dict()))
    assert replace(told, checkpoint=None, warm_start=None) == replace(order, checkpoint=None, warm_start=None)


def choosing() -> TrainRequest:
    document = {"problem": "workshop", "name": "bench", "days": 20, "items": 2, "machines": 1}
    config = PDPPOConfig(iterations=2, scenarios=4, stages=4, width=8, validation_scenarios=8)
    return TrainRequest(WORKSHOP, WORKSHOP.parse(document), config, 1)


def assert_equal(found: Any, wanted: Any) -> None:
    """Alike to the last bit, container by container."""
    if isinstance(wanted, torch.Tensor):
        assert found.dtype == wanted.dtype
        assert torch.equal(found, wanted)
    elif isinstance(wanted, Mapping):
        assert list(found) == list(wanted)
        for key, value in wanted.items():
            assert_equal(found[key], value)
    elif isinstance(wanted, (list, tuple)):
        assert type(found) is type(wanted)
        for one, other in zip(found, wanted, strict=True):
            assert_equal(one, other)
    else:
        assert (found, type(found)) == (wanted, type(wanted))


def test_as_many_ranks_run_here_as_the_machine_grants() -> None:
    watched = Watched(0, None)
    assert train(request(iterations=1, ranks=3), replace(watched.callbacks, ranks=lambda count: 1)).ranks == 1


@pytest.mark.faults
class TestARankIsLost:
    def test_one_that_is_killed_is_done_without_from_the_last_checkpoint(self) -> None:
        watched = Watched(10, lambda: followers()[0].kill())
        result = train(request(iterations=16, ranks=3), watched.callbacks)
        assert result.ranks == 2
        assert {i: count for i, count in watched.counts.items() if i in (8, 9, 16)} == {8: 3.0, 9: 2.0, 16: 2.0}
        assert any("goes on from iteration 8 with at most 2 ranks" in line for line in watched.said), watched.said
        assert gone(followers())
        assert_alike(result, train(request(iterations=16), Callbacks()))

    def test_one_that_is_silent_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("solvers.team.SILENCE", 15.0)
        watched = Watched(5, lambda: followers()[0].suspend())
        began = time.monotonic()
        result = train(request(iterations=8, ranks=2), watched.callbacks)
        assert result.ranks == 1
        assert time.monotonic() - began < 100
        assert gone(followers()), "also one that hears no signal but SIGKILL"
        assert_alike(result, train(request(iterations=8), Callbacks()))

    def test_followers_of_a_leader_that_is_killed_end(self) -> None:
        leader = get_context("spawn").Process(target=_lead)
        leader.start()
        deadline = time.monotonic() + 60
        while not (found := followers(leader.pid)) and time.monotonic() < deadline:
            time.sleep(0.2)
        time.sleep(10)
        assert leader.is_alive()
        assert found
        os.kill(leader.pid, signal.SIGKILL)
        leader.join()
        assert gone(found)


def _lead() -> None:
    train(request(iterations=10**6, ranks=2), Callbacks())
