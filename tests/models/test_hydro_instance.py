"""What a hydrothermal document may say, and how it is refused."""

import pytest

from models.core import InvalidInput, issues_of
from models.hydrothermal.instance import HydrothermalSystem
from tests.models.hydro_systems import changed, every_option, two_buses

TIERS = [{"share_of_load": 0.1, "cost_per_mwh": 200}]


def refusals(**changes):
    """Pointers of the rules that a changed document breaks."""
    from pydantic import ValidationError

    document = changed(two_buses(), **changes)
    with pytest.raises(ValidationError) as caught:
        HydrothermalSystem.model_validate(document)
    return {issue.pointer: issue.detail for issue in issues_of(caught.value, document=document)}


HYDRO = two_buses()["hydros"][0]


def hydro(**fields):
    return HYDRO | fields


class TestGoodDocuments:
    def test_the_page_s_document_is_read(self):
        system = HydrothermalSystem.model_validate(two_buses())
        assert system.num_stages == 6
        assert system.hm3_per_m3s == pytest.approx(0.0036 * 730)

    def test_a_document_that_uses_every_option_comes_back_as_it_went(self):
        system = every_option(0)
        assert HydrothermalSystem.model_validate(system.document()).digest == system.digest

    def test_a_schema_can_be_shown(self):
        assert "hydros" in HydrothermalSystem.model_json_schema()["properties"]


