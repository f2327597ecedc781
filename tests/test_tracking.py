"""Trackers: all of them keep the same protocol, tell the whole chain, and stop no training."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tiny
from conftest import tiny_recipe
from kept import KeptRun, kept
from mynah.config import TrackingConfig
from mynah.errors import ExtraMissing, TrainingStopped
from mynah.judging import report_bot
from mynah.model_stages import train_bot
from mynah.pipeline import make_bot
from mynah.run_folder import RunFolder, hash_file
from mynah.tracking import Careful, NullTracker, Run, Thing, Tracker, open_tracker, safe_name
from mynah.watch import Nobody
from test_run_folder import needs_mount, small_disk
from test_stages import Listener
from tiny import mynah

NAMES = ("none", "trackio", "wandb")
KEEPERS = ("trackio", "wandb")


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def who(request: pytest.FixtureRequest) -> str:
    """Return a bot's name that no other test has: trackio keeps all of a process together."""
    return safe_name(request.node.name)[-40:].strip("-.") + f"{os.getpid()}"


def opened(name: str, bots: Path, listener: Listener | None = None) -> Tracker:
    return open_tracker(TrackingConfig(tracker=name), bots, listener or Listener())  # type: ignore[arg-type]


def run_of(who: str, number: int = 1) -> Run:
    config = {"seed": 0, "learning_rate": 0.01, "dataset": {"held_out": 0.1}}
    return Run(id=f"{who}-train-{number}", bot=who, stage="train", config=config)


def thing(path: Path, who: str, kind: Any = "posts", **notes: Any) -> Thing:
    return Thing(name=who, kind=kind, sha256=hash_file(path), path=path, notes=notes)


def only(runs: dict[str, KeptRun]) -> KeptRun:
    [run] = runs.values()
    return run


# One suite for all of them -----------------------------------------------------------------------


def test_a_run_is_kept_as_it_was_told(name: str, who: str, bots: Path, tmp_path: Path) -> None:
    listener = Listener()
    tracker = opened(name, bots, listener)
    weights = tmp_path / "weights.bin"
    weights.write_bytes(os.urandom(100_000))
    tracker.begin(run_of(who))
    for step in (1, 5, 10):
        tracker.log({"loss": 1 / step, "rate": 0.1}, step)
    tracker.log({"bits_per_byte/bot": 1.68})
    tracker.table("samples", ("prompt", "post"), [("", "Low <b>tide</b> |x|"), ("My", "My é\n2")])
    tracker.note("report", "## A bot\n\n- **Copied**: 0 %")
    tracker.used(thing(weights, f"{who}b", "base"))
    tracker.made(thing(weights, who, "bot", seed=3, data_seed=4))
    tracker.end(finished=True)
    assert listener.said == []
    runs = kept(name, bots, who)
    if name == "none":
        assert runs == {}
        return
    assert list(runs) == [f"{who}-train-1"]
    run = only(runs)
    assert run.config["seed"] == 0 and run.config["dataset"] == {"held_out": 0.1}
    assert run.figures["loss"] == [(1, 1.0), (5, 0.2), (10, 0.1)]
    assert run.values("bits_per_byte/bot") == [1.68]
    assert run.tables["samples"] == [["", "Low <b>tide</b> |x|"], ["My", "My é\n2"]]
    assert run.notes["report"].startswith("## A bot")
    assert run.used == {f"base-{who}b": hash_file(weights)}
    assert run.made[f"bot-{who}"] == {"sha256": hash_file(weights), "seed": 3, "data_seed": 4}


def test_what_was_begun_is_known_in_the_next_process_too(name: str, who: str, bots: Path) -> None:
    tracker, run = opened(name, bots), run_of(who)
    assert tracker.has(run.id) is (name == "none")  # who keeps nothing has nothing to be told of
    tracker.begin(run)
    tracker.log({"loss": 1.0}, 1)
    tracker.end(finished=True)
    assert tracker.has(run.id)
    assert opened(name, bots).has(run.id)


def test_a_run_goes_on_where_it_was_stopped(name: str, who: str, bots: Path) -> None:
    for steps in ((1, 2, 3), (2, 3, 4, 5)):  # killed after step 3, resumed from a state of step 1
        tracker = opened(name, bots)
        tracker.begin(run_of(who))
        for step in steps:
            tracker.log({"loss": 10.0 - step}, step)
        tracker.end(finished=False)
    runs = kept(name, bots, who)
    assert len(runs) == (name != "none")
    for run in runs.values():
        assert sorted(set(run.steps("loss"))) == [1, 2, 3, 4, 5]
        assert name == "wandb" or run.steps("loss") == [
            1,
            2,
            3,
            4,
            5,
        ]  # W&B sorts out on its server


