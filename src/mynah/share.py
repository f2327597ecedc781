"""Sharing: a post of a bot as a picture and a page, to be shown somewhere; nothing is sent."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path

from mynah.avatars import avatar
from mynah.card import copies, display_names
from mynah.card_metadata import Json, voices
from mynah.config import ShareConfig
from mynah.dataset import bot_kind, joined_name
from mynah.errors import SettingsError, ShareError
from mynah.marking import MARK, SOURCE_TYPE
from mynah.markup import is_web, plain
from mynah.records import read_rows
from mynah.run_folder import RunFolder, replacing, write_bytes
from mynah.share_image import HEIGHT, LABEL, WIDTH, Voice, render_share, require
from mynah.stages import stage
from mynah.templating import page


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What was written, and what it shows."""

    image: Path
    page: Path
    kind: str  # BOT or CYBORG
    prompt: str
    text: str
    description: str  # the picture in words

    def to_json(self) -> Json:
        """Return what `--json` prints."""
        return {**asdict(self), "image": str(self.image), "page": str(self.page), **MARK}


def write_share(folder: RunFolder, config: ShareConfig) -> Shared:
    """Write preview.png and preview.html of one of the posts that a bot said last.

    Raises:
        StageMissing: it has said nothing yet.
        SettingsError: there is no such post, or the address is none.
        ShareError: the post repeats a real one, or cannot be drawn.
        ExtraMissing: the extra mynah[share] is not installed.
    """
    require()
    if config.url and not is_web(config.url):
        raise SettingsError(
            f"'{config.url}' is no web address.",
            hint="Type all of it: --url https://me.example/bot/",
        )
    row = _post(folder, config.post)
    told_of = [folder.adapter] if folder.adapter.exists() else []
    with stage(folder, "share", config, told_of) as made:
        image = picture(folder, row["text"], row["prompt"], initials=config.initials)
        shared = _shared(folder, row)
        _write(shared, image, page_text(folder.read_run(), shared, config.url))
        made["outputs"] = [shared.image, shared.page]
        made["result"] = {"kind": shared.kind, "text": shared.text}
    return shared


def picture(
    folder: RunFolder, text: str, prompt: str = "", *, initials: bool | None = None
) -> bytes:
    """Return a post of a bot as PNG, without writing it anywhere.

    Args:
        folder: the bot's.
        text: the post, the prompt included.
        prompt: its beginning, to be set apart.
        initials: show no avatars.
    """
    shown = [
        Voice(
            handle=account["handle"],
            name=account.get("name") or "",
            avatar=None if initials else avatar(folder.avatars, account["handle"]),
        )
        for account in voices(folder.read_run())
    ]
    return render_share(shown, text, prompt)


def _post(folder: RunFolder, number: int | None) -> Json:
    """Return a row of samples.jsonl that copies nobody."""
    rows = list(read_rows(folder.require(folder.samples)))
    again = f"Draw others: mynah say {folder.name}"
    if number is None:
        found = next((row for row in rows if not copies(row)), None)
        if found is None:
            raise ShareError(f"No post of '{folder.name}' is its own: each copies.", hint=again)
        return found
    if number > len(rows):
        raise SettingsError(f"'{folder.name}' said {len(rows)} posts last time.", hint=again)
    if copies(rows[number - 1]):
        raise ShareError(f"Post {number} repeats a real one.", hint=again)
    return rows[number - 1]


def _shared(folder: RunFolder, row: Json) -> Shared:
    accounts = voices(folder.read_run())
    handles = [account["handle"] for account in accounts]
    kind, names = bot_kind(handles), " & ".join(display_names(accounts))
    return Shared(
        image=folder.preview,
        page=folder.preview_page,
        kind=kind,
        prompt=row["prompt"],
        text=row["text"],
        description=f"A post by {names} {kind} (@{joined_name(handles)}): {plain(row['text'])} "
        f"{LABEL} {MARK['notice']}",
    )


def page_text(run: Json, shared: Shared, url: str | None) -> str:
    """Return the page that shows a share image.

    Args:
        run: run.json, for names.
        shared: what is shown.
        url: where the page will stand; without it other sites will not find the picture.
    """
    accounts = voices(run)
    root = f"{url.rstrip('/')}/" if url else ""
    start = shared.prompt if shared.prompt and shared.text.startswith(shared.prompt) else ""
    return page("share.html").render(
        names=" & ".join(display_names(accounts)),
        joined=joined_name(account["handle"] for account in accounts),
        shared=shared,
        start=start,
        rest=shared.text[len(start) :],
        image=f"{root}{shared.image.name}",
        here=f"{root}{shared.page.name}" if url else "",
        width=WIDTH,
        height=HEIGHT,
        label=LABEL,
        notice=MARK["notice"],
        source_type=SOURCE_TYPE,
    )


def _write(shared: Shared, image: bytes, text: str) -> None:
    """Write picture and page: both, or neither where the disk is full."""
    with replacing(shared.page) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
        write_bytes(shared.image, image)
