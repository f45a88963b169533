"""The words every floor speaks, free of torch: instance, issue, traits, policy family, example, problem.

The tensor half of the vocabulary (simulator, encoder, policy) is in `models.dynamics`; the planner's half
(state documents, decision lines) in `models.view`; the algebraic half in `models.program`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from models.choices import Values
    from models.dynamics import Policy, Simulator
    from models.figures import Figure
    from models.program import Program
    from models.scenarios import OwnScenarios
    from models.targets import Targets
    from models.view import View

Severity = Literal["error", "warning", "info"]
NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"


@dataclass(frozen=True)
class Issue:
    """One remark on a document: what rule, how grave, where (JSON Pointer), and what to do about it."""

    code: str
    severity: Severity
    pointer: str
    detail: str


class InvalidInput(ValueError):
    """A document breaks one or more rules; `issues` names each field and rule."""

    def __init__(self, issues: list[Issue]) -> None:
        self.issues = issues
        first = issues[0]
        more = f" (and {len(issues) - 1} more)" if len(issues) > 1 else ""
        super().__init__(f"{first.pointer or '/'}: {first.detail}{more}")


def pointer(*parts: str | int) -> str:
    """JSON Pointer (RFC 6901) to a place in a document."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


class Record(BaseModel):
    """Base of every validated document: frozen, unknown fields and wrong types refused, finite numbers only."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, populate_by_name=True)


class Instance(Record):
    """One planner's data for one problem; the floor-0 document everything else is built from.

    Subclasses add the problem's fields, implement `rules` (cross-field rules, each naming its field) and `num_stages`.
    """

    problem: str
    name: str = Field(default="unnamed", pattern=NAME_PATTERN, description="Short name of the instance.")

    def rules(self) -> Iterator[Issue]:
        """Cross-field rules this document breaks (severity error) or strains (warning, info)."""
        yield from ()

    @model_validator(mode="after")
    def _obey(self) -> Self:
        broken = [issue for issue in self.rules() if issue.severity == "error"]
        if broken:
            raise PydanticCustomError("rules", "{count} rules broken", {"count": len(broken), "issues": broken})
        return self

    @property
    def num_stages(self) -> int:
        """Horizon T [stages]."""
        raise NotImplementedError

    def document(self) -> dict[str, Any]:
        """The canonical JSON document: aliases, no defaults left implicit."""
        return self.model_dump(mode="json", by_alias=True)

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical document: same content, same digest."""
        return "sha256:" + hashlib.sha256(canonical_json(self.document())).hexdigest()


def canonical_json(value: Any) -> bytes:
    """UTF-8 JSON with sorted keys and no spaces: the form that is hashed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()


def place_in(document: object, location: Sequence[str | int], missing: bool = False) -> list[str | int]:
    """The parts of a validator's location that are places in a document: union tags, types and such are left out.

    `missing`: the last part names a field the document lacks; it is kept.
    """
    place, parts = document, []
    for index, part in enumerate(location):
        in_list = isinstance(place, list) and isinstance(part, int) and part < len(place)
        if in_list or (isinstance(place, dict) and part in place):
            place = place[part]  # type: ignore[index]
        elif not (missing and index == len(location) - 1):
            continue
        parts.append(part)
    return parts


def issues_of(error: ValidationError, prefix: str = "", document: object = None) -> list[Issue]:
    """Issues named by a pydantic error, with JSON Pointers (below `prefix`); into the document, where it is given."""
    found: list[Issue] = []
    for entry in error.errors(include_url=False, include_input=False):
        where: Sequence[str | int] = entry["loc"]
        if document is not None:
            where = place_in(document, where, entry["type"] == "missing")
        if entry["type"] == "rules":
            found += [Issue(i.code, i.severity, prefix + i.pointer, i.detail) for i in entry["ctx"]["issues"]]
        else:
            found.append(Issue(entry["type"], "error", prefix + pointer(*where), entry["msg"]))
    return found


@dataclass(frozen=True)
class Traits:
    """What an algorithm may rely on; which solver serves which problem is computed from these."""

    differentiable: bool  # the simulator's costs have useful pathwise gradients in the decision
    discrete_decisions: bool  # decisions are choices from finite sets
    has_program: bool  # an algebraic one-stage program exists
    convex: bool  # that program is a convex (linear) one
    finite_noise: bool = False  # `Program.outcomes` may tell what strikes a stage: finite, independent of the past
    has_targets: bool = False  # a policy may propose where a stage ends, and the program finds the way
    finite_states: bool = False  # instances small enough have a table of all states (`Problem.finite`)
    weakly_coupled: bool = False  # parts share nothing but priced resources (`Problem.weakly_coupled`)


def _made_on_floor_one(*_: Any) -> Policy[Any, Any]:
    raise ValueError("a rule that plans is made by solvers.families.policy_of")


@dataclass(frozen=True)
class PolicyFamily:
    """A parametrised set of policies of one problem, learned network and classical rule alike.

    `build(instance, simulator, size)` returns an untrained `Policy`; `refuses(instance)` says why the family does not
    fit an instance, or None. `role` is what it is for: "learned" families are what solvers train, "rule" families are
    the classical comparison, tuned with `tuning`. With `transfers` the weights do not depend on the instance: one
    policy can be trained on several instances and serve others. A rule that plans has no `build` but `plan`, the
    rolling horizon's configuration that it is a name of: rooms know no solver, so floor 1 makes it
    (`solvers.families.policy_of`).
    """

    name: str
    title: str
    role: Literal["learned", "rule"]
    build: Callable[..., Policy[Any, Any]] = _made_on_floor_one
    refuses: Callable[[Any], str | None] = lambda instance: None
    tuning: Literal["gradient", "search", "none"] = "gradient"
    transfers: bool = False
    plan: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class NetworkSize:
    """Size of a learned policy's networks."""

    width: int = 32  # hidden units a layer
    depth: int = 2  # hidden layers
    rounds: int | None = None  # message-passing rounds; None lets the problem choose


