"""Asking a running Herenow: the few requests the command line makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import httpx

from models.core import InvalidInput, Issue
from service.cli.console import BAD_INPUT, CommandError, emit, out

SECONDS = 30.0


def recommend_remotely(server: str, key: str | None, ref: str, state: Any, explain: bool, as_json: bool) -> None:
    """Print the recommendation of policy `ref` for `state` (the instance's own today if None)."""
    accept = "application/json" if as_json else "text/plain"
    headers = {"Accept": accept} | ({"Authorization": f"Bearer {key}"} if key else {})
    body: dict[str, Any] = {} if state is None else {"state": state}
    if explain:
        body["options"] = {"explain": True}
    with httpx.Client(base_url=server, headers=headers, timeout=SECONDS) as client:
        answer = _post(client, f"/v1/policies/{ref}/recommend", body)
    if as_json:
        emit(answer.json())
    else:
        out.print(answer.text.rstrip("\n"), markup=False, soft_wrap=True)


def state_of_files(server: str, key: str | None, ref: str, files: Mapping[str, bytes], words: Mapping[str, str]) -> Any:
    """The state that policy `ref` reads from files."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    parts = [(name, (name, data)) for name, data in files.items()]
    with httpx.Client(base_url=server, headers=headers, timeout=SECONDS) as client:
        answer = _sent(client, lambda: client.post(f"/v1/policies/{ref}/state", files=parts, data=dict(words)))
    return answer.json()["state"]


def asked(
    server: str, key: str | None, method: str, path: str, headers: Mapping[str, str] | None = None, json: Any = None
) -> httpx.Response:
    """The answer to one request; the server's refusals are the command's errors."""
    sent = {**(headers or {}), **({"Authorization": f"Bearer {key}"} if key else {})}
    with httpx.Client(base_url=server, headers=sent, timeout=SECONDS) as client:
        return _sent(client, lambda: client.request(method, path, json=json))


def _post(client: httpx.Client, path: str, body: Any) -> httpx.Response:
    return _sent(client, lambda: client.post(path, json=body))


def _sent(client: httpx.Client, send: Callable[[], httpx.Response]) -> httpx.Response:
    try:
        answer = send()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise CommandError(f"no answer from {client.base_url}: {error}") from None
    if answer.is_success:
        return answer
    raise _refusal(answer)


def _refusal(answer: httpx.Response) -> Exception:
    """A problem document as the command line's own errors."""
    if "json" not in answer.headers.get("Content-Type", ""):
        return CommandError(f"the server answered {answer.status_code}")
    problem = answer.json()
    slug = str(problem.get("type", "")).rsplit("/", 1)[-1]
    fields = problem.get("errors") or []
    if fields:
        return InvalidInput([Issue(slug, "error", e["pointer"].removeprefix("/state"), e["detail"]) for e in fields])
    code = BAD_INPUT if answer.status_code < 500 else 1
    return CommandError(f"{problem.get('title', answer.status_code)}: {problem.get('detail', '')}", code)
