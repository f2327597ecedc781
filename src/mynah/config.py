"""Every setting of every stage: the only place where a default is written.

One frozen dataclass a stage. The Python API takes them, the command line's flags are made from
them, a settings file (TOML, one table a stage) fills them. `None` means "off" or "worked out from
the posts and the machine"; what was worked out is printed and written to run.json.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from mynah.errors import SettingsError
from mynah.settings import Settings, setting
from mynah.settings import build as build
from mynah.settings import without_none as without_none

Recipe = Literal["mynah", "huggingtweets"]
ContentWarnings = Literal["keep", "cut", "drop"]
Effort = Literal["quick", "normal", "best"]
EngineName = Literal["auto", "torch", "llama"]
Schedule = Literal["wsd", "cosine", "linear", "constant"]
Modules = Literal["all", "attention", "mlp"]
TrackerName = Literal["trackio", "wandb", "none"]
ExportFormat = Literal["transformers", "adapter", "gguf", "ollama", "web"]
Quantization = Literal["f32", "f16", "q8_0", "q5_0", "q4_0"]

STARTER, BARE = "mynah-starter", "none"  # what a bot may begin from, besides its flocks
LARGEST_SEED = 2**63 - 1  # what torch takes


@dataclass(frozen=True, kw_only=True)
class FetchConfig(Settings):
    """How sources are read."""

    max_member_gib: float = setting(4.0, "largest file to read inside an archive, in GiB", above=0)
    max_ratio: float = setting(200.0, "most times a member may grow when unpacked", above=0)
    max_posts: int | None = setting(None, "keep only the newest N posts of each account", least=1)
    i_have_the_right_to: bool = setting(
        False, "say that you may use these posts, where a service or account wants your word"
    )
    timeout: float = setting(30.0, "seconds to wait for an answer of a service", above=0)
    attempts: int = setting(6, "times to ask a service that is in trouble", least=1)
    max_wait: float = setting(
        960.0, "longest wait, in seconds, for a service that says later", least=0
    )
    keep_hours: float = setting(
        24.0, "hours for which an interrupted fetch can go on from its last page", least=0
    )
    x_api: str = setting("https://api.x.com", "address of X's API")
    community_archive: str = setting(
        "https://fabxmporizzqflnftavs.supabase.co", "address of the Community Archive's database"
    )
    author: str | None = setting(None, "read only what this person wrote; needed for chats")


@dataclass(frozen=True, kw_only=True)
class CleaningConfig(Settings):
    """What training sees of the posts."""

    min_words: int = setting(
        3, "fewest words of a post, links, mentions and hashtags not counted", least=0
    )
    drop_replies: bool = setting(False, "leave out replies to other people")
    content_warnings: ContentWarnings = setting(
        "keep", "of posts behind a content warning: keep it in front, cut it off, or drop the post"
    )
    keep_duplicates: bool = setting(False, "keep posts that repeat an earlier one")
    pii: bool | None = setting(
        None, "replace e-mails, phone numbers, IBANs, IPs (default: on for one's own archive)"
    )
    min_characters: int = setting(6_000, "fewest characters to learn a voice from", least=0)
    warn_characters: int = setting(40_000, "below this many characters, warn", least=0)


@dataclass(frozen=True, kw_only=True)
class DatasetConfig(Settings):
    """How the kept posts become examples."""

    held_out: float = setting(
        0.1, "share of the newest posts that is never trained on", least=0, below=1
    )
    max_held_out: int = setting(300, "most posts to hold out of each account", least=1)
    max_post_tokens: int = setting(
        160, "longest example, in tokens; a longer post is cut there", least=1
    )
    unbalanced: bool = setting(False, "leave the voices of a blend as long as they are")
    weights: tuple[float, ...] | None = setting(None, "weight of each voice of a blend, as 2,1,1")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(Settings):
    """How the base learns the voice; None is worked out from `effort`."""

    base: str = setting("smollm2-135m", "base model: smollm2-135m, a folder, or a Hub id")
    flock: str | None = setting(
        None, f"flock to start from, by name or folder; {BARE}: the bare base (default: {STARTER})"
    )
    flock_share: float = setting(
        0.5, "how much of what the flock has learned to start with", above=0, most=1
    )
    recipe: Recipe = setting("mynah", "mynah, or huggingtweets (2020, to the letter)")
    effort: Effort = setting("normal", "quick, normal or best: the one dial")
    seed: int = setting(0, "random seed", least=0, most=LARGEST_SEED)
    epochs: float | None = setting(None, "passes over the posts", above=0)
    learning_rate: float | None = setting(None, "peak learning rate", above=0)
    batch_tokens: int | None = setting(None, "tokens an optimizer step learns from", least=1)
    rank: int | None = setting(None, "rank of the LoRA adapter", least=1)
    warmup: float | None = setting(
        None, "share of the steps in which the rate rises", least=0, below=1
    )
    schedule: Schedule | None = setting(
        None, "how the rate falls after that: to 0, from half-way on for wsd, or not at all"
    )
    modules: Modules = setting("all", "which linear layers of a block the adapter is on")
    int8: bool | None = setting(
        None, "multiply frozen weights in eight bits (default: where the processor has VNNI)"
    )
    accumulate: int = setting(1, "pieces each batch is computed in, to save memory", least=1)
    save_seconds: float = setting(30.0, "seconds between checkpoints", above=0)

    @property
    def named_flock(self) -> str | None:
        """Return the flock to begin from, if one is named."""
        return None if self.flock == BARE else self.flock


@dataclass(frozen=True, kw_only=True)
class GenerationConfig(Settings):
    """How a bot talks."""

    n: int = setting(10, "how many posts", least=1)
    seed: int | None = setting(
        None, "random seed; a printed one repeats the posts", least=0, most=LARGEST_SEED
    )
    temperature: float = setting(0.8, "0 is greedy, 1 the model's own distribution", least=0)
    top_p: float = setting(
        0.95, "keep the likeliest tokens that together hold this probability", above=0, most=1
    )
    min_tokens: int = setting(3, "fewest tokens of a post", least=0)
    max_tokens: int = setting(120, "most tokens of a post", least=1)
    allow_copies: bool = setting(False, "show posts that repeat a real one")
    copied_words: int = setting(8, "a copied run of this many words is a copy", least=1)
    copied_share: float = setting(0.6, "a run that is this share of the words is a copy", above=0)
    max_draws: int = setting(8, "draws for one post before the least copied one is taken", least=1)
    engine: EngineName = setting("auto", "torch, llama (llama.cpp), or auto: llama where it can")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_tokens > self.max_tokens:
            raise SettingsError(
                f"min_tokens ({self.min_tokens}) is more than max_tokens ({self.max_tokens}).",
                hint="Choose another --min-tokens or --max-tokens.",
            )


@dataclass(frozen=True, kw_only=True)
class ReportConfig(Settings):
    """How a bot is judged."""

    samples: int = setting(200, "posts that the bot draws to be judged by", least=1)
    floor_samples: int = setting(60, "posts that the base draws, and the Markov chain", least=0)
    judged: int = setting(200, "most held-out posts that are judged", least=1)
    judged_bytes: int = setting(
        20_000, "most bytes of those that base and bot are asked about, for the bits", least=1
    )
    shown: int = setting(30, "posts that the base is shown, to see what that alone does", least=0)
    extracted: int = setting(100, "training posts that the bot is to complete", least=0)
    others: tuple[str, ...] | None = setting(
        None, "posts of other authors to compare with (default: the sample accounts)"
    )
    other_posts: int = setting(90, "how many posts of other authors", least=0)
    style_model: str | None = setting(
        None, "style embedding, a folder or a Hub id (default: profiles of characters)"
    )
    mauve: bool = setting(False, "work out MAUVE too; it needs the extra mynah[mauve]")
    resamples: int = setting(1_000, "bootstrap resamples for the 95 % intervals", least=1)
    seed: int = setting(0, "random seed", least=0, most=LARGEST_SEED)


@dataclass(frozen=True, kw_only=True)
class QuizConfig(Settings):
    """How "Real or bot?" is played."""

    pairs: int = setting(20, "how many pairs", least=1)
    seed: int | None = setting(
        None, "which posts are asked (default: the first not asked yet)", least=0, most=LARGEST_SEED
    )
    reveal: bool = setting(False, "say after each answer which post is real")


@dataclass(frozen=True, kw_only=True)
class WhoConfig(Settings):
    """How bots are asked whose post a text is."""

    posts: int = setting(50, "most held-out posts of each bot, for the table", least=1)
    seed: int = setting(0, "random seed of the choice among them", least=0, most=LARGEST_SEED)


@dataclass(frozen=True, kw_only=True)
class MapConfig(Settings):
    """How bots are put on a map."""

    posts: int = setting(50, "most held-out posts of each bot that all are asked for", least=1)
    words: int = setting(5, "most words that a group is called by", least=1)
    output: str | None = setting(
        None, "folder for map.html and map.png (default: the folder of bots)"
    )
    keep_days: float = setting(
        30.0, "how long to remember what was measured of a bot that no map shows", least=0
    )
    seed: int = setting(0, "random seed", least=0, most=2**32 - 1)


@dataclass(frozen=True, kw_only=True)
class DriftConfig(Settings):
    """How a voice is followed over months."""

    posts: int = setting(40, "most posts of a month that are looked at", least=10)
    versions: int = setting(2, "most earlier versions to set beside the bot", least=0)
    voices: int = setting(6, "most accounts that are followed, those with most posts", least=1)
    seed: int = setting(0, "random seed", least=0, most=LARGEST_SEED)


@dataclass(frozen=True, kw_only=True)
class RenewalConfig(Settings):
    """How a bot learns on from what is new."""

    effort: Effort = setting("quick", "how long to learn on: quick, normal or best")
    judged: int = setting(200, "most of the newest posts that old and new are judged by", least=1)
    samples: int = setting(100, "posts that each draws, to count copies", least=1)
    forget_deleted: bool = setting(
        False, "take out posts that are not there any more, and learn anew from the base"
    )
    seed: int = setting(0, "random seed", least=0, most=LARGEST_SEED)


@dataclass(frozen=True, kw_only=True)
class BlendConfig(Settings):
    """How finished bots become one."""

    weights: tuple[float, ...] | None = setting(
        None, "share of each bot, as 0.7,0.3 (default: equal shares)"
    )
    rank: int | None = setting(
        None, "cut the blend to an adapter of this rank (default: nothing is cut)", least=1
    )


@dataclass(frozen=True, kw_only=True)
class TrackingConfig(Settings):
    """Who keeps a record of the runs."""

    tracker: TrackerName = setting("trackio", "trackio (on this machine), wandb, or none")


@dataclass(frozen=True, kw_only=True)
class ExportConfig(Settings):
    """How a bot leaves."""

    format: ExportFormat = setting("transformers", "which format")
    quantization: Quantization = setting(
        "q8_0", "what weights are rounded to in gguf, ollama and web"
    )
    output: str | None = setting(
        None, "folder to write (default: the bot's model/, or model-<format>/)"
    )


@dataclass(frozen=True, kw_only=True)
class ShareConfig(Settings):
    """How a post is shown as a picture."""

    post: int | None = setting(
        None, "which of the posts said last (default: the first that repeats no real one)", least=1
    )
    initials: bool = setting(False, "show no avatar, even where the archive had one")
    url: str | None = setting(
        None, "address of the folder where the page will stand, as https://me.example/bot/"
    )


# One look at many voices, none of them twice; no voice is more than a part of it.
_FLOCK_POSTS, _FLOCK_EPOCHS = 500, 1.0


def flock_settings(
    fetch: FetchConfig, dataset: DatasetConfig, training: TrainingConfig
) -> tuple[FetchConfig, DatasetConfig, TrainingConfig]:
    """Return the settings of a flock: those given, and where nothing was chosen, a flock's own."""
    return (
        replace(fetch, max_posts=fetch.max_posts or _FLOCK_POSTS),
        replace(dataset, unbalanced=True),
        replace(training, epochs=training.epochs or _FLOCK_EPOCHS),
    )


