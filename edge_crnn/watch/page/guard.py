"""Decides which requests reach the page, and adds the headers that protect every answer."""

from __future__ import annotations

import hmac
import re
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .settings import Settings, is_loopback

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = "; ".join(
    [
        "default-src 'none'",
        "img-src 'self'",
        "style-src 'self'",
        "script-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
_PUBLIC = "/static/"
"""Files that are the same in every installation, which the page that asks for the token needs."""
_HEALTH = "/healthz"
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(:[0-9]{1,5})?")


class Guard:
    """ASGI middleware in front of the page.

    - On loopback, it answers only requests for a local name. Otherwise a website could give its own name the address
      127.0.0.1 and read the page through the visitor's browser (DNS rebinding).
    - A website that a visitor has open elsewhere cannot embed the page or parts of it, which would take the places of
      viewers; it can only link to it. Source: W3C, "Fetch Metadata Request Headers".
    - With a token, a request must show it: as `Authorization: Bearer …`, as a cookie, or once as `/?token=…`, which
      sets the cookie. `/healthz` answers without it, but gives no reason. The files in /static/ are public.
    - A request that changes something must come from the page itself: its `Origin` must name the host that it is sent
      to. A program that shows the token as a header needs no `Origin`, since no website can make a browser send it.
    """

    def __init__(self, app: ASGIApp, settings: Settings, token: str | None) -> None:
        self._app = app
        self._token = token.encode() if token else None
        self._cookie = f"edge-crnn-{settings.port}"  # cookies do not tell ports apart
        self._is_local = is_loopback(settings.host) and token is None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or pass it on."""

        async def send_protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, send_protected)

    def _refusal(self, scope: Scope) -> Response | None:
        """Return the answer to a request that does not reach the page; None for all others."""
        headers = Headers(scope=scope)
        method, path = scope["method"], scope["path"]
        if self._is_local and not _is_local_name(headers.get("host", "")):
            return _error(421, "This page answers only as localhost or 127.0.0.1.")
        if _is_for_another_site(headers):
            return _error(403, "Another website cannot use this page.")
        has_header = self._shows_token(_bearer(headers))
        is_known = self._token is None or has_header or self._shows_token(self._cookie_value(headers))
        scope["state"] = {**scope.get("state", {}), "is_known": is_known}
        if method == "GET" and path == "/" and self._token is not None:
            given = Request(scope).query_params.get("token")
            if given is not None and self._shows_token(given.encode(errors="replace")):
                return self._welcome(is_https=scope.get("scheme") == "https")
        if not is_known and path != _HEALTH and not path.startswith(_PUBLIC):
            return _unknown(headers)
        if method not in ("GET", "HEAD", "OPTIONS") and not (has_header or _is_same_origin(headers)):
            return _error(403, "A change must come from this page itself.")
        return None

    def _shows_token(self, value: bytes | None) -> bool:
        return value is not None and self._token is not None and hmac.compare_digest(value, self._token)

    def _cookie_value(self, headers: Headers) -> bytes | None:
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        except CookieError:
            return None
        return cookie.value.encode() if cookie else None

    def _welcome(self, is_https: bool) -> Response:
        """Set the cookie, and let a page go on to `/`: after a redirect, a browser would withhold the cookie."""
        content = '<!doctype html><html lang="en"><title>edge-crnn</title><meta http-equiv="refresh" content="0;url=/">'
        response = Response(content, media_type="text/html")
        response.set_cookie(
            self._cookie,
            self._token.decode() if self._token else "",
            max_age=365 * 24 * 3600,
            httponly=True,
            samesite="strict",
            secure=is_https,
        )
        return response


def _bearer(headers: Headers) -> bytes | None:
    scheme, _, value = headers.get("authorization", "").partition(" ")
    return value.strip().encode() if scheme.lower() == "bearer" else None


def _is_local_name(host: str) -> bool:
    match = _HOST.fullmatch(host.lower())
    return match is not None and is_loopback(match[1].strip("[]"))


def _is_same_origin(headers: Headers) -> bool:
    scheme, _, host = headers.get("origin", "").partition("://")
    return scheme in ("http", "https") and host != "" and host == headers.get("host")


def _is_for_another_site(headers: Headers) -> bool:
    site = headers.get("sec-fetch-site", "none")  # programs and older browsers do not tell
    return site not in ("same-origin", "none") and headers.get("sec-fetch-mode") != "navigate"


def _unknown(headers: Headers) -> Response:
    challenge = {"WWW-Authenticate": "Bearer"}
    if "text/html" not in headers.get("accept", ""):
        return _error(401, "This page needs its token.", challenge)
    content = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        '<title>Token needed</title><link rel="stylesheet" href="/static/style.css">'
        '<link rel="icon" href="/static/icon.svg" type="image/svg+xml"><main class="notice">'
        '<h1>This page needs its token</h1><form action="/" method="get"><label for="token">Token</label>'
        '<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>'
        '<button class="primary">Open</button></form><p>The token is in the file that <code>edge-crnn watch</code>'
        " names when it starts.</p>"
        '<p lang="ko">토큰은 <code>edge-crnn watch</code>를 시작할 때 표시되는 파일에 있습니다.</p></main></html>'
    )
    return Response(content, 401, challenge, "text/html")


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": message}, status, headers)
