"""The table of `make faults`: each fault, what is promised, whether it held, and the recovery measured.

A pytest plugin (`-p tests.faults.report`). A test says what it shows with `@fault(...)`, and how long recovery took
with the `recovery` fixture.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

PROMISED_SECONDS = 20.0
PATIENCE = float(os.environ.get("HERENOW_TEST_PATIENCE", "1"))
"""On a machine busy with other work every time limit of these tests is multiplied by this."""


def fault(name: str, promise: str) -> pytest.MarkDecorator:
    """A test of what holds when something breaks."""
    return pytest.mark.faults(name, promise)


class Recovery:
    """How long it took until all was well again [s]; a test may measure several times."""

    def __init__(self, keep: Callable[[str, object], None]) -> None:
        self._keep = keep

    @contextmanager
    def within(self, seconds: float = PROMISED_SECONDS) -> Iterator[None]:
        """Time the block from the fault's end to recovery; it must take no longer than promised."""
        began = time.monotonic()
        yield
        took = time.monotonic() - began
        self._keep("recovery", took)
        assert took <= seconds * PATIENCE, f"recovery took {took:.1f} s"


@pytest.fixture
def recovery(record_property: Callable[[str, object], None]) -> Recovery:
    """A stopwatch whose figures are printed in the table."""
    return Recovery(record_property)


@dataclass
class Row:
    """One line of the table."""

    tests: int = 0
    kept: int = 0
    skipped: str = ""
    seconds: list[float] = field(default_factory=list)

    def cells(self) -> tuple[str, str]:
        """Whether the promise held, and the worst recovery."""
        held = f"{self.kept}/{self.tests}" if self.tests else f"skipped: {self.skipped}"
        return held, f"{max(self.seconds):.1f} s" if self.seconds else "–"


class Table:
    """Collects what the tests tell and prints it at the end."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Row] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Have every test of a fault tell which."""
        for item in items:
            mark = item.get_closest_marker("faults")
            if mark is not None and len(mark.args) == 2:
                item.user_properties.append(("fault", mark.args))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how a test ended."""
        told = [value for name, value in report.user_properties if name == "fault"]
        if not told or (report.when != "call" and report.outcome == "passed") or report.when == "teardown":
            return
        fault, promise = told[0]  # type: ignore[misc]
        row = self.rows.setdefault((fault, promise), Row())
        if report.outcome == "skipped":
            row.skipped = str(report.longrepr[-1]) if isinstance(report.longrepr, tuple) else "see above"
            return
        row.tests += 1
        row.kept += report.outcome == "passed"
        row.seconds += [float(value) for name, value in report.user_properties if name == "recovery"]  # type: ignore[arg-type]

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the table as Markdown."""
        write = terminalreporter.write_line
        write("\n| Fault | Promise | Held | Recovery, worst |\n|---|---|---|---|")
        for (name, promise), row in self.rows.items():
            write(f"| {name} | {promise} | " + " | ".join(row.cells()) + " |")


def pytest_configure(config: pytest.Config) -> None:
    """Register the table."""
    config.pluginmanager.register(Table(), "faults-table")
