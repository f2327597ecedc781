"""SHA-256 of files and folders: by it everything that a bot is made of is known."""

from __future__ import annotations

import hashlib
from pathlib import Path


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_tree(path: Path) -> str:
    """Return one SHA-256 for a file, or for a folder's names and contents in order."""
    if path.is_file():
        return hash_file(path)
    total = hashlib.sha256()
    for member in sorted(item for item in path.rglob("*") if item.is_file()):
        total.update(f"{member.relative_to(path).as_posix()}\0{hash_file(member)}\n".encode())
    return total.hexdigest()
