"""A bot talks: prompts in, complete posts out as they are ready, none of them a copy."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from mynah.config import GenerationConfig
from mynah.copying import CopyIndex, Overlap
from mynah.errors import SettingsError
from mynah.model import Base
from mynah.records import Generation, Nearest

_BATCH = 32  # posts drawn side by side
_NUCLEUS = 1_024  # tokens looked at before all of them are sorted


@dataclass(kw_only=True)
class _Draft:
    """One post being drawn; its random numbers depend on seed, place and draw alone."""

    place: int
    seed: int
    draw: int = 0
    ids: list[int] = field(default_factory=list)
    tokens: int = 0  # over all draws
    copied_first: bool = False
    best: tuple[Overlap | None, str] | None = None

    def start(self) -> None:
        self.ids = []
        self.dice = random.Random(f"{self.seed}:{self.place}:{self.draw}")


def generate(
    speaker: Base,
    prompt: str,
    config: GenerationConfig,
    index: CopyIndex | None,
    *,
    seed: int,
) -> Iterator[Generation]:
    """Yield posts that begin with `prompt`, each as soon as it is whole.

    A draw that copies, stays empty or does not end by itself is thrown away and drawn again; after
    `config.max_draws` the least copied draw is taken.

    Args:
        speaker: the bot, its adapter merged.
        prompt: beginning of every post; may be empty.
        config: how to draw.
        index: the real posts; None where nothing is known of them.
        seed: the same seed and settings give the same posts on the same machine.

    Raises:
        SettingsError: prompt and post are longer than the base can read.
    """
    start = _start(speaker, prompt, config)
    waiting = [_Draft(place=place, seed=seed) for place in range(config.n)]
    guarded = not config.allow_copies
    while waiting:
        batch, waiting = waiting[:_BATCH], waiting[_BATCH:]
        for draft, ended in _draw(speaker, start, batch, config):
            text = _text(speaker, prompt, draft.ids)
            overlap = index.overlap(text) if index else None
            copied = bool(overlap and overlap.is_copy(config))
            draft.copied_first |= copied and not draft.draw
            good = bool(text.strip()) and ended and not (copied and guarded)
            # A good draw is shown even where a bad one shares less: what was bad stays away.
            draft.best = (overlap, text) if good else _less_copied(draft.best, (overlap, text))
            if good or draft.draw + 1 >= config.max_draws:
                yield _generation(draft, prompt, index)
            else:
                draft.draw += 1
                waiting.append(draft)


def _start(speaker: Base, prompt: str, config: GenerationConfig) -> list[int]:
    """Return what every post begins with, in tokens."""
    start = [speaker.separator, *speaker.tokenizer(prompt, add_special_tokens=False)["input_ids"]]
    if len(start) + config.max_tokens > speaker.context:
        raise SettingsError(
            f"A prompt of {len(start) - 1:,} tokens and a post of up to {config.max_tokens:,} are "
            f"more than the {speaker.context:,} that the base reads at once.",
            hint="Choose a shorter prompt, or fewer --max-tokens.",
        )
    return start


def _less_copied(
    old: tuple[Overlap | None, str] | None, new: tuple[Overlap | None, str]
) -> tuple[Overlap | None, str]:
    if old is None or not old[1].strip():
        return new
    if not new[1].strip() or new[0] is None or old[0] is None:
        return old if not new[1].strip() else new
    return new if new[0].share <= old[0].share else old


def _generation(draft: _Draft, prompt: str, index: CopyIndex | None) -> Generation:
    overlap, text = draft.best or (None, "")
    return Generation(
        text=text,
        prompt=prompt,
        seed=draft.seed,
        nearest=index.nearest(overlap) if index and overlap else Nearest(),
        drawn_again=draft.draw,
        copied_first=draft.copied_first,
        tokens=draft.tokens,
    )


def _text(speaker: Base, prompt: str, ids: list[int]) -> str:
    """Return the post: prompt and continuation up to the first new line."""
    continued: str = speaker.tokenizer.decode(ids, skip_special_tokens=True)
    line = continued.split("\n")[0].rstrip()
    return prompt + "".join(letter for letter in line if unicodedata.category(letter) != "Cc")


@torch.inference_mode()
def _draw(
    speaker: Base, start: list[int], batch: list[_Draft], config: GenerationConfig
) -> Iterator[tuple[_Draft, bool]]:
    """Yield each draft when its end token or the limit is reached, and whether it ended itself."""
    for draft in batch:
        draft.start()
    ids = torch.tensor([start] * len(batch), device=speaker.model.device)
    cache: Any = None
    while batch:
        out = speaker.model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache = out.past_key_values
        logits = out.logits[:, -1].float()
        if len(batch[0].ids) < config.min_tokens:
            logits[:, speaker.separator] = -torch.inf
        chosen = choose(logits, config, [draft.dice.random() for draft in batch])
        stay = []
        for at, (draft, token) in enumerate(zip(batch, chosen, strict=True)):
            draft.tokens += 1
            if token == speaker.separator:
                yield draft, True
            elif len(draft.ids) + 1 >= config.max_tokens:
                draft.ids.append(token)
                yield draft, False
            else:
                draft.ids.append(token)
                stay.append(at)
        if len(stay) < len(batch) and stay:
            cache.batch_select_indices(torch.tensor(stay))
        batch = [batch[at] for at in stay]
        ids = torch.tensor([[draft.ids[-1]] for draft in batch], device=speaker.model.device)


def choose(logits: Tensor, config: GenerationConfig, dice: list[float]) -> list[int]:
    """Return one token for each row by temperature and nucleus sampling.

    Nucleus (Holtzman et al. 2019, arXiv:1904.09751, section 3.1): the smallest set of likeliest
    tokens whose probabilities sum to `top_p` or more, renormalised; a row's number in `dice`
    (0 to 1) falls on one of them.

    Args:
        logits: [rows, vocabulary], fp32.
        config: temperature and top_p.
        dice: one uniform number a row.
    """
    if config.temperature == 0:
        return [int(token) for token in logits.argmax(dim=-1)]
    chance = torch.softmax(logits / config.temperature, dim=-1)
    values, tokens = chance.topk(min(_NUCLEUS, chance.shape[-1]), dim=-1)
    if float(values.sum(dim=-1).min()) < config.top_p:
        values, tokens = chance.sort(dim=-1, descending=True)
    before = values.cumsum(dim=-1) - values
    values = values.masked_fill(before >= config.top_p, 0.0)
    reach = values.cumsum(dim=-1, dtype=torch.float64)
    aim = torch.tensor(dice, dtype=torch.float64, device=logits.device)[:, None] * reach[:, -1:]
    at = torch.searchsorted(reach, aim, right=True).clamp(max=reach.shape[-1] - 1)
    return [int(token) for token in tokens.gather(1, at)[:, 0]]


def with_seed(config: GenerationConfig) -> tuple[GenerationConfig, int]:
    """Return the settings with a seed in them: the given one, or a fresh one to print."""
    seed = config.seed if config.seed is not None else random.SystemRandom().randrange(2**31)
    return replace(config, seed=seed), seed
