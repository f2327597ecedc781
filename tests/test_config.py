"""Settings: each default once, a flag over the file over the default, no value out of range."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from mynah.cli import build_parser
from mynah.config import (
    STAGES,
    CleaningConfig,
    DatasetConfig,
    GenerationConfig,
    TrainingConfig,
    build,
)
from mynah.errors import SettingsError
from mynah.flags import configs
from mynah.verbs import VERBS


def settings_of(*words: str) -> dict[str, Any]:
    arguments = build_parser().parse_args(list(words))
    [verb] = [verb for verb in VERBS if verb.name == arguments.verb]
    return configs(arguments, verb.stages)


def test_a_later_layer_wins_and_none_does_not_count() -> None:
    built = build(GenerationConfig, {"seed": 7, "n": 2}, {"seed": 0, "n": None})
    assert (built.seed, built.n, built.top_p) == (0, 2, 0.95)


@pytest.mark.parametrize("stage", STAGES)
def test_every_default_is_within_its_own_range(stage: str) -> None:
    kind = STAGES[stage]
    assert build(kind) == kind()
    assert all(item.metadata["help"] for item in fields(kind))


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        (GenerationConfig, {"n": 0}, "n must be at least 1, not 0. -n: how many posts"),
        (GenerationConfig, {"temperature": -1.0}, "temperature must be at least 0, not -1.0."),
        (GenerationConfig, {"temperature": float("nan")}, "temperature must be at least 0"),
        (GenerationConfig, {"top_p": 2.0}, "top_p must be at most 1, not 2.0."),
        (GenerationConfig, {"top_p": 0.0}, "top_p must be above 0, not 0.0."),
        (GenerationConfig, {"min_tokens": 9, "max_tokens": 8}, "min_tokens (9) is more than"),
        (GenerationConfig, {"seed": 2**64}, "seed must be at most"),
        (TrainingConfig, {"epochs": 0.0}, "epochs must be above 0"),
        (TrainingConfig, {"warmup": 1.0}, "warmup must be below 1"),
        (DatasetConfig, {"held_out": -0.1}, "held_out must be at least 0"),
    ],
)
def test_a_value_out_of_range_is_refused_where_it_is_made(
    kind: type[Any], values: dict[str, Any], words: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        kind(**values)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "values", "sentence"),
    [
        (GenerationConfig, {"n": "ten"}, "n must be a whole number, not 'ten'."),
        (GenerationConfig, {"n": 2.5}, "n must be a whole number, not 2.5."),
        (GenerationConfig, {"n": True}, "n must be a whole number, not True."),
        (GenerationConfig, {"top_p": "0.5"}, "top_p must be a number, not '0.5'."),
        (CleaningConfig, {"drop_replies": 1}, "drop_replies must be true or false, not 1."),
        (TrainingConfig, {"base": 5}, "base must be a text, not 5."),
        (TrainingConfig, {"effort": "huge"}, "effort must be quick or normal or best, not 'huge'."),
        (DatasetConfig, {"weights": "2,1"}, "weights must be a list of numbers, not '2,1'."),
        (DatasetConfig, {"weights": [2, "1"]}, "weights must be a list of numbers, not [2, '1']."),
        (GenerationConfig, {"heat": 1}, "Unknown setting 'heat'."),
    ],
)
def test_a_file_may_not_give_a_value_of_another_kind(
    kind: type[Any], values: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        build(kind, values)
    assert caught.value.sentence == sentence


def test_a_file_may_write_numbers_and_lists_in_its_own_way() -> None:
    assert build(DatasetConfig, {"weights": [2, 1.5]}).weights == (2, 1.5)
    assert build(TrainingConfig, {"epochs": 2}).epochs == 2


def test_a_typed_zero_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mynah.toml"
    file.write_text("[say]\nseed = 7\nn = 4\n[train]\nseed = 7\n", encoding="utf-8")
    assert settings_of("say", "x", "--settings", str(file))["say"].seed == 7
    typed = settings_of("say", "x", "--settings", str(file), "--seed", "0")["say"]
    assert (typed.seed, typed.n, typed.temperature) == (0, 4, 0.8)


def test_one_flag_reaches_every_stage_that_has_the_setting() -> None:
    made = settings_of("make", "x.zip", "--seed", "5", "--weights", "2,1", "--keep-duplicates")
    assert [made[stage].seed for stage in ("train", "say", "report")] == [5, 5, 5]
    assert made["dataset"].weights == (2.0, 1.0)
    assert made["clean"].keep_duplicates is True and made["clean"].pii is None
    assert settings_of("clean", "x", "--no-pii")["clean"].pii is False


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[say]\nheat = 1\n", "Unknown setting 'heat'. Known: n, seed,"),
        ("[train]\nheat = 1\n", "Unknown setting 'heat'. Known: base, flock, flock_share, recipe,"),
        ("[talk]\nn = 1\n", "has 'talk', which is no stage. Known: [fetch], [clean]"),
        ("n = 1\n", "has 'n', which is no stage."),
        ("[say]\nn = 'ten'\n", "n must be a whole number, not 'ten'."),
        ("[say\n", "is not a settings file ("),
    ],
)
def test_a_wrong_settings_file_is_refused_whatever_the_verb(
    tmp_path: Path, text: str, words: str
) -> None:
    file = tmp_path / "mynah.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        settings_of("say", "x", "--settings", str(file))
    assert words in str(caught.value)


def test_a_settings_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"none\.toml is not a settings file"):
        settings_of("say", "x", "--settings", "none.toml")
