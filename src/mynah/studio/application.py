"""The page, the files beside it and the guard before both, as one application."""

from __future__ import annotations

import mimetypes
from functools import partial
from typing import Any

import gradio as gr
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from mynah.studio.desk import Studio
from mynah.studio.downloads import answer
from mynah.studio.foreman import Foreman
from mynah.studio.guard import Guard, House
from mynah.studio.page import build_page
from mynah.studio.rights import Rights
from mynah.studio.theme import theme
from mynah.templating import resource


def application(
    rights: Rights, foreman: Foreman, settings: dict[str, Any], house: House
) -> FastAPI:
    """Return the studio as an ASGI application."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.state.foreman = foreman
    for name in ("studio.css", "studio.js"):
        app.add_api_route(f"/{name}", partial(_resource, name), include_in_schema=False)
    app.add_route("/bots/{bot}/{what}", partial(_file, rights))
    app.add_middleware(Guard, house=house)
    whole: FastAPI = gr.mount_gradio_app(
        app,
        build_page(Studio(rights, foreman, settings)),
        path="/",
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        show_error=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
        max_file_size=house.most_bytes,
        theme=theme(),
    )
    return whole


def _resource(name: str) -> Response:
    return Response(resource(name), media_type=mimetypes.guess_type(name)[0])


async def _file(rights: Rights, request: Request) -> Response:
    return answer(rights, request)
