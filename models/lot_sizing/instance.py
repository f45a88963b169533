"""The JSON document of a lot-sizing plant: items, machines, what they can make. Its rules are in `plant_rules`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field

from models.core import Instance, Issue, Record
from models.lot_sizing.demand.process import DemandProcess

Money = Annotated[float, Field(ge=0, le=1e9)]
Quantity = Annotated[float, Field(ge=0, le=1e9)]
Hours = Annotated[float, Field(ge=0, le=1e6)]
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]

MAX_PERIODS = 10_000


class Item(Record):
    """A product that is made, stored and asked for."""

    id: Id = Field(description="Identifier, unique among the items.")
    holding_cost: Money = Field(0.0, description="h [money/unit/period], on stock at the end of the period.")
    lost_sales_cost: Money = Field(0.0, description="p [money/unit] of demand that is lost.")
    unmet_demand: Literal["lost", "backlogged"] | None = Field(
        None, description="What becomes of demand not met at once. Default: the instance's `unmet_demand`."
    )
    backlog_cost: Money = Field(0.0, description="b [money/unit/period], on demand owed at the end of the period.")
    backlog_max: Quantity | None = Field(
        None, description="Most demand that waits [units]; what is beyond is lost. Only for backlogged demand."
    )
    inventory_max: Quantity | None = Field(
        None, description="Storage limit [units]: stock over it after demand is scrapped. Default: none."
    )
    initial_inventory: float = Field(
        0.0, ge=-1e9, le=1e9, description="Stock at the start [units]; negative is backlog."
    )
    demand: DemandProcess


class Machine(Record):
    """A resource that makes one item at a time."""

    id: Id = Field(description="Identifier, unique among the machines.")
    initial_setup: Id | None = Field(None, description="Item it is set up for at the start; null: none.")
    hours: Annotated[float, Field(gt=0, le=1e6)] | None = Field(
        None, description="Hours of a full period, in which a capability's `production` is made [h]."
    )
    hours_by_period: list[Hours] | None = Field(
        None, min_length=1, max_length=MAX_PERIODS, description="Hours of period 0, 1, … [h]; they repeat. Needs hours."
    )
    minimum_run: int = Field(
        1, ge=1, le=1000, description="Least number of periods in a row that an item is made once it is set up."
    )


class Capability(Record):
    """That a machine can make an item: how much in a full period, and what a changeover to it takes."""

    machine: Id
    item: Id
    production: Annotated[float, Field(gt=0, le=1e9)] = Field(description="ρ, full output [units/period].")
    setup_cost: Money = Field(0.0, description="s [money], of a changeover to the item.")
    setup_loss: Quantity = Field(0.0, description="τ [units] of output lost by a changeover to the item.")
    setup_hours: Hours | None = Field(
        None, description="The same in time [h]: loses production · setup_hours / hours. Needs the machine's hours."
    )


class Changeover(Record):
    """A changeover whose cost or time depends on what the machine made before; it overrides the capability's."""

    machine: Id
    source: Id | None = Field(alias="from", description="Item set up before; null: none.")
    target: Id = Field(alias="to", description="Item set up for.")
    cost: Money = Field(0.0, description="[money].")
    loss: Quantity | None = Field(None, description="Output lost [units of the item set up for].")
    hours: Hours | None = Field(None, description="The same in time [h]; needs the machine's hours.")


class Component(Record):
    """A line of the bill of materials: what one unit of an item consumes of another when it is made."""

    item: Id = Field(description="Item that is made.")
    component: Id = Field(description="Item it consumes, from stock on hand when the period begins.")
    quantity: Annotated[float, Field(gt=0, le=1e6)] = Field(1.0, description="Units consumed per unit made.")


class Storage(Record):
    """A place that several items share: what does not fit after demand is scrapped, cheapest lost sale first."""

    id: Id
    capacity: Quantity = Field(description="Space [space units].")
    items: list[Id] = Field(min_length=1, max_length=1000, description="Items kept in it.")
    space: dict[Id, Annotated[float, Field(gt=0, le=1e6)]] = Field(
        default_factory=dict, description="Space that a unit of an item takes. Default: 1."
    )


class Maintenance(Record):
    """Planned work on a machine."""

    machine: Id
    period: int = Field(ge=0, description="First period of the work.")
    periods: int = Field(1, ge=1, le=MAX_PERIODS, description="How many periods it lasts.")
    hours: Annotated[float, Field(gt=0, le=1e6)] | None = Field(
        None, description="Hours lost in each of them [h]; needs the machine's hours. Default: all."
    )


class LotSizing(Instance):
    """Which item each machine makes, period by period, before demand is known."""

    problem: Literal["lot_sizing"] = "lot_sizing"
    periods: int = Field(ge=1, le=MAX_PERIODS, description="Horizon T [periods].")
    unmet_demand: Literal["lost", "backlogged"] = Field("lost", description="What becomes of demand not met at once.")
    lot_rule: Literal["all_or_nothing", "up_to_rate"] = Field(
        "all_or_nothing",
        description="all_or_nothing: a machine makes its full output or nothing; up_to_rate: any quantity up to it.",
    )
    lots_per_period: int = Field(
        1,
        ge=1,
        le=8,
        description="Most lots that a machine makes one after the other in a period, within its hours; more than one "
        "(a big bucket) needs up_to_rate.",
    )
    whole_units: bool = Field(
        False, description="Full outputs are rounded down to whole units (hours and maintenance can break them)."
    )
    quantity_levels: int = Field(
        4, ge=1, le=64, description="With up_to_rate: shares of the full output that learned policies choose among."
    )
    initial_state: Literal["given", "random"] = Field(
        "given",
        description="given: by items and machines; random: stock uniform on 0 … inventory_max − 1, setups uniform over "
        "what each machine can make.",
    )
    setup_carry_over: bool = Field(False, description="Whether a machine that idles keeps its setup.")
    items: list[Item] = Field(min_length=1, max_length=1000)
    machines: list[Machine] = Field(min_length=1, max_length=500)
    capabilities: list[Capability] = Field(default_factory=list, max_length=100_000)
    changeovers: list[Changeover] = Field(default_factory=list, max_length=100_000)
    bill_of_materials: list[Component] = Field(default_factory=list, max_length=10_000)
    storages: list[Storage] = Field(default_factory=list, max_length=100)
    maintenance: list[Maintenance] = Field(default_factory=list, max_length=10_000)

    @property
    def num_stages(self) -> int:
        return self.periods

    @cached_property
    def item_place(self) -> dict[str, int]:
        """Index of every item by its id."""
        return {item.id: k for k, item in enumerate(self.items)}

    @cached_property
    def machine_place(self) -> dict[str, int]:
        """Index of every machine by its id."""
        return {machine.id: k for k, machine in enumerate(self.machines)}

    def is_backlogged(self, item: Item) -> bool:
        """Whether unmet demand of an item waits."""
        return (item.unmet_demand or self.unmet_demand) == "backlogged"

    def rules(self) -> Iterator[Issue]:
        from models.lot_sizing.plant_rules import plant_rules  # which reads this file's records

        yield from plant_rules(self)
