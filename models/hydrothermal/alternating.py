"""Power flow in alternating current on tensors: what lines carry at given voltages, and what a dispatch breaks of it.

    p = g V² − V V' (g cos θ + b sin θ),   q = −(b + b_c) V² − V V' (g sin θ − b cos θ),   y = 1/(r + jx) = g + jb

as in `models.hydrothermal.power_flow`, where the same is algebra for a solver. Here it checks, and reads flows off
voltages. A dispatch without voltages (all zero: a plan, or one put right by hand) is held to none of it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from models.dynamics import Stage
from models.hydrothermal.instance import Hydro, Thermal
from models.hydrothermal.layout import Layout
from models.hydrothermal.seasonal import at

if TYPE_CHECKING:
    from models.hydrothermal.simulator import Dispatch

NO_LIMIT = 1e15


class PowerFlow(nn.Module):
    """One system's lines and buses as tensors, per unit on its base; stages of one block."""

    conductance: Tensor  # g (line,)
    susceptance: Tensor  # b (line,)
    charging: Tensor  # b_c (end, line)
    rating: Tensor  # (line,) [MVA]
    angle_max: Tensor  # (line,) [rad]
    voltage_min: Tensor  # (bus,)
    voltage_max: Tensor
    reactive_min: Tensor  # (machine,) thermals, then hydros [Mvar]
    reactive_max: Tensor
    reactive_load: Tensor  # (season, block, bus) [Mvar]
    machine_at: Tensor  # (machine, bus) 1 at its bus
    ends: Tensor  # (end, line, bus) 1 at the line's end

    def __init__(self, lay: Layout) -> None:
        super().__init__()
        system, buses = lay.system, len(lay.buses)
        self.base, self.hours = system.base_mva, system.stage_hours
        r, x = (
            np.array([getattr(line, f"{part}_pu") for line in system.lines]) for part in ("resistance", "reactance")
        )
        square = np.maximum(r**2 + x**2, 1e-300)
        ends = [lay.line_from, lay.line_to]
        machines: list[Thermal | Hydro] = [*system.thermals, *system.hydros]
        limits = [line.limit_mw for line in system.lines]
        widest = [line.angle_max_rad for line in system.lines]
        places = np.concatenate([lay.thermal_bus, lay.hydro_bus])
        kept = {
            "conductance": r / square,
            "susceptance": -x / square,
            "charging": [[getattr(line, f"charging_{end}_pu") for line in system.lines] for end in ("from", "to")],
            "rating": [NO_LIMIT if limit is None else limit for limit in limits],
            "angle_max": [np.pi / 2 if angle is None else angle for angle in widest],
            "voltage_min": [bus.voltage_min_pu for bus in system.buses],
            "voltage_max": [bus.voltage_max_pu for bus in system.buses],
            "reactive_min": [-NO_LIMIT if m.reactive_min_mvar is None else m.reactive_min_mvar for m in machines],
            "reactive_max": [NO_LIMIT if m.reactive_max_mvar is None else m.reactive_max_mvar for m in machines],
            "reactive_load": [[[at(bus.load_mvar, t) for bus in system.buses]] for t in range(lay.num_seasons)],
            "machine_at": np.eye(buses)[places],
            "ends": np.stack([np.eye(buses)[end] for end in ends]),
        }
        for name, values in kept.items():
            tensor = torch.as_tensor(np.asarray(values, dtype=np.float64))
            self.register_buffer(name, tensor, persistent=False)

    def sent(self, voltage: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
        """Active [MW] and reactive [Mvar] power that lines take from buses (…, end, line)."""
        there, apart = (torch.stack([values @ end.T for end in self.ends], -2) for values in (voltage, angle))
        apart = apart - apart.flip(-2)
        squared, product = there**2, there * there.flip(-2)
        cos, sin = apart.cos(), apart.sin()
        active = self.conductance * squared - product * (self.conductance * cos + self.susceptance * sin)
        reactive = -(self.susceptance + self.charging) * squared
        reactive = reactive - product * (self.conductance * sin - self.susceptance * cos)
        return self.base * active, self.base * reactive

    def with_flows(self, d: Dispatch) -> Dispatch:
        """The dispatch with the flows and losses that its voltages make."""
        active, _ = self.sent(d.voltage, d.angle)
        return replace(d, flow=self.hours * active[..., 0, :], loss=self.hours * active.sum(-2))

    def breach(self, d: Dispatch, season: Stage) -> Tensor:
        """Largest breach of the laws and limits of alternating current (batch,) [MWh, or what is alike per unit]."""
        active, reactive = self.sent(d.voltage, d.angle)
        flows = torch.stack((d.flow, d.loss - d.flow), -2) / self.hours
        leaving = torch.stack([reactive[..., k, :] @ end for k, end in enumerate(self.ends)]).sum(0)
        missing = d.reactive @ self.machine_at - self.reactive_load[season] - leaving
        apart = (d.angle @ (self.ends[0] - self.ends[1]).T).abs() - self.angle_max
        volts = torch.maximum(self.voltage_min - d.voltage, d.voltage - self.voltage_max)
        mvar = torch.maximum(self.reactive_min - d.reactive, d.reactive - self.reactive_max)
        apparent = (active**2 + reactive**2).sqrt() - self.rating
        parts = [flows - active, missing, self.base * apart, self.base * volts, mvar.clamp_min(0.0)]
        parts[0], parts[1] = parts[0].abs(), parts[1].abs()
        parts.append(apparent.clamp_min(0.0))
        largest = torch.stack([part.flatten(1).amax(1) for part in parts if part.shape[1:].numel()]).amax(0)
        return torch.where((d.voltage > 0).flatten(1).any(1), self.hours * largest, torch.zeros_like(largest))
