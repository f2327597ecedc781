"""Every setting of every stage: the only place where a default is written.

One frozen dataclass a stage. The Python API takes them, the command line's flags are made from
them, a settings file (TOML, one table a stage) fills them. `None` means "off" or "worked out from
the posts and the machine"; what was worked out is printed and written to run.json.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeVar

from mynah.errors import SettingsError

Recipe = Literal["mynah", "huggingtweets"]
Effort = Literal["quick", "normal", "best"]
Config = TypeVar("Config")


def setting(default: Any, help: str) -> Any:
    """Return a dataclass field that carries its one-line help."""
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, kw_only=True)
class FetchConfig:
    """How sources are read."""

    max_member_gib: float = setting(4.0, "largest file to read inside an archive, in GiB")
    max_ratio: float = setting(200.0, "most times a member may grow when unpacked")
    max_posts: int | None = setting(None, "keep only the newest N posts of each account")


@dataclass(frozen=True, kw_only=True)
class CleaningConfig:
    """What training sees of the posts."""

    min_words: int = setting(3, "fewest words of a post, links, mentions and hashtags not counted")
    drop_replies: bool = setting(False, "leave out replies to other people")
    keep_duplicates: bool = setting(False, "keep posts that repeat an earlier one")
    pii: bool | None = setting(
        None, "replace e-mails, phone numbers, IBANs, IPs (default: on for one's own archive)"
    )
    min_characters: int = setting(6_000, "fewest characters to learn a voice from")
    warn_characters: int = setting(40_000, "below this many characters, warn")


@dataclass(frozen=True, kw_only=True)
class DatasetConfig:
    """How the kept posts become examples."""

    held_out: float = setting(0.1, "share of the newest posts that is never trained on")
    max_held_out: int = setting(300, "most posts to hold out of each account")
    max_post_tokens: int = setting(160, "longest example, in tokens; a longer post is cut there")
    weights: tuple[float, ...] | None = setting(None, "weight of each voice of a blend, as 2,1,1")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How the base learns the voice; None is worked out from `effort`."""

    base: str = setting("smollm2-135m", "base model: smollm2-135m, a folder, or a Hub id")
    recipe: Recipe = setting("mynah", "mynah, or huggingtweets (2020, to the letter)")
    effort: Effort = setting("normal", "quick, normal or best: the one dial")
    seed: int = setting(0, "random seed")
    epochs: float | None = setting(None, "passes over the posts")
    learning_rate: float | None = setting(None, "peak learning rate")
    batch_tokens: int | None = setting(None, "tokens an optimizer step learns from")
    rank: int | None = setting(None, "rank of the LoRA adapter")
    warmup: float | None = setting(None, "share of the steps in which the rate rises")
    accumulate: int = setting(1, "pieces each batch is computed in, to save memory")
    save_seconds: float = setting(30.0, "seconds between checkpoints")


@dataclass(frozen=True, kw_only=True)
class GenerationConfig:
    """How a bot talks."""

    n: int = setting(10, "how many posts")
    seed: int | None = setting(None, "random seed; a printed one repeats the posts exactly")
    temperature: float = setting(0.9, "0 is greedy, 1 the model's own distribution")
    top_p: float = setting(0.95, "keep the likeliest tokens that together hold this probability")
    min_tokens: int = setting(3, "fewest tokens of a post")
    max_tokens: int = setting(120, "most tokens of a post")
    allow_copies: bool = setting(False, "show posts that repeat a real one")
    copied_words: int = setting(8, "a copied run of this many words is a copy")
    copied_share: float = setting(0.6, "a run that is this share of the words is a copy")
    max_draws: int = setting(8, "draws for one post before the least copied one is taken")


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """How a bot is judged."""

    samples: int = setting(100, "generations to judge copying by")
    resamples: int = setting(1_000, "bootstrap resamples for the 95 % interval")
    seed: int = setting(0, "random seed")


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """How a bot leaves."""

    format: Literal["transformers", "adapter"] = setting("transformers", "which format")
    output: str | None = setting(None, "folder to write (default: the bot's model/)")


STAGES: dict[str, type[Any]] = {
    "fetch": FetchConfig,
    "clean": CleaningConfig,
    "dataset": DatasetConfig,
    "train": TrainingConfig,
    "say": GenerationConfig,
    "report": ReportConfig,
    "export": ExportConfig,
}


def build(kind: type[Config], *layers: dict[str, Any]) -> Config:
    """Make a config from layers of values; a later layer wins, None does not count.

    Raises:
        SettingsError: a key that `kind` does not have.
    """
    known = [item.name for item in fields(kind)]  # type: ignore[arg-type]
    values = {}
    for layer in layers:
        for key, value in layer.items():
            if key not in known:
                raise SettingsError(f"Unknown setting '{key}'.", hint=f"Known: {', '.join(known)}.")
            if value is not None:
                values[key] = value
    return kind(**values)
