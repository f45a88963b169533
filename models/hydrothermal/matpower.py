"""A MATPOWER case (.m, version 2) with hydro.json and inflows.csv becomes an instance document.

The case is parsed by matpowercaseframes (the extra `matpower`), which reads text and runs nothing; what it holds is
then read as a PowerModels network. MATPOWER counts in MW, PowerModels per unit; generators and branches are numbered
from 1 in the order of the case.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.hydrothermal.powermodels import Document, json_part, read_documents, refused

MOST_BYTES = 16 * 2**20


def read_matpower(files: Mapping[str, bytes], options: Mapping[str, str]) -> Document:
    """The instance document that case, hydro and inflows files make. `InvalidInput` names the file and the rule."""
    return read_documents(_network(files["network"]), json_part("hydro", files), files, options)


def _network(data: bytes) -> Document:
    """The case as PowerModels network data."""
    frames = _frames(data)
    try:
        base = float(frames.baseMVA)
        buses = [row.to_dict() for _, row in frames.bus.iterrows()]
        gens = [row.to_dict() for _, row in frames.gen.iterrows()]
        branches = [row.to_dict() for _, row in frames.branch.iterrows()]
        costs = [list(row) for row in frames.gencost.itertuples(index=False)] if hasattr(frames, "gencost") else []
        return {
            "baseMVA": base,
            "bus": {str(int(b["BUS_I"])): _bus(b) for b in buses},
            "load": {str(k): _load(b, base) for k, b in enumerate(buses)},
            "gen": {
                str(k + 1): _gen(k + 1, gen, costs[k] if k < len(costs) else [], base) for k, gen in enumerate(gens)
            },
            "branch": {str(k + 1): _branch(branch, base) for k, branch in enumerate(branches)},
        }
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
        raise refused("network", f"is not a MATPOWER case of version 2: {error!r}") from None


def _frames(data: bytes) -> Any:
    """The parsed case."""
    try:
        from matpowercaseframes import CaseFrames
    except ImportError:
        detail = "MATPOWER cases are read by matpowercaseframes, which is not installed: install herenow[matpower]"
        raise refused("network", detail) from None
    if len(data) > MOST_BYTES:
        raise refused("network", f"is larger than {MOST_BYTES // 2**20} MiB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise refused("network", "is not UTF-8 text") from None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "case.m"  # the parser reads files alone
        file.write_text(text, encoding="utf-8")
        try:
            return CaseFrames(str(file))
        except Exception as error:  # whatever its regular expressions stumble over
            raise refused("network", f"is not a MATPOWER case: {type(error).__name__}: {error}") from None


def _bus(row: Mapping[str, float]) -> Document:
    voltages = {"vmin": float(row["VMIN"]), "vmax": float(row["VMAX"])}
    return {"bus_i": int(row["BUS_I"]), "bus_type": int(row["BUS_TYPE"]), **voltages}


def _load(row: Mapping[str, float], base: float) -> Document:
    return {"load_bus": int(row["BUS_I"]), "pd": float(row["PD"]) / base, "qd": float(row["QD"]) / base}


def _gen(index: int, row: Mapping[str, float], cost: list[float], base: float) -> Document:
    """A generator; costs of money per MWh become money per unit-hour."""
    document: Document = {
        "index": index,
        "gen_bus": int(row["GEN_BUS"]),
        "gen_status": int(row["GEN_STATUS"] > 0),
        "pmin": row["PMIN"] / base,
        "pmax": row["PMAX"] / base,
        "qmin": row["QMIN"] / base,
        "qmax": row["QMAX"] / base,
        "model": 2,
        "cost": [],
    }
    if cost:
        count = int(cost[3])
        terms = [float(term) for term in cost[4 : 4 + count]]
        powers = range(len(terms) - 1, -1, -1)
        document |= {"model": int(cost[0]), "cost": [t * base**p for t, p in zip(terms, powers, strict=True)]}
    return document


def _branch(row: Mapping[str, float], base: float) -> Document:
    """A branch; angle limits of zero or a full turn are none."""
    low, high = float(row.get("ANGMIN", -360.0)), float(row.get("ANGMAX", 360.0))
    free = (low == 0 and high == 0) or low <= -90 or high >= 90
    return {
        "f_bus": int(row["F_BUS"]),
        "t_bus": int(row["T_BUS"]),
        "br_r": float(row["BR_R"]),
        "br_x": float(row["BR_X"]),
        "b_fr": float(row["BR_B"]) / 2,
        "b_to": float(row["BR_B"]) / 2,
        "rate_a": float(row["RATE_A"]) / base,
        "br_status": int(row["BR_STATUS"]),
        "angmin": -math.pi if free else math.radians(low),
        "angmax": math.pi if free else math.radians(high),
    }
