"""Nobody is kept out: axe finds nothing, phones have room, and a keyboard is enough."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tiny
from mynah.config import DriftConfig, ShareConfig
from mynah.drift import Drift, compare_months
from mynah.drift_page import drift_text
from mynah.errors import ExtraMissing
from mynah.map_page import map_text
from mynah.npm import Package, fetch
from mynah.run_folder import RunFolder
from mynah.share import write_share
from mynah.voice_map import lay_out
from visiting import drop, least_copied, picture, tab, visit

pytest.importorskip("gradio", reason="the extra mynah[web] is not installed")

AXE = Package(
    "axe-core",
    "4.14.1",
    "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
)
PHONE = {"viewport": {"width": 375, "height": 740}, "has_touch": True, "is_mobile": True}
SCREENS: dict[str, dict[str, Any]] = {
    "light": {},
    "dark": {"color_scheme": "dark"},
    "phone": PHONE,
    "phone-dark": {**PHONE, "color_scheme": "dark"},
}
# Where the keyboard is, and whether a person sees it: in the window, with an outline.
PLACE = """(goal) => {
  const at = document.activeElement, box = at.getBoundingClientRect();
  const outline = getComputedStyle(at);
  return {
    away: at === document.body,  // past the end of the page, or on its way into a frame
    there: at.matches(goal),
    seen: box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight
      && box.right > 0 && box.left < innerWidth,
    marked: outline.outlineStyle !== "none" && parseFloat(outline.outlineWidth) >= 2,
    name: `${at.tagName} ${at.id} ${at.className} ${at.textContent.slice(0, 40)}`,
  };
}"""


@pytest.fixture(scope="module")
def axe() -> str:
    """Return axe-core, out of its package."""
    try:
        with tarfile.open(fetch(AXE)) as packed:
            member = packed.extractfile("package/axe.min.js")
            assert member
            return member.read().decode()
    except ExtraMissing as error:
        pytest.skip(f"npm brings nothing here: {error}")


def barriers(page: Any, axe: str) -> list[Any]:
    """Return all that axe finds on a page, small things too."""
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations'], iframes: false})")
    return [
        (each["id"], each["impact"], [node["target"] for node in each["nodes"]][:3])
        for each in found["violations"]
    ]


def states(page: Any) -> Iterator[str]:
    """Bring a page into every state that a bot's visitor sees; yield what each is called."""
    yield "1"
    tab(page, "2 · Train")
    yield "2"
    tab(page, "3 · Talk")
    page.click("#say")
    page.wait_for_selector("#posts [aria-busy=false]")
    page.click(f"[data-preview='{least_copied(page)}']")
    page.wait_for_selector("#preview img")
    yield "3"
    tab(page, "Compare")
    page.click("#compare")
    page.wait_for_function("document.querySelectorAll('#columns .m-post').length === 12")
    yield "3-compare"
    tab(page, "4 · Report")
    page.frame_locator(".m-report iframe").locator("h1").wait_for()
    page.click("#play")
    page.wait_for_selector(".m-quiz h3, #news .m-error")
    yield "4"
    page.click("#publish")
    page.wait_for_selector("#news .m-error")
    yield "4-error"
    tab(page, "Bots")
    page.wait_for_selector(".m-bot")
    yield "5"


@pytest.mark.parametrize("screen", SCREENS)
def test_every_step_fits_and_has_no_barriers(
    browser: Any, address: str, axe: str, screen: str
) -> None:
    with visit(browser, address, **SCREENS[screen]) as page:
        page.wait_for_selector("#counts table")
        for state in states(page):
            picture(page, f"{screen}-{state}")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), state
            assert not barriers(page, axe), state


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, tiny_bot: RunFolder, made: Path) -> list[Path]:
    """Return pages that Mynah writes as files: of a report, a shared post, a map and a drift."""
    folder = tmp_path_factory.mktemp("pages")
    costs = [[[10.0 * (2 - (row == at)) for _ in range(2)] for at in range(3)] for row in range(3)]
    voices = lay_out(["oak", "elm", "ash"], "b", [["ten bytes!"] * 2] * 3, costs, seed=0)
    texts = [row["text"] for row in tiny.account_rows()]
    months = [f"2023-{1 + at // 44:02}" for at in range(len(texts))]
    found = compare_months(texts, months, [False] * len(texts), DriftConfig())
    drift = Drift(voice="oak", months=found, held=(), undated=0)
    for name, text in (("map", map_text(voices)), ("drift", drift_text("oak", [drift]))):
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    shared = write_share(RunFolder(made / tiny_bot.name), ShareConfig())
    return [tiny_bot.page, shared.page, folder / "map.html", folder / "drift.html"]


