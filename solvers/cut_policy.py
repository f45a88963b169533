"""The policy of SDDP: the stage's program with its cuts, solved for the state at hand; and its cuts in and out.

See `solvers.sddp` for the equations; torch is imported here and not there.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from models.core import Instance, Problem
from models.dynamics import Policy, Simulator, Stage
from solvers.core import InnerSolveError, WeightsDoNotFit
from solvers.cuts import Cuts
from solvers.full_stages import InFull
from solvers.sddp import nodes_of

if TYPE_CHECKING:
    from torch import Tensor

    from models.program import Vector
    from solvers.highs import Basis, HotProgram
    from solvers.stage_nodes import Node, Nodes

FORMAT = "herenow-cuts-1"
NOTHING = np.zeros(0)
_EMPTY: Mapping[str, Tensor] = {
    "stages": torch.zeros(0, dtype=torch.int64),  # (cut,) whose future they support
    "outcomes": torch.zeros(0, dtype=torch.int64),  # (cut,) which θ; all 0 with a single cut
    "intercepts": torch.zeros(0, dtype=torch.float64),  # (cut,) [money]
    "slopes": torch.zeros((0, 0), dtype=torch.float64),  # (cut, c) [money/unit carried], the water values with sign −
    "scale": torch.ones((), dtype=torch.float64),  # programs' units of cost a unit of money
    "multi_cut": torch.zeros((), dtype=torch.bool),
    "bound": torch.full((), -torch.inf, dtype=torch.float64),  # of the whole horizon [money]
    "remedies": torch.zeros((), dtype=torch.int64),  # solves of the run that needed one
    "fingerprint": torch.zeros((), dtype=torch.int64),  # of the programs that the cuts are for
}


class CutPolicy(Policy[Any, Any]):
    """Decides by one program: the stage at hand, with the cuts of its future.

    Thread-safe: programs are solved one at a time. Each solve starts from the same basis, so that a decision is a
    function of state and stage alone.
    """

    precision = torch.float64  # what is carried on must fit the next stage's program
    stages: Tensor
    outcomes: Tensor
    intercepts: Tensor
    slopes: Tensor
    scale: Tensor
    multi_cut: Tensor
    bound: Tensor
    remedies: Tensor
    fingerprint: Tensor

    def __init__(self, problem: Problem, instance: Instance) -> None:
        super().__init__()
        for name, empty in _EMPTY.items():
            self.register_buffer(name, empty.clone())
        self.problem, self.instance = problem, instance
        self._lock = threading.Lock()
        self._ready: _Programs | None = None
        self._in_full = InFull(problem, instance)
        # Kept out of the module tree: the dynamics are not weights.
        self._simulators: dict[torch.dtype, Simulator[Any, Any, Any, Any]] = {}

    def propose(self, state: Any, stage: Stage) -> Any:
        stages = np.broadcast_to(np.asarray(stage), (state.batch,))
        with self._lock:
            programs = self._programs()
            vectors = programs.face.state_vector(state)
            solved = [programs.solve(int(own), row) for own, row in zip(stages, vectors, strict=True)]
        columns, duals = (np.stack(part) for part in zip(*solved, strict=True))
        decision = programs.face.priced(programs.face.decision(columns, int(stages[0])), duals, int(stages[0]))
        like = next(iter(vars(state).values()))
        return self._in_full(state, decision, stage).to(like.device).to(like.dtype)

    def forward(self, state: Any, stage: Stage) -> Any:
        like = next(iter(vars(state).values()))
        return self._dynamics(like.dtype).repair(state, self.propose(state, stage), stage)

    def describe(self) -> dict[str, Any]:
        counts = torch.bincount(self.stages).tolist() if len(self.stages) else []
        return {
            "bound": float(self.bound) if torch.isfinite(self.bound) else None,
            "approximates": self._approximates(),
            "cuts": len(self.stages),
            "cuts_by_stage": counts,
            "multi_cut": bool(self.multi_cut),
            "remedies": int(self.remedies),
        }

    def cuts_document(self) -> dict[str, Any]:
        """The cuts as JSON: future cost of a stage ≥ intercept + Σ slope × carried column [money]."""
        with self._lock:
            nodes = self._programs().nodes
        stages = []
        for stage, cuts in enumerate(unpack(self.state_dict(), nodes, 1.0, int(self.fingerprint))):
            rows = zip(cuts.outcomes.tolist(), cuts.intercepts.tolist(), cuts.slopes.tolist(), strict=True)
            entries = [{"outcome": k, "intercept": value, "slopes": slopes} for k, value, slopes in rows]
            names = [nodes[stage].program.columns[column] for column in nodes[stage].carried]
            stages.append({"stage": stage, "columns": names, "cuts": entries})
        return {
            "format": FORMAT,
            "problem": self.problem.name,
            "instance": self.instance.digest,
            "bound": float(self.bound) if torch.isfinite(self.bound) else None,
            "multi_cut": bool(self.multi_cut),
            "scale": float(self.scale),
            "fingerprint": int(self.fingerprint),
            "stages": stages,
        }

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        # Torch calls this to fill a module: how many cuts there are is not known before.
        for name in _EMPTY:
            if prefix + name in state_dict:
                setattr(self, name, state_dict[prefix + name].clone())
        self._ready = None
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def _programs(self) -> _Programs:
        if self._ready is None:
            self._ready = _Programs(self.problem, self.instance, self.state_dict())
        return self._ready

    def _approximates(self) -> str | None:
        """What the programs know only roughly: then the bound is one of their cost, not of the policy's."""
        assert self.problem.program is not None
        return self.problem.program(self.instance).approximates

    def _dynamics(self, dtype: torch.dtype) -> Simulator[Any, Any, Any, Any]:
        """The dynamics in the state's precision."""
        if dtype not in self._simulators:
            self._simulators[dtype] = self.problem.simulator(self.instance, counts=False).to(dtype)
        return self._simulators[dtype]


