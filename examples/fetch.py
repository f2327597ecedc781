"""Fetch: posts out of an archive, into the folder of a bot.

python examples/fetch.py build/archives/skerrylight.zip
"""

from __future__ import annotations

import sys
from pathlib import Path

from mynah.config import FetchConfig
from mynah.stages import fetch_posts

folder = fetch_posts(Path("bots"), sys.argv[1:], FetchConfig(), replace=True)
accounts = folder.read_run()["accounts"]
print(folder.posts, "by", *("@" + account["handle"] for account in accounts))
