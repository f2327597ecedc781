"""What libraries read from the environment when they are first loaded."""

from __future__ import annotations

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


def settle_libraries() -> None:
    """Tell libraries that are not loaded yet how to run here."""
    for name, value in _LIBRARIES.items():
        os.environ.setdefault(name, value)
