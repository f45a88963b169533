"""Benchmarks in parts side by side: what waits for what, what fails, what is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.cells import Cell, Kept, run_all


def leave(folder: Path, name: str, needs: str | None = None) -> None:
    """A part that finds what it needs, or fails."""
    if needs is not None:
        (folder / needs).read_text()
    if name == "broken":
        raise ValueError("a part that fails")
    (folder / name).write_text("found")


def test_parts_wait_for_what_they_need_and_a_failure_stops_only_what_needs_it(tmp_path, capsys):
    needs = {"first": None, "broken": None, "second": "first", "never": "broken"}
    cells = [Cell(name, leave, (tmp_path, name, need), 1.0, need) for name, need in needs.items()]
    assert sorted(run_all(cells, 2)) == ["broken", "never"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "second"]
    assert "a part that fails" in capsys.readouterr().out


def test_what_is_kept_is_not_computed_again_and_collecting_computes_nothing(tmp_path):
    assert Kept(tmp_path).costs("known", lambda: [[1.0, 2.0]]) == [[1.0, 2.0]]
    collecting = Kept(tmp_path, complete=True)
    assert collecting.costs("known", lambda: [[3.0]]) == [[1.0, 2.0]]
    with pytest.raises(SystemExit, match="other is not in"):
        collecting.costs("other", lambda: [[3.0]])
