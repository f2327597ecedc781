"""Two voices in one bot: adapters added up in a moment, against a training on both accounts.

    python bench/blend.py                                  # two of the sample accounts
    python bench/blend.py anna.jsonl.gz bela.jsonl.gz --folder kept    # goes on where it was ended

One table: bits per byte of each person's held-out posts under the base, each person's own bot,
blends of the two at several weights, and a bot that was trained on both. `exact` holds both
adapters side by side, `cut` is the nearest adapter of one's size, `linear` adds the factors up.
A name that ends with ×1.5 adds up to that and not to 1.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).resolve().parents[1] / "examples" / "accounts"
SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
STRENGTHS = (1.25, 1.5, 2.0)


def main() -> None:
    """Make the three bots, blend two of them in all ways, and print the table."""
    options = arguments()
    if options.folder:
        show(options, Path(options.folder))
        return
    with tempfile.TemporaryDirectory() as folder:
        show(options, Path(folder))


def arguments() -> argparse.Namespace:
    """Return what was typed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sources", nargs="*", help="JSON lines of posts, two accounts")
    parser.add_argument("--posts", type=int, default=300, help="the newest of each")
    parser.add_argument("--effort", default="quick")
    parser.add_argument("--base", default="smollm2-135m")
    parser.add_argument("--folder", help="where to keep the bots (default: nowhere)")
    options = parser.parse_args()
    options.sources = options.sources or sorted(map(str, SAMPLES.glob("*.jsonl")))[:2]
    if len(options.sources) != 2:
        parser.error("two accounts, no more and no fewer")
    return options


def made(options: argparse.Namespace, bots: Path, name: str, sources: Sequence[str]) -> Any:
    """Return a bot of some accounts, trained unless it is there already."""
    from mynah.config import CleaningConfig, DatasetConfig, FetchConfig, TrainingConfig
    from mynah.model_stages import train_bot
    from mynah.run_folder import RunFolder
    from mynah.stages import clean_posts, fetch_posts

    folder = RunFolder(bots / name)
    if not folder.adapter.exists():
        fetch = FetchConfig(max_posts=options.posts)
        fetch_posts(bots, sources, fetch, name=name, replace=True)
        clean_posts(folder, CleaningConfig())
        training = TrainingConfig(base=options.base, effort=options.effort)
        train_bot(folder, training, DatasetConfig())
    return folder


def show(options: argparse.Namespace, bots: Path) -> None:
    """Print the table, a row a bot."""
    first, second = options.sources
    one = made(options, bots, "first", [first])
    two = made(options, bots, "second", [second])
    both = made(options, bots, "both", [first, second])
    texts = held_out([one, two], both)
    print(
        f"\n{options.posts} posts of each, effort {options.effort}; bits per byte of held-out posts"
    )
    print(f"({len(texts[0])} of the first, {len(texts[1])} of the second; fewer is better)\n")
    print("| bot | rank | of the first | of the second | both |")
    print("|---|---:|---:|---:|---:|")
    for name, rank, bits in rows([one, two, both], texts, bots / "mixed"):
        figures = " | ".join(f"{each:.3f}" for each in (*bits, sum(bits) / len(bits)))
        print(f"| {name} | {rank} | {figures} |", flush=True)


def held_out(pair: Sequence[Any], both: Any) -> list[list[str]]:
    """Return each person's held-out posts that no bot here has learned from."""
    from mynah.held_out import apart, split_of_training

    voices = apart([split_of_training(folder) for folder in pair])
    known = {example.text for example in split_of_training(both).train}
    return [[each.text for each in one.held_out if each.text not in known] for one in voices]


def rows(
    bots: Sequence[Any], texts: Sequence[Sequence[str]], place: Path
) -> Iterator[tuple[str, int, list[float]]]:
    """Yield name, rank and bits per byte of every bot there is, and of every blend."""
    from mynah.bot import load_bots_base
    from mynah.lora import adapter_size, load_adapter, remove_adapter

    base = load_bots_base(bots[0])
    yield "base", 0, judged(base, texts)
    own = zip(("of the first alone", "of the second alone", "trained on both"), bots, strict=True)
    made_of_two = blends([each.adapter for each in bots[:2]], bots[0], place)
    for name, folder in (*((name, each.adapter) for name, each in own), *made_of_two):
        load_adapter(base.model, folder)
        yield name, adapter_size(folder)[0], judged(base, texts)
        remove_adapter(base.model)


def blends(adapters: Sequence[Path], bot: Any, place: Path) -> Iterator[tuple[str, Path]]:
    """Yield every blend, by how it was made."""
    from mynah.lora import adapter_size

    rank = adapter_size(adapters[0])[0]
    kinds: list[tuple[str, float, float, str]] = [
        *((f"exact {share:.1f}, {1 - share:.1f}", share, 1.0, "cat") for share in SHARES),
        *((f"exact 0.5, 0.5 ×{strength:g}", 0.5, strength, "cat") for strength in STRENGTHS),
        ("cut 0.5, 0.5", 0.5, 1.0, "svd"),
        ("linear 0.5, 0.5", 0.5, 1.0, "linear"),
    ]
    for number, (name, share, strength, kind) in enumerate(kinds):
        yield name, mixed(adapters, bot, place / str(number), (share, strength, kind, rank))


def mixed(adapters: Sequence[Path], bot: Any, target: Path, how: Any) -> Path:
    """Return the folder of one blend's adapter."""
    from mynah.bot import load_bots_base
    from mynah.mixture import mix_adapters

    share, strength, kind, rank = how
    if not (target / "adapter_config.json").exists():
        target.mkdir(parents=True, exist_ok=True)
        weights = [strength * share, strength * (1 - share)]
        mix_adapters(load_bots_base(bot).model, adapters, weights, target, kind=kind, rank=rank)
    return target


def judged(bot: Any, texts: Sequence[Sequence[str]]) -> list[float]:
    """Return bits per byte of each set of texts."""
    import torch

    from mynah.examination import costs_of
    from mynah.loss import bits_per_byte

    return [bits_per_byte(torch.tensor(costs_of(bot, own)), own) for own in texts]


if __name__ == "__main__":
    main()
