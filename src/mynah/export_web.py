"""A page on which the bot talks in the visitor's own browser, from any host of static files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from markdown_it import MarkdownIt
from markupsafe import Markup

from mynah.card import display_names
from mynah.card_metadata import voices
from mynah.card_usage import Usage
from mynah.config import GenerationConfig
from mynah.errors import SettingsError
from mynah.export_folder import exporting
from mynah.export_gguf import separator_of, write_gguf
from mynah.marking import SOURCE_TYPE
from mynah.markup import plain
from mynah.model import Base
from mynah.notice import FILE, LABEL, sentence
from mynah.npm import fetch, locked, unpack
from mynah.run_folder import RunFolder
from mynah.templating import page, resource

_GGUF = "bot.gguf"
_LARGEST = 2**31 - 1  # bytes that a browser takes as one file
_WINDOW = 1_024  # tokens that the page makes room for
_BESIDE = ("page.css", "page.js")
# What is taken out of which package; the second is for browsers that lack what the first needs.
_PARTS = {
    "@wllama/wllama": {
        "package/esm/index.min.js": "index.js",
        "package/esm/wasm/wllama.wasm": "wllama.wasm",
        "package/LICENCE": "LICENCE",
    },
    "@wllama/wllama-compat": {
        "package/wasm/wllama.js": "compat.js",
        "package/wasm/wllama.wasm": "compat.wasm",
    },
}


def export_web(folder: RunFolder, bot: Base, target: Path, precision: str) -> Path:
    """Write page, bot, card, report and llama.cpp for browsers, whole or not at all.

    Args:
        folder: the bot's folder.
        bot: the loaded bot in fp32, its adapter merged.
        target: folder to write.
        precision: what its weights are rounded to.

    Raises:
        BaseError: llama.cpp has no such kind of model.
        ExtraMissing: llama.cpp for browsers cannot be had from npm.
        SettingsError: the bot is too large for a browser.
    """
    archives = fetch_parts()
    usage = Usage(form="web", file=_GGUF, separator=separator_of(bot))
    with exporting(folder, target, usage) as new:
        write_gguf(folder, bot, new / _GGUF, precision)
        size = _checked(new / _GGUF)
        for name, parts in _PARTS.items():
            unpack(archives[name], {part: new / "wllama" / file for part, file in parts.items()})
        if folder.report.exists():
            shutil.copyfile(folder.report, new / folder.report.name)
        _write_page(folder, new, size=size, window=min(bot.context, _WINDOW))
    return target


def fetch_parts() -> dict[str, Path]:
    """Return the archives that llama.cpp for browsers comes in, by the names of their packages.

    Raises:
        ExtraMissing: they are not in the cache and cannot be had from npm.
    """
    lock = json.loads(resource("web/package-lock.json"))
    return {package.name: fetch(package) for package in locked(lock)}


def _checked(gguf: Path) -> int:
    """Return the size of a file that a browser can take, in bytes."""
    size = gguf.stat().st_size
    if size > _LARGEST:
        raise SettingsError(
            f"The bot has {size / 1e9:.1f} GB, and a browser takes {_LARGEST / 1e9:.1f} GB.",
            hint="Try --quantization q4_0, or a smaller --base for the training.",
        )
    return size


def _write_page(folder: RunFolder, into: Path, *, size: int, window: int) -> None:
    run, defaults = folder.read_run(), GenerationConfig()
    settings = {
        "file": _GGUF,
        "bytes": size,
        "window": window,
        "posts": defaults.n,
        "tries": defaults.max_draws,
        "top_p": defaults.top_p,
        "max_tokens": defaults.max_tokens,
    }
    shown = {
        "title": " & ".join(display_names(voices(run))),
        "label": LABEL,
        "notice": sentence(run),
        "source_type": SOURCE_TYPE,
        "notice_file": FILE,
        "loaded": size + (into / "wllama" / "wllama.wasm").stat().st_size,
        "settings": settings,
        "temperature": defaults.temperature,
        "card": card_html((into / folder.card.name).read_text(encoding="utf-8")),
        "report": (into / folder.report.name).exists(),
    }
    (into / "index.html").write_text(page("web/index.html").render(shown), encoding="utf-8")
    for name in _BESIDE:
        (into / name).write_text(resource(f"web/{name}"), encoding="utf-8")


def card_html(card: str) -> Markup:
    """Return a card as a part of a page: its headings one level down, HTML in it shown as text."""
    _, _, text = card.partition("\n---\n")
    renderer = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = renderer.parse(text)
    for at, token in enumerate(tokens):
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{int(token.tag[1]) + 1}"
        if token.type == "heading_open" and token.tag == "h3":
            token.attrSet("id", plain(tokens[at + 1].content).lower().replace(" ", "-"))
        for part in token.children or ():
            if part.type == "link_open":
                part.attrSet("rel", "noopener noreferrer")
    return Markup(renderer.renderer.render(tokens, renderer.options, {}))
