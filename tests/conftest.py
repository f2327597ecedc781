"""What every test gets: a home of its own, no network, one thread; and tiny real parts."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Before anything imports them: both read these once.
os.environ |= {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_XET": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",
    "NO_COLOR": "1",
}

import pytest
import torch
from huggingface_hub import constants
from hypothesis import settings

import hub_server
import tiny
import visiting
from available import CHROMIUM
from mynah.config import DatasetConfig, GenerationConfig, ReportConfig, TrainingConfig
from mynah.model import Base
from mynah.pipeline import Recipe, make_bot
from mynah.run_folder import RunFolder

_LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0")


def _no_network(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse every connection that leaves the machine."""
    if event == "socket.connect":
        address = arguments[1]
        if isinstance(address, tuple) and not str(address[0]).startswith(_LOOPBACK):
            raise PermissionError(f"A test tried to reach {address}.")
    if event == "socket.getaddrinfo":
        host = arguments[0]
        host = host.decode() if isinstance(host, bytes) else str(host or "localhost")
        if not host.startswith(_LOOPBACK):
            raise PermissionError(f"A test tried to look up {host}.")


sys.addaudithook(_no_network)
torch.set_num_threads(1)
# The same examples every time: a test that fails once in a hundred runs tells nobody anything.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")


@pytest.fixture(scope="session", autouse=True)
def _session_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep caches of the session out of the person's home."""
    home = tmp_path_factory.mktemp("home")
    os.environ |= {
        "HOME": str(home),
        "MYNAH_CACHE": str(home / "cache"),
        "HF_HOME": str(home / "huggingface"),
        "TRACKIO_DIR": str(home / "trackio"),  # one folder a process: it is read at its import
        "WANDB_MODE": "offline",
    }
    os.environ.pop("MYNAH_BOTS", None)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every test an empty folder to stand in; its bots go to ./bots."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def bots() -> Path:
    """Return the folder of bots that the command line uses in this test."""
    return Path("bots").absolute()


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a Llama-like base: two layers, 32 wide, 400 tokens."""
    return tiny.save(tiny.pretrained(tiny.llama()), tmp_path_factory.mktemp("bases") / "tiny-llama")


@pytest.fixture(scope="session")
def tiny_gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a GPT-2-like base of the same size."""
    return tiny.save(tiny.pretrained(tiny.gpt2()), tmp_path_factory.mktemp("bases") / "tiny-gpt2")


@pytest.fixture
def base(tiny_base: Path) -> Base:
    """Return the Llama-like base, loaded anew in fp32."""
    return tiny.fp32(tiny_base)


@pytest.fixture
def gpt2_base(tiny_gpt2: Path) -> Base:
    """Return the GPT-2-like base, loaded anew in fp32."""
    return tiny.fp32(tiny_gpt2)


@pytest.fixture(params=["llama", "gpt2"])
def either_base(request: pytest.FixtureRequest, tiny_base: Path, tiny_gpt2: Path) -> Base:
    """Return one base after the other: what holds must hold for both kinds."""
    return tiny.fp32(tiny_base if request.param == "llama" else tiny_gpt2)


@pytest.fixture(scope="session")
def small_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small X archive: 130 posts of one account, @ferryclerk."""
    return tiny.write_archive(
        tmp_path_factory.mktemp("archives") / "ferry.zip", tiny.account_rows()
    )


def tiny_recipe(base: Path, **training: Any) -> Recipe:
    """Return settings for a bot of seconds.

    At a rate that stays up such a base learns to end a post before its first word now and then.
    """
    wanted: dict[str, Any] = {"epochs": 2.0, "learning_rate": 0.01, "batch_tokens": 256}
    wanted["schedule"] = "cosine"
    return Recipe(
        dataset=DatasetConfig(max_post_tokens=64),
        train=TrainingConfig(base=str(base), **wanted | training),
        report=ReportConfig(samples=4, resamples=50),
        say=GenerationConfig(n=3, seed=0, max_tokens=24, max_draws=2),
    )


@pytest.fixture(scope="session")
def tiny_bot(
    tmp_path_factory: pytest.TempPathFactory, tiny_base: Path, small_archive: Path
) -> RunFolder:
    """Return a finished bot of the small archive. Copy it before changing anything in it."""
    bots = tmp_path_factory.mktemp("finished")
    return make_bot(bots, [str(small_archive)], tiny_recipe(tiny_base)).folder


@pytest.fixture(scope="session")
def tiny_gpt2_bot(
    tmp_path_factory: pytest.TempPathFactory, tiny_gpt2: Path, small_archive: Path
) -> RunFolder:
    """Return a finished bot on the GPT-2-like base."""
    bots = tmp_path_factory.mktemp("finished")
    return make_bot(bots, [str(small_archive)], tiny_recipe(tiny_gpt2)).folder


@pytest.fixture(scope="session")
def tiny_mirror(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> RunFolder:
    """Return a bot of another voice, @mirrorclerk: the first one's words, backwards."""
    rows = [{**row, "text": " ".join(reversed(row["text"].split()))} for row in tiny.account_rows()]
    bots = tmp_path_factory.mktemp("finished")
    archive = tiny.write_archive(bots / "mirror.zip", rows, "mirrorclerk")
    return make_bot(bots, [str(archive)], tiny_recipe(tiny_base)).folder


@pytest.fixture
def mirror(tiny_mirror: RunFolder, bots: Path) -> RunFolder:
    """Return a copy of the bot of the other voice, beside `bot`."""
    shutil.copytree(tiny_mirror.root, bots / tiny_mirror.name)
    return RunFolder(bots / tiny_mirror.name)


@pytest.fixture(scope="module")
def two_bots(
    tmp_path_factory: pytest.TempPathFactory, tiny_bot: RunFolder, tiny_mirror: RunFolder
) -> list[RunFolder]:
    """Return two finished bots in a folder of this module's own."""
    bots = tmp_path_factory.mktemp("two")
    both = [RunFolder(bots / each.name) for each in (tiny_bot, tiny_mirror)]
    for each, copy in zip((tiny_bot, tiny_mirror), both, strict=True):
        shutil.copytree(each.root, copy.root)
    return both


@pytest.fixture
def bot(tiny_bot: RunFolder, bots: Path) -> RunFolder:
    """Return a copy of the finished bot in this test's folder, to do with as one likes."""
    shutil.copytree(tiny_bot.root, bots / tiny_bot.name)
    return RunFolder(bots / tiny_bot.name)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[hub_server.Hub]:
    """Return a Hub on loopback, with ada logged in to it.

    The client has read its settings when it was imported, so they are set anew in place.
    """
    for name, value in {
        "HF_HUB_OFFLINE": False,
        "HF_HUB_CACHE": str(tmp_path / "hub-cache"),
        "HF_TOKEN_PATH": str(tmp_path / "token"),
        "HF_STORED_TOKENS_PATH": str(tmp_path / "tokens"),
    }.items():
        monkeypatch.setattr(constants, name, value)
    with hub_server.running() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_TOKEN", hub_server.ADA)
        yield hub


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Return the Chromium that is here; one for all tests of a module."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tiny_bot: RunFolder) -> Path:
    """Return a folder with a finished bot that the command line made, for a studio."""
    bots = tmp_path_factory.mktemp("studio") / "bots"
    shutil.copytree(tiny_bot.root, bots / tiny_bot.name)
    return bots


@pytest.fixture(scope="module")
def address(made: Path, tiny_base: Path) -> Iterator[str]:
    """Serve that folder."""
    with visiting.studio(made, tiny_base, "--epochs", 60) as url:
        yield url
