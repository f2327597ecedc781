"""`python -m mynah`."""

from __future__ import annotations

import sys

from mynah.cli import main

if __name__ == "__main__":
    sys.exit(main())
