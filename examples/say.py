"""Say: the bot talks, each post printed as soon as it is whole.

python examples/say.py bots/skerrylight "My dream is"
"""

from __future__ import annotations

import sys
from pathlib import Path

from mynah.config import GenerationConfig
from mynah.run_folder import RunFolder
from mynah.speaking import say_posts

talk = say_posts(RunFolder(Path(sys.argv[1])), " ".join(sys.argv[2:]), GenerationConfig(n=3))
for post in talk.posts:
    print(f"{post.text}\n    {post.nearest.overlap:.0%} of it is in: {post.nearest.text}")
print("seed", talk.seed, "repeats these posts")