def test_two_runs_of_one_stage_are_two(name: str, who: str, bots: Path) -> None:
    tracker = opened(name, bots)
    for number in (1, 2):
        tracker.begin(run_of(who, number))
        tracker.log({"loss": float(number)}, 1)
    tracker.end(finished=True)
    runs = kept(name, bots, who)
    assert [run.values("loss") for run in runs.values()] == [[1.0], [2.0]] * (name != "none")


def test_weights_are_pointed_at_and_never_copied(
    name: str, who: str, bots: Path, tmp_path: Path
) -> None:
    adapter, mark = tmp_path / "adapter", os.urandom(64)
    (adapter / "deep").mkdir(parents=True)
    for file in ("a.safetensors", "deep/b.safetensors"):
        (adapter / file).write_bytes(mark * 10_000)
    tracker = opened(name, bots)
    tracker.begin(run_of(who))
    bot = Thing(name=who, kind="bot", sha256="ab" * 32, path=adapter)
    tracker.made(bot)
    tracker.used(bot)
    tracker.end(finished=True)
    stores = [bots, Path(os.environ["TRACKIO_DIR"]), Path(os.environ["HOME"])]
    files = [path for store in stores for path in store.rglob("*") if path.is_file()]
    assert not [path for path in files if mark * 4 in path.read_bytes()]


def test_nobody_is_told_where_a_file_lies_on_this_machine(
    who: str, bots: Path, tmp_path: Path
) -> None:
    """What W&B would upload names no folder of the person's."""
    file = tmp_path / "posts.jsonl"
    file.write_text("{}\n", encoding="utf-8")
    tracker = opened("wandb", bots)
    tracker.begin(run_of(who))
    tracker.made(thing(file, who))
    tracker.end(finished=True)
    sent = [*bots.rglob("run-*.wandb"), *bots.rglob("files/*")]
    assert sent and not [
        path for path in sent if str(tmp_path.parent).encode() in path.read_bytes()
    ]


def test_the_same_content_is_the_same_version(who: str, bots: Path, tmp_path: Path) -> None:
    from trackio.sqlite_storage import SQLiteStorage

    file = tmp_path / "posts.jsonl"
    tracker = opened("trackio", bots)
    for number, text in enumerate(("a", "a", "b")):
        file.write_text(text, encoding="utf-8")
        tracker.begin(run_of(who, number))
        tracker.made(thing(file, who))
        tracker.end(finished=True)
    [versions] = [
        each["versions"] for each in SQLiteStorage.list_artifacts("mynah") if who in each["name"]
    ]
    assert sorted(each["version"] for each in versions) in ([0, 1], ["v0", "v1"])


# What the stages tell ----------------------------------------------------------------------------


def test_making_a_bot_is_told_from_the_posts_to_what_it_says(
    name: str, who: str, bots: Path, small_archive: Path, tiny_base: Path
) -> None:
    listener = Listener()
    made = make_bot(
        bots,
        [str(small_archive)],
        tiny_recipe(tiny_base, epochs=0.5),
        name=who,
        tracker=opened(name, bots, listener),
    )
    assert listener.said == []
    runs = {id.split("-")[-2]: run for id, run in kept(name, bots, who).items()}
    if name == "none":
        assert runs == {}
        return
    assert sorted(runs) == ["clean", "fetch", "report", "say", "train"]
    stages = made.folder.read_run()["stages"]
    check_chain(runs, stages, who)
    train = runs["train"]
    losses = stages["train"]["result"]["losses"]
    assert train.steps("loss") == [1, *range(5, len(losses), 5), len(losses)]
    assert train.values("loss") == pytest.approx(
        [losses[n - 1] for n in train.steps("loss")], abs=1e-4
    )
    assert 0 < train.values("held_out_loss")[-1] < 10 and train.steps("held_out_loss")[0] == 1
    assert train.config["learning_rate"] == 0.01 and train.config["rank"] == 8
    assert train.config["base"] == tiny_base.name  # and not where it lies
    assert set(train.config["versions"]) >= {"mynah", "python", "torch", "transformers"}
    bits = made.report.bits_per_byte
    assert runs["report"].values("bits_per_byte/bot") == [bits.bot]
    assert made.report.verdict in runs["report"].notes["report"]
    table = runs["say"].tables["samples"]
    assert [row[:2] for row in table] == [[each.prompt, each.text] for each in made.samples]
    assert runs["clean"].values("posts/downloaded") == [130]


