"""Published networks, ready to post: each is a valid body for `POST /v1/instances`."""

from __future__ import annotations

from typing import Any

from models.core import Example

Document = dict[str, Any]


def one_store(unmet_demand: str, lead_time: int, shortage_cost: float, process: Document, name: str) -> Document:
    """One store fed by one supplier, rolling, with a warm-up."""
    return {
        "problem": "inventory_network",
        "name": name,
        "periods": 100,
        "warmup_periods": 50,
        "nodes": [
            {"id": "supplier", "kind": "supplier"},
            {
                "id": "store",
                "kind": "store",
                "holding_cost": 1.0,
                "shortage_cost": shortage_cost,
                "unmet_demand": unmet_demand,
                "initial_on_hand": 5.0 * (lead_time + 1),
            },
        ],
        "lanes": [{"from": "supplier", "to": "store", "lead_time": lead_time}],
        "demand": process,
    }


def one_store_backlogged(lead_time: int = 4, shortage_cost: float = 9.0) -> Document:
    """Backlogged demand N(5, 1.6): the optimum is a newsvendor over L+1 periods."""
    process = {"process": "normal", "nodes": {"store": {"mean": 5.0, "std": 1.6}}}
    return one_store(
        "backlogged", lead_time, shortage_cost, process, f"one-store-backlogged-l{lead_time}-p{shortage_cost:g}"
    )


def one_store_lost(lead_time: int = 4, shortage_cost: float = 9.0) -> Document:
    """Lost sales, Poisson(5) (Zipkin 2008)."""
    process = {"process": "poisson", "nodes": {"store": {"mean": 5.0}}}
    return one_store("lost", lead_time, shortage_cost, process, f"one-store-lost-l{lead_time}-p{shortage_cost:g}")


def serial_backlogged(lead_time: int = 4, shortage_cost: float = 9.0) -> Document:
    """Four echelons in series, backlogged N(5, 2) (Clark and Scarf 1960)."""
    chain = [("store", 1.0, lead_time), ("echelon-2", 0.5, 3), ("echelon-3", 0.2, 4), ("echelon-4", 0.1, 2)]
    nodes: list[Document] = [{"id": "supplier", "kind": "supplier"}]
    lanes: list[Document] = []
    for k, (node_id, holding, lead) in enumerate(chain):
        node: Document = {"id": node_id, "kind": "store" if k == 0 else "warehouse", "holding_cost": holding}
        if k == 0:
            node |= {"shortage_cost": shortage_cost, "unmet_demand": "backlogged"}
        nodes.append(node | {"initial_on_hand": 5.0 * (lead + 1)})
        lanes.append({"from": chain[k + 1][0] if k + 1 < len(chain) else "supplier", "to": node_id, "lead_time": lead})
    return {
        "problem": "inventory_network",
        "name": f"serial-backlogged-l{lead_time}-p{shortage_cost:g}",
        "periods": 150,
        "warmup_periods": 100,
        "nodes": nodes,
        "lanes": lanes,
        "demand": {"process": "normal", "nodes": {"store": {"mean": 5.0, "std": 2.0}}},
    }


# Ten stores of Alvo et al.: mean, standard deviation, holding and lost-sales cost, and two sets of lead times.
_MEAN = (3.743, 4.75, 4.555, 3.801, 6.852, 3.425, 2.598, 7.266, 5.902, 4.933)
_STD = (1.765, 2.124, 1.622, 1.405, 1.714, 1.59, 0.879, 2.701, 2.127, 2.391)
_HOLDING = (1.0856, 1.0232, 1.0071, 1.0662, 0.9958, 0.8287, 0.8464, 1.0433, 1.1636, 0.8864)
_SHORTAGE = (10.2367, 9.3307, 6.9748, 8.447, 10.5191, 9.0594, 7.2865, 10.909, 11.459, 11.6148)
_LEAD_TIME = (2, 5, 2, 4, 2, 3, 5, 3, 5, 3)
_OTHER_LEAD_TIME = (2, 3, 2, 2, 2, 3, 3, 3, 3, 3)


def warehouse_stores(stores: int, other_lead_times: bool = False) -> Document:
    """One warehouse and lost-sales stores, the ten of the paper over and over, equicorrelated demand."""
    lead_times = _OTHER_LEAD_TIME if other_lead_times else _LEAD_TIME
    rows = [(f"s{k + 1}", k % 10) for k in range(stores)]
    return {
        "problem": "inventory_network",
        "name": f"warehouse-{stores}-lost{'-other-lead-times' if other_lead_times else ''}",
        "periods": 50,
        "warmup_periods": 30,
        "nodes": [
            {"id": "plant", "kind": "supplier"},
            {
                "id": "dc",
                "kind": "warehouse",
                "holding_cost": 0.3,
                "initial_on_hand": round(2 * sum(_MEAN[k] for _, k in rows), 3),
            },
            *(
                {
                    "id": name,
                    "kind": "store",
                    "holding_cost": _HOLDING[k],
                    "shortage_cost": _SHORTAGE[k],
                    "unmet_demand": "lost",
                    "initial_on_hand": round(_MEAN[k] * (lead_times[k] + 1), 3),
                }
                for name, k in rows
            ),
        ],
        "lanes": [
            {"from": "plant", "to": "dc", "lead_time": 3},
            *({"from": "dc", "to": name, "lead_time": lead_times[k]} for name, k in rows),
        ],
        "demand": {
            "process": "normal",
            "correlation": 0.5,
            "nodes": {name: {"mean": _MEAN[k], "std": _STD[k]} for name, k in rows},
        },
    }


