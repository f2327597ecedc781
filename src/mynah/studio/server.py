"""The studio's server: the page behind its guard, on loopback unless asked otherwise."""

from __future__ import annotations

import os
import socket
import threading
import time
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from mynah.errors import ExtraMissing, SettingsError, StorageError
from mynah.run_folder import storage_errors
from mynah.studio.foreman import Foreman
from mynah.studio.rights import Rights

_LIBRARIES = {  # read at Gradio's import: nobody is told that it runs
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_RUN_HISTORY": "False",
    "GRADIO_MCP_SERVER": "False",
    "GRADIO_SSR_MODE": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
_PATIENCE = 0.02  # seconds between two looks whether the server is up


@dataclass(frozen=True)
class Served:
    """A studio that is served."""

    url: str

    def wait(self, *, browser: bool) -> None:
        """Open a browser where wanted, and stay until Ctrl-C."""
        if browser:
            webbrowser.open(self.url)
        while True:
            time.sleep(3_600)


@contextmanager
def serve_studio(
    bots: Path, settings: dict[str, Any], *, password: str | None = None, framed_by: str = "'none'"
) -> Iterator[Served]:
    """Serve the studio of a folder of bots; Ctrl-C ends the block.

    Args:
        bots: the folder.
        settings: of each stage, and of `web`.
        password: what others than this machine's own have to know.
        framed_by: who may show the page in a frame, as Content-Security-Policy has it. A place
            that is named here sees to who comes in, so no password is asked for.

    Raises:
        SettingsError: the port is taken, or others could come in without a password.
        ExtraMissing: Gradio is not installed.
    """
    web = settings["web"]
    local = _is_loopback(web.host)
    if not local and not password and framed_by == "'none'":
        raise SettingsError(
            f"On {web.host} others reach the studio, and there is no password.",
            hint="Set MYNAH_PASSWORD, or leave --host out.",
        )
    bots = bots.absolute()
    home = bots / ".studio"
    with storage_errors(home):
        (home / "uploads").mkdir(parents=True, exist_ok=True)
    os.environ |= _LIBRARIES | {"GRADIO_TEMP_DIR": str(home / "uploads")}
    with _listening(web.host, web.port) as door:
        app = _application(bots, settings, local, password, framed_by)
        foreman = app.state.foreman
        try:
            with _running(app, door):
                host, port = door.getsockname()[:2]
                shown = f"[{host}]" if ":" in host else host
                with suppress(KeyboardInterrupt):
                    yield Served(f"http://{shown}:{port}/")
        finally:
            foreman.close()


def _application(
    bots: Path, settings: dict[str, Any], local: bool, password: str | None, framed_by: str
) -> Any:
    try:
        from mynah.studio.application import application
        from mynah.studio.guard import House
    except ImportError as error:
        raise ExtraMissing.of("web", "The studio needs Gradio, which is not installed.") from error
    house = House(
        local=local,
        password=password,
        framed_by=framed_by,
        most_bytes=int(settings["web"].max_upload_gib * 2**30),
    )
    foreman = Foreman(bots / ".studio")
    return application(Rights(bots, local=local), foreman, settings, house)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@contextmanager
def _listening(host: str, port: int | None) -> Iterator[socket.socket]:
    kind = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        door = socket.create_server((host, port or 0), family=kind, backlog=128)
    except OSError as error:
        raise SettingsError(
            f"The studio cannot listen on {host}, port {port or 'any'} ({error.strerror}).",
            hint="Choose another --port or --host.",
        ) from error
    with door:
        yield door


@contextmanager
def _running(app: Any, door: socket.socket) -> Iterator[None]:
    import uvicorn

    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([door],), daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise StorageError("The studio's server could not be started.")
        time.sleep(_PATIENCE)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(10)
