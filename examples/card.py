"""Card: the bot's README, written from the bot's own records.

python examples/card.py bots/skerrylight
"""

from __future__ import annotations

import sys
from pathlib import Path

from mynah.card import write_card
from mynah.run_folder import RunFolder

print(write_card(RunFolder(Path(sys.argv[1]))).read_text(encoding="utf-8"))
