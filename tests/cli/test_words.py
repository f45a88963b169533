"""Commands that read, list and refuse."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
import typer

from models.registry import problems
from service.cli import app
from service.cli.documents import parse_duration
from tests.cli.terminal import say, say_json

STORE = problems()["inventory_network"].parse(
    {
        "problem": "inventory_network",
        "name": "corner-shop",
        "periods": 12,
        "nodes": [
            {"id": "depot", "kind": "supplier"},
            {"id": "shop", "kind": "store", "holding_cost": 1.0, "shortage_cost": 9.0, "initial_on_hand": 8},
        ],
        "lanes": [{"from": "depot", "to": "shop", "lead_time": 1}],
        "demand": {"process": "poisson", "nodes": {"shop": {"mean": 4.0}}},
    }
)


def store(**changes: object) -> str:
    return json.dumps(STORE.document() | changes)


def commands(group: typer.Typer = app, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for command in group.registered_commands:
        yield (*prefix, command.name or command.callback.__name__)  # type: ignore[union-attr]
    for sub in group.registered_groups:
        assert sub.typer_instance is not None
        yield from commands(sub.typer_instance, (*prefix, str(sub.name)))


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_every_command_explains_itself(words: tuple[str, ...]) -> None:
    result = say(*words, "--help")
    assert result.exit_code == 0
    assert "Usage: " in result.stdout


def test_the_commands_are_those_promised() -> None:
    promised = (
        "serve, worker, train, evaluate, recommend, receipt, reproduce, cases, import, db upgrade, keys create, "
        "keys list, keys revoke, "
        "keys rotate, audit, gc, backup, restore, db downgrade, alias list, alias set, alias remove"
    )
    assert {" ".join(words) for words in commands()} == set(promised.split(", "))


def test_version_names_the_release() -> None:
    from importlib.metadata import version

    assert say("--version").stdout == f"herenow {version('herenow')}\n"


def test_listing_cases_never_loads_torch_or_the_service() -> None:
    script = (
        "import sys; sys.argv = ['herenow', 'cases', '--json']\n"
        "from service.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'sqlalchemy', 'fastapi', 'celery', 'pyomo', 'scipy'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_cases_lists_every_example_of_every_problem() -> None:
    listed = {(row["problem"], row["name"]) for row in say_json("cases")["items"]}
    assert listed == {(p.name, e.name) for p in problems().values() for e in p.examples}
    assert all(name in say("cases").stdout for _, name in listed)


@pytest.mark.parametrize(
    ("problem", "case"), [(p.name, e.name) for p in problems().values() for e in p.examples], ids=lambda value: value
)
def test_a_printed_case_is_a_valid_instance(problem: str, case: str) -> None:
    result = say("cases", problem, case)
    assert result.exit_code == 0
    assert problems()[problem].parse(json.loads(result.stdout)).name


LOOP = [{"from": "depot", "to": "shop", "lead_time": 1}, {"from": "shop", "to": "shop", "lead_time": 1}]

BAD_FILES = {
    "not json": ("{", "", "line 1"),
    "not a number": ('{"problem": "inventory_network", "periods": NaN}', "/periods", "finite"),
    "beyond a double": ('{"problem": "inventory_network", "periods": 1e999}', "/periods", "double"),
    "given twice": ('{"problem": "inventory_network", "name": "a", "name": "b"}', "/name", "more than once"),
    "deep": ("[" * 20_000 + "]" * 20_000, "", "nested"),
    "no problem": ("{}", "/problem", "inventory_network"),
    "unknown problem": ('{"problem": "chess"}', "/problem", "inventory_network"),
    "not an object": ("[1, 2]", "/problem", "inventory_network"),
    "unknown field": (store(colour="red"), "/colour", "not permitted"),
    "wrong type": (store(periods="many"), "/periods", "integer"),
    "too many warm-up periods": (store(warmup_periods=12), "/warmup_periods", ""),
    "a cycle": (store(lanes=LOOP), "/lanes", ""),
}


@pytest.mark.parametrize(("document", "pointer", "rule"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_is_refused_by_field_and_rule(document: str, pointer: str, rule: str) -> None:
    result = say("train", "-", stdin=document)
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr
    assert pointer in result.stderr
    assert rule in result.stderr


def test_a_refusal_can_be_read_by_a_machine() -> None:
    result = say("train", "-", "--json", stdin=store(periods=0, colour="red"))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert {issue["pointer"] for issue in json.loads(result.stderr)["issues"]} == {"/periods", "/colour"}


BAD_WORDS = {
    "no such solver": (["--solver", "oracle"], "--solver", "hdpo"),
    "a bound is no policy": (["--solver", "perfect_information"], "--solver", "hdpo"),
    "config out of bounds": (["-c", "iterations=-1"], "/config/iterations", "greater than or equal to 0"),
    "unknown config": (["-c", "speed=9"], "/config/speed", "not permitted"),
    "config of the wrong type": (["-c", "iterations=soon"], "/config/iterations", "integer"),
    "config nested too deeply": (["-c", "family=" + "[" * 20_000], "/config/family", "match pattern"),
    "config without a value": (["-c", "iterations"], "--config", "key=value"),
    "config given twice": (["-c", "iterations=1", "-c", "iterations=2"], "/config/iterations", "more than once"),
    "no duration": (["--time-limit", "soon"], "--time-limit", "PT10M"),
    "no device": (["--device", "abacus"], "--device", "cuda"),
}


@pytest.mark.parametrize(("words", "place", "rule"), BAD_WORDS.values(), ids=BAD_WORDS)
def test_a_bad_option_is_refused_by_name(words: list[str], place: str, rule: str) -> None:
    result = say("train", "-", *words, stdin=store())
    assert result.exit_code == 2
    assert place in result.stderr
    assert rule in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "nowhere.json"], "cannot read nowhere.json"),
        (["recommend", "nowhere"], "no policy artifact"),
        (["recommend", "sha256:" + "0" * 64], "no policy artifact"),
        (["evaluate", "nowhere"], "no policy artifact"),
        (["cases", "chess"], "choose from: inventory_network"),
        (["cases", "inventory_network", "chess"], "one-store-lost"),
        (["worker"], "HERENOW_BROKER_URL"),
        (["recommend", "north", "--server", "http://127.0.0.1:9"], "no answer from"),
    ],
)
def test_what_is_not_there_is_said(words: list[str], message: str) -> None:
    result = say(*words)
    assert result.exit_code in (1, 2)
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERENOW_CONCURRENCY", "none")
    result = say("keys", "list")
    assert result.exit_code == 2
    assert "HERENOW_CONCURRENCY" in result.stderr


def test_user_text_is_shown_as_it_is() -> None:
    result = say("train", "-", stdin=store()[:-1] + ', "[bold]\\u001b[31mred": 1}')
    assert "/[bold]\N{REPLACEMENT CHARACTER}[31mred" in result.stderr
    assert "\x1b" not in result.stderr
    assert "[red]no.json" in say("train", "[red]no.json").stderr


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("600", 600), ("2.5", 2.5), ("10m", 600), ("1h30m", 5400), ("45s", 45), ("PT10M", 600), ("PT1H0.5S", 3600.5)],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds
