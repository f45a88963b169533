"""Published cases: read as they are meant, and the same physics as the programs published with them."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import linprog

from models.core import InvalidInput
from models.hydrothermal.instance import HydrothermalSystem
from models.hydrothermal.matpower import read_matpower
from models.hydrothermal.powermodels import read_powermodels
from models.hydrothermal.program import HydroProgram
from solvers.highs import HotProgram
from tests.models.hydro_systems import case_files, published

NETWORK = {
    "baseMVA": 100,
    "cost_deficit": 500,
    "bus": {"1": {"bus_i": 1}, "2": {"bus_i": 2}},
    "load": {"1": {"load_bus": 2, "pd": 0.5, "status": 1}},
    "gen": {
        "1": {"index": 1, "gen_bus": 1, "pmin": 0, "pmax": 0.9, "gen_status": 1, "model": 2, "cost": [0]},
        "2": {"index": 2, "gen_bus": 2, "pmin": 0, "pmax": 0.4, "gen_status": 1, "model": 2, "cost": [2500.0, 0]},
    },
    "branch": {"1": {"f_bus": 1, "t_bus": 2, "br_r": 0.01, "br_x": 0.1, "rate_a": 0.6, "angmin": -0.5, "angmax": 0.5}},
}
WATER = {
    "stage_hours": 24,
    "Hydrogenerators": [
        {
            "index": 7,
            "index_grid": 1,
            "production_factor": 2.0,
            "max_turn": 100,
            "min_volume": 0,
            "max_volume": 30,
            "initial_volume": 10,
            "downstream_turn": [],
            "downstream_spill": [],
        }
    ],
}
for gen in NETWORK["gen"].values():
    gen |= {"qmin": -0.3, "qmax": 0.3}
LOAD_FACTOR = 0.6  # of the loads in the network file, in the published programs
INFLOWS = b"1,2,3\n4,5,6\n"
MATPOWER = b"""function mpc = tiny
mpc.version = '2';
mpc.baseMVA = 100;
mpc.bus = [
1 3 0 0 0 0 1 1 0 0 1 1.1 0.9;
2 1 50 0 0 0 1 1 0 0 1 1.1 0.9;
];
mpc.gen = [
1 0 0 30 -30 1 100 1 90 0 0 0 0 0 0 0 0 0 0 0 0;
2 0 0 30 -30 1 100 1 40 0 0 0 0 0 0 0 0 0 0 0 0;
];
mpc.branch = [
1 2 0.01 0.1 0 60 60 60 0 0 1 -28.6478897565412 28.6478897565412;
];
mpc.gencost = [
2 0 0 2 0 0;
2 0 0 2 25 0;
];
"""


def parts(network=NETWORK, water=WATER, inflows=INFLOWS):
    return {"network": json.dumps(network).encode(), "hydro": json.dumps(water).encode(), "inflows": inflows}


class TestPowerModels:
    def test_units_and_topology_are_read(self):
        system = HydrothermalSystem.model_validate(read_powermodels(parts(), {"load_factor": "2"}))
        assert [bus.load_mw for bus in system.buses] == [0, 100]
        assert system.stage_hours == 24
        (hydro,) = system.hydros
        assert hydro.turbine_max_m3s == 45  # the generator's 90 MW bind before the turbine's 100 m³/s
        (thermal,) = system.thermals
        assert (thermal.max_mw, thermal.cost_per_mwh) == (40, 25)
        assert system.lines[0].limit_mw == 60
        assert system.inflows.inflow_m3s == {"h7": [[1, 2, 3], [4, 5, 6]]}
        assert system.stages == 2

    @pytest.mark.parametrize(
        ("files", "options", "where"),
        [
            (parts(inflows=b"1,x\n"), {}, "/inflows"),
            (parts(inflows=b"1,2\n3\n"), {}, "/inflows"),
            (parts(inflows=b"1,nan\n"), {}, "/inflows"),
            (parts(water={"stage_hours": 1}), {}, "/hydro/Hydrogenerators"),
            (parts(network={"baseMVA": 100}), {}, "/network"),
            (parts(), {"stages": "many"}, "/stages"),
            (parts(), {"load_factor": "-1"}, "/load_factor"),
        ],
    )
    def test_what_cannot_be_read_is_named(self, files, options, where):
        with pytest.raises(InvalidInput) as caught:
            read_powermodels(files, options)
        assert caught.value.issues[0].pointer == where

    def test_quadratic_costs_are_refused(self):
        network = json.loads(json.dumps(NETWORK))
        network["gen"]["2"]["cost"] = [5.0, 2500.0, 0]
        with pytest.raises(InvalidInput) as caught:
            read_powermodels(parts(network), {})
        assert caught.value.issues[0].pointer == "/network/gen/2/cost"


class TestMatpower:
    def test_a_case_says_what_the_same_network_says_in_powermodels(self):
        pytest.importorskip("matpowercaseframes")
        files = parts() | {"network": MATPOWER}
        ours = HydrothermalSystem.model_validate(read_matpower(files, {"deficit_cost": "500"})).document()
        same = HydrothermalSystem.model_validate(read_powermodels(parts(), {})).document()
        assert ours["lines"][0].pop("angle_max_rad") == pytest.approx(same["lines"][0].pop("angle_max_rad"))
        assert ours == same

    def test_what_is_no_case_is_refused(self):
        pytest.importorskip("matpowercaseframes")
        with pytest.raises(InvalidInput) as caught:
            read_matpower(parts() | {"network": b"nothing"}, {})
        assert caught.value.issues[0].pointer == "/network"


class PublishedProgram:
    """A linear program in MathOptFormat, as rows over named variables."""

    def __init__(self, document):
        self.names = [variable["name"] for variable in document["variables"]]
        self.place = {name: k for k, name in enumerate(self.names)}
        self.cost = self._row(document["objective"]["function"])
        self.rows, self.low, self.high = [], [], []
        for constraint in document["constraints"]:
            limits = constraint["set"]
            self.rows.append(self._row(constraint["function"]))
            self.low.append(limits.get("value", limits.get("lower", -np.inf)))
            self.high.append(limits.get("value", limits.get("upper", np.inf)))
        self.rows, self.low, self.high = np.array(self.rows), np.array(self.low), np.array(self.high)

    def _row(self, function):
        row = np.zeros(len(self.names))
        terms = function.get("terms", [{"coefficient": 1.0, "variable": function.get("name")}])
        assert function.get("constant", 0.0) == 0.0
        for term in terms:
            row[self.place[term["variable"]]] += term["coefficient"]
        return row

    def violation(self, values):
        sums = self.rows @ values
        return max(np.max(self.low - sums), np.max(sums - self.high))

    def least(self):
        equal = self.low == self.high
        upper = np.vstack([self.rows[~equal], -self.rows[~equal]])
        limits = np.concatenate([self.high[~equal], -self.low[~equal]])
        kept = np.isfinite(limits)
        found = linprog(self.cost, upper[kept], limits[kept], self.rows[equal], self.low[equal], bounds=(None, None))
        return found.fun

    def given(self, name):
        """The value that a variable is held at."""
        row = self._row({"name": name})
        return next(v for r, v, h in zip(self.rows, self.low, self.high, strict=True) if v == h and (r == row).all())


@pytest.mark.parametrize("dry", [1.0, 0.25])
def test_our_stage_is_the_published_one(dry):
    """A week treated as one hour, as the published program has it: our optimum breaks none of its rows, and costs the
    same."""
    case_files("bolivia")
    folder = Path(os.environ["HERENOW_CASE_DATA"]) / "hydro" / "bolivia"
    theirs = PublishedProgram(json.loads((folder / "DCPPowerModel.mof.json").read_text()))
    system = published("bolivia", load_factor=str(LOAD_FACTOR), stage_hours="1", stages="1")
    program = HydroProgram(system)
    plants = range(1, 12)
    inflow = dry * np.array([theirs.given(f"inflow[{k}]") for k in plants])
    for k, value in zip(plants, inflow, strict=True):  # another inflow: its rows are moved
        row = theirs._row({"name": f"inflow[{k}]"})
        held = [j for j, r in enumerate(theirs.rows) if (r == row).all() and theirs.low[j] == theirs.high[j]]
        theirs.low[held] = theirs.high[held] = value
    storage = np.array([theirs.given(f"reservoir[{k}]_in") for k in plants])
    hot = HotProgram(program.stage(0))
    hot.set_data(np.concatenate([storage, 0.0036 * inflow]), np.zeros(11))
    found = hot.solve()
    values = dict(zip(program.stage(0).columns, hot.columns(), strict=True))
    ours = np.zeros(len(theirs.names))
    grid = json.loads(case_files("bolivia")["hydro"])["Hydrogenerators"]
    own = {f"reservoir[{k}]_in": storage[k - 1] for k in plants} | {f"inflow[{k}]": inflow[k - 1] for k in plants}
    for k, hydro in zip(plants, system.hydros, strict=True):
        own |= {
            f"reservoir[{k}]_out": values[f"storage[{hydro.id}]"],
            f"spill[{k}]": values[f"spilled[{hydro.id}]"],
            f"outflow[{k}]": values[f"turbined[{hydro.id}]"] / 0.0036,
            f"0_pg[{grid[k - 1]['index_grid']}]": values[f"turbined[{hydro.id}]"]
            * hydro.production_factor_mw_per_m3s
            / 0.0036
            / 100,
        }
    own |= {f"0_pg[{thermal.id[1:]}]": values[f"thermal[{thermal.id}]"] / 100 for thermal in system.thermals}
    own |= {f"deficit[{bus.id[1:]}]": values[f"deficit[{bus.id}]"] / 100 for bus in system.buses}
    lines = [(line, values[f"flow[{line.id}]"] / 100) for line in system.lines]
    own |= {f"0_p[({line.id[1:]}, {line.source[1:]}, {line.target[1:]})]": flow for line, flow in lines}
    own |= {f"0_va[{bus}]": angle for bus, angle in _angles(program, lines).items()}
    for name, value in own.items():
        ours[theirs.place[name]] = value
    assert theirs.violation(ours) <= 1e-7
    assert found.value == pytest.approx(theirs.least(), rel=1e-8)


def _angles(program, lines):
    """Angles at every bus that flows go with, zero at the first."""
    lay = program.layout
    slopes = np.array([lay.angle_per_flow(k) for k in range(len(lines))])
    incidence = np.zeros((len(lines), len(lay.buses)))
    incidence[np.arange(len(lines)), lay.line_from] += 1
    incidence[np.arange(len(lines)), lay.line_to] -= 1
    wanted = slopes * np.array([flow for _, flow in lines])
    angles, *_ = np.linalg.lstsq(incidence, wanted, rcond=None)
    np.testing.assert_allclose(incidence @ angles, wanted, atol=1e-9)
    return {bus[1:]: angle - angles[0] for bus, angle in zip(lay.buses, angles, strict=True)}
