"""What lanes have done, and what they must be able to say of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from solvers.highs import Tally


@dataclass
class Work:
    """What lanes have done."""

    solves: int = 0
    seconds: float = 0.0
    remedies: Counter[str] = field(default_factory=Counter)

    def count(self, tally: Tally) -> None:
        """Add what a hot program has done."""
        self.add(Work(tally.solves, tally.seconds, tally.remedies))

    def add(self, other: Work) -> None:
        """Add what another has done."""
        self.solves, self.seconds = self.solves + other.solves, self.seconds + other.seconds
        self.remedies.update(other.remedies)


class Worker(Protocol):
    """What a lane holds."""

    def work(self) -> Work:
        """What it has done so far."""
