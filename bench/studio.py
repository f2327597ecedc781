"""First paint and idle memory of the studio: `python bench/studio.py`; needs a Chromium.

Prints one table: figure, measured, promised. Each visit is a browser that has cached nothing.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_PAINT = """() => performance.getEntriesByType("paint").find(
  each => each.name === "first-contentful-paint").startTime / 1e3"""
_PROMISED = {"first paint, s": 2.0, "page usable, s": None, "idle memory, MB": 500.0}


@contextmanager
def served() -> Iterator[tuple[str, int]]:
    """Serve the studio of an empty folder; yield its address and process."""
    with tempfile.TemporaryDirectory() as bots:
        words = ["web", "--no-open", "--json", "--bots", bots]
        command = [sys.executable, "-m", "mynah", *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            yield json.loads(process.stdout.readline())["url"], process.pid
            process.terminate()


def memory(process: int) -> float:
    """Return the megabytes that a process holds."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith("VmRSS"))


def visit(browser: Any, url: str) -> tuple[float, float]:
    """Return the seconds to the first paint, and until the first button can be pressed."""
    room = browser.new_context()
    page, start = room.new_page(), time.monotonic()
    page.goto(url)
    page.wait_for_selector("#read")
    usable = time.monotonic() - start
    paint = page.evaluate(_PAINT)
    room.close()
    return paint, usable


def main() -> None:
    """Measure and print."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--visits", type=int, default=5, help="how many (default: 5)")
    visits = parser.parse_args().visits
    chromium = shutil.which("chromium") or shutil.which("chrome")
    with served() as (url, process), sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        times = [visit(browser, url) for _ in range(visits)]
        browser.close()
        paint, usable = (statistics.median(each) for each in zip(*times, strict=True))
        found = dict(zip(_PROMISED, (paint, usable, memory(process)), strict=True))
    print(f"{'':<18}{'measured':>10}{'promised':>10}")
    for name, most in _PROMISED.items():
        print(f"{name:<18}{found[name]:>10.2f}{most if most else '':>10}")


if __name__ == "__main__":
    main()
