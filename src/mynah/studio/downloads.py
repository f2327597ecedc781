"""What can be looked at or taken along as a file: by the session that brought the posts."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response

from mynah.errors import MynahError, StageMissing
from mynah.run_folder import RunFolder
from mynah.studio.guard import SESSION
from mynah.studio.rights import Rights, session_id

# A page of its own in a frame: nothing runs in it.
_STILL = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def answer(rights: Rights, request: Request) -> Response:
    """Return a file of a bot."""
    bot, what = request.path_params["bot"], request.path_params["what"]
    try:
        folder = rights.own(bot, session_id(request.scope[SESSION]))
        if what not in _FILES:
            return PlainTextResponse("There is nothing here.", 404)
        return _FILES[what](folder)
    except MynahError as error:
        return PlainTextResponse(error.sentence, 404)


def _report(folder: RunFolder) -> Response:
    headers = {"Content-Security-Policy": _STILL}
    return FileResponse(folder.require(folder.page), media_type="text/html", headers=headers)


def _adapter(folder: RunFolder) -> Response:
    packed = io.BytesIO()  # a few megabytes
    with zipfile.ZipFile(packed, "w") as archive:
        for file in sorted(folder.require(folder.adapter).iterdir()):
            archive.write(file, f"{folder.name}/{file.name}")
    named = {"Content-Disposition": f'attachment; filename="{folder.name}-adapter.zip"'}
    return Response(packed.getvalue(), media_type="application/zip", headers=named)


def _card(folder: RunFolder) -> Response:
    return _saved(folder.require(folder.card), f"{folder.name}.md")


def _picture(folder: RunFolder) -> Response:
    return FileResponse(folder.require(folder.preview), media_type="image/png")


def _gguf(folder: RunFolder) -> Response:
    file = gguf_of(folder)
    if file is None:
        raise StageMissing(f"Bot '{folder.name}' has no GGUF file yet.")
    return _saved(file, file.name)


def gguf_of(folder: RunFolder) -> Path | None:
    """Return the GGUF file that an export wrote."""
    return next(iter(folder.root.glob(f"{folder.model.name}-gguf/*.gguf")), None)


def _saved(file: Path, name: str) -> Response:
    return FileResponse(file, media_type="application/octet-stream", filename=name)


_FILES: dict[str, Callable[[RunFolder], Response]] = {
    "report.html": _report,
    "adapter.zip": _adapter,
    "card.md": _card,
    "preview.png": _picture,
    "model.gguf": _gguf,
}
