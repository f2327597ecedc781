"""Train: the base learns the voice. Ctrl-C keeps what it has learned; run it again to go on.

python examples/train.py bots/skerrylight [base]
"""

from __future__ import annotations

import sys
from pathlib import Path

from mynah.config import DatasetConfig, TrainingConfig
from mynah.model_stages import train_bot
from mynah.run_folder import RunFolder

folder = RunFolder(Path(sys.argv[1]))
base = {"base": sys.argv[2]} if len(sys.argv) > 2 else {}
settings = TrainingConfig(effort="quick", **base)
course = train_bot(folder, settings, DatasetConfig(), resume=folder.checkpoints.exists())
print(f"{course.step} steps, loss {course.losses[0]:.2f} at first, {course.losses[-1]:.2f} at last")
