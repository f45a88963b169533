"""CSV files become networks and states; what does not fit is refused by file, line, column and rule."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest

from models.core import InvalidInput
from models.csv_table import MAX_ISSUES, read_table
from models.inventory_network import PROBLEM
from models.inventory_network.planner.importers import read_instance, read_state

WIDE = b"date,s1,s2\n2026-01-01,3,8\n2026-01-02,5,6.5\n2026-01-03,0,9\n"
LONG = (
    b"date,node,quantity\n2026-01-01,s1,3\n2026-01-01,s2,8\n2026-01-02,s1,5\n2026-01-02,s2,6.5\n"
    b"2026-01-03,s2,9\n2026-01-03,s1,0\n"
)
DEMAND = [[3.0, 8.0], [5.0, 6.5], [0.0, 9.0]]


def network(**changes: Any) -> dict[str, Any]:
    """A hub with two stores, one of them perishable, without a demand."""
    store = {"kind": "store", "holding_cost": 1.0, "shortage_cost": 9.0}
    return {
        "problem": "inventory_network",
        "name": "imported",
        "periods": 10,
        "nodes": [
            {"id": "plant", "kind": "supplier"},
            {"id": "hub", "kind": "warehouse", "holding_cost": 0.2},
            {"id": "s1", **store, "unmet_demand": "backlogged"},
            {"id": "s2", **store, "shelf_life": 3},
        ],
        "lanes": [
            {"from": "plant", "to": "hub", "lead_time": 4},
            {"from": "hub", "to": "s1", "lead_time": 2},
            {
                "from": "hub",
                "to": "s2",
                "lead_time": 3,
                "random_lead_time": {"values": [2, 3], "probabilities": [0.5, 0.5]},
            },
        ],
    } | changes


def imported(files: dict[str, bytes], options: dict[str, str] | None = None, **changes: Any) -> dict[str, Any]:
    parts = {"instance": json.dumps(network(**changes)).encode(), **files}
    return read_instance(parts, options or {})


def refusal(files: dict[str, bytes], options: dict[str, str] | None = None, **changes: Any) -> tuple[str, str]:
    """Pointer and detail of the first refusal."""
    with pytest.raises(InvalidInput) as caught:
        imported(files, options, **changes)
    return caught.value.issues[0].pointer, caught.value.issues[0].detail


class TestHistory:
    @pytest.mark.parametrize(
        "text",
        [
            WIDE,
            LONG,
            b"\xef\xbb\xbf" + WIDE,
            WIDE.decode().encode("utf-16"),
            WIDE.replace(b"\n", b"\r\n"),
            WIDE.replace(b"\n", b"\r"),
            WIDE.replace(b",", b"\t"),
            WIDE.replace(b",", b";").replace(b"6.5", b"6,5"),
            b"sep=;\n" + WIDE.replace(b",", b";"),
            WIDE.replace(b"date", b"DATE").replace(b"s1", b"S1"),
            WIDE.replace(b"3,8", b'"3", "8"'),
            WIDE.replace(b"date,s1,s2", b"date,s2,s1").replace(b"3,8", b"8,3").replace(b"5,6.5", b"6.5,5").replace(
                b"0,9", b"9,0"
            ),
            b"\n".join([WIDE.split(b"\n")[0], *reversed(WIDE.split(b"\n")[1:4])]),
            WIDE.replace(b"8\n", b"8,,\n") + b"\n,,\n",
            WIDE.replace(b"2026-01-02", b"2026-01-02T00:00:00"),
            WIDE.replace(b"2026-01-02", b"2026-01-02 00:00"),
        ],
        ids=[
            "wide", "long", "bom", "utf-16", "crlf", "cr", "tab", "decimal-comma", "sep", "case", "quotes", "order",
            "rows-reversed", "spreadsheet-tails", "iso-time", "blank-time",
        ],
    )  # fmt: skip
    def test_every_way_of_writing_it_gives_the_same_demand(self, text):
        document = imported({"history": text})
        assert document["demand"] == {
            "process": "empirical",
            "nodes": ["s1", "s2"],
            "history": DEMAND,
            "first_date": "2026-01-01",
        }
        assert document["start_date"] == "2026-01-04"
        assert PROBLEM.parse(document).demand.node_ids == ["s1", "s2"]

    def test_periods_instead_of_dates(self):
        text = WIDE.replace(b"date", b"period")
        for k in (1, 2, 3):
            text = text.replace(b"2026-01-0%d" % k, b"%d" % (k + 6))
        document = imported({"history": text})
        assert document["demand"]["history"] == DEMAND
        assert "first_date" not in document["demand"]
        assert "start_date" not in document

    @pytest.mark.parametrize(("order", "written"), [("dmy", "%d.%m.%Y"), ("mdy", "%m/%d/%Y")])
    def test_dates_in_other_orders(self, order, written):
        text = WIDE.decode()
        for k in range(3):
            day = date(2026, 1, 1) + timedelta(days=k)
            text = text.replace(day.isoformat(), day.strftime(written))
        document = imported({"history": text.encode()}, {"dates": order})
        assert (document["demand"]["first_date"], document["start_date"]) == ("2026-01-01", "2026-01-04")

    def test_weeks_count_as_periods(self):
        text = WIDE.replace(b"2026-01-02", b"2026-01-08").replace(b"2026-01-03", b"2026-01-15")
        document = imported({"history": text}, period_days=7)
        assert document["start_date"] == "2026-01-22"
        assert document["demand"]["history"] == DEMAND

    def test_missing_figures_are_zeros_only_if_asked(self):
        text = WIDE.replace(b"2026-01-02,5,6.5\n", b"").replace(b"0,9", b",9")
        where, detail = refusal({"history": text})
        assert where == "/history"
        assert "2026-01-02" in detail
        assert "missing=zero" in detail
        document = imported({"history": text}, {"missing": "zero"})
        assert document["demand"]["history"] == [[3.0, 8.0], [0.0, 0.0], [0.0, 9.0]]

    def test_several_sales_are_added_only_if_asked(self):
        text = LONG.replace(b"quantity", b"quantity,price") + b"2026-01-01,s1,1\n"
        rows = text.decode().splitlines()
        priced = [rows[0]] + [row + (",2" if k < 6 else ",4") for k, row in enumerate(rows[1:])]
        text = "\n".join(priced).encode()
        _, detail = refusal({"history": text})
        assert "line 8" in detail
        assert "line 2" in detail
        planned = b"period,s1,s2\n" + b"".join(b"%d,2,2\n" % k for k in range(10))
        document = imported({"history": text, "planned_prices": planned}, {"duplicates": "sum"})
        assert document["demand"]["history"][0] == [4.0, 8.0]
        assert document["demand"]["prices"][0] == [2.5, 2.0]  # three at 2, one at 4

    def test_prices_beside_figures(self):
        text = b"date,s1,s2,Price:S1,price:s2\n2026-01-01,3,8,2.5,1\n2026-01-02,5,6.5,2,1\n2026-01-03,,9,2,1.5\n"
        planned = b"date,price:s1,price:s2\n" + b"".join(b"2026-01-%02d,2,1\n" % (4 + k) for k in range(10))
        document = imported({"history": text, "planned_prices": planned}, {"missing": "zero"})
        assert document["demand"]["prices"] == [[2.5, 1.0], [2.0, 1.0], [2.0, 1.5]]
        assert document["demand"]["planned_prices"] == [[2.0, 1.0]] * 10

    def test_the_document_says_how_the_history_is_drawn(self):
        document = imported({"history": WIDE}, demand={"process": "empirical", "block": 2})
        assert document["demand"]["block"] == 2
        assert document["demand"]["history"] == DEMAND

    @pytest.mark.parametrize(
        ("text", "line", "words"),
        [
            (b"", None, "empty"),
            (b"date,s1,s2\n", None, "no rows"),
            (WIDE.replace(b"date", b"day"), 1, "date or period"),
            (WIDE.replace(b"s2", b"s3"), 1, "unknown"),
            (b"date,s1\n2026-01-01,3\n", 1, "store s2"),
            (WIDE.replace(b"s2", b"S1"), 1, "twice"),
            (WIDE.replace(b"s2", b""), 2, "3 cells"),
            (b"date,,s2\n2026-01-01,3,8\n", 1, "no name"),
            (WIDE.replace(b"5,6.5", b"5"), 3, "2 cells"),
            (WIDE.replace(b"5,6.5", b"5,6.5,7"), 3, "4 cells"),
            (WIDE.replace(b"6.5", b"-6.5"), 3, "between 0"),
            (WIDE.replace(b"6.5", b"nan"), 3, "not a number"),
            (WIDE.replace(b"6.5", b"inf"), 3, "not a number"),
            (WIDE.replace(b"6.5", b"1e99"), 3, "between"),
            (WIDE.replace(b"6.5", b"=1+1"), 3, "not a number"),
            (WIDE.replace(b"6.5", b"@SUM(A1)"), 3, "not a number"),
            (WIDE.replace(b"6.5", b"1 000"), 3, "not a number"),
            (WIDE.replace(b"6.5", b'"1,000"'), 3, "not a number"),
            (WIDE.replace(b"6.5", b"\xd9\xa3"), 3, "not a number"),
            (WIDE.replace(b"2026-01-02", b"2026-02-30"), 3, "calendar"),
            (WIDE.replace(b"2026-01-02", b"02.01.2026"), 3, "option dates"),
            (WIDE.replace(b"2026-01-02", b""), 3, "not a date"),
            (WIDE.replace(b"2026-01-02", b"2026-01-01"), 3, "line 2"),
            (WIDE.replace(b"2026-01-02", b"2026-01-02T09:30"), 3, "not a date"),
            (WIDE.replace(b"6.5", b'"6.5'), 3, "quotes"),
            (WIDE.replace(b"6.5", b"\xff\xfe"), 3, "UTF-8"),
            (WIDE.replace(b"6.5", b"\0"), 3, "NUL"),
            (WIDE.replace(b"6.5", b"6" * 300), 3, "longer than 200"),
            (LONG.replace(b"s2,9", b"s9,9"), 6, "no store"),
            (LONG.replace(b"s2,9", b"hub,9"), 6, "no store"),
            (LONG.replace(b"quantity", b"amount"), 1, "quantity"),
            (LONG.replace(b"2026-01-03,s2,9\n", b""), None, "2026-01-03 of s2"),
            (LONG + b"2199-01-01,s1,1\n2499-01-01,s1,1\n", None, "spans more"),
            (WIDE.replace(b",", b";").replace(b"6.5", b"6,5").replace(b";9", b";9.25"), None, "decimal"),
            (b"period,s1,s2\n1.5,1,1\n", 2, "whole number"),
            (b"period,s1,s2\n-1,1,1\n", 2, "whole number"),
        ],
    )  # fmt: skip
    def test_what_does_not_fit_is_refused_with_its_line(self, text, line, words):
        where, detail = refusal({"history": text})
        assert where == "/history"
        assert words in detail, detail
        assert (f"line {line}" in detail) if line is not None else not detail.startswith("line"), detail

    def test_a_column_is_named(self):
        _, detail = refusal({"history": WIDE.replace(b"6.5", b"many")})
        assert detail.startswith("line 3, column s2: ")

    def test_all_lines_that_are_wrong_are_named_up_to_a_limit(self):
        text = b"date,s1,s2\n" + b"".join(b"2026-01-01,x,y\n" for _ in range(100))
        with pytest.raises(InvalidInput) as caught:
            imported({"history": text})
        assert len(caught.value.issues) == MAX_ISSUES

    @pytest.mark.parametrize(
        ("files", "changes", "where"),
        [
            ({}, {"demand": {"process": "poisson", "nodes": {}}}, "/demand"),
            ({}, {"demand": {"process": "empirical", "history": []}}, "/demand/history"),
            ({}, {"period_days": "7"}, "/period_days"),
            ({}, {"nodes": []}, "/instance"),
            ({"planned_prices": b"period,s1,s2\n0,1,1\n"}, {}, "/planned_prices"),
            ({"history": WIDE.replace(b"s1,s2", b"s1,s2,price:s1")}, {}, "/history"),
        ],
    )
    def test_parts_that_contradict_are_refused(self, files, changes, where):
        assert refusal({"history": WIDE, **files}, **changes)[0] == where

    def test_prices_without_a_plan_are_refused(self):
        text = b"date,s1,s2,price:s1,price:s2\n2026-01-01,3,8,2,1\n"
        assert refusal({"history": text})[0] == "/planned_prices"

    @pytest.mark.parametrize(
        ("planned", "words"),
        [
            (b"period,s1,s2\n1,2,1\n", "not 0"),
            (b"date,s1,s2\n2026-03-04,2,1\n", "period 0 on 2026-01-02"),
            (b"period,s1,s2\n0,0,1\n", "above zero"),
            (b"period,s1,price:s1,s2\n0,2,2,1\n", "only prices"),
            (b"period,s1,s2\n0,2,\n", "no figure"),
        ],
    )
    def test_plans_that_do_not_fit_are_refused(self, planned, words):
        text = b"date,s1,s2,price:s1,price:s2\n2026-01-01,3,8,2,1\n"
        where, detail = refusal({"history": text, "planned_prices": planned})
        assert where == "/planned_prices"
        assert words in detail

    @pytest.mark.parametrize(("name", "word"), [("missing", "nan"), ("dates", "iso"), ("decimal", ";")])
    def test_options_of_other_words_are_refused(self, name, word):
        assert refusal({"history": WIDE}, {name: word})[0] == f"/{name}"

    def test_the_decimal_mark_can_be_set(self):
        text = WIDE.replace(b",", b";").replace(b"6.5", b"6,5").replace(b";9", b";9.25")
        where, detail = refusal({"history": text}, {"decimal": "comma"})
        assert (where, "line 4" in detail) == ("/history", True)

    @pytest.mark.parametrize("data", [b"{", b"[]", b'{"a": NaN}', b'{"a": 1, "a": 2}', b"\xff"])
    def test_an_instance_that_is_not_json_is_refused(self, data):
        with pytest.raises(InvalidInput) as caught:
            read_instance({"instance": data, "history": WIDE}, {})
        assert caught.value.issues[0].pointer == "/instance"


STOCK = b"node,on_hand\nhub,40\ns1,-2\ns2,7\n"
AGED = b"node,on_hand,remaining_life\nhub,40,\ns1,-2,\ns2,4,\ns2,2,1\ns2,1.5,2\n"
TRANSIT = b"from,to,quantity,arrives_in\nplant,hub,5,1\nplant,hub,2,3\nhub,s1,4,1\nplant,hub,1,1\n"
POISSON = {"process": "poisson", "nodes": {"s1": {"mean": 4.0}, "s2": {"mean": 3.0}}}


class TestStock:
    def test_on_hand_and_in_transit_become_the_start(self):
        document = imported({"on_hand": AGED, "in_transit": TRANSIT}, demand=POISSON)
        net = PROBLEM.parse(document)
        assert [node.initial_on_hand for node in net.nodes] == [0, 40, -2, 7.5]
        assert net.nodes[3].initial_expiring == [2, 1.5]
        assert [lane.initial_in_transit for lane in net.lanes] == [[6, 0, 2], [4], []]

    @pytest.mark.parametrize(
        "text",
        [
            b"from,to,quantity,arrives_on\nplant,hub,6,2026-01-05\nplant,hub,2,2026-01-07\nhub,s1,4,2026-01-05\n",
            b"from,to,quantity,ordered_ago\nplant,hub,6,3\nplant,hub,2,1\nhub,s1,4,1\n",
            b"From;To;Ordered_On;Quantity\nplant;hub;2026-01-01;6\nPLANT;hub;2026-01-03;2\nhub;s1;2026-01-03;4\n",
        ],
    )
    def test_arrivals_by_date_and_by_age_are_the_same(self, text):
        document = imported({"history": WIDE, "in_transit": text})
        assert [lane.get("initial_in_transit") for lane in document["lanes"]] == [[6, 0, 2], [4], None]

    def test_goods_on_a_random_lane_are_told_by_their_order(self):
        where, detail = refusal({"in_transit": b"from,to,quantity,arrives_in\nhub,s2,4,1\n"}, demand=POISSON)
        assert where == "/in_transit"
        assert "ordered_ago" in detail
        document = imported({"in_transit": b"from,to,quantity,ordered_ago\nhub,s2,4,1\n"}, demand=POISSON)
        assert document["lanes"][2]["initial_in_transit"] == [0, 4]

    @pytest.mark.parametrize(
        ("part", "text", "line", "words"),
        [
            ("on_hand", b"node\nhub\n", 1, "on_hand"),
            ("on_hand", b"node,on_hand,colour\nhub,1,red\n", 1, "'colour'"),
            ("on_hand", STOCK.replace(b"s2,7", b"s2,-7"), 4, "between 0"),
            ("on_hand", STOCK.replace(b"hub", b"port"), 2, "no node"),
            ("on_hand", STOCK.replace(b"hub", b"plant"), 2, "no node"),
            ("on_hand", STOCK + b"hub,1\n", 5, "twice"),
            ("on_hand", AGED.replace(b"hub,40,", b"hub,40,1"), 2, "no shelf life"),
            ("on_hand", AGED.replace(b"2,1\n", b"2,4\n"), 5, "3 periods"),
            ("on_hand", AGED.replace(b"2,1\n", b"2,0\n"), 5, "whole number"),
            ("in_transit", TRANSIT.replace(b"arrives_in", b"days"), 1, "arrives_in, arrives_on"),
            ("in_transit", TRANSIT.replace(b"hub,5,1", b"hub,5,4"), 2, "1 to 3 periods"),
            ("in_transit", TRANSIT.replace(b"hub,5,1", b"hub,5,0"), 2, "1 to 3 periods"),
            ("in_transit", TRANSIT.replace(b"hub,5,1", b"hub,-5,1"), 2, "between 0"),
            ("in_transit", TRANSIT.replace(b"plant,hub,5", b"plant,s1,5"), 2, "no lane"),
            ("in_transit", b"from,to,quantity,ordered_ago\nplant,hub,5,4\n", 2, "1 to 3 periods"),
            ("in_transit", b"from,to,quantity,arrives_on\nplant,hub,5,2026-01-05\n", 1, "start_date"),
        ],
    )
    def test_what_does_not_fit_is_refused_with_its_line(self, part, text, line, words):
        where, detail = refusal({part: text}, demand=POISSON)
        assert where == f"/{part}"
        assert f"line {line}" in detail, detail
        assert words in detail, detail

    @pytest.mark.parametrize("day", [b"2026-01-05", b"2026-01-21", b"2026-01-28"])
    def test_a_date_that_is_no_start_of_a_period_or_too_far_is_refused(self, day):
        text = b"from,to,quantity,arrives_on\nhub,s1,4,%s\n" % day
        where, _ = refusal({"in_transit": text}, demand=POISSON, start_date="2026-01-07", period_days=7)
        assert where == "/in_transit"


class TestState:
    def test_files_become_a_state_that_can_be_decided(self):
        net = PROBLEM.parse(imported({"history": WIDE}))
        later = b"date,s1,s2\n2026-01-04,1,2\n2026-01-05,3,4\n"
        transit = b"from,to,quantity,arrives_on\nplant,hub,5,2026-01-07\n"
        state = read_state(net, {"on_hand": AGED, "in_transit": transit, "history": later}, {}, period=2)
        assert state == {
            "period": 2,
            "on_hand": {"hub": 40, "s1": -2, "s2": 7.5},
            "expiring": {"s2": [2, 1.5]},
            "in_transit": [{"from": "plant", "to": "hub", "arrives_in": 1, "quantity": 5}],
            "demand_history": {"s1": [1, 3], "s2": [2, 4]},
        }
        decoded, stage = PROBLEM.view(net).decode([state])
        assert (decoded.batch, stage.tolist()) == (1, [2])

    def test_a_node_left_out_is_refused(self):
        net = PROBLEM.parse(imported({"history": WIDE}))
        with pytest.raises(InvalidInput, match="no row for the node hub"):
            read_state(net, {"on_hand": b"node,on_hand\ns1,1\ns2,2\n"}, {})

    def test_a_history_that_ends_early_is_refused(self):
        net = PROBLEM.parse(imported({"history": WIDE}))
        with pytest.raises(InvalidInput, match="right before the current period, 2026-01-07"):
            read_state(net, {"on_hand": STOCK, "history": WIDE}, {}, period=3)


def test_a_file_may_be_large_but_not_endless(monkeypatch):
    monkeypatch.setattr("models.csv_table.MAX_BYTES", 10)
    with pytest.raises(InvalidInput, match="larger than"):
        read_table("history", WIDE)


def test_a_line_number_counts_lines_inside_quotes():
    with pytest.raises(InvalidInput, match="line 4"):
        read_table("x", b'a,b\n"one\ntwo",1\n3\n')


def test_the_problem_offers_the_format():
    assert [importer.name for importer in PROBLEM.importers] == ["csv"]


def test_whatever_the_bytes_they_are_taken_or_refused_by_name():
    """Files with a few bytes changed at random: no other error comes out, and every refusal says what and where."""
    random, taken, refused = np.random.default_rng(0), 0, []
    tokens = [b",", b";", b"\t", b"\n", b'"', b"=", b"-", b"\xff", b"\0", b"1e5", b"9" * 50, b"9999-12-31", b"s1", b""]
    parts = [("history", WIDE), ("history", LONG), ("on_hand", AGED), ("in_transit", TRANSIT)]
    for _ in range(150):
        part, text = parts[random.integers(len(parts))]
        data = bytearray(text)
        for _ in range(random.integers(0, 3)):
            place = int(random.integers(len(data)))
            data[place : place + int(random.integers(2))] = tokens[random.integers(len(tokens))]
        try:
            demand = {} if part == "history" else {"demand": POISSON}
            imported({part: bytes(data)}, {"missing": "zero"}, start_date="2026-01-04", **demand)
            taken += 1
        except InvalidInput as error:
            refused += error.issues
    assert 15 < taken < 135
    assert all(issue.detail and issue.pointer for issue in refused)
