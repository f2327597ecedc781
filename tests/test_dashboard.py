"""The dashboard: on this machine only, and gone with Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import tiny
from mynah.run_folder import RunFolder
from test_docs import schemas
from tiny import mynah


@pytest.fixture
def runs(bot: RunFolder, tiny_base: Path, tmp_path: Path) -> Path:
    """Return a folder with the runs of a short training."""
    words = ("train", bot.name, "--base", tiny_base, "--epochs", "0.3", "--json")
    with tiny.start(*words, env={"TRACKIO_DIR": str(tmp_path / "runs")}) as process:
        assert process.wait() == 0
    return tmp_path / "runs"


@contextmanager
def dashboard(runs: Path, *words: object, stop: int = signal.SIGINT) -> Iterator[Any]:
    """Start a dashboard, yield what it says first, stop it and see that it went in peace."""
    environment = {"TRACKIO_DIR": str(runs), "BROWSER": "false", "HF_TOKEN": "hf_made_up"}
    with tiny.start("dashboard", "--no-open", *words, env=environment) as process:
        try:
            assert process.stdout and process.stderr
            yield (
                json.loads(process.stdout.readline())
                if "--json" in words
                else process.stderr.readline()
            )
            process.send_signal(stop)
            out, err = process.communicate(timeout=30)
            assert (process.returncode, out, err) == (0, "", "")
        finally:
            process.kill()


def ask(url: str, what: str, **words: Any) -> Any:
    request = urllib.request.Request(
        f"{url}api/{what}", json.dumps(words).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())["data"]


def test_it_shows_the_runs_on_this_machine_and_ends_with_ctrl_c(runs: Path, bot: RunFolder) -> None:
    with dashboard(runs, "--json") as said:
        jsonschema.validate(said, schemas()["dashboard"])
        assert said["url"].startswith("http://127.0.0.1:") and said["folder"] == str(runs)
        with urllib.request.urlopen(said["url"], timeout=10) as page:
            assert b"<title>Trackio" in page.read()
        names = [run["name"] for run in ask(said["url"], "get_runs_for_project", project="mynah")]
        assert sorted(names) == [f"{bot.name} {stage}" for stage in ("clean", "fetch", "train")]
    with pytest.raises(OSError), urllib.request.urlopen(said["url"], timeout=2):
        pass


def test_it_prints_its_address(runs: Path) -> None:
    with socket.socket() as spare:
        spare.bind(("127.0.0.1", 0))
        port = spare.getsockname()[1]
    with dashboard(runs, "--port", port) as said:
        assert f"http://127.0.0.1:{port}/" in said and "Ctrl-C" in said
        assert "write_token" not in said


def test_without_a_run_it_says_what_makes_one(bots: Path) -> None:
    with tiny.start("dashboard", env={"TRACKIO_DIR": str(bots / "none")}) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert "No run is tracked" in err and "mynah train" in err


def test_a_port_that_is_taken_is_a_sentence(runs: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        environment = {"TRACKIO_DIR": str(runs)}
        with tiny.start("dashboard", "--port", taken.getsockname()[1], env=environment) as process:
            out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert "is taken" in err and "--port" in err and "Traceback" not in err


def test_help_names_it() -> None:
    assert "Ctrl-C" in mynah("dashboard", "--help").out
    assert os.environ["TRACKIO_DIR"]