class TestBadInput:
    @pytest.mark.parametrize(
        ("changes", "where", "said"),
        [
            ({"hydros__0__bus": "b9"}, "/hydros/0/bus", "no bus has the id 'b9'"),
            ({"thermals__0__bus": "b9"}, "/thermals/0/bus", "no bus has the id"),
            ({"lines__0__to": "b9"}, "/lines/0/to", "no bus has the id"),
            ({"hydros__0__turbine_downstream": "h7"}, "/hydros/0/turbine_downstream", "no hydro has the id 'h7'"),
            ({"hydros__0__spill_downstream": "h7"}, "/hydros/0/spill_downstream", "no hydro has the id"),
            ({"hydros__0__turbine_downstream": "h1"}, "/hydros", "water would run in a circle"),
            ({"hydros__0__initial_storage_hm3": 301}, "/hydros/0/initial_storage_hm3", "between 0 and 300"),
            ({"hydros__0__storage_min_hm3": 400}, "/hydros/0/storage_min_hm3", "above storage_max_hm3"),
            ({"inflows__inflow_m3s": {"h1": [[30, -1, 80]]}}, "/inflows/inflow_m3s/h1/0/1", "greater than"),
            ({"inflows__inflow_m3s": {"h1": [[1, 2], [1]]}}, "/inflows/inflow_m3s/h1/1", "1 scenarios"),
            ({"inflows__probabilities": [[0.3, 0.4, 0.4]] * 2}, "/inflows/probabilities/0", "sum to 1.1, must be 1"),
            ({"inflows__probabilities": [[0.5, 0.5]] * 2}, "/inflows/probabilities/0", "2 probabilities for 3"),
            ({"inflows__cyclic": False}, "/inflows/inflow_m3s", "2 stages of inflow for a horizon of 6"),
            ({"inflows__inflow_m3s": {"h9": [[1], [1]]}}, "/inflows/inflow_m3s/h9", "no hydro has the id 'h9'"),
            ({"lines__0__reactance_pu": 0}, "/lines/0/reactance_pu", "must not be zero"),
            ({"buses__1__deficit_allowed": False, "lines": []}, "/buses/1/deficit_allowed", "no bus of the island"),
            ({"thermals__0__min_mw": 70}, "/thermals/0/min_mw", "above max_mw"),
            ({"thermals__0__id": "h1"}, "/hydros/0/id", "is taken by /thermals/0"),
            ({"hydros__0__min_outflow_m3s": 5}, "/hydros/0/min_outflow_cost_per_hm3", "above zero"),
            ({"report_stages": 7}, "/report_stages", "at most the horizon"),
            ({"physics": "ac", "lines__0__reactance_pu": 0}, "/lines/0/reactance_pu", "must not be zero"),
            ({"physics": "ac", "deficit_tiers": TIERS}, "/deficit_tiers", "alternating current knows no slices"),
            ({"blocks": [{"id": "a", "share": 0.5}]}, "/blocks", "shares sum to 0.5"),
            ({"buses__1__load_mw": [100, -5]}, "/buses/1/load_mw", "entry 1 must be a number"),
            ({"buses__1__load_mw": "much"}, "/buses/1/load_mw", "must be a number"),
            ({"fuels": [{"id": "f", "thermals": ["g9"], "max_mwh": 1}]}, "/fuels/0/thermals/0", "no thermal has"),
            ({"end": {"storage_hm3": {"h1": 500}, "shortage_cost_per_hm3": 1}}, "/end/storage_hm3/h1", "more than"),
            ({"deficit_tiers": [{"share_of_load": 0.1, "cost_per_mwh": 2000}]}, "/deficit_tiers/0", "from cheap to"),
        ],
    )
    def test_is_refused_where_it_stands(self, changes, where, said):
        found = refusals(**changes)
        assert where in found, found
        assert said in found[where]

    def test_a_cascade_of_two_in_a_circle_is_refused(self):
        pair = [hydro(turbine_downstream="h2"), hydro(id="h2", spill_downstream="h1")]
        flows = {"h1": [[1.0]], "h2": [[1.0]]}
        found = refusals(hydros=pair, inflows={"process": "scenarios", "cyclic": True, "inflow_m3s": flows})
        assert list(found) == ["/hydros"]

    def test_plants_with_other_numbers_of_scenarios_are_refused(self):
        pair = [hydro(), hydro(id="h2")]
        flows = {"h1": [[1.0, 2.0]], "h2": [[1.0]]}
        found = refusals(hydros=pair, inflows={"process": "scenarios", "cyclic": True, "inflow_m3s": flows})
        assert "1 scenarios, stage 0 of h1 has 2" in found["/inflows/inflow_m3s/h2/0"]

    @pytest.mark.parametrize(
        ("inflows", "where"),
        [
            (
                {"process": "markov", "cyclic": True, "inflow_m3s": {"h1": [[1.0, 2.0]]}, "transitions": [[[1.0]]]},
                "/inflows/transitions/0",
            ),
            (
                {
                    "process": "markov",
                    "cyclic": True,
                    "inflow_m3s": {"h1": [[1.0, 2.0]]},
                    "transitions": [[[0.5, 0.5], [0.9, 0.2]]],
                },
                "/inflows/transitions/0/1",
            ),
            ({"process": "paths", "inflow_m3s": {"h1": [[1.0, 2.0]] + [[1.0, 1.0]] * 5}}, "/inflows/inflow_m3s/h1/0"),
            ({"process": "par", "history_m3s": {"h1": [1.0] * 8}, "seasons": 4}, "/inflows/history_m3s"),
            ({"process": "par", "history_m3s": {"h1": [0.0] * 40}, "seasons": 4}, "/inflows/history_m3s/h1"),
        ],
    )
    def test_wrong_inflows_are_refused_by_name(self, inflows, where):
        assert where in refusals(inflows=inflows)

    def test_transport_needs_no_reactance(self):
        HydrothermalSystem.model_validate(changed(two_buses("transport"), lines__0__reactance_pu=0))

    def test_a_cheap_deficit_is_warned_of(self):
        system = HydrothermalSystem.model_validate(changed(two_buses(), deficit_cost_per_mwh=20))
        assert [issue.pointer for issue in system.rules() if issue.severity == "warning"] == ["/deficit_cost_per_mwh"]


def test_the_room_reports_invalid_input_as_the_product_wants_it():
    from models.hydrothermal.powermodels import read_powermodels

    with pytest.raises(InvalidInput) as caught:
        read_powermodels({"network": b"{", "hydro": b"{}", "inflows": b"1"}, {})
    assert caught.value.issues[0].pointer == "/network"
