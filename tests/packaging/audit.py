"""Which installed packages have known vulnerabilities: `make audit`, and part of `make check`.

Two sources. The short list kept here (`advisories.toml`) needs no network. pip-audit asks the package index for all
that is known of every installed version. Where the index cannot be asked, or knows nothing of the packages, that is
said in capitals and is no failure: what was not looked at is never called clean.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import Version

KEPT = Path(__file__).with_name("advisories.toml")
SECONDS = 240  # of asking the index


@dataclass
class Report:
    """What an audit found: vulnerable packages, how many were looked at, why others were not."""

    vulnerable: list[str] = field(default_factory=list)
    audited: int = 0
    skipped: list[str] = field(default_factory=list)
    reason: str = ""  # why nothing could be asked

    def lines(self) -> list[str]:
        """What there is to say, worst first."""
        said = [f"VULNERABLE: {line}" for line in self.vulnerable]
        if self.audited:
            said.append(f"audited {self.audited} packages by the index: {len(self.vulnerable)} vulnerable")
        if self.reason:
            said.append(f"NOT AUDITED by the index: {self.reason}")
        if self.skipped and self.audited:
            said.append(f"NOT AUDITED, unknown to the index: {', '.join(self.skipped)}")
        return said


def installed() -> dict[str, str]:
    """Every installed package but our own: name → version."""
    found = {canonicalize_name(d.metadata["Name"]): d.version for d in distributions() if d.metadata["Name"]}
    return {name: version for name, version in sorted(found.items()) if name != "herenow"}


def kept() -> list[dict[str, str]]:
    """The advisories kept here."""
    advisories: list[dict[str, str]] = tomllib.loads(KEPT.read_text())["advisory"]
    return advisories


def by_list(packages: Mapping[str, str], advisories: Iterable[Mapping[str, str]]) -> list[str]:
    """Packages of a version that a kept advisory names, a line each."""
    return [
        f"{a['package']} {packages[a['package']]}: {a['id']}, fixed in {a['fixed']}: {a['about']}"
        for a in advisories
        if a["package"] in packages and Version(packages[a["package"]]) < Version(a["fixed"])
    ]


def by_index(packages: Mapping[str, str]) -> Report:
    """What the package index knows of these versions."""
    with tempfile.TemporaryDirectory() as folder:
        listing = Path(folder) / "installed.txt"
        listing.write_text("".join(f"{name}=={version.partition('+')[0]}\n" for name, version in packages.items()))
        command = [sys.executable, "-m", "pip_audit", "-r", str(listing), "--no-deps", "--disable-pip"]
        command += ["--format", "json", "--progress-spinner", "off", "--timeout", "10"]
        try:
            asked = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return Report(reason=f"no answer in {SECONDS} s")
    return read(asked.stdout, asked.stderr)


def read(said: str, complaint: str = "") -> Report:
    """pip-audit's document as a report; without a document, its last complaint."""
    try:
        found: list[dict[str, Any]] = json.loads(said)["dependencies"]
    except (ValueError, KeyError):
        lines = complaint.strip().splitlines() or ["pip-audit said nothing"]
        return Report(reason=lines[-1][:300])
    report = Report()
    for package in found:
        if "skip_reason" in package:
            report.skipped.append(package["name"])
            continue
        report.audited += 1
        for known in package["vulns"]:
            fixed = ", ".join(known.get("fix_versions", [])) or "no version yet"
            report.vulnerable.append(f"{package['name']} {package['version']}: {known['id']}, fixed in {fixed}")
    if not report.audited:
        report.reason = f"it knows nothing of any of the {len(report.skipped)} packages (a mirror without this data?)"
    return report


def main() -> int:
    """Audit what is installed; 1 if something known to be vulnerable is."""
    packages = installed()
    advisories = kept()
    listed = by_list(packages, advisories)
    print(f"looked at {len(packages)} packages for {len(advisories)} advisories kept here: {len(listed)} found")
    report = by_index(packages)
    report.vulnerable += listed
    print("\n".join(report.lines()))
    return 1 if report.vulnerable else 0


if __name__ == "__main__":
    sys.exit(main())
