"""What every request passes first: who asks, from where, for what; and what an answer may do.

Gradio serves far more than the studio needs, files among it, so only named paths are let through.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "mynah_session"
SESSION = "mynah.session"  # where the scope holds the cookie's value

_PATHS = re.compile(
    r"/(config|theme\.css|favicon\.ico|manifest\.json|robots\.txt|studio\.(css|js))?"
    r"|/(assets|static|bots)/.+"
    r"|/gradio_api/(info|upload|upload_progress|startup-events|cancel|reset|heartbeat/\w+"
    r"|queue/(join|data)|run/\w+)/?"
)
_SMALL = 1 << 20  # bytes of a request that brings no file
_YEAR = 365 * 24 * 3_600
_OWN_HOSTS = ("127.0.0.1", "localhost", "::1")
_WRONG_PASSWORD_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class House:
    """The rules of one studio."""

    local: bool  # only this machine reaches it
    password: str | None = None
    framed_by: str = "'none'"  # who may show the page in a frame
    most_bytes: int = 2 << 30  # of one upload


class Guard:
    """Refuse what the page would not ask for; give each browser a session; add the headers."""

    def __init__(self, app: ASGIApp, house: House) -> None:
        """Take what is guarded, and the rules."""
        self.app, self.house = app, house
        self._tabs: dict[str, str] = {}  # Gradio's name of an open tab: the session it is of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # the page opens no other kind of connection
        headers = Headers(scope=scope)
        cookie = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        fresh = len(cookie) < 32
        scope[SESSION] = secrets.token_urlsafe(32) if fresh else cookie
        if refused := await self._refusal(scope, headers):
            await refused(scope, receive, send)
            return
        nonce = secrets.token_urlsafe(16)

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._dress(MutableHeaders(scope=message), scope, nonce, fresh)
            await send(message)

        if scope["path"] == "/":
            await self._page(scope, receive, dressed, nonce)
        else:
            await self.app(scope, receive, dressed)

    async def _refusal(self, scope: Scope, headers: Mapping[str, str]) -> Response | None:
        """Return the answer to a request that is not let through."""
        if not self._from_here(headers):
            return PlainTextResponse("This request comes from another page.", 403)
        if self.house.password and not self._knows_password(headers):
            if "authorization" in headers:
                await asyncio.sleep(_WRONG_PASSWORD_SECONDS)  # guessing takes long
            ask = {"WWW-Authenticate": 'Basic realm="Mynah", charset="UTF-8"'}
            return PlainTextResponse("The password, please.", 401, headers=ask)
        if not _PATHS.fullmatch(scope["path"]):
            return PlainTextResponse("There is nothing here.", 404)
        if scope["method"] == "POST" and (refused := self._too_large(scope["path"], headers)):
            return refused
        if not self._own_tab(scope):
            return PlainTextResponse("This is another session's.", 403)
        return None

    def _from_here(self, headers: Mapping[str, str]) -> bool:
        """Tell whether a request was made by the page itself or typed, and meant for this host."""
        host = headers.get("host", "")
        if self.house.local and urlsplit(f"//{host}").hostname not in _OWN_HOSTS:
            return False  # another site's name that was made to point here
        origin = headers.get("origin")
        if origin and urlsplit(origin).netloc != host:
            return False
        return headers.get("sec-fetch-site", "none") != "cross-site" or (
            headers.get("sec-fetch-mode") == "navigate" and origin is None
        )

    def _knows_password(self, headers: Mapping[str, str]) -> bool:
        kind, _, words = headers.get("authorization", "").partition(" ")
        try:
            said = base64.b64decode(words, validate=True).partition(b":")[2]
        except binascii.Error:
            return False
        wanted = (self.house.password or "").encode()
        return kind.lower() == "basic" and secrets.compare_digest(said, wanted)

    def _too_large(self, path: str, headers: Mapping[str, str]) -> Response | None:
        length = headers.get("content-length", "")
        if not length.isdigit():
            return PlainTextResponse("How long is it?", 411)
        most = self.house.most_bytes + _SMALL if path.startswith("/gradio_api/upload") else _SMALL
        return PlainTextResponse("That is too large.", 413) if int(length) > most else None

    def _own_tab(self, scope: Scope) -> bool:
        """Tell whether the tab whose events are asked for is of the session that asks."""
        path = scope["path"].rstrip("/")
        named = parse_qs(scope["query_string"].decode("latin-1")).get("session_hash", [""])[0]
        tab = path.rpartition("/")[2] if "/heartbeat/" in path else named
        return not tab or self._tabs.setdefault(tab, scope[SESSION]) == scope[SESSION]

    def _dress(self, headers: MutableHeaders, scope: Scope, nonce: str, fresh: bool) -> None:
        """Add what the browser is to hold the page to."""
        rules = {
            "default-src": "'none'",
            # Gradio makes functions of its own templates: without 'unsafe-eval' it shows nothing.
            "script-src": f"'self' 'nonce-{nonce}' 'unsafe-eval'",
            "style-src": "'self' 'unsafe-inline'",
            "img-src": "'self' data: blob:",
            "font-src": "'self' data:",
            "connect-src": "'self'",
            "frame-src": "'self'",
            "manifest-src": "'self'",
            "worker-src": "'self' blob:",
            "base-uri": "'self'",
            "form-action": "'none'",
            "frame-ancestors": self.house.framed_by,
        }
        headers.setdefault(
            "Content-Security-Policy", "; ".join(f"{name} {value}" for name, value in rules.items())
        )
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "same-origin"
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        if not scope["path"].startswith(("/assets/", "/static/")):
            headers["Cache-Control"] = "no-store"
        if fresh and scope["path"] == "/":
            framed = self.house.framed_by != "'none'"
            kind = "SameSite=None; Secure; Partitioned" if framed else "SameSite=Lax"
            cookie = f"{COOKIE}={scope[SESSION]}; Path=/; Max-Age={_YEAR}; HttpOnly; {kind}"
            headers.append("Set-Cookie", cookie)

    async def _page(self, scope: Scope, receive: Receive, send: Send, nonce: str) -> None:
        """Answer with the page, its own scripts marked as such."""
        kept = [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]
        start: Message = {}
        body = bytearray()

        async def gathered(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
                return
            body.extend(message.get("body", b""))
            if not message.get("more_body"):
                whole = bytes(body).replace(b"<script", f'<script nonce="{nonce}"'.encode())
                whole = whole.replace(b"</head>", _HEAD.replace(b"NONCE", nonce.encode()), 1)
                headers = MutableHeaders(scope=start)
                headers["Content-Length"] = str(len(whole))
                await send(start)
                await send({"type": "http.response.body", "body": whole})

        await self.app({**scope, "headers": kept}, receive, gathered)


_HEAD = (
    b'<link rel="stylesheet" href="/studio.css">'
    b'<script nonce="NONCE" src="/studio.js" defer></script></head>'
)
