"""A page with a bot: Chromium opens it, it writes what llama.cpp writes, and asks nobody else."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import re
import shutil
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import tiny
from mynah.bot import load_bot
from mynah.config import GenerationConfig
from mynah.errors import ExtraMissing, SettingsError
from mynah.export_web import _checked, card_html, export_web
from mynah.llama_cpp import LlamaCppMissing, Model
from mynah.llama_engine import LlamaEngine
from mynah.model import exact_device
from mynah.notice import LABEL
from mynah.run_folder import RunFolder, read_json, write_json

# Nats between words that are as likely: what one build took first was 0.0106 behind in another.
TIE = 0.02
HOSTILE = """<img src=x onerror="document.title='taken'"> & Ferry"""


@pytest.fixture(scope="module")
def site(tiny_bot: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of a bot whose person has markup for a name."""
    root = tmp_path_factory.mktemp("web")
    folder = RunFolder(root / tiny_bot.name)
    shutil.copytree(tiny_bot.root, folder.root)
    run = folder.read_run()
    run["accounts"][0]["name"] = HOSTILE
    write_json(folder.run, run)
    try:
        return export_web(folder, load_bot(folder, exact_device()), root / "site", "q8_0")
    except ExtraMissing as error:
        pytest.skip(f"npm brings nothing here: {error}")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Serve the folder as any static host would, with no header of its own."""
    handler = functools.partial(_Quiet, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@contextlib.contextmanager
def opened(browser: Any, address: str, before: str = "", **context: Any) -> Iterator[Any]:
    """Yield the page in a browser of its own; it may ask no other host, nor break its own rules."""
    room = browser.new_context(**context)
    room.set_default_timeout(180_000)
    page = room.new_page()
    page.add_init_script(before)
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"error: {error}"))
    page.goto(address)
    try:
        yield page
    finally:
        room.close()
    assert [url for url in asked if not url.startswith((address, "blob:", "data:"))] == []
    assert [line for line in said if line.startswith("error")] == []


def wait(page: Any, words: str) -> None:
    """Wait until the page says so. What polls in the page itself, its own rules do not let in."""
    page.locator("#status", has_text=words).wait_for()


def greedy(page: Any, prompt: str) -> str:
    """Return the post that the page writes without dice."""
    page.fill("#prompt", prompt)
    if not page.locator("#temperature").is_visible():
        page.click("#ask summary")
    page.locator("#temperature").fill("0")
    page.click("#write")
    wait(page, "One post is written.")
    [text] = page.locator("#posts p").all_text_contents()
    return text


def could_say(site: Path, prompt: str, said: str) -> bool:
    """Tell whether llama.cpp itself goes on like this from the same file, without dice.

    Other kernels round eight bits otherwise, so of words that are as likely, either will do.
    """
    try:
        engine = LlamaEngine(Model(site / "bot.gguf"), 0)
    except LlamaCppMissing as error:
        pytest.skip(str(error))
    most, ids = GenerationConfig().max_tokens, list[int]()
    rows = engine.begin([0, *engine.encode(prompt)], 1, 512)
    row, logits = rows.join(), rows.first
    assert row is not None

    def text(*further: int) -> str:
        return prompt + engine.decode([*ids, *further]).rstrip("\ufffd")

    while True:
        near = [int(at) for at in (-logits).argsort() if logits[at] >= logits.max() - TIE]
        ends = len(ids) == most or any(each == 0 or "\n" in engine.decode([each]) for each in near)
        if ends and text().rstrip() == said.rstrip():
            return True
        fitting = [each for each in near if each and said.startswith(text(each).rstrip())]
        if len(ids) == most or not fitting:
            return False
        ids.append(fitting[0])
        logits = rows.read({row: fitting[0]})[row]


PROMPTS = ["", "My dream is", "The gull", "Fog this", "A child asked where"]


def test_greedy_it_writes_what_llama_cpp_writes(browser: Any, address: str, site: Path) -> None:
    with opened(browser, address) as page:
        said = [greedy(page, prompt) for prompt in PROMPTS]
        assert page.evaluate("crossOriginIsolated") is False  # so that was one thread
    for prompt, text in zip(PROMPTS, said, strict=True):
        assert text.startswith(prompt)
        assert could_say(site, prompt, text)
        assert not could_say(site, prompt, text[:-2] + text[-1])
    assert sum(map(len, said)) > 200


def test_an_older_browser_writes_the_same(browser: Any, address: str, site: Path) -> None:
    """Safari lacks two parts of WebAssembly; the other build is in the folder, not on a host."""
    with opened(browser, address, before="delete WebAssembly.Suspending") as page:
        said = greedy(page, "My dream is")
        loaded = page.evaluate("performance.getEntriesByType('resource').map((one) => one.name)")
    assert could_say(site, "My dream is", said)
    assert f"{address}wllama/compat.js" in loaded


NOTE_WHAT_IT_SAYS = """() => {
    const status = document.querySelector("#status"), posts = document.querySelector("#posts");
    window.told = [];
    new MutationObserver(() => told.push([status.textContent, posts.children.length]))
        .observe(status, {childList: true});
}"""


def test_ten_posts_come_one_by_one(browser: Any, address: str) -> None:
    with opened(browser, address) as page:
        page.evaluate(NOTE_WHAT_IT_SAYS)
        page.fill("#prompt", "My dream is")
        page.press("#prompt", "Enter")
        wait(page, "10 posts are written.")
        posts = page.locator("#posts p").all_text_contents()
        told = page.evaluate("told")
    assert [line for line in told if line[0].startswith("Writing")] == [
        [f"Writing post {number} of 10 …", number - 1] for number in range(1, 11)
    ]
    assert len(posts) == 10
    assert len(set(posts)) > 1
    assert all(post.startswith("My dream is") and "<|" not in post for post in posts)


def test_it_can_be_stopped_with_the_keyboard(browser: Any, address: str) -> None:
    with opened(browser, address) as page:
        greedy(page, "")  # so that the bot is loaded
        page.locator("#temperature").fill("0.8")
        page.focus("#write")
        page.keyboard.press("Enter")
        page.locator("#stop").wait_for()
        assert page.evaluate("document.activeElement.id") == "stop"
        page.keyboard.press("Enter")
        wait(page, "Stopped.")
        assert page.evaluate("document.activeElement.id") == "write"
        assert page.locator("#posts li").count() < 10


def test_half_a_letter_does_not_end_the_talk(browser: Any, address: str, site: Path) -> None:
    """So wild, a bot of two layers writes bytes that are no text, on which the worker trips."""
    with opened(browser, address) as page:
        greedy(page, "")
        page.locator("#temperature").fill("1.5")
        page.click("#write")
        over = re.compile("10 posts are written|was no text, 8 times")
        page.locator("#status", has_text=over).wait_for()
        assert could_say(site, "The gull", greedy(page, "The gull"))


def test_a_post_is_copied_as_it_stands(browser: Any, address: str) -> None:
    rights = ["clipboard-read", "clipboard-write"]
    with opened(browser, address, permissions=rights) as page:
        post = greedy(page, "The gull")
        page.click("#posts button")
        wait(page, "Copied.")
        assert page.evaluate("navigator.clipboard.readText()") == post


def test_names_are_text(browser: Any, address: str) -> None:
    with opened(browser, address) as page:
        assert page.inner_text("h1") == HOSTILE
        assert page.title() == f"{HOSTILE}: a bot made with Mynah"
        assert page.locator("img[src=x]").count() == 0


def test_the_label_is_seen_and_read_by_machines(browser: Any, address: str) -> None:
    with opened(browser, address) as page:
        assert page.locator(f"text={LABEL}").is_visible()
        source = page.get_attribute("meta[name=digital-source-type]", "content")
        assert source and source.endswith("/trainedAlgorithmicMedia")
        notice = page.evaluate("fetch('machine-made.json').then((answer) => answer.json())")
    assert notice["machine_made"] is True
    assert notice["digital_source_type"] == source


def test_card_and_report_are_there(browser: Any, address: str) -> None:
    with opened(browser, address) as page:
        assert not page.locator("article").is_visible()
        page.click("text=Voice report >> nth=0")
        page.locator("#voice-report").wait_for()
        assert page.locator("article table").count() >= 3
        report = page.evaluate("fetch('report.json').then((answer) => answer.json())")
    assert report["bits_per_byte"]["bot"] > 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_can_be_read(browser: Any, address: str, scheme: str) -> None:
    small = {"viewport": {"width": 320, "height": 640}, "color_scheme": scheme}
    with opened(browser, address, **small) as page:
        page.click("nav a >> nth=0")
        page.locator("article h2").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        for selector in ("body", ".label", ".quiet", "button"):
            colours = page.evaluate(
                """(selector) => {
                    const style = getComputedStyle(document.querySelector(selector));
                    const body = getComputedStyle(document.body);
                    const own = style.backgroundColor.startsWith("rgba(0, 0, 0, 0")
                        ? body.backgroundColor : style.backgroundColor;
                    return [style.color, own];
                }""",
                selector,
            )
            assert contrast(*colours) >= 4.5, (selector, colours)


def contrast(first: str, second: str) -> float:
    """Return the ratio that WCAG 2.2 asks to be 4.5 (success criterion 1.4.3)."""
    bright, dark = sorted((brightness(first), brightness(second)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def brightness(colour: str) -> float:
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


# --- the folder ---


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_everything_that_the_page_names_is_in_the_folder(site: Path) -> None:
    tags = _Tags()
    tags.feed((site / "index.html").read_text(encoding="utf-8"))
    loaded = [a.get("src") for t, a in tags.found if t in ("script", "img")]
    loaded += [a.get("href") for t, a in tags.found if t == "link"]
    files = [name for name in loaded if name and not name.startswith("data:")]
    assert {"page.js", "page.css", "pipeline.svg", "machine-made.json"} <= set(files)
    assert [name for name in files if not (site / name).is_file()] == []
    code = (site / "page.js").read_text(encoding="utf-8")
    named = re.findall(r'"\./([^"]+)"', code)
    assert len(named) == 4
    assert [name for name in named if not (site / name).is_file()] == []
    assert not re.search(r"innerHTML|https?:|eval\(", code)


def test_every_field_has_a_name_and_no_place_is_skipped(site: Path) -> None:
    tags = _Tags()
    tags.feed((site / "index.html").read_text(encoding="utf-8"))
    labelled = {attributes.get("for") for tag, attributes in tags.found if tag == "label"}
    fields = {attributes["id"] for tag, attributes in tags.found if tag == "input"}
    assert fields and fields <= labelled
    levels = [int(tag[1]) for tag, _ in tags.found if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(below <= above + 1 for above, below in itertools.pairwise(levels))
    assert ("html", {"lang": "en"}) in tags.found


def test_no_post_of_the_person_is_in_the_folder(site: Path, tiny_bot: RunFolder) -> None:
    files = {path.name for path in site.rglob("*") if path.is_file()}
    assert not files & {"posts.jsonl", "cleaned.jsonl", "dropped.jsonl", "run.json"}
    assert {"README.md", "report.json", "bot.gguf", "LICENCE", "machine-made.json"} <= files


def test_the_card_in_the_page_has_no_markup_of_strangers() -> None:
    card = "---\nlanguage: en\n---\n\n# Ida <b>\n\n## Voice report\n\n[x](https://a.example) <i>\n"
    html = card_html(card)
    assert "language" not in html
    assert "<h2>Ida &lt;b&gt;</h2>" in html
    assert '<h3 id="voice-report">' in html
    assert "<i>" not in html
    assert 'rel="noopener noreferrer"' in html


def test_a_bot_that_no_browser_takes_is_refused(tmp_path: Path) -> None:
    large = tmp_path / "bot.gguf"
    with large.open("wb") as file:
        file.truncate(2**31)  # takes no room on the disk
    with pytest.raises(SettingsError, match=r"has 2\.1 GB.*--quantization q4_0"):
        _checked(large)


def test_settings_in_the_page_are_data(site: Path) -> None:
    text = (site / "index.html").read_text(encoding="utf-8")
    [block] = re.findall(r'<script type="application/json" id="settings">(.*?)</script>', text)
    settings = json.loads(block)
    assert settings["bytes"] == (site / "bot.gguf").stat().st_size
    assert settings["posts"] == GenerationConfig().n
    assert settings["window"] == 256  # all that this base reads at once
    assert read_json(site / "machine-made.json")["format"] == "web"


def test_on_the_command_line(bot: RunFolder, site: Path) -> None:
    done = tiny.mynah("export", bot.name, "--format", "web", "--json")
    assert done.code == 0, done.err
    folder = Path(done.json["folder"])
    assert folder == Path("bots") / bot.name / "model-web"
    assert (folder / "index.html").exists()
    assert bot.stage_record("export-web")["outputs"].keys() == {"model-web"}
