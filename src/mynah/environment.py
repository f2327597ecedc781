"""What libraries read from the environment when they are first loaded."""

from __future__ import annotations

import contextlib
import os

# Read by libraries when they are first loaded; what the person has set stays.
_LIBRARIES = {
    "TOKENIZERS_PARALLELISM": "false",
    # Threads that wait for each other spin for a moment, then sleep: beside a browser or a second
    # bot long spinning costs most of the speed, alone no spinning at all costs a third (LOG.md).
    "GOMP_SPINCOUNT": "5000",
    # Kernels that are kept for each shape of a matrix: all of them would be half a gigabyte.
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "96",
    "LRU_CACHE_CAPACITY": "96",
}

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_..., see mallopt(3)
_LARGE = 4 * 2**20  # bytes; a step of training has a handful of such pieces
_TOP = 2**28  # bytes that are kept for what comes next


def settle_libraries() -> None:
    """Tell libraries that are not loaded yet how to run here."""
    for name, value in _LIBRARIES.items():
        os.environ.setdefault(name, value)


def settle_memory() -> None:
    """Have large pieces of memory given back to the system as soon as they are free; glibc only.

    Left alone, glibc learns from the first large pieces to keep such for itself, and what lasts
    lies down between them.
    """
    import ctypes

    with contextlib.suppress(OSError, AttributeError, TypeError):  # another system, another library
        library = ctypes.CDLL(None)
        library.mallopt(_MMAP_THRESHOLD, _LARGE)
        library.mallopt(_TRIM_THRESHOLD, _TOP)  # else, unasked, it is 128 KiB from now on
