"""What this machine may lack: tests that need it skip, and say so."""

from __future__ import annotations

import shutil

import pytest

from mynah.llama_cpp import LlamaCppMissing, library

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)


def has_llama() -> bool:
    try:
        library()
    except LlamaCppMissing:
        return False
    return True


needs_llama = pytest.mark.skipif(not has_llama(), reason="llama.cpp has no C interface here")
