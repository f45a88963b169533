"""What is stored of a trained policy: weights and everything they are a function of, addressed by their content.

An artifact is two names in a store (`solvers.store`), `<2 hex>/<64 hex>/weights.safetensors` and then `artifact.json`:
it is there when the second is. Its digest is the SHA-256 of both, checked on load. Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.core import Instance, Problem, canonical_json
from models.registry import problem as find_problem
from solvers.store import FolderStore, Store

if TYPE_CHECKING:
    from torch import Tensor

    from models.dynamics import Policy

WEIGHTS_FILE = "weights.safetensors"
DOCUMENT_FILE = "artifact.json"
_DIGEST = re.compile(r"^sha256:[0-9a-f]{64}$")
FORMAT = 1


class ArtifactError(RuntimeError):
    """An artifact is missing, damaged, or of a format or problem this version does not know."""


@dataclass(frozen=True)
class PolicyArtifact:
    """A trained policy at rest."""

    problem: str
    solver: str
    family: str
    config: dict[str, Any]
    seed: int
    instance: dict[str, Any]  # the canonical instance document
    weights: Mapping[str, Tensor]
    training_range: Mapping[str, Tensor]  # "low" and "high" of every encoder feature seen in training; empty for rules
    certificate: dict[str, Any]
    description: dict[str, Any]  # the policy in the planner's words
    curve: list[dict[str, float]]
    training: dict[str, Any]  # seconds, device, iterations, stopped_by
    versions: dict[str, str] = field(default_factory=dict)
    receipt: dict[str, Any] | None = None  # what the run can be made again from (`solvers.receipt`); older ones lack it

    def save(self, place: Store | Path) -> str:
        """Write the artifact to a store (a path means the store in that folder) and return its digest.

        The same content has the same digest and the same bytes, so saving it again does no harm, and good: its age
        begins anew, and a damaged copy is whole again.
        """
        from safetensors.torch import save

        tensors = {f"weights/{name}": t.detach().cpu().contiguous() for name, t in self.weights.items()}
        tensors |= {f"range/{name}": t.detach().cpu().contiguous() for name, t in self.training_range.items()}
        blob = save(tensors)
        document = asdict(self)
        for name in ("weights", "training_range"):
            del document[name]
        document["format"] = FORMAT
        digest, store = _digest(blob, document), _store(place)
        weights_name, document_name = names_of(digest)
        with store.turn():
            store.write(weights_name, blob)
            store.write(document_name, canonical_json(document))
        return digest

    @classmethod
    def load(cls, place: Store | Path, digest: str) -> PolicyArtifact:
        """The artifact of a digest; `ArtifactError` if it is missing or its content is not that of the digest."""
        from safetensors import SafetensorError
        from safetensors.torch import load

        store, (weights_name, document_name) = _store(place), names_of(digest)
        try:
            document = json.loads(store.read(document_name))
            blob = store.read(weights_name)
        except (OSError, ValueError) as error:
            raise ArtifactError(f"artifact {digest} cannot be read: {error}") from error
        if document.get("format") != FORMAT or _digest(blob, document) != digest:
            raise ArtifactError(f"artifact {digest} is damaged: its content does not match its name")
        try:
            tensors = load(blob)
        except SafetensorError as error:
            raise ArtifactError(f"artifact {digest} holds no readable tensors: {error}") from error
        del document["format"]
        if unknown := sorted(set(document) - {part.name for part in fields(cls)}):
            raise ArtifactError(f"artifact {digest} is of a later release: it holds {', '.join(unknown)}")
        return cls(weights=_below("weights/", tensors), training_range=_below("range/", tensors), **document)

    def restore(self) -> tuple[Problem, Instance, Policy[Any, Any]]:
        """The problem, the instance and the policy, ready to decide; `ArtifactError` if it cannot be rebuilt."""
        from solvers.registry import solver as find_solver

        try:
            problem, solver = find_problem(self.problem), find_solver(self.solver)
        except KeyError as error:
            raise ArtifactError(f"this version has no problem or solver named {error}") from error
        if solver.build is None:
            raise ArtifactError(f"{self.solver} builds no policies")
        instance = problem.parse(self.instance)
        policy = solver.build(problem, instance, solver.config(**self.config), self.family)
        policy.load_state_dict(dict(self.weights))
        return problem, instance, policy.eval()


def place_of(digest: str) -> str:
    """The name in a store that an artifact lies below; `ArtifactError` if the digest is not one."""
    if not _DIGEST.match(digest):
        raise ArtifactError(f"{digest!r} is not an artifact digest")
    name = digest.removeprefix("sha256:")
    return f"{name[:2]}/{name}"


def names_of(digest: str) -> tuple[str, str]:
    """An artifact's names in a store: weights, and the document that is written last."""
    return f"{place_of(digest)}/{WEIGHTS_FILE}", f"{place_of(digest)}/{DOCUMENT_FILE}"


def folder_of(root: Path, digest: str) -> Path:
    """Where an artifact lies in the store of a folder."""
    return root / place_of(digest)


def is_intact(digest: str, weights: bytes, document: bytes) -> bool:
    """Whether these two are, byte by byte, what an artifact of that digest holds; no tensor is read."""
    try:
        return _digest(weights, json.loads(document)) == digest
    except (ValueError, TypeError):
        return False


def _store(place: Store | Path) -> Store:
    return FolderStore(place) if isinstance(place, Path) else place


def _digest(blob: bytes, document: Mapping[str, Any]) -> str:
    """SHA-256 over the weights' own digest and the canonical document."""
    return "sha256:" + hashlib.sha256(hashlib.sha256(blob).digest() + canonical_json(document)).hexdigest()


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def versions() -> dict[str, str]:
    """Versions of what a policy depends on."""
    from importlib.metadata import version

    return {name: version(name) for name in ("herenow", "torch")}
