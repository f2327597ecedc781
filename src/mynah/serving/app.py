"""The service's addresses: what is asked of them, what they answer, what they refuse."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import re
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mynah import __version__
from mynah.config import GenerationConfig, ServeConfig
from mynah.errors import BotBusy, BotError, BotNotFound, MynahError, SettingsError
from mynah.generation import with_seed
from mynah.marking import MARK
from mynah.serving import forms
from mynah.serving.desk import Desk, Event, Failed, Full, Job, Said
from mynah.serving.keys import Account, Keys, is_loopback
from mynah.serving.metrics import Metrics
from mynah.serving.shelf import Shelf

_LARGEST_BODY = 256 * 1024  # bytes
_LOOK = 0.5  # seconds between two looks whether the client is still there
_TYPES = {400: "invalid_request_error", 401: "authentication_error", 429: "rate_limit_error"}
_STATUS: tuple[tuple[type[MynahError], int, str], ...] = (
    (BotNotFound, 404, "model_not_found"),
    (BotBusy, 503, "model_busy"),
    (SettingsError, 400, "invalid_value"),
    (BotError, 404, "model_not_found"),
)
_PORT = re.compile(r":\d*$")
_Responses = dict[int | str, dict[str, Any]]
_ERRORS: _Responses = {
    status: {"model": forms.ErrorAnswer, "description": words}
    for status, words in {
        400: "not a request that can be honoured",
        401: "no API key, or an unknown one",
        404: "no such bot",
        413: "a body that is too large",
        429: "too much at once; Retry-After says in how many seconds to come back",
        500: "something broke",
        503: "the service stops, or the bot is just being written",
        504: "the time was over before the answer was there",
    }.items()
}
_ERRORS["4XX"] = {"model": forms.ErrorAnswer, "description": "anything else that was wrong"}


class Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str, *, code: str | None = None, **more: Any) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code
        self.param: str | None = more.get("param")
        self.wait: float | None = more.get("wait")  # seconds

    def body(self) -> dict[str, Any]:
        """Return it in OpenAI's form."""
        kind = _TYPES.get(self.status, "server_error" if self.status >= 500 else _TYPES[400])
        problem = forms.Problem(message=self.message, type=kind, param=self.param, code=self.code)
        return forms.ErrorAnswer(error=problem).model_dump()

    def answer(self) -> JSONResponse:
        """Return it as it is sent."""
        headers = {} if self.wait is None else {"Retry-After": str(math.ceil(self.wait))}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse(self.body(), self.status, headers)


def refusal_of(error: MynahError) -> Refusal:
    """Return an error of ours as an answer."""
    for kind, status, code in _STATUS:
        if isinstance(error, kind):
            wait = 1.0 if status == 503 else None
            return Refusal(status, str(error), code=code, wait=wait)
    return Refusal(500, str(error))


@dataclass(frozen=True)
class Service:
    """All that the addresses need."""

    desk: Desk
    shelf: Shelf
    keys: Keys
    metrics: Metrics
    config: ServeConfig
    say: GenerationConfig  # what a request does not say
    base: str


def build_app(service: Service) -> FastAPI:
    """Return the service as an ASGI application."""
    app = FastAPI(
        title="Mynah",
        version=__version__,
        description="Many bots on one base, by OpenAI's completions.",
        docs_url=None,  # its pages would fetch scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        separate_input_output_schemas=False,
    )
    app.state.service = service
    _add_handlers(app)
    _add_addresses(app)
    app.add_middleware(_Limits, service=service)
    return app


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _account(request: Request) -> Account:
    service = _service(request)
    account = service.keys.account(request.headers.get("authorization"))
    if account is None:
        raise Refusal(401, "An API key is needed: Authorization: Bearer <key>.", code="no_key")
    return account


Known = Annotated[Account, Depends(_account)]


