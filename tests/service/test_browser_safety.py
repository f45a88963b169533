"""What a browser, and a stranger's page in it, may do with the service: headers of every answer, hosts, origins."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import func, select

from service.db.rows import Base
from tests.service.api_server import Server, add_policy, example_document, make_settings, running

STRICT = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
PAGE = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service in embedded mode, which a stranger's page would attack: it asks for no key."""
    settings = make_settings(tmp_path_factory.mktemp("browsed"), allowed_origins=["https://plan.example.com"])
    with running(settings) as server:

        @server.app.get("/crash", include_in_schema=False)
        def crash() -> None:
            raise RuntimeError("on purpose")

        add_policy(server, example_document())
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/problems", 200),
        ("/v1/instances?limit=0", 422),
        ("/nowhere", 404),
        ("/v1/jobs/job_01K9ZV6Q5RJ8XAMB4T0CWD3EFG/events", 406),
        ("/healthz/live", 200),
        ("/metrics", 200),
        ("/openapi.json", 200),
        ("/problems/invalid-input", 200),
        ("/docs", 200),
        ("/", 200),
        ("/favicon.ico", 307),
        ("/crash", 500),
    ],
)
def test_every_answer_says_what_a_browser_may_do_with_it(client: httpx.Client, path: str, status: int) -> None:
    answer = client.get(path, headers=PAGE, follow_redirects=False)
    assert answer.status_code == status
    names = [name.lower() for name, _ in answer.headers.multi_items()]
    assert len(names) == len(set(names))  # a header stated twice is read in two ways
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer.headers["X-Request-Id"]
    assert "server" not in answer.headers
    policy = answer.headers["Content-Security-Policy"]
    if path in ("/", "/docs"):
        assert re.match(r"default-src 'none'; script-src 'self' 'nonce-[\w-]{20,}';", policy)
        assert "unsafe-eval" not in policy
        assert "connect-src 'self'" in policy
    else:
        assert policy == STRICT


def test_a_crash_tells_nothing_of_itself(client: httpx.Client) -> None:
    answer = client.get("/crash")
    assert answer.json()["type"] == "/problems/internal"
    assert "on purpose" not in answer.text
    assert "Traceback" not in answer.text


class TestHosts:
    """Against rebinding: a name that a stranger points at this machine is no name of this service."""

    @pytest.mark.parametrize(
        "host",
        ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil", "", "[::1", "a b", "*"],
    )
    def test_others_are_not_answered_for(self, server: Server, host: str) -> None:
        answer = httpx.get(f"{server.url}/v1/problems", headers={"Host": host})
        assert answer.status_code in (400, 421)
        assert answer.headers["Content-Type"] == "application/problem+json"

    @pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1:1", "[::1]:8000"])
    def test_its_own_are(self, server: Server, host: str) -> None:
        assert httpx.get(f"{server.url}/v1/problems", headers={"Host": host}).status_code == 200

    @pytest.mark.parametrize("name", ["X-Forwarded-Host", "X-Host", "Forwarded"])
    def test_no_header_stands_for_the_host(self, server: Server, name: str) -> None:
        sent = {"Host": "evil.example", name: "localhost"}
        assert httpx.get(f"{server.url}/v1/problems", headers=sent).status_code == 421


class TestForgery:
    """A stranger's page in the browser of somebody who needs no key: it may send, and nothing may come of it."""

    BODIES = (
        ("application/x-www-form-urlencoded", b"name=x"),
        ("text/plain", b'{"name": "x"}'),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n'),
        ("application/json", b"{}"),
    )

    @pytest.mark.parametrize(("content_type", "body"), BODIES)
    @pytest.mark.parametrize(
        "said",
        [
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://127.0.0.1"},  # another port of this machine is another origin
            {"Origin": "https://plan.example.com.evil.example"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
        ],
    )
    def test_what_it_sends_is_refused(
        self, client: httpx.Client, said: dict[str, str], content_type: str, body: bytes
    ) -> None:
        for path in ("/v1/instances", "/v1/instances/import", "/v1/jobs", "/v1/keys", "/v1/policies/orders/recommend"):
            answer = client.post(path, content=body, headers={**said, "Content-Type": content_type})
            assert (answer.status_code, answer.json()["type"]) == (403, "/problems/origin-not-allowed")

    @pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
    def test_so_is_every_other_method(self, client: httpx.Client, method: str) -> None:
        sent = {"Origin": "https://evil.example", "Access-Control-Request-Method": method}
        answer = client.request(method, "/v1/policies/orders:1", headers=sent)
        assert answer.status_code == 403
        assert not [name for name in answer.headers if name.startswith("access-control")]

    def test_it_cannot_read_either(self, client: httpx.Client) -> None:
        assert client.get("/v1/instances", headers={"Origin": "https://evil.example"}).status_code == 403

    @pytest.mark.parametrize("said", [{}, {"Origin": "https://plan.example.com"}, {"Sec-Fetch-Site": "same-origin"}])
    def test_its_own_pages_and_those_named_are_let_in(self, client: httpx.Client, said: dict[str, str]) -> None:
        assert client.post("/v1/instances/validate", json=example_document(), headers=said).status_code == 200

    def test_a_link_on_another_page_leads_here(self, client: httpx.Client) -> None:
        answer = client.get("/", headers={**PAGE, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"})
        assert answer.status_code == 200

    def test_asking_changes_nothing(self, server: Server, client: httpx.Client) -> None:
        """GET, which a link or a picture may send unasked, leaves every table as it was."""
        instance_id = client.get("/v1/instances").json()["items"][0]["id"]
        known = {"instance_id": instance_id, "problem": example_document()["problem"], "ref": "orders"}
        known |= {"name": "orders", "solver": "hdpo", "slug": "forbidden"}
        paths = [path for path, item in client.get("/openapi.json").json()["paths"].items() if "get" in item]
        before = counts(server)
        tried = [path for path in paths if set(re.findall(r"\{(\w+)\}", path)) <= set(known)]
        assert len(tried) > 25
        for path in tried:
            client.get(path.format(**known))
        assert counts(server) == before


def counts(server: Server) -> dict[str, int]:
    """Number of rows of every table."""
    with server.database.read() as session:
        return {
            table.name: session.scalar(select(func.count()).select_from(table)) or 0
            for table in Base.metadata.sorted_tables
        }
