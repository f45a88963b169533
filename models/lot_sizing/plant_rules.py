"""The rules that bind a plant's fields to each other: every issue names its field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from models.core import Issue, pointer
from models.lot_sizing.instance import LotSizing, Machine

LARGEST_TABLE = 30_000_000  # entries of a dense table: changeovers, distributions of demand


def plant_rules(plant: LotSizing) -> Iterator[Issue]:
    """Every rule the plant breaks or strains."""
    yield from _repeated("items", (item.id for item in plant.items))
    yield from _repeated("machines", (machine.id for machine in plant.machines))
    yield from _item_rules(plant)
    yield from _demand_rules(plant)
    yield from _bucket_rules(plant)
    yield from _machine_rules(plant)
    yield from _capability_rules(plant)
    yield from _changeover_rules(plant)
    yield from _component_rules(plant)
    yield from _storage_rules(plant)
    yield from _maintenance_rules(plant)
    yield from _usefulness(plant)


def _error(code: str, detail: str, *where: str | int) -> Issue:
    return Issue(code, "error", pointer(*where), detail)


def _warning(code: str, detail: str, *where: str | int) -> Issue:
    return Issue(code, "warning", pointer(*where), detail)


def _repeated(field: str, ids: Iterable[str]) -> Iterator[Issue]:
    seen: set[str] = set()
    for index, own in enumerate(ids):
        if own in seen:
            yield _error("duplicate", f"id {own!r} is used twice", field, index, "id")
        seen.add(own)


def _unknown(plant: LotSizing, kind: str, name: str, *where: str | int) -> Iterator[Issue]:
    known = plant.item_place if kind == "item" else plant.machine_place
    if name not in known:
        yield _error(f"unknown_{kind}", f"there is no {kind} {name!r}", *where)


def _item_rules(plant: LotSizing) -> Iterator[Issue]:
    for index, item in enumerate(plant.items):
        where = ("items", index)
        backlogged, limit = plant.is_backlogged(item), item.inventory_max
        if limit is not None and item.initial_inventory > limit:
            detail = f"is above inventory_max ({limit:g})"
            yield _error("storage", detail, *where, "initial_inventory")
        if limit is None and plant.initial_state == "random":
            yield _error("random", "a random initial state needs a storage limit", *where, "inventory_max")
        if item.initial_inventory < 0 and not backlogged:
            yield _error("backlog", "only an item with backlogged demand starts negative", *where, "initial_inventory")
        elif item.backlog_max is not None and -item.initial_inventory > item.backlog_max:
            yield _error("backlog", f"is beyond backlog_max ({item.backlog_max:g})", *where, "initial_inventory")
        if not backlogged:
            for name in ("backlog_cost", "backlog_max"):
                if getattr(item, name) not in (0.0, None):
                    yield _error("backlog", 'needs "unmet_demand": "backlogged"', *where, name)


def _demand_rules(plant: LotSizing) -> Iterator[Issue]:
    entries = 0
    for index, item in enumerate(plant.items):
        broken = list(item.demand.rules(("items", index, "demand"), plant.periods))
        yield from broken
        if not any(issue.severity == "error" for issue in broken):
            entries += item.demand.entries(plant.periods)
    if entries > LARGEST_TABLE:
        detail = f"the items' demand has about {entries} probabilities, at most {LARGEST_TABLE}: use larger units"
        yield _error("support", detail, "items")


def _bucket_rules(plant: LotSizing) -> Iterator[Issue]:
    if plant.lots_per_period == 1:
        return
    bound = any(machine.minimum_run > 1 for machine in plant.machines)
    for clashes, what in (
        (plant.lot_rule != "up_to_rate", 'needs "lot_rule": "up_to_rate"'),
        (plant.whole_units, "lots of whole units fill a period one at a time: leave whole_units out"),
        (bound, "a minimum run needs one lot a period"),
        (bool(plant.bill_of_materials), "a bill of materials needs one lot a period"),
    ):
        if clashes:
            yield _error("bucket", what, "lots_per_period")


def _machine_rules(plant: LotSizing) -> Iterator[Issue]:
    pairs = {(own.machine, own.item) for own in plant.capabilities}
    for index, machine in enumerate(plant.machines):
        where = ("machines", index)
        if machine.initial_setup is not None:
            unknown = list(_unknown(plant, "item", machine.initial_setup, *where, "initial_setup"))
            yield from unknown
            if not unknown and (machine.id, machine.initial_setup) not in pairs:
                detail = f"{machine.id} cannot make {machine.initial_setup}"
                yield _error("capability", detail, *where, "initial_setup")
        if machine.hours_by_period is not None:
            yield from _needs_hours(machine, *where, "hours_by_period")
            if machine.hours is not None and max(machine.hours_by_period) > machine.hours:
                detail = f"a period has at most the {machine.hours:g} hours of a full one"
                yield _error("hours", detail, *where, "hours_by_period")


def _needs_hours(machine: Machine, *where: str | int) -> Iterator[Issue]:
    if machine.hours is None:
        yield _error("hours", f"needs the hours of {machine.id}", *where)


def _capability_rules(plant: LotSizing) -> Iterator[Issue]:
    seen: set[tuple[str, str]] = set()
    for index, own in enumerate(plant.capabilities):
        where = ("capabilities", index)
        yield from _unknown(plant, "machine", own.machine, *where, "machine")
        yield from _unknown(plant, "item", own.item, *where, "item")
        if (own.machine, own.item) in seen:
            yield _error("duplicate", f"{own.machine} and {own.item} are paired twice", *where)
        seen.add((own.machine, own.item))
        if own.setup_hours is not None:
            if own.setup_loss:
                yield _error("setup", "a changeover loses units or hours, not both", *where, "setup_hours")
            yield from _hours_of(plant, own.machine, *where, "setup_hours")


def _hours_of(plant: LotSizing, machine_id: str, *where: str | int) -> Iterator[Issue]:
    if machine_id in plant.machine_place:
        yield from _needs_hours(plant.machines[plant.machine_place[machine_id]], *where)


def _changeover_rules(plant: LotSizing) -> Iterator[Issue]:
    pairs = {(own.machine, own.item) for own in plant.capabilities}
    seen: set[tuple[str, str | None, str]] = set()
    for index, own in enumerate(plant.changeovers):
        where = ("changeovers", index)
        yield from _unknown(plant, "machine", own.machine, *where, "machine")
        for name, item in (("from", own.source), ("to", own.target)):
            if item is not None:
                unknown = list(_unknown(plant, "item", item, *where, name))
                yield from unknown
                if not unknown and own.machine in plant.machine_place and (own.machine, item) not in pairs:
                    yield _error("capability", f"{own.machine} cannot make {item}", *where, name)
        if own.source == own.target:
            yield _error("changeover", "an item does not change over to itself", *where, "to")
        if (own.machine, own.source, own.target) in seen:
            yield _error("duplicate", "the changeover is named twice", *where)
        seen.add((own.machine, own.source, own.target))
        if own.hours is not None:
            if own.loss is not None:
                yield _error("changeover", "a changeover loses units or hours, not both", *where, "hours")
            yield from _hours_of(plant, own.machine, *where, "hours")
    if plant.changeovers and len(plant.machines) * (len(plant.items) + 1) ** 2 > LARGEST_TABLE:
        yield _error("size", "too many machines × items² for changeovers by pair", "changeovers")


def _component_rules(plant: LotSizing) -> Iterator[Issue]:
    seen: set[tuple[str, str]] = set()
    for index, line in enumerate(plant.bill_of_materials):
        where = ("bill_of_materials", index)
        yield from _unknown(plant, "item", line.item, *where, "item")
        yield from _unknown(plant, "item", line.component, *where, "component")
        if (line.item, line.component) in seen:
            yield _error("duplicate", "the component is named twice", *where)
        seen.add((line.item, line.component))
    stuck = _in_a_cycle(plant)
    if stuck:
        yield _error("cycle", f"{', '.join(stuck)}: an item is made, in the end, of itself", "bill_of_materials")


def _in_a_cycle(plant: LotSizing) -> list[str]:
    """Items that are, level by level, made of themselves."""
    made_of: dict[str, set[str]] = {}
    for line in plant.bill_of_materials:
        made_of.setdefault(line.item, set()).add(line.component)
    while True:
        done = [item for item, parts in made_of.items() if not parts & made_of.keys()]
        if not done:
            return sorted(made_of)
        for item in done:
            del made_of[item]


def _storage_rules(plant: LotSizing) -> Iterator[Issue]:
    yield from _repeated("storages", (storage.id for storage in plant.storages))
    for index, storage in enumerate(plant.storages):
        where = ("storages", index)
        if len(set(storage.items)) < len(storage.items):
            yield _error("duplicate", "an item is named twice", *where, "items")
        for place, item in enumerate(storage.items):
            yield from _unknown(plant, "item", item, *where, "items", place)
        for item in storage.space:
            if item not in storage.items:
                yield _error("unknown_item", f"{item!r} is not kept in this storage", *where, "space", item)
        known = [plant.items[plant.item_place[item]] for item in storage.items if item in plant.item_place]
        used = sum(max(item.initial_inventory, 0.0) * storage.space.get(item.id, 1.0) for item in known)
        if plant.initial_state == "given" and used > storage.capacity * (1 + 1e-9):
            detail = f"initial stock takes {used:g} of {storage.capacity:g}"
            yield _error("storage", detail, *where, "capacity")


def _maintenance_rules(plant: LotSizing) -> Iterator[Issue]:
    for index, work in enumerate(plant.maintenance):
        where = ("maintenance", index)
        yield from _unknown(plant, "machine", work.machine, *where, "machine")
        if work.hours is not None:
            yield from _hours_of(plant, work.machine, *where, "hours")
        if work.period >= plant.periods:
            yield _warning("maintenance", f"lies past the horizon of {plant.periods} periods", *where, "period")


def _usefulness(plant: LotSizing) -> Iterator[Issue]:
    able = {own.machine for own in plant.capabilities}
    made = {own.item for own in plant.capabilities}
    for index, machine in enumerate(plant.machines):
        if machine.id not in able:
            yield _warning("idle_machine", f"{machine.id} can make nothing: it will always idle", "machines", index)
    for index, item in enumerate(plant.items):
        if item.id not in made:
            yield _warning("unmade_item", f"no machine can make {item.id}: its demand is lost", "items", index)