@dataclass(frozen=True)
class BoundValue:
    """A lower bound on the cost of every policy of an instance, per stage [money/stage]."""

    value_per_stage: float
    standard_error: float = 0.0  # [money/stage]; 0 where the bound is computed, not sampled
    details: Mapping[str, Any] = field(default_factory=dict)  # what it rests on, in the planner's words


@dataclass(frozen=True)
class BoundMethod:
    """A way to bound every policy's cost from below that needs neither a solver nor a trained policy.

    `value(instance, should_stop)` computes it; `refuses(instance)` says why the method does not fit, or None. With
    `exact` the bound is the optimum itself. `name` is the `kind` that certificates show.
    """

    name: str
    title: str
    value: Callable[[Any, Callable[[], bool]], BoundValue]
    refuses: Callable[[Any], str | None]
    exact: bool = False
    source: str = ""


@dataclass(frozen=True)
class Importer:
    """A file format that becomes an instance: `read(files, options)` gives the document, or raises `InvalidInput`.

    `files` maps a part's name to its bytes, `options` holds plain words; nothing is read from disk or the network.
    """

    name: str
    title: str
    files: Mapping[str, str]  # part → what it holds; a name ending in "?" is optional
    read: Callable[[Mapping[str, bytes], Mapping[str, str]], dict[str, Any]]
    options: Mapping[str, str] = field(default_factory=dict)  # word → what it sets


@dataclass(frozen=True)
class Example:
    """A named, ready-to-post instance: `document()` is a valid body for `POST /v1/instances`."""

    name: str
    title: str
    source: str
    document: Callable[[], dict[str, Any]]


@dataclass(frozen=True)
class Face:
    """Another way to see a problem, which some of its instances have.

    `of(instance)` builds it (it may load torch); `refuses(instance)` says why an instance has none, or None.
    """

    of: Callable[[Any], Any]
    refuses: Callable[[Any], str | None]


@dataclass(frozen=True)
class Problem:
    """A family of instances: everything the upper floors need to train, judge and serve policies for it.

    Fields that touch tensors are callables that import on first use, so a process that only validates never loads
    torch.
    """

    name: str
    title: str
    summary: str
    instance: type[Instance]
    traits: Traits
    simulator: Callable[..., Simulator[Any, Any, Any, Any]]  # (instance, counts=True); see `models.dynamics.Costs`
    families: tuple[PolicyFamily, ...]
    default_family: Callable[[Any], str]  # the learned family that works best for an instance
    view: Callable[[Any], View]
    examples: tuple[Example, ...]
    program: Callable[[Any], Program] | None = None
    bounds: tuple[BoundMethod, ...] = ()
    importers: tuple[Importer, ...] = ()
    values: Callable[..., Values[Any, Any]] | None = None  # (instance, simulator, size) → the critics of its states
    finite: Face | None = None  # a `models.finite.Finite`: every state in a table
    weakly_coupled: Face | None = None  # a `models.weakly_coupled.WeaklyCoupled`: parts that share priced resources
    full_stages: Face | None = (
        None  # a `models.full_stages.FullStages`: how a stage whose end is planned is carried out
    )
    scenarios: OwnScenarios | None = None  # how it takes scenarios of the planner's own
    targets: Callable[..., Targets] | None = None  # (instance, simulator) → where its stages may be asked to end
    draw: Callable[[Any], Sequence[Figure]] | None = None  # an instance in figures; None: there is nothing to draw
    units: Mapping[str, str] = field(default_factory=dict)

    def parse(self, document: object) -> Instance:
        """A typed instance, or `InvalidInput` naming every field and rule broken."""
        try:
            return self.instance.model_validate(document)
        except ValidationError as error:
            raise InvalidInput(issues_of(error, document=document)) from None

    def family(self, name: str) -> PolicyFamily:
        """The policy family of that name; KeyError if there is none."""
        for family in self.families:
            if family.name == name:
                return family
        raise KeyError(name)

    def rules_for(self, instance: Instance) -> tuple[PolicyFamily, ...]:
        """The classical rules that fit an instance."""
        return tuple(f for f in self.families if f.role == "rule" and f.refuses(instance) is None)
