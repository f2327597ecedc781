"""Card: the bot's README, written from the bot's own records.

python examples/card.py bots/skerrylight
"""

from __future__ import annotations

import sys
from pathlib import Path

from mynah.run_folder import RunFolder
from mynah.stages import card_bot

print(card_bot(RunFolder(Path(sys.argv[1]))).read_text(encoding="utf-8"))
