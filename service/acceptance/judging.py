"""What an evaluation says of a version: one check for feasibility, and for every target, rival and service measure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from service.db.rows import AcceptanceTestRow

_ROUNDING = 1e-9  # of a mean cost


def infeasible(reason: str) -> list[dict[str, Any]]:
    """The checks of a run that ended at a decision that breaks a constraint."""
    return [_check("feasible", None, False, f"a decision is not feasible: {reason}")]


def checks(
    test: AcceptanceTestRow, document: Mapping[str, Any], rivals: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Every check on the first policy of an evaluation's document.

    `rivals` are the policies the test names, with the id each had when the run was asked for (null: nobody has the
    alias yet).
    """
    own, *others = document["policies"]
    found = [_check("feasible", None, True, "every decision is feasible")]
    found += _targets(own)
    found += _policies(test, own, document, rivals)
    by_name = {entry["name"]: entry for entry in others}
    found += [_cost(name, by_name[name], test.largest_cost_increase) for name in test.rules]
    found += [_service(measure, least, own) for measure, least in test.least_service.items()]
    return found


def _targets(own: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for target in own.get("targets", []):
        said = "is met" if target["met"] else "is missed by more than chance"
        detail = f"the target {target['name']} {said}"
        yield _check("target", target["name"], target["met"], detail, target["slack"], target["ci95"], 0.0)


def _policies(
    test: AcceptanceTestRow, own: Mapping[str, Any], document: Mapping[str, Any], rivals: Sequence[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    labels = {policy_id: label for label, policy_id in document["policy_ids"].items()}
    by_name = {entry["name"]: entry for entry in document["policies"]}
    for rival in rivals:
        label = labels.get(rival["policy_id"])
        if rival["policy_id"] is None:
            yield _check("cost", rival["ref"], True, f"nothing is in use as {rival['ref']} yet")
        elif label == own["name"]:
            yield _check("cost", rival["ref"], True, f"{rival['ref']} is this version")
        else:
            yield _cost(rival["ref"], by_name[label], test.largest_cost_increase)


def _cost(rival: str, entry: Mapping[str, Any], largest: float) -> dict[str, Any]:
    """Whether the version surely costs at most so much more than a rival on the same scenarios."""
    paired = entry["paired_difference"]  # what the rival costs more
    mean, (low, high) = -paired["mean"], (-paired["ci95"][1], -paired["ci95"][0])
    size = abs(entry["mean_cost"])
    limit = largest * size
    passed = high <= limit + _ROUNDING * size
    detail = (
        f"costs {_percent(mean, size)} than {rival}, with 95 % confidence at most {_percent(high, size)}; "
        f"allowed: {_percent(limit, size)}"
    )
    return _check("cost", rival, passed, detail, mean, [low, high], limit)


def _percent(difference: float, size: float) -> str:
    if not size:
        return f"{abs(difference):.4g} {'more' if difference >= 0 else 'less'}"
    return f"{100 * abs(difference) / size:.2f} % {'more' if difference >= 0 else 'less'}"


def _service(measure: str, least: float, own: Mapping[str, Any]) -> dict[str, Any]:
    value = own["service"].get(measure)
    if value is None:
        known = ", ".join(own["service"]) or "none"
        return _check("service", measure, False, f"the instance has no {measure}; it has: {known}", limit=least)
    return _check(
        "service", measure, value >= least, f"{measure} is {value:.4f}; wanted: {least:g}", value, None, least
    )


def _check(
    rule: str,
    subject: str | None,
    passed: bool,
    detail: str,
    measured: float | None = None,
    ci95: list[float] | None = None,
    limit: float | None = None,
) -> dict[str, Any]:
    return {
        "rule": rule,
        "subject": subject,
        "passed": passed,
        "measured": measured,
        "ci95": ci95,
        "limit": limit,
        "detail": detail,
    }