def transshipment(stores: int) -> Document:
    """A warehouse where stock is so dear that it keeps nothing, and backlogged stores (Federgruen and Zipkin 1984)."""
    names = [f"s{k + 1}" for k in range(stores)]
    store = {"kind": "store", "holding_cost": 1.0, "shortage_cost": 9.0, "unmet_demand": "backlogged"}
    return {
        "problem": "inventory_network",
        "name": f"transshipment-{stores}",
        "periods": 60,
        "warmup_periods": 30,
        "nodes": [
            {"id": "plant", "kind": "supplier"},
            {"id": "dc", "kind": "warehouse", "holding_cost": 10.0},
            *({"id": name, **store, "initial_on_hand": 25} for name in names),
        ],
        "lanes": [
            {"from": "plant", "to": "dc", "lead_time": 3, "initial_in_transit": [5.0 * stores] * 2},
            *({"from": "dc", "to": name, "lead_time": 4} for name in names),
        ],
        "demand": {
            "process": "normal",
            "correlation": 0.5,
            "nodes": {name: {"mean": 5.0, "std": 1.6} for name in names},
        },
    }


def warehouse_two_stores() -> Document:
    """One warehouse and two stores, one losing and one backlogging demand, correlated normal demand."""
    return {
        "problem": "inventory_network",
        "name": "dc-two-stores",
        "periods": 50,
        "warmup_periods": 30,
        "nodes": [
            {"id": "plant", "kind": "supplier"},
            {"id": "dc", "kind": "warehouse", "holding_cost": 0.3, "initial_on_hand": 20},
            _store("s1", "lost"),
            _store("s2", "backlogged"),
        ],
        "lanes": [
            {"from": "plant", "to": "dc", "lead_time": 3},
            {"from": "dc", "to": "s1", "lead_time": 2},
            {"from": "dc", "to": "s2", "lead_time": 2, "unit_cost": 0.1},
        ],
        "demand": {
            "process": "normal",
            "correlation": 0.5,
            "nodes": {"s1": {"mean": 5.0, "std": 1.6}, "s2": {"mean": 4.0, "std": 1.2}},
        },
    }


def capacitated_two_suppliers() -> Document:
    """A near, dear, limited supplier and a far, cheap one for two stores; the user's own history as demand."""
    history = [[3, 8], [5, 6], [0, 9], [7, 7], [4, 10], [6, 5], [2, 8], [9, 6], [4, 7], [5, 11], [3, 4], [8, 9]] * 3
    return {
        "problem": "inventory_network",
        "name": "capacitated-two-suppliers",
        "periods": 40,
        "warmup_periods": 10,
        "nodes": [
            {"id": "near", "kind": "supplier"},
            {"id": "far", "kind": "supplier"},
            {"id": "hub", "kind": "warehouse", "holding_cost": 0.2, "initial_on_hand": 30, "throughput_capacity": 16},
            _store("north", "lost") | {"storage_capacity": 30},
            _store("south", "backlogged"),
        ],
        "lanes": [
            {"from": "near", "to": "hub", "lead_time": 1, "unit_cost": 2.0, "capacity": 8},
            {"from": "far", "to": "hub", "lead_time": 4, "unit_cost": 1.0, "in_transit_cost": 0.05},
            {"from": "hub", "to": "north", "lead_time": 0},
            {"from": "hub", "to": "south", "lead_time": 1},
        ],
        "demand": {"process": "empirical", "nodes": ["north", "south"], "history": history},
    }


def _store(node_id: str, unmet_demand: str) -> Document:
    costs = {"holding_cost": 1.0, "shortage_cost": 9.0, "unmet_demand": unmet_demand}
    return {"id": node_id, "kind": "store", "initial_on_hand": 10} | costs


