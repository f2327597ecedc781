"""The studio as a Space on Hugging Face: who comes in is up to the Space's settings."""

from pathlib import Path

from mynah.config import STAGES, WebConfig
from mynah.studio.server import serve_studio

settings = {stage: kind() for stage, kind in STAGES.items()}
settings["web"] = WebConfig(host="0.0.0.0", port=7860)

if __name__ == "__main__":
    frame = "https://huggingface.co"  # shows the Space; every browser sees its own posts only
    with serve_studio(Path("bots"), settings, framed_by=frame) as studio:
        studio.wait(browser=False)