def check_chain(runs: dict[str, KeptRun], stages: dict[str, Any], who: str) -> None:
    """Check who made what of what, by hash: posts, dataset, base, bot."""
    hashes = {
        f"posts-{who}": stages["fetch"]["outputs"]["posts.jsonl"],
        f"dataset-{who}": stages["clean"]["outputs"]["cleaned.jsonl"],
        f"bot-{who}": stages["train"]["outputs"]["adapter"],
    }
    base = stages["train"]["result"]["base"]
    posts, dataset, bot = hashes
    made = {stage: list(run.made) for stage, run in runs.items() if stage in ("fetch", "clean")}
    assert made == {"fetch": [posts], "clean": [dataset]}
    assert runs["fetch"].made[posts]["inputs"] == stages["fetch"]["inputs"]
    assert runs["clean"].used == {posts: hashes[posts]}
    assert runs["train"].used == {dataset: hashes[dataset], f"base-{base['name']}": base["sha256"]}
    notes = runs["train"].made[bot]
    assert (notes["sha256"], notes["seed"], notes["data_seed"]) == (hashes[bot], 0, 0)
    assert runs["report"].used == {dataset: hashes[dataset], bot: hashes[bot]}
    assert runs["say"].used == {bot: hashes[bot]}


@pytest.mark.parametrize("name", KEEPERS)
def test_a_bot_that_was_made_without_a_tracker_is_told_from_its_records(
    name: str, who: str, bots: Path, tiny_bot: RunFolder
) -> None:
    shutil.copytree(tiny_bot.root, bots / who)
    folder = RunFolder(bots / who)
    rename_runs(folder, who)
    recipe = tiny_recipe(Path("unused"))
    report_bot(folder, recipe.report, recipe.say, tracker=opened(name, bots))
    runs = {id.split("-")[-2]: run for id, run in kept(name, bots, who).items()}
    assert sorted(runs) == ["clean", "fetch", "report", "train"]
    stages = folder.read_run()["stages"]
    check_chain(
        {**runs, "say": KeptRun(used={f"bot-{who}": stages["say"]["inputs"]["adapter"]})},
        stages,
        who,
    )
    losses = stages["train"]["result"]["losses"]
    assert runs["train"].figures["loss"] == list(enumerate(losses, start=1))
    report_bot(folder, recipe.report, recipe.say, tracker=opened(name, bots))
    assert len(kept(name, bots, who)) == 5  # one more report; the rest is known


def rename_runs(folder: RunFolder, who: str) -> None:
    run = folder.run.read_text(encoding="utf-8")
    folder.run.write_text(run.replace('"run": "ferryclerk-', f'"run": "{who}-'), encoding="utf-8")