@dataclass(frozen=True, kw_only=True)
class PushConfig(Settings):
    """How a bot is published."""

    repo: str | None = setting(
        None, "where to, as me/name (default: where it was pushed before, else your account)"
    )
    public: bool = setting(False, "let everybody see it; without this only you can")
    adapter_only: bool = setting(False, "upload only what was learned, and name the base")
    i_have_the_right_to: bool = setting(
        False, "say that the posts are yours, where the terms of a service want your word"
    )


@dataclass(frozen=True, kw_only=True)
class HubConfig(Settings):
    """How the Hugging Face Hub is spoken to."""

    timeout: float = setting(120.0, "seconds to wait for an answer of the Hub", above=0)


@dataclass(frozen=True, kw_only=True)
class WebConfig(Settings):
    """How the studio is served."""

    host: str = setting(
        "127.0.0.1", "address to listen on; others than this machine's own need MYNAH_PASSWORD"
    )
    port: int | None = setting(None, "port (default: a free one)", least=1, most=65_535)
    max_upload_gib: float = setting(2.0, "largest file that can be brought, in GiB", above=0)


@dataclass(frozen=True, kw_only=True)
class ServeConfig(Settings):
    """How bots answer for others over HTTP."""

    host: str = setting("127.0.0.1", "address to listen on; any but this machine's needs --keys")
    port: int = setting(8_000, "port to listen on; 0 takes a free one", least=0, most=65_535)
    keys: str | None = setting(None, "file of API keys, one a line (default: no key is needed)")
    rows: int = setting(16, "most posts that are drawn side by side", least=1, most=256)
    length: int = setting(512, "most tokens of a prompt and its post together", least=8)
    queue: int = setting(64, "most posts that may wait; more are refused with 429", least=1)
    key_posts: int = setting(64, "most posts of one key on their way at once", least=1)
    rate: float | None = setting(None, "most requests a minute of one key (default: any)", above=0)
    hot_mib: float = setting(512.0, "memory for bots at hand, in MiB: one takes 5 to 25", above=0)
    timeout: float = setting(60.0, "seconds after which a request is given up", above=0)
    stop_seconds: float = setting(30.0, "seconds to finish what is begun when stopped", least=0)


