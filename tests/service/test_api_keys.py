"""Who may do what: keys, scopes, the open door of embedded mode."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import event, select

from service.db.rows import ApiKeyRow, IdempotencyKeyRow
from service.db.session import Database
from service.keys import service as keys
from service.keys.callers import Caller
from service.keys.memory import REMEMBERED, KnownKeys
from service.rates import RateLimiter
from tests.service.api_server import Server, example_document, make_settings, running


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that asks for keys."""
    with running(make_settings(tmp_path_factory.mktemp("locked"), require_keys=True)) as server:
        yield server


def key_for(server: Server, *scopes: str, expires_in: timedelta | None = None) -> keys.NewKey:
    with server.database.write() as session:
        return keys.create(session, "tester", scopes, expires_in)


def status(server: Server, key: str | None, method: str = "GET", path: str = "/v1/problems") -> int:
    with server.client(key) as client:
        return client.request(method, path, json=example_document() if method == "POST" else None).status_code


class TestKeys:
    def test_without_a_key_nothing_is_told(self, locked: Server) -> None:
        with locked.client() as client:
            answer = client.get("/v1/problems")
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
        assert answer.json()["type"] == "/problems/unauthenticated"

    def test_nobody_unknown_has_a_body_read(self, locked: Server) -> None:
        with locked.client() as client:
            answer = client.post("/v1/instances", content=b"[" * 30_000, headers={"Content-Type": "text/plain"})
        assert answer.status_code == 401

    @pytest.mark.parametrize("header", ["Bearer nonsense", "Bearer", "Basic dXNlcjpwYXNz", "hnk_x", "Bearer \xe9"])
    def test_a_key_that_is_none_is_refused(self, locked: Server, header: str) -> None:
        with locked.client() as client:
            answer = client.get("/v1/problems", headers={"Authorization": header.encode("latin-1")})
        assert answer.status_code == 401

    def test_a_valid_key_is_let_in_and_its_use_noted(self, locked: Server) -> None:
        key = key_for(locked, "read")
        assert status(locked, key.secret) == 200
        with locked.database.read() as session:
            row = session.get(ApiKeyRow, key.id)
            assert row is not None
            assert row.last_used_at is not None

    def test_only_a_digest_is_stored(self, locked: Server) -> None:
        key = key_for(locked, "read")
        with locked.database.read() as session:
            rows = session.scalars(select(ApiKeyRow)).all()
        assert all(key.secret not in str(vars(row)) for row in rows)
        assert len(key.secret) >= 40

    def test_a_revoked_key_is_refused(self, locked: Server) -> None:
        key = key_for(locked, "admin")
        with locked.database.write() as session:
            assert keys.revoke(session, key.id)
        assert status(locked, key.secret) == 401

    def test_an_expired_key_is_refused(self, locked: Server) -> None:
        assert status(locked, key_for(locked, "admin", expires_in=timedelta(seconds=-1)).secret) == 401
        assert status(locked, key_for(locked, "admin", expires_in=timedelta(hours=1)).secret) == 200

    @pytest.mark.parametrize(
        ("scope", "allowed", "refused"),
        [
            ("read", [("GET", "/v1/policies")], [("POST", "/v1/instances")]),
            ("plan", [("GET", "/v1/recommendations")], [("POST", "/v1/instances")]),
            ("train", [("GET", "/v1/jobs"), ("POST", "/v1/instances")], []),
            ("admin", [("GET", "/v1/queue"), ("POST", "/v1/instances")], []),
        ],
    )
    def test_scopes_say_what_a_key_may_do(
        self, locked: Server, scope: str, allowed: list[tuple[str, str]], refused: list[tuple[str, str]]
    ) -> None:
        secret = key_for(locked, scope).secret
        for method, path in allowed:
            assert status(locked, secret, method, path) in (200, 201)
        for method, path in refused:
            assert status(locked, secret, method, path) == 403

    def test_training_does_not_include_planning(self, locked: Server) -> None:
        path = "/v1/policies/nobody/recommend"
        with locked.client(key_for(locked, "train").secret) as client:
            answer = client.post(path, json={})
        assert answer.status_code == 403
        assert 'scope="plan"' in answer.headers["WWW-Authenticate"]
        with locked.client(key_for(locked, "plan").secret) as client:
            assert client.post(path, json={}).status_code == 404

    def test_probes_need_no_key(self, locked: Server) -> None:
        assert status(locked, None, path="/healthz/live") == 200
        assert status(locked, None, path="/problems/forbidden") == 200
        assert status(locked, None, path="/metrics") == 401