class _Programs:
    """Every stage's program with its cuts, passed to HiGHS when first asked for."""

    def __init__(self, problem: Problem, instance: Instance, weights: Mapping[str, Tensor]) -> None:
        discount = problem.simulator(instance, counts=False).discount
        whole = nodes_of(problem, instance, discount)
        scale = self._scale = float(weights["scale"])
        self.face = whole.face
        self.nodes = whole.scaled(scale, bool(weights["multi_cut"]))
        self.cuts = unpack(weights, self.nodes, scale, fingerprint(whole))
        self._hot: list[tuple[HotProgram, Basis]] = []
        self._state = whole.starts.values[0]  # at the first stage not passed yet

    def solve(self, stage: int, state: Vector) -> tuple[Vector, Vector]:
        """The stage's columns (n,) and its rows' duals (r,) [money], as the room's program has them."""
        hot, basis = self._passed(stage)
        hot.start_from(basis)
        hot.set_data(state, NOTHING)
        found = hot.solve()
        if found.status != "optimal":
            raise InnerSolveError(f"stage {stage}: the program is {found.status}{hot.at_odds()}")
        node = self.nodes[stage]
        # Where noise strikes within the stage, rows stand once per outcome and no longer are the room's own.
        duals = np.full(node.rows_before, np.nan) if node.chance_in_stage else hot.row_duals()[: node.rows_before]
        return hot.columns()[node.first], duals / self._scale

    def _passed(self, stage: int) -> tuple[HotProgram, Basis]:
        """The stage's program, and the basis to start from: that of a state of its own, which the others lead to."""
        while len(self._hot) <= stage:
            self._hot.append(self._pass(len(self._hot)))
        return self._hot[stage]

    def _pass(self, stage: int) -> tuple[HotProgram, Basis]:
        from solvers.highs import HotProgram

        node, cuts = self.nodes[stage], self.cuts[stage]
        hot = HotProgram(node.program)
        if len(cuts):
            hot.add_rows(node.rows(cuts.outcomes, cuts.slopes), cuts.intercepts, np.full(len(cuts), np.inf))
        hot.set_data(self._state, NOTHING)
        hot.solve().require(f"stage {stage}")
        self._state = node.following(hot.columns()[node.carried])[0]
        return hot, hot.basis()