@dataclass(frozen=True, kw_only=True)
class FleetConfig(Settings):
    """Where the bots of a flock file are made, and with how much of it."""

    address: str | None = setting(
        None, "Ray cluster, as host:6379, or auto (default: this machine alone)"
    )
    storage: str | None = setting(
        None, "where the bots go, as s3://bucket/bots (default: the folder of bots)"
    )
    workers: int | None = setting(
        None, "bots made at once on this machine (default: one a processor)", least=1
    )
    cpus: float = setting(1.0, "processors for each bot", above=0)
    gpus: float = setting(0.0, "GPUs for each bot", least=0)
    retries: int = setting(2, "times a bot is begun again after a crash or a lost machine", least=0)


@dataclass(frozen=True, kw_only=True)
class SweepConfig(Settings):
    """How settings of the training are searched for."""

    trials: int = setting(30, "trials in all, those of earlier calls counted", least=1)
    max_copied: float = setting(
        0.05, "largest share of a trial's posts that may be copies, guard off", least=0, most=1
    )
    samples: int = setting(40, "posts that each trial draws to see what it copies", least=1)
    judged: int = setting(200, "most posts that a trial is judged by", least=1)
    seed: int = setting(0, "random seed", least=0, most=2**32 - 1)


STAGES: dict[str, type[Any]] = {
    "fetch": FetchConfig,
    "clean": CleaningConfig,
    "dataset": DatasetConfig,
    "train": TrainingConfig,
    "say": GenerationConfig,
    "report": ReportConfig,
    "quiz": QuizConfig,
    "who": WhoConfig,
    "map": MapConfig,
    "drift": DriftConfig,
    "update": RenewalConfig,
    "blend": BlendConfig,
    "track": TrackingConfig,
    "share": ShareConfig,
    "export": ExportConfig,
    "push": PushConfig,
    "hub": HubConfig,
    "web": WebConfig,
    "serve": ServeConfig,
    "fleet": FleetConfig,
    "sweep": SweepConfig,
}
