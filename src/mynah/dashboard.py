"""trackio's dashboard of the tracked runs, on this machine and for this machine only."""

from __future__ import annotations

import io
import os
import time
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path

from mynah.errors import ExtraMissing, SettingsError, StageMissing
from mynah.tracking import PROJECT, trackio_folder

_HOST = "127.0.0.1"


@dataclass(frozen=True)
class Dashboard:
    """A dashboard that is served."""

    url: str
    folder: Path
    _to_write: str  # the address with the key that lets runs be renamed and deleted

    def wait(self, *, browser: bool) -> None:
        """Open a browser where wanted, and stay until Ctrl-C."""
        if browser:
            webbrowser.open(self._to_write)
        while True:
            time.sleep(3_600)


@contextmanager
def serve_dashboard(bots: Path, port: int | None = None) -> Iterator[Dashboard]:
    """Serve the dashboard of the runs that were tracked in a folder of bots; Ctrl-C ends the block.

    Raises:
        StageMissing: no run was.
        SettingsError: the port is taken.
        ExtraMissing: trackio is not installed.
    """
    folder = trackio_folder(bots)
    if not any(folder.glob("*.db")):
        raise StageMissing(f"No run is tracked in {folder} yet.", hint="Run: mynah train <bot>")
    # Read at the imports that follow. The dashboard can ask the Hub who is logged in: not here.
    os.environ |= {"TRACKIO_DIR": str(folder), "HF_HUB_OFFLINE": "1", "NO_PROXY": "*"}
    try:
        import trackio
    except ImportError as error:
        raise ExtraMissing("trackio is not installed.", hint="Run: pip install trackio") from error
    try:
        with redirect_stdout(io.StringIO()):
            server, url, _, to_write = trackio.show(
                PROJECT,
                open_browser=False,
                block_thread=False,
                host=_HOST,
                share=False,
                mcp_server=False,
                server_port=port,
            )
    except OSError as error:
        raise SettingsError(f"Port {port} is taken.", hint="Choose another --port.") from error
    try:
        with suppress(KeyboardInterrupt):
            yield Dashboard(url, folder, to_write)
    finally:
        server.close()
