"""Clean: which posts to learn from, and why not the others.

python examples/clean.py bots/skerrylight
"""

from __future__ import annotations

import sys
from pathlib import Path

from mynah.config import CleaningConfig
from mynah.run_folder import RunFolder
from mynah.stages import clean_posts

cleaned = clean_posts(RunFolder(Path(sys.argv[1])), CleaningConfig(drop_replies=True))
print(len(cleaned.selected), "posts kept,", cleaned.characters, "characters")
for post in cleaned.dropped[:5]:
    print(f"{post.reason}: {post.text!r}")
