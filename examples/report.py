"""Report: is the bot better than its base on posts it never saw, and does it copy?

python examples/report.py bots/skerrylight
"""

from __future__ import annotations

import sys
from pathlib import Path

from mynah.config import GenerationConfig, ReportConfig
from mynah.judging import report_bot
from mynah.run_folder import RunFolder

report = report_bot(RunFolder(Path(sys.argv[1])), ReportConfig(samples=20), GenerationConfig())
bits = report.bits_per_byte
print(report.verdict)
print(f"bits per byte: base {bits.base}, bot {bits.bot}, on {bits.posts} held-out posts")
