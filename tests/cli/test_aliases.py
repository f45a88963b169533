"""`herenow alias` against a running service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.terminal import say, say_json
from tests.service.api_server import add_policy, example_document, make_settings, running


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("aliases")
    with running(make_settings(folder)) as server:
        for version in (1, 2):
            add_policy(server, example_document(), "north", version)
        yield server.url


def test_an_alias_is_set_moved_listed_and_removed(url: str) -> None:
    for version in (1, 2):
        told = say("alias", "set", "north", "production", str(version), "--server", url, "--note", "autumn")
        assert told.stdout.strip() == f"north@production is version {version}"
    (item,) = say_json("alias", "list", "north", "--server", url)["items"]
    assert (item["alias"], item["policy"]["version"], item["note"]) == ("production", 2, "autumn")
    assert "production" in say("alias", "list", "north", "--server", url).stdout
    assert say("alias", "remove", "north", "production", "--server", url).exit_code == 0
    assert say_json("alias", "list", "north", "--server", url)["items"] == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("set", "north", "production", "9"), "has no version 9"),
        (("set", "nobody", "production", "1"), "There is no policy"),
        (("set", "north", "../x", "1"), "lower-case letters"),
        (("remove", "north", "nothing"), "there is no alias"),
    ],
)
def test_what_cannot_be_is_said(url: str, words: tuple[str, ...], told: str) -> None:
    result = say("alias", *words, "--server", url)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split())
