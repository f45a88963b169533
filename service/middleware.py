"""The gate every request passes: request id, Host and Origin, rate, and the measure of how long it took.

Plain ASGI, outside the exception handlers and inside the framework's crash handler. It also turns the framework's plain
text 413 (sent below it, where a declared Content-Length is over the limit) into a problem document.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import logs
from service.errors import respond
from service.headers import complete
from service.ids import new_id
from service.metrics import Metrics
from service.rates import RateLimiter
from service.redaction import KEY_PREFIX
from service.settings import Settings

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SAFE = ("GET", "HEAD")  # what these ask for changes nothing: a link on another page may lead here
_UNLIMITED = ("/healthz/",)  # never rate limited: an orchestrator's probes must always be answered


class Gate:
    """The middleware."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics
        self.hosts = {_host_name(host) for host in settings.allowed_hosts}
        self.origins = {origin.rstrip("/").lower() for origin in settings.allowed_origins}
        self.limiter = RateLimiter(settings.rate_per_minute, settings.api_processes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        scope["herenow.request_id"] = _request_id(headers)
        outgoing = _Outgoing(scope, receive, send)
        started = time.perf_counter()
        self.metrics.in_flight.inc()
        try:
            with logs.bound(request_id=scope["herenow.request_id"]):
                refusal = self._refusal(scope, headers)
                await (refusal or self.app)(scope, receive, outgoing.send)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            self.metrics.in_flight.dec()
            seconds = time.perf_counter() - started
            self.metrics.request(scope["method"], route, outgoing.status, seconds, scope.get("herenow.problem"))

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        request = Request(scope)
        if "transfer-encoding" in headers and "content-length" in headers:  # two readers may disagree where it ends
            detail = "The body's length is told twice: send `Content-Length` or `Transfer-Encoding`, not both."
            return respond(request, "bad-request", detail, headers={"Connection": "close"})
        host = headers.get("host", "")
        if "*" not in self.hosts and _host_name(host) not in self.hosts:
            return respond(request, "host-not-allowed", "This service does not answer for the host named in `Host`.")
        if not self._is_origin_allowed(scope["method"], headers, host):
            return respond(request, "origin-not-allowed", "Pages of this origin may not use this service.")
        if scope["path"].startswith(_UNLIMITED):
            return None
        wait = self.limiter.wait(_who(scope, headers), time.monotonic())
        if wait > 0:
            after = {"Retry-After": str(int(wait) + 1)}
            detail = f"At most {self.limiter.per_minute} requests a minute."
            return respond(request, "rate-limited", detail, headers=after)
        return None

    def _is_origin_allowed(self, method: str, headers: Headers, host: str) -> bool:
        """Browsers name the page's origin: it must be the service's own, or one the settings name.

        One that does not name it, but says that another site's page sends something, is refused too.
        """
        origin = headers.get("origin")
        if origin is None:
            return method in _SAFE or headers.get("sec-fetch-site", "none") in ("none", "same-origin")
        origin = origin.rstrip("/").lower()
        return origin in self.origins or origin in (f"http://{host.lower()}", f"https://{host.lower()}")


class _Outgoing:
    """What leaves for one request: stamps headers, notes the status, replaces the framework's plain 413."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self.receive, self._send = scope, receive, send
        self.status = 500
        self._replaced = False

    async def send(self, message: Message) -> None:
        if self._replaced:
            return
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self.status == 413 and Headers(raw=message["headers"]).get("content-type", "").startswith("text/plain"):
                response = respond(Request(self.scope), "too-large", "The body is larger than this path takes.")
                await response(self.scope, self.receive, self.send)
                self._replaced = True
                return
            headers = complete(message.get("headers", ()))
            headers.append((b"x-request-id", self.scope["herenow.request_id"].encode()))
            message = {**message, "headers": headers}
        await self._send(message)


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    is_fit = _REQUEST_ID.fullmatch(given) and not given.startswith(KEY_PREFIX)  # a key sent by mistake is not written
    return given if is_fit else new_id("req")


def _who(scope: Scope, headers: Headers) -> str:
    authorization = headers.get("authorization")
    if authorization:
        return hashlib.sha256(authorization.encode("latin-1", "replace")).hexdigest()
    client: Sequence[str] | None = scope.get("client")
    return client[0] if client else "local"


def _host_name(host: str) -> str:
    """The name of a Host header without its port; empty when it cannot be read."""
    if host == "*":
        return host
    try:
        return (urlsplit(f"//{host}").hostname or "").strip("[]")
    except ValueError:
        return ""
