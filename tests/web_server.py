"""A service on loopback for tests of readers: routes that a test gives, faults, what was asked.

def alice(asked: Asked) -> Reply: return Reply({"id": asked.params["name"]})
with running({"/accounts": alice}) as web: ... web.url, web.asked, web.fail(429, times=2)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from loopback import serving


@dataclass(frozen=True)
class Asked:
    """One request; header names in lower case."""

    path: str
    params: dict[str, str]
    headers: dict[str, str]


@dataclass
class Reply:
    """One answer: bytes as they are, anything else as JSON."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Web:
    """The server: its routes by path, most exact first, and what it was asked."""

    routes: Mapping[str, Callable[[Asked], Reply]]
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    faults: list[Reply | str] = field(default_factory=list)

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    def fail(self, status: int, times: int = 1, body: Any = None, **headers: str) -> None:
        """Answer the next requests so; `_` in a header's name stands for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.faults += [Reply(body, status, named)] * times

    def drop(self, times: int = 1) -> None:
        """Hang up on the next requests."""
        self.faults += ["drop"] * times

    def reply(self, asked: Asked) -> Reply | str:
        self.asked.append(asked)
        if self.faults:
            return self.faults.pop(0)
        route = self.routes.get(asked.path)
        return route(asked) if route else Reply({"error": "no such route"}, 404)

    def paths(self) -> list[str]:
        return [each.path for each in self.asked]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    web: Web

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.web.reply(Asked(parts.path, dict(parse_qsl(parts.query)), headers))
        if isinstance(reply, str):
            self.close_connection = True
            self.connection.close()
            return
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(body)


@contextmanager
def running(routes: Mapping[str, Callable[[Asked], Reply]]) -> Iterator[Web]:
    """Serve on a free port for as long as the block takes."""
    web = Web(routes)
    with serving(_Handler, web=web) as web.url:
        yield web
