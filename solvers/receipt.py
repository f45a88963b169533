"""A policy's receipt: everything its weights are a function of, so that the run can be made again and compared.

What was asked (instances, solver, config, seed, weights to start from), how far it went (steps, for a run that the
clock ended), with what (code, dependencies) and on what (device, processor, BLAS, threads).
"""

from __future__ import annotations

import hashlib
import platform
import re
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.core import canonical_json
from models.lazy import torch
from solvers.core import Solver, TrainRequest, TrainResult

if TYPE_CHECKING:
    from torch import Tensor

Receipt = dict[str, Any]

FORMAT = 1
PACKAGES = ("models", "solvers", "service")  # what of Herenow a training runs through
NOT_FOR_WORK = ("dev",)  # extras that no training needs
GIT_SECONDS = 5.0


def receipt_of(
    solver: Solver, request: TrainRequest, result: TrainResult, seconds: float | None, of_rule: bool = False
) -> Receipt:
    """The receipt of a training that has just ended in this process.

    `seconds` is the time the whole run was given [s], None where it was not limited; `of_rule` marks a classical rule
    that was tuned beside the training.
    """
    return {
        "format": FORMAT,
        "of_rule": of_rule,
        "instance": request.instance.digest,
        "also": [instance.digest for instance in request.also],
        "warm_start": None if request.warm_start is None else weights_digest(request.warm_start),
        "solver": solver.name,
        "config": request.config.model_dump(mode="json"),
        "seed": request.seed,
        "time_limit": seconds,
        "iterations": result.iterations,
        "steps": result.steps,
        "stopped_by": result.stopped_by,
        "resumed": request.checkpoint is not None,
        "weights": weights_digest(result.policy.state_dict()),
        "code": code(solver, request),
        "dependencies": dependencies(),
        "platform": platform_of(request.device) | {"ranks": result.ranks},
    }


def weights_digest(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 of tensors: their names, types, shapes and bytes, in the order of the names."""
    found = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        found.update(canonical_json([name, str(tensor.dtype), list(tensor.shape)]))
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return "sha256:" + found.hexdigest()


def code(solver: Solver, request: TrainRequest) -> dict[str, Any]:
    """The code that trains: the commit if it lies in a Git checkout, and a digest of the source files that are read.

    A problem or solver kept outside Herenow counts with the package it lies in.
    """
    own = {module.rpartition(".")[0] for module in (solver.config.__module__, type(request.instance).__module__)}
    names = [*PACKAGES, *sorted(name for name in own if name.partition(".")[0] not in PACKAGES and name)]
    packages = {name: source_digest(name) for name in names}
    return {"commit": commit(), "digest": _digest(packages), "packages": packages}


@cache
def source_digest(package: str) -> str | None:
    """SHA-256 over names and contents of a package's Python files as they lie on the disk; None if there are none."""
    folder = _folder(package)
    if folder is None:
        return None
    files = sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)
    return _digest({str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files})


@cache
def commit() -> str | None:
    """The Git commit that is checked out where Herenow lies; None where it was installed otherwise."""
    folder = _folder("solvers")
    if folder is None or not (folder.parent / ".git").exists():
        return None
    try:
        told = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=folder.parent, capture_output=True, text=True, timeout=GIT_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = told.stdout.strip()
    return found if re.fullmatch(r"[0-9a-f]{40,64}", found) else None


def dependencies() -> dict[str, Any]:
    """Name and version of every installed distribution that Herenow needs, however indirectly, and their digest."""
    packages = dict(_installed())
    return {"digest": _digest(packages), "packages": packages}


@cache
def _installed() -> tuple[tuple[str, str], ...]:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found: dict[str, str] = {}
    wanted, asked = [("herenow", tuple(_extras("herenow")))], set()
    while wanted:
        name, extras = wanted.pop()
        if (name, extras) in asked:
            continue
        asked.add((name, extras))
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # of an extra that is not installed
        found[name] = distribution.version
        for line in distribution.requires or ():
            needed = Requirement(line)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                wanted.append((canonicalize_name(needed.name), tuple(sorted(needed.extras))))
    return tuple(sorted(found.items()))


def _extras(name: str) -> Iterator[str]:
    try:
        told = metadata.metadata(name).get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        return
    yield from sorted(extra for extra in told if extra not in NOT_FOR_WORK)


def platform_of(device: str) -> dict[str, Any]:
    """What sums depend on to the last digit: device, processor, instructions, BLAS, threads, precision (and ranks)."""
    is_gpu = device.startswith("cuda")
    config = torch.__config__.show()
    blas = re.search(r"Math Kernel Library Version [\w.]+|OpenBLAS[ \w.]*|BLAS_INFO=\w+", config)
    return {
        "device": device,
        "gpu": torch.cuda.get_device_name(device) if is_gpu else None,
        "cuda": torch.version.cuda if is_gpu else None,
        "cpu": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "blas": blas[0] if blas else None,
        "threads": torch.get_num_threads(),
        "matmul_precision": torch.get_float32_matmul_precision(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


@cache
def _processor() -> str:
    try:
        told = Path("/proc/cpuinfo").read_text()
    except OSError:
        told = ""
    found = re.search(r"^model name\s*: (.+)$", told, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()


def differences(then: Receipt, now: Receipt) -> list[dict[str, Any]]:
    """What of two receipts' code, dependencies and platform is not the same: part, name, then, now.

    A commit is told only where the files differ too: the digest of the files says what was read.
    """
    found = []
    for part, inner in (("code", "packages"), ("dependencies", "packages"), ("platform", None)):
        old, new = (side[part] if inner is None else side[part][inner] for side in (then, now))
        found += [
            {"part": part, "name": name, "then": _word(old.get(name)), "now": _word(new.get(name))}
            for name in sorted({*old, *new})
            if old.get(name) != new.get(name)
        ]
    commits = [side["code"]["commit"] for side in (then, now)]
    if any(row["part"] == "code" for row in found) and commits[0] != commits[1]:
        found.insert(0, {"part": "code", "name": "commit", "then": commits[0], "now": commits[1]})
    return found


def _word(value: object) -> str | None:
    return None if value is None else str(value)


def _folder(package: str) -> Path | None:
    """Where a package lies, found without importing it."""
    try:
        found = util.find_spec(package)
    except (ImportError, ValueError):
        return None
    return Path(found.origin).parent if found is not None and found.origin else None


def _digest(value: Any) -> str:
    return "sha256:" + hashlib.sha256(canonical_json(value)).hexdigest()
