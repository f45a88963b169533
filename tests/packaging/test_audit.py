"""The audit of dependencies: it finds what is listed, believes the index, and never calls clean what it did not see."""

from __future__ import annotations

import json

from packaging.version import Version

from tests.packaging.audit import by_list, installed, kept, read


def test_nothing_installed_is_on_the_list_kept_here() -> None:
    packages = installed()
    assert {"h11", "starlette", "python-multipart", "torch"} <= set(packages)
    assert by_list(packages, kept()) == []


def test_an_old_version_is_found() -> None:
    (line,) = by_list({"h11": "0.15.9"}, kept())
    assert "CVE-2025-43859" in line
    assert by_list({"h11": "0.16.0"}, kept()) == []


def test_every_advisory_says_what_is_needed() -> None:
    for advisory in kept():
        assert set(advisory) == {"package", "fixed", "id", "about"}
        assert Version(advisory["fixed"])


def test_what_the_index_knows_is_told() -> None:
    vulnerable = {"name": "h11", "version": "0.15.0", "vulns": [{"id": "CVE-1", "fix_versions": ["0.16.0"]}]}
    clean = {"name": "idna", "version": "3.20", "vulns": []}
    unknown = {"name": "mystery", "skip_reason": "Dependency not found on PyPI"}
    report = read(json.dumps({"dependencies": [vulnerable, clean, unknown], "fixes": []}))
    assert report.vulnerable == ["h11 0.15.0: CVE-1, fixed in 0.16.0"]
    assert (report.audited, report.skipped) == (2, ["mystery"])
    assert any("NOT AUDITED" in line and "mystery" in line for line in report.lines())


def test_an_index_that_knows_nothing_is_not_taken_for_a_clean_one() -> None:
    unknown = [{"name": name, "skip_reason": "Dependency not found on PyPI"} for name in ("a", "b")]
    for report in (read(json.dumps({"dependencies": unknown})), read("", "no route to host"), read("", "")):
        assert report.audited == 0
        (line,) = report.lines()
        assert line.startswith("NOT AUDITED by the index: ")
