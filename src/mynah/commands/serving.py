"""The verb that lets bots answer others: serve."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from mynah.commands.shared import watch_of
from mynah.errors import ExtraMissing

Settings = dict[str, Any]


def do_serve(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah serve`."""
    try:
        from mynah.serving.service import serve_bots
    except ModuleNotFoundError as error:
        raise ExtraMissing.of("serve", f"The service needs {error.name}.") from error
    watch = watch_of(arguments)
    watch.say("Loading the base.")
    with serve_bots(bots, settings["serve"], settings["say"]) as served:
        base, count = served.service.base, len(served.service.shelf.names())
        if arguments.json:
            shown = {"url": served.url, "base": base, "bots": count}
            print(json.dumps(shown), flush=True)
        watch.say(f"{count:,} bots on {base} answer at {served.url}/v1 Ctrl-C ends this.")
        served.wait()
    return {}
