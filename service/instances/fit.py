"""What an instance can be given to: solvers with their defaults, and classical rules."""

from __future__ import annotations

from typing import Any

from models.core import Instance, Problem
from solvers.core import Solver
from solvers.registry import solvers


def fit(problem: Problem, instance: Instance) -> dict[str, Any]:
    """Every solver with what stands against it for this instance, and the classical rules that fit."""
    return {
        "solvers": [_solver(solver, problem, instance) for solver in solvers().values()],
        "rules": [{"name": rule.name, "title": rule.title} for rule in problem.rules_for(instance)],
    }


def _solver(solver: Solver, problem: Problem, instance: Instance) -> dict[str, Any]:
    """The problem's structure counts first; what the defaults break for the instance, only where that fits."""
    reasons = solver.reasons_against(problem)
    issues = [] if reasons else solver.refuses(problem, instance, solver.config())
    return {
        "name": solver.name,
        "title": solver.title,
        "kind": solver.kind,
        "serves": not reasons and not issues,
        "reasons": reasons + [issue.detail for issue in issues],
        "configurable": not reasons,
    }
