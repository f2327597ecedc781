"""Servers of the tests' own, on loopback."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@contextmanager
def serving(
    handler: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None = None, **shared: Any
) -> Iterator[str]:
    """Serve on a free port for as long as the block takes; yield the address.

    Args:
        handler: answers requests.
        tls: speaks for it, if anybody does.
        shared: what every request finds as attributes of its handler.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (handler,), shared))
    server.daemon_threads = True
    if tls:
        server.socket = tls.wrap_socket(  # greeted where it is answered: who is slow keeps nobody
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