class TestManaging:
    """`/v1/keys`."""

    @pytest.fixture
    def admin(self, locked: Server) -> Iterator[httpx.Client]:
        with locked.client(key_for(locked, "admin").secret) as client:
            yield client

    def test_a_key_made_opens_the_door_and_is_shown_once(self, locked: Server, admin: httpx.Client) -> None:
        made = admin.post("/v1/keys", json={"name": "maria", "scopes": ["plan", "read"], "expires_in": "P30D"})
        key = made.json()
        assert (made.status_code, made.headers["Location"]) == (201, f"/v1/keys/{key['id']}")
        assert status(locked, key["secret"]) == 200
        shown = admin.get(f"/v1/keys/{key['id']}").json()
        assert shown == {name: key[name] for name in key if name != "secret"} | {"last_used_at": shown["last_used_at"]}
        assert (shown["scopes"], shown["valid"]) == (["read", "plan"], True)
        expires, made_at = (datetime.fromisoformat(shown[name]) for name in ("expires_at", "created_at"))
        assert timedelta(days=29) < expires - made_at <= timedelta(days=30)
        assert key["secret"] not in admin.get("/v1/keys").text

    def test_one_may_last_until_it_is_revoked(self, locked: Server, admin: httpx.Client) -> None:
        key = admin.post("/v1/keys", json={"name": "robot", "scopes": ["read"], "expires_in": None}).json()
        assert key["expires_at"] is None
        assert admin.delete(f"/v1/keys/{key['id']}").status_code == 204
        assert status(locked, key["secret"]) == 401
        place = f"/v1/keys/{key['id']}"
        assert admin.get(place).status_code == admin.delete(place).status_code == 404
        kept = next(item for item in admin.get("/v1/keys").json()["items"] if item["id"] == key["id"])
        assert (kept["valid"], kept["revoked_at"] is not None) == (False, True)

    def test_the_secret_is_stored_nowhere_even_with_an_idempotency_key(
        self, locked: Server, admin: httpx.Client
    ) -> None:
        body = {"name": "twice", "scopes": ["read"]}
        sent = {"Idempotency-Key": "the-same"}
        secrets = {admin.post("/v1/keys", json=body, headers=sent).json()["secret"] for _ in range(2)}
        assert len(secrets) == 2
        with locked.database.read() as session:
            assert session.scalars(select(IdempotencyKeyRow)).all() == []

    def test_nobody_locks_themselves_out(self, locked: Server) -> None:
        key = key_for(locked, "admin")
        with locked.client(key.secret) as client:
            answer = client.delete(f"/v1/keys/{key.id}")
            assert (answer.status_code, answer.json()["type"]) == (409, "/problems/conflict")
            assert client.get("/v1/keys").status_code == 200

    @pytest.mark.parametrize("scope", ["read", "plan", "train"])
    def test_only_administrators_rotate(self, locked: Server, scope: str) -> None:
        key = key_for(locked, scope)
        with locked.client(key.secret) as client:
            assert client.post(f"/v1/keys/{key.id}/rotate", json={}).status_code == 403

    @pytest.mark.parametrize("scope", ["read", "plan", "train"])
    def test_only_administrators_may(self, locked: Server, scope: str) -> None:
        with locked.client(key_for(locked, scope).secret) as client:
            body = {"name": "x", "scopes": ["admin"]}
            place = "/v1/keys/key_01K9ZV6Q5RJ8XAMB4T0CWD3EFG"
            answers = [client.get("/v1/keys"), client.post("/v1/keys", json=body), client.delete(place)]
        assert [answer.status_code for answer in answers] == [403, 403, 403]

    @pytest.mark.parametrize(
        ("change", "pointer"),
        [
            ({"name": "Not A Name"}, "/name"),
            ({"scopes": []}, "/scopes"),
            ({"scopes": ["all"]}, "/scopes/0"),
            ({"expires_in": "soon"}, "/expires_in"),
            ({"expires_in": "P99999999D"}, "/expires_in"),
            ({"secret": "mine"}, "/secret"),
        ],
    )
    def test_each_wrong_field_is_named(self, admin: httpx.Client, change: dict[str, object], pointer: str) -> None:
        answer = admin.post("/v1/keys", json={"name": "ann", "scopes": ["read"], **change})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)

    def test_one_that_is_not_there_is_not_found(self, admin: httpx.Client) -> None:
        place = "/v1/keys/key_01K9ZV6Q5RJ8XAMB4T0CWD3EFG"
        assert admin.get(place).status_code == admin.delete(place).status_code == 404


