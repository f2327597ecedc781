"""The service as a process: it loads the base, opens the port, and leaves in peace."""

from __future__ import annotations

import gc
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from mynah.config import GenerationConfig, ServeConfig
from mynah.errors import BaseError, SettingsError
from mynah.fast_llama import supports
from mynah.model import Base, Device, choose_device, load_base
from mynah.serving.app import Service, build_app
from mynah.serving.desk import Desk
from mynah.serving.keys import Keys, is_loopback, read_keys
from mynah.serving.metrics import Metrics
from mynah.serving.mixed_llama import MixedLlama
from mynah.serving.shelf import Shelf, common_base

_MIB = 2**20
_BACKLOG = 2_048  # connections that wait to be answered, uvicorn's own number


class _Words:
    """A base's tokenizer, without the base."""

    def __init__(self, base: Base, longest: int) -> None:
        self._tokenizer, self.separator = base.tokenizer, base.separator
        self.longest = longest

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, nothing put before it."""
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, special ones left out."""
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text


@contextmanager
def open_service(
    bots: Path, config: ServeConfig, say: GenerationConfig, device: Device | None = None
) -> Iterator[Service]:
    """Load the base that most bots of a folder have, and begin to draw for whoever asks.

    Raises:
        StageMissing: no bot there is trained.
        BaseError: the base is another one now, or not like Llama.
        SettingsError: the file of keys has none.
    """
    keys = Keys(read_keys(config.keys), rate=config.rate, most=config.key_posts)
    name, sha256 = common_base(bots)
    base = load_base(name, device or on_cpu())
    if base.info.sha256 != sha256 or not supports(base.model):
        why = "not like Llama" if base.info.sha256 == sha256 else "another one than it was"
        raise BaseError(
            f"Base '{name}' is {why}, so its bots cannot be served.",
            hint="Let a bot talk by itself: mynah say <bot>",
        )
    length = min(config.length, base.context)
    llama, words = MixedLlama(base, rows=config.rows, length=length), _Words(base, length)
    label = base.info.name
    del base
    gc.collect()  # the weights as they were loaded: the service has its own
    shelf = Shelf(bots, sha256=sha256, shape=llama.shape, room=int(config.hot_mib * _MIB))
    metrics = Metrics()
    desk = Desk(llama, words, shelf, queue=config.queue, meter=metrics)
    _show(metrics, desk, shelf)
    try:
        yield Service(desk, shelf, keys, metrics, config, say, label)
    finally:
        desk.close()


def on_cpu() -> Device:
    """Return the processor: the mixed batch is written for it."""
    device = choose_device()
    if device.name == "cpu":
        return device
    from mynah.model import exact_device

    return exact_device()


def _show(metrics: Metrics, desk: Desk, shelf: Shelf) -> None:
    metrics.watch("mynah_posts_drawing", "posts in the batch", lambda: desk.drawing)
    metrics.watch("mynah_posts_waiting", "posts that wait for a place", lambda: desk.waiting)
    metrics.watch("mynah_hot_bots", "bots at hand", lambda: shelf.count)
    metrics.watch("mynah_hot_bytes", "what bots at hand take", lambda: shelf.size)
    metrics.watch("mynah_hot_hits", "requests whose bot was at hand", lambda: shelf.hits)
    metrics.watch("mynah_hot_misses", "bots read from the disk", lambda: shelf.misses)
    metrics.watch("mynah_hot_evicted", "bots that had to go for others", lambda: shelf.evicted)


def check_reach(config: ServeConfig) -> None:
    """See that nobody from elsewhere can ask without a key.

    Raises:
        SettingsError: they could.
    """
    if config.keys is None and not is_loopback(config.host):
        raise SettingsError(
            f"On {config.host} everybody could ask, so a key is needed.",
            hint="Write one to a file, and add: --keys FILE",
        )


def open_port(config: ServeConfig) -> socket.socket:
    """Return a socket that has the port to itself; it does not listen yet.

    Raises:
        SettingsError: the port is taken, or the address is none of this machine.
    """
    kind = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listening = socket.socket(kind, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((config.host, config.port))
    except OSError as error:
        listening.close()
        raise SettingsError(
            f"{config.host}:{config.port} cannot be listened on ({error.strerror}).",
            hint="Choose another --port; 0 takes a free one.",
        ) from error
    return listening


@dataclass(frozen=True)
class Served:
    """A service at its address."""

    service: Service
    url: str
    _listening: socket.socket

    def wait(self) -> None:
        """Answer until SIGTERM or Ctrl-C; then finish what is begun, for some seconds."""
        server = uvicorn.Server(
            uvicorn.Config(
                build_app(self.service),
                lifespan="off",
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=round(self.service.config.stop_seconds),
            )
        )
        with _leaving_in_peace():
            server.run(sockets=[self._listening])


@contextmanager
def serve_bots(bots: Path, config: ServeConfig, say: GenerationConfig) -> Iterator[Served]:
    """Open the port first, so that what is wrong shows at once; then load the base.

    Raises:
        SettingsError: the port is taken, or the address needs a key.
    """
    check_reach(config)
    with open_port(config) as listening, open_service(bots, config, say) as service:
        host, port = listening.getsockname()[:2]
        listening.listen(_BACKLOG)  # who is told the address may ask at once
        shown = f"[{host}]" if ":" in host else host
        yield Served(service, f"http://{shown}:{port}", listening)


@contextmanager
def _leaving_in_peace() -> Iterator[None]:
    """Make of the signals that uvicorn sends itself again after a good end no end of our own."""

    def ignore(_: int, __: FrameType | None) -> Any:
        return None

    wanted = (signal.SIGTERM, signal.SIGINT)
    before = {each: signal.signal(each, ignore) for each in wanted}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