def eight_nodes(unmet_demand: str = "backlogged") -> Document:
    """The or-gym "NetworkManagement" instance: one retailer, two distributors, three factories, two raw materials."""
    nodes: list[Document] = [
        _retailer(unmet_demand),
        {"id": "distributor-2", "kind": "warehouse", "initial_on_hand": 110, "holding_cost": 0.02},
        {"id": "distributor-3", "kind": "warehouse", "initial_on_hand": 80, "holding_cost": 0.015},
        _factory("factory-4", 400, 0.012, 90, 0.010),
        _factory("factory-5", 350, 0.013, 90, 0.015),
        _factory("factory-6", 380, 0.011, 80, 0.012),
        {"id": "raw-7", "kind": "supplier"},
        {"id": "raw-8", "kind": "supplier"},
    ]
    # Prices between own nodes cancel in the network's profit, so only raw material has a unit cost.
    lanes = [
        _lane("distributor-2", "retailer-1", 5, 0.0, 0.010),
        _lane("distributor-3", "retailer-1", 3, 0.0, 0.015),
        _lane("factory-4", "distributor-2", 8, 0.0, 0.008),
        _lane("factory-4", "distributor-3", 10, 0.0, 0.006),
        _lane("factory-5", "distributor-2", 9, 0.0, 0.005),
        _lane("factory-6", "distributor-2", 11, 0.0, 0.007),
        _lane("factory-6", "distributor-3", 12, 0.0, 0.004),
        _lane("raw-7", "factory-4", 0, 0.15, 0.0),
        _lane("raw-7", "factory-5", 1, 0.05, 0.005),
        _lane("raw-8", "factory-5", 2, 0.07, 0.002),
        _lane("raw-8", "factory-6", 0, 0.20, 0.0),
    ]
    return _gym(f"eight-nodes-{_short(unmet_demand)}", nodes, lanes)


def four_serial(unmet_demand: str = "backlogged") -> Document:
    """The serial sister of the eight-node network: raw material, factory, distributor, retailer."""
    nodes: list[Document] = [
        _retailer(unmet_demand),
        {"id": "distributor-2", "kind": "warehouse", "initial_on_hand": 100, "holding_cost": 0.02},
        _factory("factory-3", 200, 0.01, 100, 0.01),
        {"id": "raw-4", "kind": "supplier"},
    ]
    lanes = [
        _lane("distributor-2", "retailer-1", 4, 0.0, 0.010),
        _lane("factory-3", "distributor-2", 4, 0.0, 0.005),
        _lane("raw-4", "factory-3", 0, 0.5, 0.0),
    ]
    return _gym(f"four-serial-{_short(unmet_demand)}", nodes, lanes)


def _short(unmet_demand: str) -> str:
    return "backlog" if unmet_demand == "backlogged" else "lost"


def _retailer(unmet_demand: str) -> Document:
    costs = {"holding_cost": 0.03, "shortage_cost": 0.1, "unmet_demand": unmet_demand, "price": 2.0}
    return {"id": "retailer-1", "kind": "store", "initial_on_hand": 100} | costs


def _factory(node_id: str, stock: float, holding: float, capacity: float, operating: float) -> Document:
    limits = {"throughput_capacity": capacity, "throughput_cost": operating}
    return {"id": node_id, "kind": "warehouse", "initial_on_hand": stock, "holding_cost": holding} | limits


def _lane(source: str, target: str, lead_time: int, unit_cost: float, in_transit: float) -> Document:
    costs = {"unit_cost": unit_cost, "in_transit_cost": in_transit}
    return {"from": source, "to": target, "lead_time": lead_time} | costs


def _gym(name: str, nodes: list[Document], lanes: list[Document]) -> Document:
    return {
        "problem": "inventory_network",
        "name": name,
        "periods": 30,
        "objective": "profit",
        "receipt": "after_decision",
        "nodes": nodes,
        "lanes": lanes,
        "demand": {"process": "poisson", "nodes": {"retailer-1": {"mean": 20.0}}},
    }


_GYM = "Hubbs et al., arXiv 2008.06319 (or-gym NetworkManagement)"
EXAMPLES = (
    Example("eight-nodes-backlog", "Eight nodes, three echelons, backlogged demand, profit", _GYM, eight_nodes),
    Example("eight-nodes-lost", "Eight nodes, three echelons, lost demand, profit", _GYM, lambda: eight_nodes("lost")),
    Example("four-serial-backlog", "Raw material to retailer in series, backlogged, profit", _GYM, four_serial),
    Example("four-serial-lost", "Raw material to retailer in series, lost, profit", _GYM, lambda: four_serial("lost")),
    Example(
        "one-store-backlogged", "One store, backlogged normal demand, lead time 4", "Newsvendor", one_store_backlogged
    ),
    Example("one-store-lost", "One store, lost Poisson demand, lead time 4", "Zipkin 2008", one_store_lost),
    Example("serial-backlogged", "Four echelons in series, backlogged", "Clark and Scarf 1960", serial_backlogged),
    Example("dc-two-stores", "One warehouse, two stores, correlated demand", "Herenow", warehouse_two_stores),
    Example(
        "capacitated-two-suppliers", "Two suppliers, capacities, own history", "Herenow", capacitated_two_suppliers
    ),
)