class TestRotating:
    """`POST /v1/keys/{id}/rotate`: a new secret under the same id, and a while in which both work."""

    @pytest.fixture
    def admin(self, locked: Server) -> Iterator[httpx.Client]:
        with locked.client(key_for(locked, "admin").secret) as client:
            yield client

    def test_old_and_new_work_for_the_overlap(self, locked: Server, admin: httpx.Client) -> None:
        old = key_for(locked, "read")
        answer = admin.post(f"/v1/keys/{old.id}/rotate", json={"overlap": "PT2S"})
        new = answer.json()
        assert (answer.status_code, new["id"], new["scopes"]) == (200, old.id, ["read"])
        assert new["secret"] != old.secret
        assert [status(locked, old.secret), status(locked, new["secret"])] == [200, 200]
        assert admin.get(f"/v1/keys/{old.id}").json()["old_secret_until"] is not None
        time.sleep(2.1)
        assert [status(locked, old.secret), status(locked, new["secret"])] == [401, 200]
        assert admin.get(f"/v1/keys/{old.id}").json()["old_secret_until"] is None

    def test_without_an_overlap_the_old_secret_ends_now(self, locked: Server, admin: httpx.Client) -> None:
        old = key_for(locked, "read")
        assert status(locked, old.secret) == 200
        new = admin.post(f"/v1/keys/{old.id}/rotate", json={"overlap": None}).json()["secret"]
        assert [status(locked, old.secret), status(locked, new)] == [401, 200]

    def test_no_third_secret_joins_two(self, locked: Server, admin: httpx.Client) -> None:
        first = key_for(locked, "read")
        second = admin.post(f"/v1/keys/{first.id}/rotate", json={}).json()["secret"]
        refused = admin.post(f"/v1/keys/{first.id}/rotate", json={})
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/conflict")
        assert [status(locked, secret) for secret in (first.secret, second)] == [200, 200]
        third = admin.post(f"/v1/keys/{first.id}/rotate", json={"overlap": None}).json()["secret"]
        assert [status(locked, secret) for secret in (first.secret, second, third)] == [401, 401, 200]

    def test_rotating_moves_the_expiry_only_when_asked(self, locked: Server, admin: httpx.Client) -> None:
        key = key_for(locked, "read", expires_in=timedelta(hours=1))
        place = f"/v1/keys/{key.id}"
        before = admin.get(place).json()["expires_at"]
        assert admin.post(f"{place}/rotate", json={"overlap": "P2D"}).json()["expires_at"] == before
        assert admin.get(place).json()["old_secret_until"] == before  # no old secret outlives the key
        later = admin.post(f"{place}/rotate", json={"overlap": None, "expires_in": "P90D"}).json()
        assert datetime.fromisoformat(later["expires_at"]) > datetime.fromisoformat(before) + timedelta(days=80)

    def test_revoking_ends_both_secrets(self, locked: Server, admin: httpx.Client) -> None:
        old = key_for(locked, "read")
        new = admin.post(f"/v1/keys/{old.id}/rotate", json={}).json()["secret"]
        admin.delete(f"/v1/keys/{old.id}")
        assert [status(locked, old.secret), status(locked, new)] == [401, 401]

    def test_what_is_not_valid_is_not_rotated(self, locked: Server, admin: httpx.Client) -> None:
        ended = key_for(locked, "read", expires_in=timedelta(seconds=-1))
        for key_id in (ended.id, "key_01K9ZV6Q5RJ8XAMB4T0CWD3EFG"):
            assert admin.post(f"/v1/keys/{key_id}/rotate", json={}).status_code == 404

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [({"overlap": "soon"}, "/overlap"), ({"overlap": "P99999999D"}, "/overlap"), ({"secret": "x"}, "/secret")],
    )
    def test_each_wrong_field_is_named(
        self, locked: Server, admin: httpx.Client, body: dict[str, object], pointer: str
    ) -> None:
        answer = admin.post(f"/v1/keys/{key_for(locked, 'read').id}/rotate", json=body)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


