"""Who may ask: this machine's own pages, or whoever has the token; nobody by another site's page or another name."""

import hmac
from collections.abc import Collection
from http.cookies import CookieError, SimpleCookie
from typing import Any, final
from urllib.parse import parse_qs, urlsplit

COOKIE = "brittle_view"
_SAFE = ("GET", "HEAD")
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


@final
class Guard:
    """Stands before an ASGI application. hosts: names that it answers by; None: any, which only goes with a token.

    A page of another site can make a browser ask us, and can let its own name point at us (DNS rebinding). So the Host
    must be ours, ``Sec-Fetch-Site`` and ``Origin`` must be none or our own, but where somebody follows a link, and what
    changes something is JSON, which no form of another site can send. token: asked for in ``?token=`` once, and kept
    as a cookie.
    """

    def __init__(self, app: Any, *, hosts: Collection[str] | None, token: str | None) -> None:
        if hosts is None and token is None:
            raise ValueError("expected a token where any host is answered")
        self.app, self.hosts, self.token = app, hosts, token

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        reason = self._reason(scope, headers)
        given = self._given(scope, headers)
        if reason is None and self.token is not None and not hmac.compare_digest(given.encode(), self.token.encode()):
            reason = "expected the token of this server: open the address that it printed"
        if reason is not None:
            await _refuse(send, reason)
            return

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                more = [*_HEADERS]
                if self.token is not None and "token" in parse_qs(scope["query_string"].decode("latin-1")):
                    more.append((b"set-cookie", f"{COOKIE}={self.token}; HttpOnly; SameSite=Strict; Path=/".encode()))
                message = message | {"headers": [*message.get("headers", []), *more]}
            await send(message)

        await self.app(scope, receive, sending)

    def _reason(self, scope: Any, headers: dict[str, str]) -> str | None:
        """Why it is refused; None where it is not."""
        host = headers.get("host", "")
        if self.hosts is not None and _name(host) not in self.hosts:
            return f"expected to be asked by this machine's own name, got {host[:60]!r}"
        follows = scope["method"] == "GET" and headers.get("sec-fetch-dest") == "document"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and not follows:
            return "expected to be asked by a page of this server, not of another site"
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            return "expected to be asked by a page of this server, not of another origin"
        if scope["method"] not in _SAFE and headers.get("content-type", "").partition(";")[0] != "application/json":
            return "expected JSON"
        return None

    def _given(self, scope: Any, headers: dict[str, str]) -> str:
        asked = parse_qs(scope["query_string"].decode("latin-1")).get("token")
        if asked:
            return str(asked[0])
        try:
            kept = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            kept = None
        return "" if kept is None else str(kept.value)


def _name(host: str) -> str | None:
    """The name in a Host header, without its port; None where it is no name."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


async def _refuse(send: Any, reason: str) -> None:
    body = reason.encode("utf-8", "replace")
    head = [(b"content-type", b"text/plain; charset=utf-8"), *_HEADERS]
    await send({"type": "http.response.start", "status": 403, "headers": head})
    await send({"type": "http.response.body", "body": body})
