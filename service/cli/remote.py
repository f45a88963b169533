"""Asking a running Herenow by its own client; what goes wrong becomes the command line's errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from models.core import InvalidInput, Issue
from service.cli.console import BAD_INPUT, FAILED, CommandError, emit, out
from service.client import Client, HerenowError, JobFailed, NoAnswer, Refused, Retry
from service.client.record import Record

TRIES = Retry(tries=3, longest_pause=1.0)  # a person waits


@contextmanager
def connected(server: str, key: str | None) -> Iterator[Client]:
    """A client of the server; CommandError or InvalidInput for what it refuses and for what does not answer."""
    try:
        with Client(server, key, retry=TRIES) as client:
            yield client
    except Refused as refused:
        raise _refusal(refused) from None
    except JobFailed as failed:
        raise CommandError(str(failed), FAILED) from None
    except NoAnswer as error:
        raise CommandError(f"no answer from {server}: {error}") from None
    except (HerenowError, httpx.InvalidURL) as error:
        raise CommandError(f"{server}: {error}") from None


def document(record: Record) -> dict[str, Any]:
    """A record as the JSON document it came as."""
    return record.model_dump(mode="json", by_alias=True, exclude_unset=True)


def recommend_remotely(server: str, key: str | None, ref: str, state: Any, explain: bool, as_json: bool) -> None:
    """Print the recommendation of policy `ref` for `state` (the instance's own today if None)."""
    with connected(server, key) as herenow:
        if as_json:
            emit(document(herenow.policies.recommend(ref, state, explain=explain)))
            return
        table = herenow.policies.recommend_file(ref, "text", state, explain=explain)
    out.print(table.decode().rstrip("\n"), markup=False, soft_wrap=True)


def state_of_files(server: str, key: str | None, ref: str, files: Mapping[str, bytes], words: Mapping[str, str]) -> Any:
    """The state that policy `ref` reads from files."""
    with connected(server, key) as herenow:
        return herenow.policies.state_of_files(ref, files, words).state


def _refusal(refused: Refused) -> Exception:
    """A problem document as the command line's own errors."""
    if refused.errors:
        return InvalidInput(
            [Issue(refused.slug, "error", e.pointer.removeprefix("/state"), e.detail) for e in refused.errors]
        )
    return CommandError(str(refused), BAD_INPUT if refused.status < 500 else FAILED)
