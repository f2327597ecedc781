"""Make: the whole story with settings of one's own.

python examples/make.py build/archives/skerrylight.zip [base]
"""

from __future__ import annotations

import sys
from pathlib import Path

from mynah.config import GenerationConfig, ReportConfig, TrainingConfig
from mynah.pipeline import Recipe, make_bot

base = {"base": sys.argv[2]} if len(sys.argv) > 2 else {}
recipe = Recipe(
    train=TrainingConfig(effort="quick", **base),
    report=ReportConfig(samples=20),
    say=GenerationConfig(n=3, seed=7),
)
made = make_bot(Path("bots"), sys.argv[1:2], recipe, replace=True)
print(made.report.verdict)
for sample in made.samples:
    print(sample.text)
