"""Bring a bot back from the Hugging Face Hub: one of Mynah's, or one of huggingtweets'.

Files are taken by name, none of their code is run, and what they were is written down.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from huggingface_hub.hf_api import RepoFile

from mynah.bases import BaseInfo, find_base, name_here
from mynah.config import HubConfig
from mynah.errors import BotError, BotExists, UnsafeDownload
from mynah.hub_client import Hub, hub_errors, open_hub
from mynah.model import adopt_model
from mynah.published import CARD, PICKLED, PREVIEW, REPORT, comes_down, is_weights
from mynah.pulled_card import read_card
from mynah.run_folder import (
    RunFolder,
    hash_file,
    hash_tree,
    open_bot,
    replacing,
    storage_errors,
)
from mynah.stages import versions
from mynah.watch import Nobody, Watch, bar

Kind = Literal["adapter", "whole"]
_ADAPTER = ("adapter_config.json", "adapter_model.safetensors")


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """A bot that was brought back."""

    folder: RunFolder
    repo: str
    revision: str
    kind: Kind  # an adapter beside its base, or a whole model
    files: dict[str, str]  # as downloaded: SHA-256


def pull_bot(
    bots: Path,
    repo: str,
    connection: HubConfig,
    *,
    name: str | None = None,
    replace: bool = False,
    watch: Watch | None = None,
) -> Pulled:
    """Download a bot and make it one that talks.

    Args:
        bots: the folder of bots.
        repo: me/name on the Hub.
        connection: how to speak to the Hub.
        name: the bot's name here (default: that of the repository).
        replace: take the place of a bot of that name.
        watch: is told how it goes.

    Raises:
        BotExists: there is such a bot, and `replace` is not set.
        UnsafeDownload: a file is not to be trusted.
        BotError: there is nothing in it that talks.
        BaseNotInstalled: it is an adapter, and its base cannot be had.
        HubError: the Hub did not give it.
    """
    watch = watch or Nobody()
    folder = open_bot(bots, name or repo.rpartition("/")[2])
    _refuse_existing(folder, replace)
    hub = open_hub(connection, login=False)
    with storage_errors(folder.root):
        bots.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=bots, prefix=".pull-") as place:
            came, weights = Path(place) / "came", Path(place) / "weights"
            revision = _download(hub, repo, came, watch)
            files = {path.name: hash_file(path) for path in came.iterdir() if path.is_file()}
            with bar(watch, "Reading the model"):
                kind = _make_weights(came, weights, repo)
            pulled = Pulled(folder=folder, repo=repo, revision=revision, kind=kind, files=files)
            with folder.lock():
                _place(pulled, came, weights)
    return pulled


def _refuse_existing(folder: RunFolder, replace: bool) -> None:
    if (folder.run.exists() or folder.posts.exists()) and not replace:
        raise BotExists(
            f"There is a bot '{folder.name}' already.",
            hint="Choose another --name, or put this one in its place with --replace.",
        )


def _download(hub: Hub, repo: str, into: Path, watch: Watch) -> str:
    """Download what a bot consists of; return the revision."""
    with hub_errors(repo):
        revision = str(hub.api.model_info(repo).sha)
        tree = hub.api.list_repo_tree(repo, revision=revision)
        rows = {row.path: row for row in tree if isinstance(row, RepoFile)}
    wanted = _wanted(list(rows), repo)
    size = sum(rows[name].size for name in wanted) / 1e6
    watch.say(f"{repo} has {len(rows)} files; {len(wanted)} of them are taken, {size:.1f} MB.")
    with bar(watch, "Downloading"), hub_errors(repo):
        hub.api.snapshot_download(repo, revision=revision, local_dir=into, allow_patterns=wanted)
    for name in wanted:
        _check_arrived(rows[name], into / name)
    return revision


def _wanted(names: Sequence[str], repo: str) -> list[str]:
    """Return the files to download.

    Raises:
        UnsafeDownload: a name leads out of the folder.
        BotError: none of them holds weights.
    """
    for name in names:
        if "\\" in name or ":" in name or name.startswith("/") or ".." in PurePosixPath(name).parts:
            raise UnsafeDownload(
                f"'{repo}' has a file '{name}', which would be written outside the bot's folder.",
                hint="Leave it alone, and report it on its page.",
            )
    wanted = [name for name in names if comes_down(name)]
    if any(map(is_weights, wanted)):
        return wanted
    if PICKLED not in names:
        raise BotError(
            f"'{repo}' holds no weights that Mynah reads.",
            hint="It needs *.safetensors or pytorch_model.bin, as transformers saves them.",
        )
    return [*wanted, PICKLED]


def _check_arrived(row: RepoFile, path: Path) -> None:
    """Compare a large file with the hash that the Hub has of it, a small one by its size."""
    whole = row.lfs is None or hash_file(path) == row.lfs.sha256
    if not whole or path.stat().st_size != row.size:
        raise UnsafeDownload(
            f"{row.path} is not what the Hub says it is.", hint="Run the same command again."
        )


def _make_weights(came: Path, target: Path, repo: str) -> Kind:
    """Make the bot's adapter/ of what came: a whole model, or an adapter as it is."""
    target.mkdir()
    if not all((came / name).exists() for name in _ADAPTER):
        adopt_model(came, target)
        return "whole"
    for name in _ADAPTER:
        shutil.copy2(came / name, target / name)
    _base_of(target, repo)
    return "adapter"


def _base_of(adapter: Path, repo: str) -> tuple[str, BaseInfo]:
    """Return the base that an adapter names.

    Raises:
        BotError: it names none.
        BaseNotInstalled: it cannot be had.
    """
    try:
        settings = json.loads((adapter / _ADAPTER[0]).read_text(encoding="utf-8"))
        name = name_here(str(settings["base_model_name_or_path"]))
    except (ValueError, TypeError, KeyError) as error:
        raise BotError(
            f"The adapter in '{repo}' does not say which base it needs.",
            hint="Ask whoever published it, on its page.",
        ) from error
    return name, find_base(name).info


def _place(pulled: Pulled, came: Path, weights: Path) -> None:
    """Put everything where a bot has it; its record is written last."""
    folder = pulled.folder
    _clear(folder)
    weights.rename(folder.adapter)
    card = read_card(came / CARD, pulled.repo, pulled.revision)
    with replacing(folder.card) as text:
        text.write(card.text)
    for name, target in ((REPORT, folder.report), (PREVIEW, folder.preview)):
        if (came / name).exists():
            shutil.copy2(came / name, target)
    if pulled.kind == "adapter":
        base, info = _base_of(folder.adapter, pulled.repo)
    else:  # it is its own
        base = str(folder.adapter.resolve())
        info = find_base(base).info
    folder.record(
        "pull",
        top={
            "name": folder.name,
            "accounts": [asdict(account) for account in card.accounts],
            "versions": versions(),
        },
        config={"base": base},
        inputs=pulled.files,
        outputs={folder.adapter.name: hash_tree(folder.adapter)},
        result={
            "repo": pulled.repo,
            "revision": pulled.revision,
            "kind": pulled.kind,
            "base": info.to_json(),
        },
    )


def _clear(folder: RunFolder) -> None:
    """Take away the bot whose place is taken; without run.json there is none."""
    folder.run.unlink(missing_ok=True)
    for path in folder.root.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != ".lock":
            path.unlink()
