"""Readers of many bots, for locust: each asks a bot by Zipf's law, and again once it is answered.

`bench/serve.py` starts it against a service of its own. By hand, against any service:

    pip install locust
    locust -f bench/load.py --headless -u 24 -r 24 -t 10m --host http://127.0.0.1:8000

LOAD_OUTPUT names a file for every post's seconds, as JSON.
"""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from locust import HttpUser, events, task

TOKENS = 40  # of a post
dice = random.Random(0)
names: list[str] = []
shares: list[float] = []  # how often each is asked for
seen: dict[str, Any] = {"post_s": [], "first_token_s": [], "refused": 0, "failed": 0, "tokens": 0}


class Reader(HttpUser):
    """Somebody who reads one post after the other."""

    @task
    def ask(self) -> None:
        """Ask for a post; where the service is full, wait as long as it says."""
        name = dice.choices(names, shares)[0]
        body = {"model": name, "max_tokens": TOKENS, "prompt": ""}
        begin = time.monotonic()
        asking = self.client.post("/v1/completions", json=body, name="post", catch_response=True)
        with asking as answer:
            if answer.status_code == 429:
                answer.success()  # so it is meant to be
                seen["refused"] += 1
                time.sleep(float(answer.headers.get("retry-after", 1)))
            elif answer.ok:
                note(answer.json(), time.monotonic() - begin)
            else:
                seen["failed"] += 1


def note(said: dict[str, Any], seconds: float) -> None:
    """Keep what a post took."""
    seen["post_s"].append(seconds)
    seen["first_token_s"].append(said["timings"]["first_token"])
    seen["tokens"] += said["usage"]["completion_tokens"]


@events.test_start.add_listener
def look(environment: Any, **_: Any) -> None:
    """Find out which bots there are."""
    with urlopen(f"{environment.host}/v1/models") as answer:
        names[:] = sorted(each["id"] for each in json.load(answer)["data"])
    shares[:] = [1 / (rank + 1) for rank in range(len(names))]


@events.quitting.add_listener
def write(environment: Any, **_: Any) -> None:
    """Write down all that was seen."""
    if output := os.environ.get("LOAD_OUTPUT"):
        Path(output).write_text(json.dumps(seen), encoding="utf-8")
