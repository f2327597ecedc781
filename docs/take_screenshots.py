"""Take the README's picture of the studio anew: `python docs/take_screenshots.py bots skerrylight`.

It needs the tests' environment, a Chromium, a bot that was trained, and a font with emoji (Debian:
fonts-noto-color-emoji), without which a name shows boxes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PICTURE = Path(__file__).with_name("studio.png")
_WIDTH, _MOST = 780, 1_660  # pixels of the picture
_PATIENCE = 300_000  # milliseconds


@contextmanager
def served(bots: Path) -> Iterator[str]:
    """Serve the studio of a folder of bots; yield its address."""
    command = [sys.executable, "-m", "mynah", "web", "--no-open", "--json", "--bots", str(bots)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()


def take(page: Any, bot: str, picture: Path) -> None:
    """Choose a bot, wait until its posts are counted, and take the first step."""
    page.wait_for_selector("#read")
    page.locator("#bot input").click()
    page.get_by_role("option", name=bot, exact=True).click()
    page.wait_for_selector("#counts table")
    page.mouse.click(1, 1)  # no field is being typed into
    page.wait_for_timeout(500)
    height = min(_MOST, page.evaluate("document.documentElement.scrollHeight"))
    area = {"x": 0, "y": 0, "width": _WIDTH, "height": height}
    page.screenshot(path=picture, full_page=True, clip=area)


def main() -> None:
    """Serve, look and write."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bots", type=Path, help="folder of bots")
    parser.add_argument("bot", help="which of them")
    parser.add_argument("--output", type=Path, default=PICTURE, help="where the picture goes")
    wanted = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chrome")
    with served(wanted.bots) as url, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": _WIDTH, "height": 900})
        page.set_default_timeout(_PATIENCE)
        page.goto(url)
        take(page, wanted.bot, wanted.output)
        browser.close()
    print(wanted.output)


if __name__ == "__main__":
    main()
