"""The single-stage program in alternating current that was published with Bolivia: the same physics as ours."""

from __future__ import annotations

import json
import math
import operator
import os
from functools import reduce
from pathlib import Path

import numpy as np
import pytest
import torch

from models.hydrothermal import PROBLEM
from models.hydrothermal.program import HydroProgram
from solvers.full_stages import InFull
from solvers.highs import HotProgram
from tests.models.hydro_systems import case_files, published

LOAD_FACTOR = 0.6  # of the loads in the network file, in the published programs
K = 0.0036  # hm³ a stage and m³/s: they treat a week as one hour


class PublishedProgram:
    """A nonlinear program in MathOptFormat, told for numbers or for casadi's symbols."""

    def __init__(self, document, values, sin=math.sin, cos=math.cos):
        self.document, self.values = document, values
        self.operators = {
            "*": lambda *args: reduce(operator.mul, args),
            "+": lambda *args: reduce(operator.add, args),
            "-": lambda *args: args[0] - args[1] if len(args) == 2 else -args[0],
            "sin": sin,
            "cos": cos,
        }

    def rows(self):
        """Every constraint's expression with its least and most."""
        for constraint in self.document["constraints"]:
            kept = constraint["set"]
            low = kept.get("value", kept.get("lower", -math.inf))
            yield self.told(constraint["function"]), low, kept.get("value", kept.get("upper", math.inf))

    def told(self, function):
        kind = function["type"]
        if kind == "Variable":
            return self.values[function["name"]]
        if kind == "ScalarNonlinearFunction":
            return self._nodes(function)
        total = function["constant"]
        for term in function.get("terms", function.get("affine_terms", [])):
            total = total + term["coefficient"] * self.values[term["variable"]]
        for term in function.get("quadratic_terms", []):
            half = 0.5 if term["variable_1"] == term["variable_2"] else 1.0
            both = self.values[term["variable_1"]] * self.values[term["variable_2"]]
            total = total + half * term["coefficient"] * both
        return total

    def _nodes(self, function):
        found = []

        def value(argument):
            if isinstance(argument, dict):
                return found[argument["index"] - 1]
            return self.values[argument] if isinstance(argument, str) else argument

        for node in function["node_list"]:
            found.append(self.operators[node["type"]](*map(value, node["args"])))
        return value(function["root"])

    def violation(self):
        return max(max(low - value, value - high) for value, low, high in self.rows())


def least(document, held):
    """The published program's least cost with some of its variables held, by Ipopt."""
    casadi = pytest.importorskip("casadi")
    symbols = {variable["name"]: casadi.SX.sym(variable["name"]) for variable in document["variables"]}
    program = PublishedProgram(document, symbols, casadi.sin, casadi.cos)
    rows, low, high = zip(*program.rows(), strict=True)
    names = list(symbols)
    bounds = [[held.get(name, free) for name in names] for free in (-math.inf, math.inf)]
    start = [1.0 if name.startswith("0_vm") else held.get(name, 0.0) for name in names]
    parts = {"x": casadi.vertcat(*symbols.values()), "f": program.told(document["objective"]["function"])}
    parts["g"] = casadi.vertcat(*rows)
    quiet = {"ipopt.print_level": 0, "print_time": 0, "ipopt.sb": "yes"}
    solver = casadi.nlpsol("published", "ipopt", parts, quiet | {"ipopt.tol": 1e-9, "ipopt.bound_relax_factor": 1e-10})
    found = solver(x0=start, lbx=bounds[0], ubx=bounds[1], lbg=list(low), ubg=list(high))
    assert solver.stats()["success"]
    return float(found["f"])