@pytest.mark.parametrize("screen", SCREENS)
def test_written_pages_fit_and_have_no_barriers(
    browser: Any, pages: list[Path], axe: str, screen: str
) -> None:
    room = browser.new_context(bypass_csp=True, **SCREENS[screen])  # axe is not the page's own
    page = room.new_page()
    for path in pages:
        page.goto(path.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        picture(page, f"{screen}-{path.stem}")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path.name
        assert not barriers(page, axe), path.name
    room.close()


def walk(page: Any, goal: str, key: str = "Tab") -> None:
    """Press Tab until the focus is where it is to be; everywhere on the way it is seen."""
    for _ in range(150):
        page.keyboard.press(key)
        place = page.evaluate(PLACE, goal)
        if place["away"]:
            continue
        framed = place["name"].startswith("IFRAME")  # the mark is at a thing in it
        assert place["seen"] and (place["marked"] or framed), place["name"]
        if place["there"]:
            return
    raise AssertionError(f"{goal} is out of the keyboard's reach")


def choose(page: Any, goal: str, key: str = "Enter") -> None:
    """Walk to something and press it."""
    walk(page, goal)
    page.keyboard.press(key)


def at_tab(page: Any, name: str) -> None:
    """Wait until the focus is on a tab that is open."""
    page.wait_for_function(
        "name => document.activeElement.matches('[role=tab][aria-selected=true]')"
        " && document.activeElement.textContent.trim() === name",
        arg=name,
    )


def go_back_to(page: Any, name: str) -> None:
    """Walk back to a tab and open it."""
    for _ in range(6):
        walk(page, "[role=tab]", "Shift+Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == name:
            break
    page.keyboard.press("Enter")
    at_tab(page, name)


def test_a_keyboard_is_enough(browser: Any, address: str, tmp_path: Path) -> None:
    """Tab, arrows and Enter lead from a fresh page to posts, a picture and the quiz."""
    archive = tiny.write_archive(tmp_path / "keys.zip", tiny.account_rows(), "keysonly")
    with visit(browser, address) as page:
        page.wait_for_selector("#counts table")
        page.set_input_files("#files input[type=file]", archive)  # a window of the system's own
        page.wait_for_selector("#files .file-preview")
        choose(page, "#read")
        page.locator("#counts", has_text="@keysonly").wait_for()
        choose(page, "#next")
        at_tab(page, "2 · Train")
        walk(page, "#effort input")
        page.keyboard.press("ArrowLeft")
        page.wait_for_selector("#effort input[value=quick][aria-checked=true]")
        walk(page, "#start")
        go_back_to(page, "Bots")
        choose(page, "[data-bot=ferryclerk]")
        at_tab(page, "3 · Talk")
        choose(page, "#say")
        page.wait_for_selector("#posts [aria-busy=false]")
        walk(page, "[data-copy]")
        choose(page, f"[data-preview='{least_copied(page)}']", "Space")
        page.wait_for_selector("#preview img")
        go_back_to(page, "Compare")
        choose(page, "#compare")
        page.wait_for_function("document.querySelectorAll('#columns .m-post').length === 12")
        go_back_to(page, "4 · Report")
        walk(page, "iframe")
        choose(page, "#play")
        page.wait_for_selector(".m-quiz h3, #news .m-error")


def test_what_somebody_unfolds_stays_so_while_a_bot_learns(
    browser: Any, address: str, tmp_path: Path
) -> None:
    """The page is written anew each second, and folded up again what had been opened."""
    archive = tiny.write_archive(tmp_path / "folds.zip", tiny.account_rows(), "folds")
    with visit(browser, address) as page:
        drop(page, archive)
        page.locator("#counts", has_text="@folds").wait_for()
        page.click("#next")
        page.click("#start")
        page.locator("#progress summary").click()
        before = page.inner_html("#progress")
        page.wait_for_function(
            "before => document.querySelector('#progress').innerHTML !== before",
            arg=before,
        )
        assert page.locator("#progress details[open]").count() == 1
        page.wait_for_selector("#stop")
        page.click("#stop")
        page.wait_for_selector(".m-stopped, .m-done")


def test_an_error_is_seen_from_the_end_of_the_page(browser: Any, address: str) -> None:
    with visit(browser, address, **PHONE) as page:
        page.wait_for_selector("#counts table")
        tab(page, "4 · Report")
        page.frame_locator(".m-report iframe").locator("h1").wait_for()
        page.click("#publish")
        error = page.locator("#news .m-error")
        error.wait_for()
        box = error.bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= 740