def test_real_posts_are_not_told(who: str, bots: Path, bot: RunFolder) -> None:
    """A sample's nearest real post is the person's; samples.jsonl keeps it, a tracker does not."""
    rows = [json.loads(line) for line in bot.samples.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        row["nearest"]["text"] = f"Real post of {who}."
    bot.samples.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    from mynah.chronicle import tell

    for each in KEEPERS:
        tell(opened(each, bots), bot, "say")
    stores = [bots / ".wandb", Path(os.environ["TRACKIO_DIR"])]
    files = [path for store in stores for path in store.rglob("*") if path.is_file()]
    assert files and not [path for path in files if f"post of {who}".encode() in path.read_bytes()]


class StopAt(Nobody):
    """A watch that presses Ctrl-C at a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def advance(self, done: float, note: str = "") -> None:
        if done == self.step:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("name", KEEPERS)
def test_a_resumed_training_goes_on_with_its_run(
    name: str, who: str, bots: Path, tiny_bot: RunFolder, tiny_base: Path
) -> None:
    shutil.copytree(tiny_bot.root, bots / who)
    folder, recipe = RunFolder(bots / who), tiny_recipe(tiny_base)
    with pytest.raises(TrainingStopped):
        train_bot(folder, recipe.train, recipe.dataset, watch=StopAt(7), tracker=opened(name, bots))
    course = train_bot(
        folder, recipe.train, recipe.dataset, resume=True, tracker=opened(name, bots)
    )
    [run] = [run for id, run in kept(name, bots, who).items() if "-train-" in id]
    assert folder.stage_record("train")["run"] in kept(name, bots, who)
    steps = len(course.losses)
    assert run.steps("loss") == [1, 5, *range(10, steps, 5), steps]
    # Trained anew it is another run.
    train_bot(folder, recipe.train, recipe.dataset, tracker=opened(name, bots))
    assert len([id for id in kept(name, bots, who) if "-train-" in id]) == 2


# A tracker that fails ----------------------------------------------------------------------------


class Broken(NullTracker):
    """A tracker that raises, at every call or at one kind of it."""

    def __init__(self, method: str | None = None) -> None:
        self.method, self.calls = method, 0

    def __getattribute__(self, name: str) -> Any:
        if name in METHODS and object.__getattribute__(self, "method") in (None, name):
            return self._raise
        return object.__getattribute__(self, name)

    def _raise(self, *words: Any, **more: Any) -> Any:
        self.calls += 1
        raise OSError(28, "No space left on device")


METHODS = ("has", "begin", "log", "table", "note", "used", "made", "end")


@pytest.mark.parametrize("method", [None, *METHODS])
def test_no_stage_fails_because_a_tracker_does(
    method: str | None, bots: Path, bot: RunFolder, small_archive: Path, tiny_base: Path
) -> None:
    listener, broken = Listener(), Broken(method)
    careful = Careful("broken", lambda: broken, listener)
    made = make_bot(
        bots, [str(small_archive)], tiny_recipe(tiny_base, epochs=0.2), name="b", tracker=careful
    )
    stages = ["fetch", "clean", "train", "report", "say", "card"]
    assert list(made.folder.read_run()["stages"]) == stages
    [sentence] = listener.said
    assert sentence.startswith("The tracker broken failed") and "No space left" in sentence
    assert broken.calls == 1


def test_a_tracker_that_cannot_be_opened_is_a_sentence(bots: Path) -> None:
    def opener() -> Tracker:
        raise ImportError("No module named 'trackio'")

    listener = Listener()
    careful = Careful("trackio", opener, listener)
    careful.end(finished=True)
    assert listener.said == []
    careful.begin(run_of("ana"))
    careful.log({"loss": 1.0}, 1)
    assert listener.said == [
        "The tracker trackio failed, so this is not tracked any further: No module named 'trackio'"
    ]


def elsewhere(*words: object, **environment: str) -> tuple[int, str, str]:
    """Run the command line in a process of its own, with another home for the tracker."""
    with tiny.start(*words, env=environment) as process:
        out, err = process.communicate(timeout=120)
    return process.returncode, out, err


FAILED = "The tracker trackio failed, so this is not tracked any further: "


@needs_mount
@pytest.mark.parametrize("options", ["ro", "size=256k"])
def test_a_disk_that_is_closed_or_fills_up_stops_no_training(
    options: str, bot: RunFolder, tiny_base: Path, tmp_path: Path
) -> None:
    words = ("train", bot.name, "--base", tiny_base, "--epochs", "0.3")
    with small_disk(tmp_path / "disk", options) as disk:
        code, _, err = elsewhere(*words, TRACKIO_DIR=str(disk / "runs"))
    assert code == 0, err
    assert err.count(FAILED) == 1 and "Traceback" not in err and "Warning" not in err
    assert "learned from" in err.splitlines()[-1]


CLEAN = """
import sys
from pathlib import Path
from mynah.config import CleaningConfig, TrackingConfig
from mynah.run_folder import RunFolder
from mynah.stages import clean_posts
from mynah.terminal import TerminalWatch
from mynah.tracking import open_tracker
config = TrackingConfig(tracker=sys.argv[1])
tracker = open_tracker(config, Path("bots"), TerminalWatch())
clean_posts(RunFolder(Path(sys.argv[2])), CleaningConfig(min_words=9), tracker=tracker)
"""


@pytest.mark.parametrize("how", ["no database", "a file in its place", "not installed"])
def test_a_home_that_is_damaged_stops_no_stage(how: str, bot: RunFolder, tmp_path: Path) -> None:
    home, environment = tmp_path / "runs", dict(os.environ)
    if how == "a file in its place":
        home.write_text("mine", encoding="utf-8")
    else:
        home.mkdir()
        (home / "mynah.db").write_text("This is no database, whatever it is called.")
    if how == "not installed":
        (tmp_path / "trackio.py").write_text("raise ImportError('No module named trackio')")
        environment["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{environment.get('PYTHONPATH', '')}"
    environment["TRACKIO_DIR"] = str(home)
    check_cleaned_without("trackio", bot, environment)


def check_cleaned_without(tracker: str, bot: RunFolder, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CLEAN, tracker, str(bot.root)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    [sentence] = done.stderr.splitlines()
    assert sentence.startswith(f"The tracker {tracker} failed, so this is not tracked any further")
    assert KEY not in sentence
    assert bot.stage_record("clean")["config"]["min_words"] == 9


KEY = "0" * 40


def test_a_server_of_wandb_that_does_not_answer_stops_no_stage(bot: RunFolder) -> None:
    address = {"WANDB_MODE": "online", "WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": KEY}
    check_cleaned_without("wandb", bot, os.environ | address | {"WANDB_INIT_TIMEOUT": "1"})


SPY = """
import sys
places = set()
def listen(event, arguments):
    if event == "socket.getaddrinfo": places.add(str(arguments[0]))
    if event == "socket.connect" and isinstance(arguments[1], tuple): places.add(arguments[1][0])
sys.addaudithook(listen)
from mynah import cli
code = cli.main(sys.argv[1:])
print("reached", *places, file=sys.stderr)
sys.exit(code)
"""


def test_by_default_nothing_leaves_the_machine(bot: RunFolder, tiny_base: Path) -> None:
    """trackio asks the Hub whose token lies around, and its variables send runs to a server."""
    words = ["train", bot.name, "--base", str(tiny_base), "--epochs", "0.3"]
    environment = {key: value for key, value in os.environ.items() if key != "TRACKIO_DIR"} | {
        "HF_TOKEN": "hf_made_up",
        "HF_HUB_OFFLINE": "0",
        "TRACKIO_SPACE_ID": "ana/runs",
        "TRACKIO_BUCKET_ID": "ana/runs",
        "TRACKIO_SERVER_URL": "http://trackio.example/?write_token=x",
    }
    done = subprocess.run(
        [sys.executable, "-c", SPY, *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "reached"
    assert FAILED not in done.stderr
    place = bot.root.parent / ".trackio"
    assert (place / "mynah.db").exists() and str(place) in done.stderr  # it says where
    assert [row["bot"] for row in mynah("list", "--json").json["bots"]] == [bot.name]


# From the command line ---------------------------------------------------------------------------


def test_with_none_nothing_is_kept_and_trackio_not_even_loaded(
    bot: RunFolder, tiny_base: Path
) -> None:
    words = ["train", bot.name, "--base", str(tiny_base), "--epochs", "0.3", "--tracker", "none"]
    script = (
        "import sys; from mynah import cli; code = cli.main(sys.argv[1:])\n"
        "print('loaded', *{'trackio', 'wandb'} & set(sys.modules)); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *words], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["loaded"]
    assert not (bot.root.parent / ".trackio").exists()


@pytest.mark.parametrize("tracker", NAMES)
def test_what_programs_read_stays_clean(tracker: str, bot: RunFolder, tiny_base: Path) -> None:
    """Both libraries like to print."""
    words = ("--base", tiny_base, "--epochs", "0.3", "--tracker", tracker, "--json")
    answer = mynah("train", bot.name, *words)
    assert (answer.code, answer.err) == (0, "")
    assert answer.json["bot"] == bot.name


def test_wandb_that_is_not_installed_is_said_before_the_work(
    bot: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ExtraMissing, match="W&B is not installed") as caught:
        opened("wandb", Path("bots"))
    assert "pip install 'wandb" in caught.value.hint


def test_wandb_without_a_login_is_said_before_the_work_and_asks_for_nothing(
    bot: RunFolder, tmp_path: Path
) -> None:
    before = bot.run.read_bytes()
    environment = {"WANDB_MODE": "online", "HOME": str(tmp_path), "WANDB_API_KEY": ""}
    code, out, err = elsewhere("train", bot.name, "--tracker", "wandb", **environment)
    assert (code, out) == (2, "")
    assert err.splitlines()[-2] == "Error: Nobody is logged in to W&B on this machine."
    assert "WANDB_MODE=offline" in err.splitlines()[-1]
    assert bot.run.read_bytes() == before


def test_one_process_keeps_its_runs_in_one_folder(
    bots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, listener = opened("trackio", bots), Listener()
    first.has("any")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    second = opened("trackio", bots, listener)
    second.begin(run_of("ana"))
    assert "one folder" in listener.said[0]
    assert not list(tmp_path.glob("*.db"))


@pytest.mark.parametrize(
    ("text", "safe"),
    [("ana", "ana"), ("Ana_1.2-b", "Ana_1.2-b"), ("@ana", "-ana-"), ("日本", "--"), ("", "")],
)
def test_a_name_that_every_tracker_takes(text: str, safe: str) -> None:
    assert safe_name(text).startswith(safe)
    assert safe_name(text) == safe_name(text) and len(safe_name("日" * 500 + "a" * 500)) <= 107
    assert (safe_name(text) == text) is (safe == text)