def pack(
    cuts: Sequence[Cuts], scale: float, programs: int, bound: float, remedies: int, multi_cut: bool
) -> dict[str, Tensor]:
    """A run's cuts, in programs' units, as the weights of a policy, in money."""
    width = max((each.slopes.shape[1] for each in cuts), default=0)
    wide = [np.pad(each.slopes, ((0, 0), (0, width - each.slopes.shape[1]))) for each in cuts]
    return {
        "stages": torch.from_numpy(np.repeat(np.arange(len(cuts)), [len(each) for each in cuts])),
        "outcomes": torch.from_numpy(np.concatenate([each.outcomes for each in cuts])),
        "intercepts": torch.from_numpy(np.concatenate([each.intercepts for each in cuts]) / scale),
        "slopes": torch.from_numpy(np.concatenate(wide) / scale),
        "scale": torch.tensor(scale, dtype=torch.float64),
        "multi_cut": torch.tensor(multi_cut),
        "bound": torch.tensor(bound, dtype=torch.float64),
        "remedies": torch.tensor(remedies),
        "fingerprint": torch.tensor(programs),
    }


def unpack(weights: Mapping[str, Tensor], nodes: Sequence[Node], scale: float, programs: int) -> list[Cuts]:
    """A policy's weights as cuts of the nodes, in programs' units.

    Raises:
        WeightsDoNotFit: the cuts are of other programs: they would bound nothing here.
    """
    if int(weights["fingerprint"]) != programs:
        raise WeightsDoNotFit("the cuts were made for another instance: here they bound nothing")
    stages = weights["stages"].cpu().numpy()
    outcomes, intercepts, slopes = (weights[name].cpu().numpy() for name in ("outcomes", "intercepts", "slopes"))
    found = []
    for stage, node in enumerate(nodes):
        own = stages == stage
        cuts = Cuts(outcomes[own], scale * intercepts[own], scale * slopes[own, : len(node.carried)])
        if len(cuts) and cuts.outcomes.max() >= node.futures:
            raise WeightsDoNotFit("cuts for every outcome do not fit a single future; set multi_cut alike")
        found.append(cuts)
    return found


def weights_of(document: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights that a document of `CutPolicy.cuts_document` stands for, to start a run or a policy from.

    Raises:
        WeightsDoNotFit: it is no such document.
    """
    if document.get("format") != FORMAT:
        raise WeightsDoNotFit(f"cuts are read from documents of format {FORMAT}")
    cuts = []
    for stage in document["stages"]:
        rows = stage["cuts"]
        cuts.append(
            Cuts(
                np.array([row["outcome"] for row in rows], dtype=np.int64),
                np.array([row["intercept"] for row in rows], dtype=np.float64),
                np.array([row["slopes"] for row in rows], dtype=np.float64).reshape(len(rows), len(stage["columns"])),
            )
        )
    bound = -np.inf if document["bound"] is None else document["bound"]
    weights = pack(cuts, 1.0, document["fingerprint"], bound, 0, document["multi_cut"])
    return weights | {"scale": torch.tensor(document["scale"], dtype=torch.float64)}


def fingerprint(nodes: Nodes) -> int:
    """A number of 48 bits that tells the programs of one instance from those of another."""
    digest = hashlib.sha256()
    for node in nodes.bare:
        program = node.program
        matrices = [part for m in (program.matrix, program.state_matrix) for part in (m.data, m.indices, m.indptr)]
        limits = (program.row_lower, program.row_upper, program.lower, program.upper)
        for part in (program.cost, *matrices, *limits, node.news, node.chances):
            digest.update(np.ascontiguousarray(part).tobytes())
    return int.from_bytes(digest.digest()[:6], "big")