def _add_addresses(app: FastAPI) -> None:
    stream = {"text/event-stream": {"schema": {"type": "string"}}}
    done: _Responses = {200: {"content": stream, "description": "the posts, all or one by one"}}
    plain = {"text/plain": {"schema": {"type": "string"}}}
    numbers: _Responses = {200: {"content": plain, "description": "numbers"}}

    @app.post("/v1/completions", response_model=forms.Completion, responses=_ERRORS | done)
    async def complete(asked: forms.CompletionRequest, request: Request, account: Known) -> Any:
        """Let a bot talk."""
        return await _complete(_service(request), asked, request, account)

    @app.get("/v1/models", response_model=forms.Models, responses=_ERRORS)
    async def models(request: Request, account: Known) -> Any:
        """List the bots."""
        found = await asyncio.to_thread(_service(request).shelf.names)
        return forms.Models(data=[forms.Model(id=name, created=at) for name, at in found])

    @app.get("/v1/models/{model}", response_model=forms.Model, responses=_ERRORS)
    async def one_model(model: str, request: Request, account: Known) -> Any:
        """Tell of one bot."""
        version = _service(request).shelf.check(model)
        return forms.Model(id=model, created=version[2] // 10**9)

    @app.get("/health", response_model=forms.Health, responses={503: {"model": forms.Health}})
    async def health(request: Request) -> Any:
        """Tell whether posts can be drawn; needs no key."""
        service = _service(request)
        if service.desk.alive:
            return forms.Health(status="ok", base=service.base)
        stopping = forms.Health(status="stopping", base=service.base)
        return JSONResponse(stopping.model_dump(), 503)

    @app.get("/metrics", response_class=Response, responses=_ERRORS | numbers)
    async def metrics(request: Request, account: Known) -> Response:
        """Show numbers for Prometheus."""
        text = _service(request).metrics.text()
        return Response(text, media_type="text/plain; version=1.0.0; charset=utf-8")


async def _complete(
    service: Service, asked: forms.CompletionRequest, request: Request, account: Account
) -> Response:
    """Take a request to the desk, and answer it whole or post by post."""
    events: asyncio.Queue[Event] = asyncio.Queue()
    job = _job(service, asked, events)
    _admit(service, account, job)
    answer = _Answer(service, asked, job, events, request, account)
    if not asked.stream:
        try:
            said = [each async for each in answer.posts()]
        finally:
            answer.over()
        service.metrics.seconds.observe(time.monotonic() - job.asked)
        return JSONResponse(answer.whole(said).model_dump())
    posts = answer.posts()
    try:
        first = await anext(posts)  # an error before it can still have a status of its own
    except BaseException:
        answer.over()
        raise
    return StreamingResponse(answer.stream(first, posts), media_type="text/event-stream")


def _job(service: Service, asked: forms.CompletionRequest, events: asyncio.Queue[Event]) -> Job:
    loop = asyncio.get_running_loop()
    config, seed = with_seed(replace(service.say, **asked.config(service.say)))

    def tell(event: Event) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens
            loop.call_soon_threadsafe(events.put_nowait, event)

    prompt = asked.prompt or ""
    return Job(name=asked.model, prompt=prompt, config=config, seed=seed, tell=tell)


def _admit(service: Service, account: Account, job: Job) -> None:
    """Take a request to the desk, if its key has not had its share."""
    if not service.desk.alive:
        raise Refusal(503, "The service is stopping.", code="stopping", wait=5.0)
    most = min(account.most, service.config.queue)
    if job.config.n > most:
        raise Refusal(400, f"No more than {most} posts at once.", code="invalid_value", param="n")
    if wait := account.spend():
        raise Refusal(429, "Too many requests with this key.", code="rate_limit", wait=wait)
    if account.posts + job.config.n > account.most:
        words = f"No more than {account.most} posts of one key at once."
        raise Refusal(429, words, code="posts_limit", wait=1.0)
    try:
        service.desk.ask(job)
    except Full as full:
        words = "Too many posts are waiting."
        raise Refusal(429, words, code="queue_full", wait=full.seconds) from full
    except MynahError as error:
        raise refusal_of(error) from error
    account.posts += job.config.n


class _Answer:
    """What becomes of one request."""

    def __init__(
        self,
        service: Service,
        asked: forms.CompletionRequest,
        job: Job,
        events: asyncio.Queue[Event],
        request: Request,
        account: Account,
    ) -> None:
        self._service, self._asked, self._job = service, asked, job
        self._events, self._request, self._account = events, request, account
        self._id, self._created = f"cmpl-{secrets.token_hex(12)}", int(time.time())
        self._open = True

    def over(self) -> None:
        """Give back what the request held, whether it was answered or not."""
        if self._open:
            self._open = False
            self._service.desk.stop_job(self._job)
            self._account.posts -= self._job.config.n

    async def posts(self) -> AsyncIterator[Said]:
        """Yield posts when they are whole."""
        for _ in range(self._job.config.n):
            event = await self._next()
            if isinstance(event, Failed):
                raise refusal_of(event.error)
            self._service.metrics.posts.inc()
            yield event

    async def _next(self) -> Event:
        ends = self._job.asked + self._service.config.timeout
        while (left := ends - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError):
                return await asyncio.wait_for(self._events.get(), min(left, _LOOK))
            if not self._service.desk.alive:
                raise Refusal(503, "The service is stopping.", code="stopping", wait=5.0)
            if await self._request.is_disconnected():
                raise Refusal(499, "Nobody is listening any more.")
        raise Refusal(
            504,
            f"The {self._service.config.timeout:g} seconds of a request are over.",
            code="timeout",
        )

    def whole(self, said: list[Said]) -> forms.Completion:
        """Return the whole answer."""
        in_order = sorted(said, key=lambda each: each.place)
        return forms.Completion(
            **self._frame(),
            choices=[self._choice(each) for each in in_order],
            usage=forms.usage_of(self._job, said),
            timings=forms.timings_of(self._job),
        )

    async def stream(self, first: Said, rest: AsyncIterator[Said]) -> AsyncIterator[str]:
        """Yield the posts as server-sent events."""
        said = [first]
        try:
            yield self._chunk(choices=[self._choice(first)])
            async for each in rest:
                said.append(each)
                yield self._chunk(choices=[self._choice(each)])
            options = self._asked.stream_options
            if options and options.include_usage:
                usage = forms.usage_of(self._job, said)
                yield self._chunk(choices=[], usage=usage, timings=forms.timings_of(self._job))
            self._service.metrics.seconds.observe(time.monotonic() - self._job.asked)
            yield "data: [DONE]\n\n"
        except Refusal as refusal:
            yield f"data: {json.dumps(refusal.body() | MARK)}\n\n"
        finally:
            self.over()

    def _frame(self) -> dict[str, Any]:
        job = self._job
        return {"id": self._id, "created": self._created, "model": job.name, "seed": job.seed}

    def _chunk(self, **parts: Any) -> str:
        return f"data: {forms.Completion(**self._frame(), **parts).model_dump_json()}\n\n"

    def _choice(self, said: Said) -> forms.Choice:
        return forms.choice_of(said, self._job, echo=bool(self._asked.echo))


def _add_handlers(app: FastAPI) -> None:
    @app.exception_handler(Refusal)
    async def refuse(_: Request, refusal: Refusal) -> Response:
        return refusal.answer()

    @app.exception_handler(MynahError)
    async def ours(_: Request, error: MynahError) -> Response:
        return refusal_of(error).answer()

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body")
        words = f"{where}: {first['msg']}" if where else str(first["msg"])
        return Refusal(400, words, code="invalid_value", param=where or None).answer()

    @app.exception_handler(HTTPException)
    async def other(_: Request, error: HTTPException) -> Response:
        answer = Refusal(error.status_code, str(error.detail)).answer()
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(Exception)
    async def broken(_: Request, error: Exception) -> Response:
        return Refusal(500, f"Something broke ({type(error).__name__}).").answer()


class _Limits:
    """Refuses large bodies and foreign names of this machine, and counts answers by status."""

    def __init__(self, app: ASGIApp, *, service: Service) -> None:
        self._app, self._metrics = app, service.metrics
        # Without keys a page in somebody's browser must not reach it by a name of its own.
        self._any_name = service.keys.needed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if not self._any_name and not is_loopback(_host(scope)):
            await Refusal(400, "This is not its address.").answer()(scope, receive, send)
            return
        read = 0

        async def limited() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > _LARGEST_BODY:
                raise HTTPException(413, f"No more than {_LARGEST_BODY:,} bytes.")
            return message

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = scope.get("route")
                path = getattr(route, "path", "other")  # never as asked: there are too many
                self._metrics.requests.labels(path, str(message["status"])).inc()
            await send(message)

        await self._app(scope, limited, counted)


def _host(scope: Scope) -> str:
    """Return the name by which the client calls this machine, without the port."""
    name: str = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
    return name.rpartition(":")[0].strip("[]") if _PORT.search(name) else name.strip("[]")
