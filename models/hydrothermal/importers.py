"""File formats that become a hydrothermal instance."""

from __future__ import annotations

from models.core import Importer
from models.hydrothermal.matpower import read_matpower
from models.hydrothermal.powermodels import read_powermodels

OPTIONS = {
    "stages": "Horizon [stages]. Default: as many as the inflows have.",
    "report_stages": "First stages whose cost is reported. Default: all.",
    "stage_hours": "Length of a stage [h]. Default: what hydro.json says, else 1.",
    "load_factor": "What loads are multiplied by. Default: 1.",
    "deficit_cost": "Price of unserved load [money/MWh]. Default: the network's cost_deficit.",
    "physics": "transport, dc (default), dc_losses or ac.",
    "name": "Name of the instance. Default: imported.",
}
_WATER = {
    "hydro": "hydro.json: reservoirs and plants as HydroPowerModels has them.",
    "inflows": "CSV without header: a row per stage, for every hydro in turn its scenarios [m³/s].",
    "probabilities?": "CSV without header: a row per stage, the probability of every scenario.",
    "evaluation?": "CSV without header: paths to judge policies on, a row each; scenario numbers from 1 by stage.",
}

IMPORTERS: tuple[Importer, ...] = (
    Importer(
        "powermodels",
        "PowerModels network with hydro.json and inflows.csv",
        {"network": "PowerModels.json: the grid, per unit.", **_WATER},
        read_powermodels,
        OPTIONS,
    ),
    Importer(
        "matpower",
        "MATPOWER case with hydro.json and inflows.csv",
        {"network": "MATPOWER case (.m), version 2.", **_WATER},
        read_matpower,
        OPTIONS,
    ),
)
