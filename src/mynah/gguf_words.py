"""A tokenizer as GGUF has it: its words and their kinds, its merges, and how it cuts up a text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from mynah.errors import BaseError

# A first cut by one regular expression; what differs is how many digits stay together.
_BY_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# How a tokenizer makes the first cut: llama.cpp's name for it (src/llama-vocab.cpp, `pre`).
_CUTS = {
    ("bytes, cut as GPT-2",): "gpt-2",
    ("single digits", "bytes, cut as GPT-2"): "smollm",
    (_BY_PATTERN % "", "bytes"): "qwen2",
    (_BY_PATTERN % "{1,3}", "bytes"): "llama-bpe",
}
_WHOLE_WORDS_FIRST = {"llama-bpe"}  # those that look a word up before they merge


def add_words(writer: Any, tokenizer: Any, *, count: int, separator: int) -> None:
    """Write a tokenizer into a GGUF file, so that a prompt begins as every post did in training.

    Args:
        writer: a `gguf.GGUFWriter`.
        tokenizer: transformers' object.
        count: words that the model knows, which may be more than the tokenizer has.
        separator: id of what opens and ends every post.

    Raises:
        BaseError: llama.cpp would read other words.
    """
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    writer.add_tokenizer_model("gpt2")  # that is its name for all that merge bytes
    writer.add_tokenizer_pre(cut_of(state))
    words, kinds = zip(*_vocabulary(state, count), strict=True)
    writer.add_token_list(words)
    writer.add_token_types(kinds)
    writer.add_token_merges([_joined(pair) for pair in state["model"]["merges"]])
    writer.add_bos_token_id(separator)
    writer.add_eos_token_id(separator)
    writer.add_eot_token_id(separator)
    writer.add_pad_token_id(separator)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)


def cut_of(state: Mapping[str, Any]) -> str:
    """Return llama.cpp's name for how a tokenizer cuts up a text before it merges bytes.

    Args:
        state: tokenizer.json.

    Raises:
        BaseError: it has none.
    """
    first = state.get("pre_tokenizer") or {"type": "none"}
    steps = tuple(_step(part) for part in first.get("pretokenizers", [first]))
    name = _CUTS.get(steps)
    model, cleaning = state["model"], state.get("normalizer") or {"type": "NFC"}
    if (
        name is None
        or model["type"] != "BPE"
        or model["ignore_merges"] != (name in _WHOLE_WORDS_FIRST)
        or cleaning["type"] != "NFC"  # left out by llama.cpp; nearly all that people type is NFC
    ):
        raise BaseError(
            "This base cuts up words in a way that llama.cpp has no name for.",
            hint="Use --format transformers.",
        )
    return name


def _step(part: Mapping[str, Any]) -> str:
    """Return one step of the first cut in words; what is not known gets words of its own."""
    match part:
        case {"type": "ByteLevel", "add_prefix_space": False, "use_regex": by_pattern}:
            return "bytes, cut as GPT-2" if by_pattern else "bytes"
        case {"type": "Digits", "individual_digits": True}:
            return "single digits"
        case {"type": "Split", "behavior": "Isolated", "invert": False, "pattern": {"Regex": each}}:
            return str(each)
    return f"unknown: {part['type']}"


def _vocabulary(state: Mapping[str, Any], count: int) -> Iterator[tuple[str, int]]:
    """Yield each word in the order of ids, with its kind."""
    from gguf import TokenType

    spelled = {number: (word, TokenType.NORMAL) for word, number in state["model"]["vocab"].items()}
    for added in state["added_tokens"]:
        kind = TokenType.CONTROL if added["special"] else TokenType.USER_DEFINED
        spelled[added["id"]] = (added["content"], kind)
    for number in range(count):
        yield spelled.get(number, (f"[PAD{number}]", TokenType.UNUSED))


def _joined(pair: Any) -> str:
    return pair if isinstance(pair, str) else " ".join(pair)
