"""A planner's own dispatch read back: water and generation plant by plant, and flows that carry it to the load.

Lines say what plants do; flows and unserved load may be given beside them. Where flows are left out, or do not fit the
lines any more, they are found: least squares by reactance, which in direct current is the only solution, and in a
meshed transport network one of many. What is missing then goes unserved; what nobody can take is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from models.core import Issue, pointer
from models.decision_lines import DecisionLines
from models.hydrothermal.instance import HM3_PER_M3S_HOUR
from models.hydrothermal.layout import Floats
from models.hydrothermal.simulator import Dispatch, HydroState

if TYPE_CHECKING:
    from models.hydrothermal.view import HydroView

BESIDE = (
    "targets_hm3", "storage_hm3", "turbined_m3s", "spilled_hm3", "generation_mw", "flows_mw", "losses_mw",
    "deficit_mw", "blocks", "water_value_per_hm3", "marginal_cost_per_mwh", "stage_cost",
)  # fmt: skip
ROUNDED = 1e-5  # breach relative to one plus a dispatch's size that is rounding: documents keep four decimals
LOSS_ROUNDS = 6  # flows and losses settled in turn
FIELDS = {"turbined": "turbined_m3s", "spilled": "spilled_hm3"}  # the others stand in generation_mw


class DispatchReader:
    """Reads the decision documents of one system."""

    def __init__(self, view: HydroView) -> None:
        self.view, self.layout, self.rules = view, view.layout, view.simulator.rules
        self.system = view.system
        thermals = [thermal.id for thermal in self.system.thermals]
        renewables = [renewable.id for renewable in self.system.renewables]
        self.kinds = {"hydro": self.layout.hydros, "thermal": thermals, "renewable": renewables}

    def read(self, document: object, state: HydroState, stage: Tensor) -> Dispatch:
        """The dispatch of one document; see `View.read_decision`. Plants that are left out do nothing."""
        read = DecisionLines(document, self.view.lines_key, self.view.columns, beside=BESIDE)
        rows, means = self._lines(read)
        read.settle()
        asked = self._dispatch(read.document, means)
        size = self._size(asked)
        dispatch = self._carried(asked, read.document, state, stage, ROUNDED * (1.0 + size))
        if float(self.rules.violation(state, dispatch, stage)) <= ROUNDED * (1.0 + self._size(dispatch)):
            return dispatch
        self._refuse(read, dispatch, rows, state, stage)
        raise AssertionError("what breaks a rule is refused")

    def _lines(self, read: DecisionLines) -> tuple[dict[tuple[str, str], int], dict[str, Floats]]:
        """Line of every plant, and what it does on the mean of the stage: MW, m³/s, hm³."""
        rows: dict[tuple[str, str], int] = {}
        hydros = self.layout.hydros
        means = {name: np.zeros(len(ids)) for name, ids in self.kinds.items()}
        means |= {"turbined": np.zeros(len(hydros)), "spilled": np.zeros(len(hydros))}
        for row, line in read.lines:
            kind = line.get("kind")
            if not isinstance(kind, str) or kind not in self.kinds:
                read.refuse("unknown", f"must be one of {', '.join(self.kinds)}", row, "kind")
                continue
            name = read.word(row, line, "plant", self.kinds[kind], f"a {kind} plant")
            if name is None:
                continue
            if (kind, name) in rows:
                read.refuse("duplicate", f"line {rows[kind, name]} is for the same plant", row)
            rows[kind, name] = row
            k = self.kinds[kind].index(name)
            if kind == "hydro":
                means["turbined"][k] = read.number(row, line, "turbined_m3s")
                means["spilled"][k] = read.number(row, line, "spilled_hm3", 0.0)
                given = line.get("generation_mw") is not None
                means["hydro"][k] = read.number(row, line, "generation_mw") if given else np.nan
            else:
                means[kind][k] = read.number(row, line, "generation_mw")
        return rows, means

    def _dispatch(self, document: Mapping[str, Any], means: Mapping[str, Floats]) -> Dispatch:
        """What the lines say, block by block; nothing flows yet."""
        lay = self.layout
        hours, blocks, buses = lay.hours, lay.num_blocks, len(lay.buses)
        energy = {kind: self._by_block(document, "generation_mw", ids, means[kind]) for kind, ids in self.kinds.items()}
        water = self._by_block(document, "turbined_m3s", lay.hydros, means["turbined"])
        lines, none = len(self.system.lines), torch.zeros

        def tensor(values: Floats) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values))[None]

        like: dict[str, Any] = {"dtype": torch.float64}
        return Dispatch(
            turbined=tensor(water * HM3_PER_M3S_HOUR * hours[:, None]),
            spilled=tensor(means["spilled"]),
            **{kind: tensor(values * hours[:, None]) for kind, values in energy.items()},
            flow=none((1, blocks, lines), **like),
            loss=none((1, blocks, lines), **like),
            deficit=none((1, blocks, len(lay.tiers), buses), **like),
            surplus=none((1, blocks, buses), **like),
            target=none((1, len(lay.hydros)), **like),
            water_value=none((1, len(lay.hydros)), **like),
            marginal_cost=none((1, blocks, buses), **like),
            priced=none(1, **like),
            voltage=none((1, blocks, 0), **like),
            angle=none((1, blocks, 0), **like),
            reactive=none((1, blocks, 0), **like),
        )

    def _by_block(self, document: Mapping[str, Any], field: str, ids: Sequence[str], mean: Floats) -> Floats:
        """A value of every plant (block, plant): the blocks' own, brought to the line's mean, else alike in all."""
        share = self.layout.hours / self.layout.hours.sum()
        own = self._of_blocks(document, field, ids)
        if own is None:
            return np.tile(mean, (len(share), 1))
        told = share @ own
        factor = np.where(np.abs(told) > 1e-9, mean / np.where(told == 0, 1.0, told), 0.0)
        # A line that says the blocks' own mean, rounded, leaves them as they are.
        factor = np.where(np.abs(mean - told) <= 2e-4, 1.0, factor)
        return np.where((factor == 0) & (mean != 0), mean, own * factor)

    def _of_blocks(self, document: Mapping[str, Any], field: str, ids: Sequence[str]) -> Floats | None:
        """What the document's `blocks` say of plants or lines (block, id); None where they are not all there."""
        blocks = document.get("blocks")
        if self.layout.num_blocks == 1 or not isinstance(blocks, Mapping):
            return None
        rows = [_numbers(blocks.get(name), field, ids) for name in self.layout.blocks]
        return None if any(row is None for row in rows) else np.array(rows, dtype=np.float64).reshape(-1, len(ids))

    def _carried(
        self, d: Dispatch, document: Mapping[str, Any], state: HydroState, stage: Tensor, near: float
    ) -> Dispatch:
        """The dispatch with generation by the water turbined, flows, losses, and what goes unserved."""
        d = self._generated(d, state, stage)
        season = int(self.rules.season(stage))
        given = self._flows(document)
        if given is not None:
            kept = self._with_flow(d, given)
            missing = self.rules.load[season] - self.rules.reached(kept)
            if float(missing.min()) >= -near or self._was_surplus(document, missing, near):
                return self._settled(kept, season, near)
            d = kept
        if d.flow.shape[2]:
            for _ in range(LOSS_ROUNDS if self.rules.loss_slope.shape[1] else 1):
                blocks: Floats = (self.rules.load[season] - self.rules.reached(d))[0].numpy()
                step = np.stack([self._flow_to(missing) for missing in blocks])
                d = self._with_flow(d, d.flow + torch.from_numpy(step)[None])
        return self._settled(d, season, near)

    def _generated(self, d: Dispatch, state: HydroState, stage: Tensor) -> Dispatch:
        """Hydro generation where the lines left it out, and where they say what the water gives but for rounding."""
        end = self.rules.end_storage(state.storage, state.inflow, d.turbined, d.spilled, stage)
        most = self.rules.generation_limit(d.turbined, 0.5 * (state.storage + end))
        rounded = 2e-4 * torch.from_numpy(self.layout.hours)[:, None] * (1.0 + self.rules.production_factor)
        follows = torch.isnan(d.hydro) | ((d.hydro - most).abs() <= rounded) & (self.rules.plain > 0)
        follows |= (d.hydro > most) & (d.hydro <= most + rounded)
        return replace(d, hydro=torch.where(follows, most, d.hydro))

    def _flows(self, document: Mapping[str, Any]) -> Tensor | None:
        """Flows that the document gives (1, block, line) [MWh]."""
        ids = [line.id for line in self.system.lines]
        own = self._of_blocks(document, "flows_mw", ids)
        if own is None:
            row = _numbers(document, "flows_mw", ids)
            own = None if row is None else np.tile(np.array(row, dtype=np.float64), (self.layout.num_blocks, 1))
        return None if own is None else torch.from_numpy(own * self.layout.hours[:, None])[None]

    def _with_flow(self, d: Dispatch, flow: Tensor) -> Dispatch:
        return replace(d, flow=flow, loss=self.rules.losses(flow))

    def _was_surplus(self, document: Mapping[str, Any], missing: Tensor, near: float) -> bool:
        """Whether flows leave unserved what the document says: then what is too much is surplus, not another flow."""
        told = _numbers(document, "deficit_mw", self.layout.buses)
        if told is None or not self.system.can_have_surplus:
            return False
        short = missing.clamp_min(0.0)[0].sum(0).numpy() / self.layout.hours.sum()
        return bool((np.abs(short - np.array(told)) * self.layout.hours.sum() <= near).all())

    def _flow_to(self, missing: Floats) -> Floats:
        """More flow on every line, so that no bus has too much and another too little (line,) [MWh]."""
        lay, buses = self.layout, len(self.layout.buses)
        lines = np.arange(len(lay.line_from))
        arrives = np.zeros((len(lines), buses))
        arrives[lines, lay.line_to] += 1.0
        arrives[lines, lay.line_from] -= 1.0
        easy = np.ones(len(lines))
        if self.system.physics != "transport":
            easy = 1.0 / np.array([abs(lay.angle_per_flow(line)) for line in range(len(lines))])
        weighted = arrives.T * easy  # (bus, line)
        angles = np.linalg.lstsq(weighted @ arrives, missing - self._left(missing), rcond=None)[0]
        return np.asarray(easy * (arrives @ angles), dtype=np.float64)

    def _left(self, missing: Floats) -> Floats:
        """What stays missing, or too much, in the end: the sum of every connected part, where it is missing now."""
        left: Floats = np.zeros(len(missing))
        for part in self._parts():
            own = missing[part]
            total = own.sum()
            where = np.maximum(own, 0.0) if total > 0 else np.minimum(own, 0.0)
            left[part] = total * where / where.sum() if where.sum() else total / len(part)
        return left

    def _parts(self) -> list[list[int]]:
        """Buses joined by lines."""
        part = list(range(len(self.layout.buses)))

        def root(bus: int) -> int:
            while part[bus] != bus:
                bus = part[bus]
            return bus

        for a, b in zip(self.layout.line_from.tolist(), self.layout.line_to.tolist(), strict=True):
            part[root(a)] = root(b)
        found: dict[int, list[int]] = {}
        for bus in range(len(part)):
            found.setdefault(root(bus), []).append(bus)
        return list(found.values())

    def _settled(self, d: Dispatch, season: int, near: float) -> Dispatch:
        """What is left goes unserved or is surplus; less than rounding is neither."""
        d = self.rules.unserved(d, torch.tensor([season]))
        small = d.deficit.sum(2, keepdim=True) <= near
        return replace(
            d, deficit=torch.where(small, 0.0, d.deficit), surplus=torch.where(d.surplus <= near, 0.0, d.surplus)
        )

    def _size(self, d: Dispatch) -> float:
        return max(float(value.abs().nan_to_num().max()) for value in vars(d).values() if value.numel())

    def _refuse(
        self, read: DecisionLines, d: Dispatch, rows: Mapping[tuple[str, str], int], state: HydroState, stage: Tensor
    ) -> None:
        """Name what breaks a rule: what the repair would move, or else the load that is not met."""
        over = float(d.surplus.sum()) / float(self.layout.hours.sum())
        if over > 0 and not self.system.can_have_surplus and self._within_limits(d, state, stage):
            said = f"{over:.6g} MW more are generated than anybody takes or lines carry: make less, or spill"
            read.issues.append(Issue("infeasible", "error", pointer(read.key), said))
            read.settle()
        feasible = self.view.simulator.repair(state, d, stage)
        for repair in self.view.repairs(state, d, feasible, stage)[0]:
            if abs(repair.proposed - repair.feasible) <= ROUNDED * (1.0 + self._size(d)):
                continue
            _, name, own, *block = repair.field.split("/")
            plant = ("hydro", own) if name in FIELDS else (name, own)
            if plant in rows:
                field = FIELDS.get(name, "generation_mw")
                read.refuse(
                    "infeasible", f"{repair.rule}{self._said(name, repair.feasible, block)}", rows[plant], field
                )
            elif name == "flow":
                where = pointer("flows_mw", own)
                read.issues.append(
                    Issue("infeasible", "error", where, f"{repair.rule} (nearest: {repair.feasible:g} MWh)")
                )
        if not read.issues:
            read.issues.append(Issue("infeasible", "error", pointer(read.key), self._unmet(d, int(stage))))
        read.settle()

    def _within_limits(self, d: Dispatch, state: HydroState, stage: Tensor) -> bool:
        """Whether every plant keeps its own limits."""
        rules, season = self.rules, self.rules.season(stage)
        end = rules.end_storage(state.storage, state.inflow, d.turbined, d.spilled, stage)
        breaches = (
            d.turbined - rules.turbine_max[season],
            d.thermal - rules.thermal_max[season],
            d.renewable - rules.renewable_max[season],
            rules.storage_min - end,
            end - rules.storage_max,
        )
        near = ROUNDED * (1.0 + self._size(d))
        return all(float(breach.max()) <= near for breach in breaches if breach.numel())

    def _said(self, name: str, energy: float, block: Sequence[str]) -> str:
        """The nearest value that is allowed, in the unit of the line's field."""
        hours = float(self.layout.hours.sum())
        if block:
            hours = float(self.layout.hours[self.layout.blocks.index(block[0])])
        inside = f" in {block[0]}" if block else ""
        if name == "spilled":
            return f" (nearest: {energy:.6g} hm³)"
        if name == "turbined":
            return f" (nearest{inside}: {energy / (HM3_PER_M3S_HOUR * hours):.6g} m³/s)"
        return f" (nearest{inside}: {energy / hours:.6g} MW)"

    def _unmet(self, d: Dispatch, stage: int) -> str:
        season = int(self.rules.season(stage))
        short = (self.rules.load[season] - self.rules.reached(d) - d.deficit.sum(2) + d.surplus)[0].sum(0)
        worst = int(short.abs().argmax())
        mean = abs(float(short[worst])) / float(self.layout.hours.sum())
        what = "are missing and may not go unserved" if short[worst] > 0 else "are more than anybody takes"
        return f"at {self.layout.buses[worst]}, {mean:.6g} MW {what}"


def _numbers(document: object, field: str, ids: Sequence[str]) -> list[float] | None:
    """Numbers by id that a field of a document holds; None where one is missing."""
    values = document.get(field) if isinstance(document, Mapping) else None
    if not isinstance(values, Mapping):
        return None
    found = [values.get(name) for name in ids]
    good = all(isinstance(v, int | float) and not isinstance(v, bool) and abs(v) <= 1e12 for v in found)
    return [float(v) for v in found] if good else None  # type: ignore[arg-type]
