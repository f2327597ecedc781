"""The page: Gradio's parts, and which answer of the studio goes where."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import gradio as gr

from mynah.config import Effort
from mynah.errors import MynahError
from mynah.studio.desk import Studio, Wanted, wish_of
from mynah.studio.guard import COOKIE
from mynah.studio.rights import session_id
from mynah.studio.views import error_view, view

_VOICES = 6  # sliders; a blend of more has equal shares here
_SECOND = 1.0  # between two looks at the jobs
_PROMPT = "My dream is"
# Clicks on buttons inside a piece of HTML come as an event, with what the button carries.
_BUTTONS = """element.addEventListener("click", (event) => {
  const found = event.target.closest("[data-preview], [data-answer], [data-bot]");
  if (found) trigger("click", {...found.dataset});
});"""
_QUIET: Any = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
_WORK: Any = {"show_progress": "minimal", "api_visibility": "private"}
_TALK: Any = {"concurrency_limit": 1, "concurrency_id": "talk", **_WORK, "show_progress": "hidden"}


def session_of(request: gr.Request) -> str:
    """Return whose browser asks."""
    return session_id(request.cookies.get(COOKIE, ""))


def build_page(studio: Studio) -> gr.Blocks:
    """Return the page of a studio."""
    with gr.Blocks(
        title="Mynah", analytics_enabled=False, delete_cache=(600, 86_400), fill_width=False
    ) as page:
        page.queue(api_open=False, default_concurrency_limit=8)
        _Page(studio, page).build()
    return page


class _Page:
    """The parts of the page that several steps share."""

    def __init__(self, studio: Studio, page: gr.Blocks) -> None:
        self.studio, self.page = studio, page

    def build(self) -> None:
        _piece("head", view("head"))
        self.bot = gr.Dropdown([], label="Bot", elem_id="bot", interactive=True)
        self.news = _piece("news")
        with gr.Tabs(overflow_behavior="wrap") as self.tabs:
            with gr.Tab("1 · Bring posts", id="bring"):
                self._bring()
            with gr.Tab("2 · Train", id="train"):
                self._train()
            with gr.Tab("3 · Talk", id="talk"):
                self._talk()
            with gr.Tab("4 · Report", id="report"):
                self._report()
            with gr.Tab("Bots", id="bots"):
                self.gallery = _piece("gallery")
        self._connect()

    # The parts.

    def _bring(self) -> None:
        self.files = gr.File(
            label="Archives: X, Bluesky, Mastodon, chats, CSV, text",
            file_count="multiple",
            elem_id="files",
            height=170,
        )
        self.accounts = gr.Textbox(
            label="Or name accounts",
            placeholder="bluesky:name.example  mastodon:name@server.example  community:name",
            elem_id="accounts",
        )
        with gr.Accordion("More", open=False):
            self.name = gr.Textbox(label="Name of the bot", placeholder="that of the accounts")
            self.anew = gr.Checkbox(label="Replace a bot of mine that has this name")
        self.read = gr.Button("Read the posts", variant="primary", elem_id="read")
        self.counts = _piece("counts")
        self.consent = gr.Checkbox(
            label="These are not only my own posts: whoever wrote them agreed to this bot.",
            visible=False,
            elem_id="consent",
        )
        self.weights = [
            gr.Slider(0.1, 5.0, 1.0, step=0.1, visible=False, label=f"Voice {number + 1}")
            for number in range(_VOICES)
        ]
        self.next = gr.Button("Next: train", visible=False, elem_id="next")

    def _train(self) -> None:
        efforts = list(get_args(Effort))
        chosen = self.studio.settings["train"].effort
        self.effort = gr.Radio(efforts, value=chosen, label="Effort", elem_id="effort")
        with gr.Row():
            self.start = gr.Button("Train", variant="primary", elem_id="start")
            self.stop = gr.Button("Stop, and keep what is learned", visible=False, elem_id="stop")
            self.go_on = gr.Button("Go on", visible=False, elem_id="go-on")
        self.progress = _piece("progress")

    def _talk(self) -> None:
        how = self.studio.settings["say"]
        self.prompt = gr.Textbox(label="How the posts begin", value=_PROMPT, elem_id="prompt")
        with gr.Accordion("More", open=False):
            self.temperature = gr.Slider(0, 2, how.temperature, step=0.05, label="Temperature")
            self.top_p = gr.Slider(0.05, 1, how.top_p, step=0.05, label="Top-p")
            self.server = gr.Textbox(label="My Mastodon server", value="mastodon.social")
        with gr.Tabs(overflow_behavior="wrap"):
            with gr.Tab("The bot"):
                self.say = gr.Button(f"Write {how.n} posts", variant="primary", elem_id="say")
                self.preview = _piece("preview")
                self.posts = _piece("posts")
            with gr.Tab("Compare"):
                self.compare = gr.Button("Write side by side", variant="primary", elem_id="compare")
                self.columns = _piece("columns")

    def _report(self) -> None:
        self.report = _piece("report")
        _piece("quiz-head", view("title", words="Real or bot?"))
        self.play = gr.Button("Play", elem_id="play")
        self.quiz = _piece("quiz")
        _piece("offers-head", view("title", words="Take it along"))
        self.offers = _piece("offers")
        with gr.Row():
            self.gguf = gr.Button("Make a GGUF file", elem_id="gguf")
            self.check = gr.Button("Dry run of publishing", elem_id="check")
            self.publish = gr.Button("Publish on the Hub", elem_id="publish")
        self.public = gr.Checkbox(label="Publish it for everybody to see", elem_id="public")

    # What happens.

    def _connect(self) -> None:
        shown = [self.counts, self.consent, self.next, *self.weights]
        moving = [self.progress, self.start, self.stop, self.go_on, self.offers]
        still = [self.report, self.gallery]
        every = [*shown, *moving, *still]
        self.page.load(self._arrive, None, [self.bot, self.tabs], **_QUIET).then(
            self._show, self.bot, every, **_QUIET
        )
        self.bot.input(self._choose, self.bot, [self.news, self.posts, self.columns, self.quiz,
            self.preview], **_QUIET).then(self._show, self.bot, every, **_QUIET)  # fmt: skip
        wish = [self.files, self.accounts, self.name, self.anew]
        for asked in (self.read.click, self.accounts.submit):
            asked(self._read, wish, [self.news, self.bot, self.files], **_WORK).then(
                self._show, self.bot, every, **_QUIET
            )
        self.tabs.select(None, None, self.news, js="() => ''", **_QUIET)  # it was of another step
        self.next.click(lambda: gr.Tabs(selected="train"), None, self.tabs, **_QUIET)
        wanted = [self.bot, self.effort, self.consent, *self.weights]
        self.start.click(self._begin, wanted, [self.news, *moving], **_QUIET)
        self.stop.click(self._step(self.studio.stop), self.bot, [self.news, *moving], **_QUIET)
        self.go_on.click(self._step(self.studio.go_on), self.bot, [self.news, *moving], **_QUIET)
        gr.Timer(_SECOND).tick(self._tick, self.bot, [*moving, *still], **_QUIET)
        self.gallery.click(self._open, None, [self.bot, self.tabs], **_QUIET).then(
            self._show, self.bot, every, **_QUIET
        )
        self._connect_talk()
        self._connect_report([self.news, *moving])

    def _connect_talk(self) -> None:
        asked = [self.bot, self.prompt, self.temperature, self.top_p, self.server]
        self.say.click(self._say, asked, [self.news, self.posts], **_TALK)
        self.prompt.submit(self._say, asked, [self.news, self.posts], **_TALK)
        self.posts.click(self._preview, self.bot, [self.news, self.preview], **_QUIET)
        self.compare.click(self._compare, asked, [self.news, self.columns], **_TALK)

    def _connect_report(self, after: list[Any]) -> None:
        self.play.click(self._play, self.bot, [self.news, self.quiz], **_TALK)
        self.quiz.click(self._answer, self.bot, [self.news, self.quiz], **_QUIET)
        self.gguf.click(self._step(self.studio.export), self.bot, after, **_QUIET)
        for button, dry in ((self.check, True), (self.publish, False)):
            button.click(self._push(dry), [self.bot, self.public], after, **_QUIET)

    # Answers, each a value for every output.

    def _arrive(self, request: gr.Request) -> tuple[Any, Any]:
        """Find again what this browser had before it; nobody is moved without a training to see."""
        session = session_of(request)
        bot = self.studio.chosen(session)
        there = self.studio.training(session, bot) is not None
        tabs = gr.Tabs(selected="train") if there else gr.skip()
        return gr.update(choices=self.studio.bots(session), value=bot), tabs

    def _show(self, bot: str | None, request: gr.Request) -> list[Any]:
        session = session_of(request)
        self.studio.choose(session, bot)
        shown = self._there(session, bot)
        still = [self.studio.report(session, bot), self.studio.gallery(session)]
        return [*shown, *self._moving(session, bot), *still]

    def _there(self, session: str, bot: str | None) -> list[Any]:
        hidden = [gr.update(visible=False)] * (2 + _VOICES)
        if bot is None or not self.studio.rights.owns(bot, session):
            return ["", *hidden]
        try:
            there = self.studio.there(session, bot)
        except MynahError as error:
            return [error_view(error), *hidden]
        names = [f"Weight of @{account['handle']}" for account in there["accounts"]]
        blend = 1 < len(names) <= _VOICES
        sliders = [
            gr.update(visible=blend and at < len(names), label=names[at] if at < len(names) else "")
            for at in range(_VOICES)
        ]
        consent = gr.update(visible=bool(there["strangers"]))
        return [self.studio.counts(session, there), consent, gr.update(visible=True), *sliders]

    def _moving(self, session: str, bot: str | None) -> list[Any]:
        status = self.studio.training(session, bot)
        own = bot is not None and self.studio.rights.owns(bot, session)
        runs = bool(status and not status.ended)
        stopped = bool(status and status.state in ("stopped", "failed"))
        return [
            self.studio.progress(session, bot),
            gr.update(visible=own and not runs),
            gr.update(visible=runs),
            gr.update(visible=stopped),
            self.studio.offers(session, bot),
        ]

    def _tick(self, bot: str | None, request: gr.Request) -> list[Any]:
        session = session_of(request)
        still = [self.studio.report(session, bot), self.studio.gallery(session)]
        return [*self._moving(session, bot), *still]

    def _choose(self, bot: str | None, request: gr.Request) -> list[Any]:
        self.studio.choose(session_of(request), bot)
        return [""] * 5

    def _open(self, event: gr.EventData, request: gr.Request) -> tuple[Any, Any]:
        session, bot = session_of(request), str(event.bot)
        self.studio.choose(session, bot)
        return gr.update(choices=self.studio.bots(session), value=bot), gr.Tabs(selected="talk")

    def _read(
        self, files: list[str] | None, accounts: str, name: str, anew: bool, request: gr.Request
    ) -> list[Any]:
        session = session_of(request)
        try:
            bot = self.studio.bring(session, wish_of(files, accounts, name, anew))
        except MynahError as error:  # the files stay, for another name or a second try
            return [error_view(error), gr.skip(), gr.skip()]
        for file in files or ():  # the posts are in the bot's folder
            with contextlib.suppress(OSError):
                Path(file).unlink()
        return ["", gr.update(choices=self.studio.bots(session), value=bot), None]

    def _begin(
        self, request: gr.Request, bot: str | None, effort: str, consent: bool, *weights: float
    ) -> list[Any]:
        session = session_of(request)
        accounts = len(self.studio.there(session, bot)["accounts"]) if bot else 0
        shares = weights[:accounts] if 1 < accounts <= _VOICES else None
        wanted = Wanted(effort=effort, weights=shares, consent=consent)
        return self._tried(session, bot, lambda name: self.studio.train(session, name, wanted))

    def _step(self, what: Callable[[str, str], None]) -> Callable[..., list[Any]]:
        def done(bot: str | None, request: gr.Request) -> list[Any]:
            session = session_of(request)
            return self._tried(session, bot, lambda name: what(session, name))

        return done

    def _push(self, dry: bool) -> Callable[..., list[Any]]:
        def done(bot: str | None, public: bool, request: gr.Request) -> list[Any]:
            session = session_of(request)
            return self._tried(
                session, bot, lambda name: self.studio.push(session, name, public=public, dry=dry)
            )

        return done

    def _tried(self, session: str, bot: str | None, what: Callable[[str], None]) -> list[Any]:
        try:
            what(_named(bot))
            news = ""
        except MynahError as error:
            news = error_view(error)
        return [news, *self._moving(session, bot)]

    def _say(
        self, bot: str | None, prompt: str, heat: float, top_p: float, server: str,
        request: gr.Request,
    ) -> Iterator[tuple[Any, Any]]:  # fmt: skip
        session = session_of(request)
        try:
            how = replace(self.studio.settings["say"], temperature=heat, top_p=top_p)
            for html in self.studio.say(session, _named(bot), prompt, how, server.strip()):
                yield "", html
        except MynahError as error:
            yield error_view(error), gr.skip()

    def _compare(
        self, bot: str | None, prompt: str, heat: float, top_p: float, server: str,
        request: gr.Request,
    ) -> Iterator[tuple[Any, Any]]:  # fmt: skip
        session = session_of(request)
        try:
            how = replace(self.studio.settings["say"], temperature=heat, top_p=top_p)
            for html in self.studio.compare(session, _named(bot), prompt, how):
                yield "", html
        except MynahError as error:
            yield error_view(error), gr.skip()

    def _preview(
        self, bot: str | None, event: gr.EventData, request: gr.Request
    ) -> tuple[Any, Any]:
        try:
            number = int(event.preview)
            return "", self.studio.preview(session_of(request), _named(bot), number)
        except MynahError as error:
            return error_view(error), gr.skip()

    def _play(self, bot: str | None, request: gr.Request) -> Iterator[tuple[Any, Any]]:
        yield "", view("hint", words="The bot writes its half of the pairs …")
        try:
            yield "", self.studio.start_quiz(session_of(request), _named(bot))
        except MynahError as error:
            yield error_view(error), ""

    def _answer(self, bot: str | None, event: gr.EventData, request: gr.Request) -> tuple[Any, Any]:
        try:
            return "", self.studio.answer(session_of(request), _named(bot), int(event.answer))
        except MynahError as error:
            return error_view(error), gr.skip()


def _piece(name: str, value: str = "") -> gr.HTML:
    """Return a place for HTML of templates/studio.html, with our own style alone."""
    return gr.HTML(value, elem_id=name, js_on_load=_BUTTONS, apply_default_css=False)


def _named(bot: str | None) -> str:
    """Return the bot that is chosen.

    Raises:
        MynahError: none is.
    """
    if bot is None:
        raise MynahError("There is no bot yet.", hint="Bring posts first: step 1.")
    return bot