class TestMemory:
    """A key that was let in is not looked up again for a moment."""

    def test_the_database_is_not_asked_for_every_request(self, locked: Server) -> None:
        secret = key_for(locked, "read").secret
        asked: list[str] = []
        event.listen(locked.database.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
        with locked.client(secret) as client:
            for _ in range(5):
                assert client.get("/v1/version").status_code == 200
        assert sum("FROM api_keys" in statement and "digest = " in statement for statement in asked) <= 3

    def test_a_key_revoked_elsewhere_is_refused_a_second_later(self, locked: Server) -> None:
        key = key_for(locked, "read")
        assert status(locked, key.secret) == 200
        with locked.database.write() as session:
            keys.revoke(session, key.id)
        time.sleep(REMEMBERED)
        assert status(locked, key.secret) == 401

    def test_it_is_bounded_and_forgets(self) -> None:
        known = KnownKeys()
        for number in range(10_100):
            known.remember(f"digest{number}", Caller(f"key{number}", None, frozenset()), 0.0)
        assert known.get("digest0", 0.5) is None
        assert known.get("digest10099", 0.5) is not None
        assert known.get("digest10099", 1.5) is None
        known.forget("key10099")
        assert known.get("digest10099", 0.5) is None


class TestRates:
    """A key's own limit, beside the service's."""

    def test_a_key_with_a_limit_is_held_to_it(self, locked: Server) -> None:
        with locked.client(key_for(locked, "admin").secret) as admin:
            body = {"name": "slow", "scopes": ["read"], "requests_per_minute": 3}
            slow = admin.post("/v1/keys", json=body).json()
        assert slow["requests_per_minute"] == 3
        with locked.client(slow["secret"]) as client:
            answers = [client.get("/v1/problems") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert answers[-1].json()["type"] == "/problems/rate-limited"
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 21
        assert status(locked, key_for(locked, "read").secret) == 200

    def test_another_secret_is_no_other_limit(self, locked: Server) -> None:
        with locked.database.write() as session:
            key = keys.create(session, "slow", ["read"], requests_per_minute=2)
            new = keys.rotate(session, key.id)
        assert new is not None
        assert [status(locked, secret) for secret in (key.secret, new.secret, key.secret)] == [200, 200, 429]

    def test_processes_share_a_rate(self) -> None:
        limiter = RateLimiter(60, processes=3)
        assert sum(limiter.wait("key", 0.0) == 0 for _ in range(40)) == 20
        assert limiter.wait("key", 0.0) == pytest.approx(3.0)
        assert limiter.wait("key", 3.0) == 0

    def test_an_address_with_bad_keys_is_slowed_and_no_other(self, tmp_path: Path) -> None:
        with running(make_settings(tmp_path, require_keys=True, rate_per_minute=4)) as server:
            guesses = [status(server, f"hnk_guess{number}") for number in range(6)]
            assert guesses == [401] * 4 + [429] * 2
            assert status(server, key_for(server, "read").secret) == 200


class TestRules:
    """The functions behind the command line, on databases of both kinds."""

    def test_keys_are_listed_without_their_secrets(self, database: Database) -> None:
        with database.write() as session:
            key = keys.create(session, "planner", ["plan", "read"], timedelta(days=1))
            gone = keys.create(session, "gone", ["read"])
            keys.revoke(session, gone.id)
        with database.read() as session:
            listed = keys.listed(session)
        assert [(entry["name"], entry["valid"]) for entry in listed] == [("planner", True), ("gone", False)]
        assert listed[0]["scopes"] == ["read", "plan"]
        assert key.secret not in str(listed)

    @pytest.mark.parametrize("scopes", [[], ["everything"], ["read", "root"]])
    def test_a_key_needs_known_scopes(self, database: Database, scopes: list[str]) -> None:
        with database.write() as session, pytest.raises(ValueError, match="scopes are"):
            keys.create(session, "x", scopes)

    def test_revoking_says_whether_there_was_a_key(self, database: Database) -> None:
        with database.write() as session:
            assert not keys.revoke(session, "key_01K9ZV6Q5RJ8XAMB4T0CWD3EFG")

    def test_beyond_loopback_the_service_listens_only_with_keys(self, database: Database, tmp_path: Path) -> None:
        abroad = make_settings(tmp_path, host="0.0.0.0")
        asked = make_settings(tmp_path, require_keys=True)
        with database.write() as session:
            keys.check_may_listen(make_settings(tmp_path), session)
            for settings in (abroad, asked):
                with pytest.raises(keys.NoKeys):
                    keys.check_may_listen(settings, session)
            old = keys.create(session, "old", ["read"], timedelta(seconds=-1))
            with pytest.raises(keys.NoKeys):
                keys.check_may_listen(abroad, session)
            keys.revoke(session, old.id)
            keys.create(session, "new", ["read"])
            keys.check_may_listen(abroad, session)

    @pytest.mark.parametrize(
        ("host", "is_open"),
        [
            ("127.0.0.1", True),
            ("::1", True),
            ("localhost", True),
            ("0.0.0.0", False),
            ("10.0.0.1", False),
            ("x", False),
        ],
    )
    def test_the_door_is_open_on_loopback_only(self, tmp_path: Path, host: str, is_open: bool) -> None:
        door = keys.Door(make_settings(tmp_path, host=host))
        assert door.is_open_to(httpx_client("127.0.0.1")) is is_open
        assert door.is_open_to(httpx_client("192.0.2.7")) is False


def httpx_client(host: str) -> object:
    """A client address as the framework gives it."""
    return httpx.URL(f"http://{host}")
