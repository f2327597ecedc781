"""Packages from npm as a lock file pins them: fetched once into the cache, always checked."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mynah.bases import cache_folder
from mynah.errors import ExtraMissing
from mynah.run_folder import storage_errors

_SECONDS = 300  # that npm may take
_HASH = "sha512-"
_NPM_HINT = "Install Node.js, which brings npm (on Debian: sudo apt-get install npm)."


@dataclass(frozen=True)
class Package:
    """One package as a lock file has it."""

    name: str
    version: str
    integrity: str  # sha512- and the hash of its archive in base64

    @property
    def spec(self) -> str:
        """Return it as npm takes it."""
        return f"{self.name}@{self.version}"


def locked(lock: Mapping[str, Any]) -> Iterator[Package]:
    """Yield the packages of a package-lock.json."""
    for place, about in lock["packages"].items():
        if place:  # the project itself is there under no name
            name = place.removeprefix("node_modules/")
            yield Package(name, about["version"], about["integrity"])


def fetch(package: Package) -> Path:
    """Return a package's archive in the cache, fetched by npm where it is not there yet.

    Raises:
        ExtraMissing: npm is not installed, has no network, or brought something else.
        StorageError: the disk is full, or the cache cannot be written.
    """
    kept = cache_folder() / "npm" / f"{re.sub('[^a-z0-9.-]+', '-', package.spec).strip('-')}.tgz"
    if kept.exists() and _fits(kept, package):
        return kept
    with storage_errors(kept):
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
            archive = _pack(package, Path(folder))
            if not _fits(archive, package):
                raise ExtraMissing(
                    f"What npm brought for {package.spec} is not what it was: its hash differs.",
                    hint="Nothing of it was used. Try another network, or another registry.",
                )
            archive.replace(kept)
    return kept


def _pack(package: Package, folder: Path) -> Path:
    """Let npm bring an archive; nothing in it is run."""
    npm = shutil.which("npm")
    if npm is None:
        raise ExtraMissing(
            f"{package.spec} comes from npm, which is not installed.", hint=_NPM_HINT
        )
    command = [npm, "pack", package.spec, "--pack-destination", str(folder), "--ignore-scripts"]
    quick = ["--loglevel=error", "--fetch-retries=1", "--fetch-timeout=60000"]
    try:
        # In a folder of its own: a project's settings are none of this program's business.
        done = subprocess.run(
            [*command, *quick], cwd=folder, capture_output=True, text=True, timeout=_SECONDS
        )
        found, why = list(folder.glob("*.tgz")), _reason(done.stderr)
    except subprocess.TimeoutExpired:
        found, why = [], "it took too long"
    if len(found) != 1:
        raise ExtraMissing(
            f"npm could not bring {package.spec} ({why}).",
            hint=f"It is needed once. With a network, try: npm pack {package.spec}",
        )
    return found[0]


def _reason(said: str) -> str:
    """Return npm's own code for what went wrong; the rest may hold addresses and names."""
    found = re.search(r"^npm (?:error|ERR!) code (\w+)$", said, re.MULTILINE)
    return found[1] if found else "no reason given"


def _fits(archive: Path, package: Package) -> bool:
    with archive.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha512").digest()
    return _HASH + base64.b64encode(digest).decode() == package.integrity


def unpack(archive: Path, members: Mapping[str, Path]) -> None:
    """Write some members of an archive to where they are wanted."""
    with tarfile.open(archive) as packed:
        for name, target in members.items():
            content = packed.extractfile(name)
            assert content is not None, "the hash of the archive is known, so is what it holds"
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                shutil.copyfileobj(content, file)
