"""Export: base and voice joined into one model that transformers reads without Mynah.

python examples/export.py bots/skerrylight
"""

from __future__ import annotations

import sys
from pathlib import Path

from mynah.config import ExportConfig
from mynah.model_stages import export_bot
from mynah.run_folder import RunFolder

model = export_bot(RunFolder(Path(sys.argv[1])), ExportConfig())
for file in sorted(model.iterdir()):
    print(f"{file.stat().st_size:12,} {file}")
