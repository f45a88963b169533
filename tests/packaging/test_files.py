"""Makefile, CI script, image and pages: what they name exists."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.cli.test_words import commands
from tests.packaging.compose import ROOT
from tests.packaging.settings_table import settings_table, written

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PIN = next(d for d in PROJECT["project"]["dependencies"] if d.startswith("torch=="))


def make(*words: str) -> str:
    done = subprocess.run(
        ["make", "--directory", str(ROOT), "--no-print-directory", *words], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


TARGETS = re.findall(r"^  make ([a-z-]+)", make("help"), re.MULTILINE)


class TestMakefile:
    """`make` alone says what there is."""

    def test_the_promised_targets_are_there(self) -> None:
        assert {"setup", "demo", "serve", "test", "check", "bench"} <= set(TARGETS)

    @pytest.mark.parametrize("target", TARGETS)
    def test_every_target_can_be_made(self, target: str) -> None:
        make("--dry-run", target)

    def test_a_fresh_set_up_installs_the_pinned_torch_from_the_named_index(self, tmp_path: Path) -> None:
        index = "https://index.invalid/cu999"
        plan = make("--dry-run", "setup", f"VENV={tmp_path}/venv", f"TORCH_INDEX={index}")
        assert f"--index-url {index} {PIN}" in plan
        assert plan.index(PIN) < plan.index("--editable '.[embedded,fast,forecast]'")

    def test_without_a_new_enough_python_it_says_so(self, tmp_path: Path) -> None:
        words = ["make", "--directory", str(ROOT), "setup", "PYTHON=", f"VENV={tmp_path}/venv"]
        done = subprocess.run(words, capture_output=True, text=True)
        assert done.returncode != 0
        assert "Python 3.11" in done.stdout


def test_ci_is_a_script_that_checks_and_tests() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", str(script)]).returncode == 0
    assert {"make static", "make test"} <= set(script.read_text().splitlines())


class TestImage:
    """The Dockerfile, without an engine."""

    DOCKERFILE = (ROOT / "Dockerfile").read_text()

    def test_what_it_copies_exists_and_is_sent_to_the_builder(self) -> None:
        sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
        copied = {
            word
            for line in re.findall(r"^COPY (?!--)(.+) \S+$", self.DOCKERFILE, re.MULTILINE)
            for word in line.split()
        }
        assert copied == sent
        assert all((ROOT / name).exists() for name in sent)

    def test_it_copies_every_package(self) -> None:
        wanted = {pattern.rstrip("*") for pattern in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]}
        assert wanted == set(re.findall(r"^COPY (\w+) \1$", self.DOCKERFILE, re.MULTILINE))

    def test_its_torch_is_the_pinned_one(self) -> None:
        found = re.search(r"\$\(python -c '(.+?)'\)", self.DOCKERFILE)
        assert found
        said = subprocess.run([sys.executable, "-c", found[1]], capture_output=True, text=True, cwd=ROOT)
        assert said.stdout.strip() == PIN

    def test_it_runs_as_nobody_special(self) -> None:
        users = re.findall(r"^USER (.+)$", self.DOCKERFILE, re.MULTILINE)
        assert users == ["herenow"]
        assert self.DOCKERFILE.index("USER herenow") < self.DOCKERFILE.index("ENTRYPOINT")

    def test_its_entry_point_is_installed(self) -> None:
        found = re.search(r'^ENTRYPOINT \["(\w+)"\]$', self.DOCKERFILE, re.MULTILINE)
        assert found
        assert found[1] in PROJECT["project"]["scripts"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
class TestPages:
    """What a page names is there."""

    def test_links_lead_somewhere(self, page: Path) -> None:
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        links = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
        missing = [link for link in links if link and not (page.parent / link).exists()]
        assert missing == []

    def test_commands_exist(self, page: Path) -> None:
        known = {" ".join(words) for words in commands()}
        for line in code_lines(page):
            for found in re.findall(r"(?:^|[|(;] *|run --rm \w+ )herenow ((?:\w+ ?)+)", line):
                words = found.split()
                assert words[0] in known or " ".join(words[:2]) in known, line
            for target in re.findall(r"^make ([a-z-]+)", line):
                assert target in [*TARGETS, "clean"], line

    def test_settings_exist(self, page: Path) -> None:
        from service.settings import Settings

        known = {f"HERENOW_{name.upper()}" for name in Settings.model_fields} | {
            "HERENOW_CASE_DATA",
            "HERENOW_TEST_PATIENCE",
            "HERENOW_TEST_REDIS_URL",
            "HERENOW_TEST_DATABASE_URL",
            "HERENOW_SERVER",
            "HERENOW_API_KEY",
            "HERENOW_PUBLISH",
            "HERENOW_PROBLEMS",
            "HERENOW_SOLVERS",
        }
        assert set(re.findall(r"HERENOW_[A-Z_]*[A-Z]", page.read_text())) <= known


def test_the_table_of_settings_is_true() -> None:
    """If not: `python -m tests.packaging.settings_table` writes it anew."""
    assert written() == settings_table()


def code_lines(page: Path) -> list[str]:
    """Lines of the page's code blocks, comments off."""
    blocks = re.findall(r"```[a-z]*\n(.*?)```", page.read_text(), re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#") and is_shell(line)]


def is_shell(line: str) -> bool:
    """Whether a line reads as a command."""
    try:
        return bool(shlex.split(line))
    except ValueError:
        return False