@pytest.mark.parametrize("turned", [1.0, 0.3])
def test_our_stage_is_the_published_one(turned):
    """A share of the plan's turbining, carried out by us: it breaks none of their rows, and costs what theirs does."""
    pytest.importorskip("casadi")
    case_files("bolivia")
    folder = Path(os.environ["HERENOW_CASE_DATA"]) / "hydro" / "bolivia"
    document = json.loads((folder / "ACPPowerModel.mof.json").read_text())
    given = {
        constraint["function"]["name"]: constraint["set"]["value"]
        for constraint in document["constraints"]
        if constraint["function"]["type"] == "Variable" and constraint["set"]["type"] == "EqualTo"
    }
    system = published("bolivia", load_factor=str(LOAD_FACTOR), stage_hours="1", stages="1", physics="ac")
    simulator, face = PROBLEM.simulator(system).double(), HydroProgram(system)
    plants = range(1, 12)
    rows = [[given[name.format(k)] for k in plants] for name in ("reservoir[{}]_in", "inflow[{}]")]
    storage, inflow = (torch.tensor([row], dtype=torch.float64) for row in rows)
    state = type(simulator.initial(1, torch.Generator()))(
        storage, K * inflow, torch.zeros(1, 0, 11, dtype=torch.float64), torch.zeros(1, 1, 0, dtype=torch.float64)
    )
    hot = HotProgram(face.stage(0))
    turbines = [face.stage(0).column(f"turbined[{hydro.id}]") for hydro in system.hydros]
    most = turned * face.stage(0).upper[turbines]
    hot.set_column_bounds(np.array(turbines, dtype=np.int32), np.zeros(11), most)
    hot.set_data(face.state_vector(state)[0], np.zeros(11))
    hot.solve().require("a test")
    found = InFull(PROBLEM, system)(state, face.decision(hot.columns()[None], 0), 0)

    ours = _in_their_words(document, system, simulator, state, found, given)
    assert PublishedProgram(document, ours).violation() <= 1e-7
    post, costs = simulator.decide(state, found, 0)
    held = {f"reservoir[{k}]_out": float(post.storage[0, k - 1]) for k in plants}
    assert float(costs.total[0]) == pytest.approx(least(document, held), rel=1e-6)


def _in_their_words(document, system, simulator, state, d, given):
    """Our dispatch as values of their variables."""
    grid = [own["index_grid"] for own in json.loads(case_files("bolivia")["hydro"])["Hydrogenerators"]]
    post, _ = simulator.decide(state, d, 0)
    machines = [f"{thermal.id[1:]}" for thermal in system.thermals] + [str(index) for index in grid]
    power = torch.cat((d.thermal[0, 0], d.hydro[0, 0])) / 100
    values = {variable["name"]: 0.0 for variable in document["variables"]} | given
    for machine, active, reactive in zip(machines, power.tolist(), (d.reactive[0, 0] / 100).tolist(), strict=True):
        values |= {f"0_pg[{machine}]": active, f"0_qg[{machine}]": reactive}
    for k in range(11):
        values[f"reservoir[{k + 1}]_out"] = float(post.storage[0, k])
        values[f"spill[{k + 1}]"] = float(d.spilled[0, k])
        values[f"outflow[{k + 1}]"] = float(d.turbined[0, 0, k]) / K
    for bus, voltage, angle, short in zip(
        system.buses, d.voltage[0, 0], d.angle[0, 0], d.deficit[0, 0, 0], strict=True
    ):
        number = bus.id[1:]
        values |= {f"0_vm[{number}]": float(voltage), f"0_va[{number}]": float(angle)}
        values[f"deficit[{number}]"] = float(short) / 100
    active, reactive = simulator.rules.power.sent(d.voltage, d.angle)
    for k, line in enumerate(system.lines):
        ends = (line.source[1:], line.target[1:])
        for side, (here, there) in enumerate((ends, ends[::-1])):
            for kind, sent in (("p", active), ("q", reactive)):
                values[f"0_{kind}[({line.id[1:]}, {here}, {there})]"] = float(sent[0, 0, side, k]) / 100
    assert set(values) == {variable["name"] for variable in document["variables"]}
    return values
