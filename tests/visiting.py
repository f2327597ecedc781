"""Visits to the studio in a real browser; pictures are kept in build/studio, to be looked at."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tiny

PICTURES = Path(__file__).resolve().parents[1] / "build" / "studio"
PATIENCE = 180_000  # milliseconds; other tests run beside these
SETTINGS = ("--batch-tokens", 64, "--learning-rate", 0.01, "--max-post-tokens", 64,
            "--samples", 4, "--resamples", 50, "--max-tokens", 24, "--max-draws", 2,
            "--tracker", "none")  # fmt: skip


@contextlib.contextmanager
def studio(bots: Path, base: Path, *words: object, **environment: str) -> Iterator[str]:
    """Serve a studio; yield its address."""
    words = ("--no-open", "--json", "--bots", bots, "--base", base, *SETTINGS, *words)
    with tiny.start("web", *words, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()
            process.wait(PATIENCE / 1e3)


@contextlib.contextmanager
def visit(browser: Any, url: str, **context: Any) -> Iterator[Any]:
    """Yield the page in a browser of its own, which asks nobody but the studio."""
    room = browser.new_context(**context)
    room.set_default_timeout(PATIENCE)
    page = room.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(url)
    page.wait_for_selector("#read")
    yield page
    foreign = [each for each in asked if not each.startswith((url, "data:", "blob:"))]
    assert not foreign
    room.close()


def picture(page: Any, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png", full_page=True)


def drop(page: Any, *files: Path) -> None:
    page.set_input_files("#files input[type=file]", files)
    page.wait_for_selector("#files .file-preview")
    page.click("#read")


def tab(page: Any, name: str) -> None:
    """Open a tab: a click on a page that is not awake yet does nothing, so it is clicked again."""
    wanted = page.get_by_role("tab", name=name)
    for _ in range(20):
        wanted.click()
        if wanted.get_attribute("aria-selected") == "true":
            return
        page.wait_for_timeout(500)
    raise AssertionError(f"the tab {name} does not open")


def least_copied(page: Any) -> int:
    """Return the number of the post that shares least with a real one: copies get no picture."""
    shares = [int(words.partition(" ")[0]) for words in page.locator(".m-near").all_inner_texts()]
    return 1 + shares.index(min(shares))
