"""What a process is told before it learns: memory that is free is the system's again."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# Large pieces between small ones that last, as rounding a base leaves them.
HOLES = """
import torch
from pathlib import Path
from mynah.environment import settle_memory

def held():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS:"))

{settle}
torch.ones(2**21)  # from which glibc learns, if it may
before, large, small = held(), [], []
for _ in range(25):
    large.append(torch.ones(2**21))
    small.append(torch.ones(2**16))  # more than fits what importing left free
large.clear()
print(held() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="this C library is another one")
def test_large_pieces_leave_no_holes() -> None:
    left, settled = (
        int(subprocess.check_output([sys.executable, "-c", HOLES.format(settle=settle)]))
        for settle in ("", "settle_memory()")
    )
    assert left > 150  # MiB; else there is nothing to settle
    assert settled < 20
