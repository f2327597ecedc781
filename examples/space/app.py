"""The studio as a Space on Hugging Face: who comes in is up to the Space's settings."""

import os
from pathlib import Path

from mynah.config import STAGES, WebConfig
from mynah.studio.server import serve_studio

HUB = "https://huggingface.co"  # shows a Space in a frame; every browser sees its own posts only


def main() -> None:
    """Serve to whom the Hub lets in; anywhere else, to this machine alone."""
    hub = "SPACE_ID" in os.environ  # set by the Hub
    settings = {stage: kind() for stage, kind in STAGES.items()}
    port = int(os.environ.get("PORT", 7860))
    settings["web"] = WebConfig(host="0.0.0.0" if hub else "127.0.0.1", port=port)
    bots = Path(os.environ.get("MYNAH_BOTS", "bots"))
    with serve_studio(bots, settings, framed_by=HUB if hub else "'none'") as studio:
        studio.wait(browser=False)


if __name__ == "__main__":
    main()
