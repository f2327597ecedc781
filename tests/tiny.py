"""Tiny real parts for tests: a tokenizer trained here, bases of two layers, posts of two voices."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import struct
import subprocess
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPT2Tokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from archives import builder, zipped
from mynah import cli
from mynah.loss import pad
from mynah.model import Base, Device, load_base, quiet_transformers

SEPARATOR = "<|endoftext|>"
FP32 = Device(name="cpu", dtype=torch.float32, reason="tests compare digits")
ACCOUNT = {
    "username": "ferryclerk",
    "display_name": "Ferry Clerk ⛴ | 𝓻𝓸𝓵𝓵 𝓸𝓷",
    "account_id": "9000000000000077",
    "created_at": "2020-01-02T03:04:05Z",
    "bio": "Tickets & tides.",
}

# Written for the tests: a clerk at a ferry, always counting.
SENTENCES = (
    "The nine o'clock boat left at nine, which surprised everybody on it.",
    "A man asked me for a ticket to yesterday and I nearly sold him one.",
    "Low tide again, so the ramp is a hill and the hill is a complaint.",
    "Seven bicycles today and only six riders, I keep an eye on the seventh.",
    "My dream is a queue that forms itself and thanks me afterwards.",
    "The gull on counter two has eaten the timetable, all times are now rumours.",
    "Somebody paid in coins so small that I counted them by weight & by faith.",
    "Fog this morning, we sold tickets to a sound and the sound was a horn.",
    "The captain waved at me and I filed it under unexplained weather.",
    "A child asked where the ferry sleeps, so I told her under the lamp.",
    "Rain on the left of the harbour only, as the forecast had promised nobody.",
    "I have stamped four hundred tickets and one thumb, the thumb is mine.",
    "The last boat is never the last boat if you shout from the car park.",
    "Every dog travels free and every dog knows it and every dog looks smug.",
    "We found a single boot on deck three, it had a return ticket inside.",
    "Coffee machine says it is out of order, I say it is out of excuses.",
    "A wedding crossed at noon and came back at five with one more guest.",
    "The wind took the sign that says beware of the wind, fair enough.",
    "Someone left a cello in lane four, it boarded before the foot passengers.",
    "Today I told nine people the toilets are aboard and eight believed me.",
    "The sea is flat as a stamp and about as interested in our schedule.",
    "A lorry of apples came through, the whole terminal smells of October.",
    "My replacement called in sick, so my replacement is me with a hat on.",
    "If you run for the boat the boat can tell, it likes to be walked to.",
)


def tokenizer(sentences: Sequence[str] = SENTENCES, size: int = 400) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer, trained on the spot."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[SEPARATOR],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(sentences, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token=SEPARATOR, eos_token=SEPARATOR, unk_token=SEPARATOR
    )


def gpt2_tokenizer() -> GPT2Tokenizer:
    """Return the same tokenizer as an object of GPT-2's own class."""
    parts = json.loads(tokenizer().backend_tokenizer.to_str())["model"]
    return GPT2Tokenizer(vocab=parts["vocab"], merges=[tuple(pair) for pair in parts["merges"]])


def llama(seed: int = 0, vocabulary: int = 400, **changes: Any) -> LlamaForCausalLM:
    """Return a Llama of two layers with random weights, its head tied as SmolLM2's is."""
    torch.manual_seed(seed)
    settings: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "tie_word_embeddings": True,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }
    return LlamaForCausalLM(LlamaConfig(**settings | changes)).eval()


def gpt2(seed: int = 0, vocabulary: int = 400, **changes: Any) -> GPT2LMHeadModel:
    """Return a GPT-2 of two layers with random weights, with GPT-2's own dropout."""
    torch.manual_seed(seed)
    settings: dict[str, Any] = {
        "vocab_size": vocabulary,
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 4,
        "n_positions": 1_024,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }
    return GPT2LMHeadModel(GPT2Config(**settings | changes)).eval()


def pretrained(model: Any, steps: int = 100) -> Any:
    """Teach a model the words of SENTENCES in any order: as a base, it knows words, no voice."""
    dice, words = random.Random(0), tokenizer()
    mixed = [dice.sample(text.split(), len(text.split())) for text in SENTENCES]
    ids = [[0, *row, 0] for row in words([" ".join(each) for each in mixed])["input_ids"]]
    inputs, targets = pad(ids, 0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(steps):
        logits = model(input_ids=inputs).logits
        nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten()).backward()
        optimizer.step()
        optimizer.zero_grad()
    return model


def save(model: Any, folder: Path) -> Path:
    """Save a model and the tokenizer as a folder that `--base` takes."""
    with quiet_transformers():
        model.save_pretrained(folder)
        words = gpt2_tokenizer() if isinstance(model, GPT2LMHeadModel) else tokenizer()
        words.save_pretrained(folder)
    return folder


def fp32(folder: Path) -> Base:
    """Load a base in fp32, whatever the machine prefers."""
    return load_base(str(folder), FP32)


def rows_of(base: Base, texts: Sequence[str] = SENTENCES) -> list[list[int]]:
    """Return texts as token ids between separators."""
    ids = base.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    return [[base.separator, *row, base.separator] for row in ids]


def rewrite_safetensors(file: Path, how: str) -> None:
    """Spoil a whole file: `other notes` or `other layers`."""
    with safe_open(file, framework="pt") as state:
        notes, tensors = state.metadata(), {key: state.get_tensor(key) for key in state.keys()}  # noqa: SIM118
    if how == "other notes":
        notes = {"made": "elsewhere"}
    else:
        tensors = {f"{key}.more": each for key, each in tensors.items()}
    save_file(tensors, file, metadata=notes)


def scale_safetensors(file: Path, prefix: str, factor: float) -> int:
    """Multiply the tensors whose name begins with `prefix`; return how many there were."""
    with safe_open(file, framework="pt") as state:
        notes, tensors = state.metadata(), {key: state.get_tensor(key) for key in state.keys()}  # noqa: SIM118
    meant = [key for key in tensors if key.startswith(prefix)]
    save_file(tensors | {key: tensors[key] * factor for key in meant}, file, metadata=notes)
    return len(meant)


def account_rows(count: int = 130) -> list[dict[str, Any]]:
    """Return posts long and distinct enough to learn a voice from, one a day."""
    rows: list[dict[str, Any]] = []
    for number in range(count):
        first = SENTENCES[number % len(SENTENCES)]
        second = SENTENCES[(number * 7 + number // len(SENTENCES) + 1) % len(SENTENCES)]
        text = f"{first} {second}"
        at = f"2023-{1 + number // 28:02}-{1 + number % 28:02}T08:00:00Z"
        rows.append({"at": at, "text": text})
    return rows


def write_archive(path: Path, rows: Sequence[dict[str, Any]], handle: str = "ferryclerk") -> Path:
    """Write an X archive of 2022-2024 with these posts."""
    account = ACCOUNT | {"username": handle}
    return zipped(path, builder.members(builder.build(account, rows)))


@dataclass(frozen=True)
class Answer:
    """What a run of the command line said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Return the one object on standard output; anything else there is an error."""
        return json.loads(self.out)


def mynah(*words: object) -> Answer:
    """Run the command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = cli.main([str(word) for word in words])
        except SystemExit as leaving:  # argparse, after --help and --version
            code = int(leaving.code or 0)
    return Answer(code, out.getvalue(), err.getvalue())


def start(*words: object, **more: Any) -> subprocess.Popen[str]:
    """Start the command line as a process of its own."""
    command = [sys.executable, "-m", "mynah", *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=os.environ | more.pop("env", {}), **pipes | more)


def write_gguf(folder: Path) -> Path:
    """Write a Llama-like base as a GGUF file beside its safetensors, in fp32."""
    import gguf

    model, words = LlamaForCausalLM.from_pretrained(folder), tokenizer()
    path, config = folder / "base.gguf", model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    _add_words(writer, words)
    for name, weight in model.state_dict().items():
        if name != "lm_head.weight":
            writer.add_tensor(*_as_llama_cpp(name, weight.float().numpy(), config))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_words(writer: Any, words: PreTrainedTokenizerFast) -> None:
    raw = json.loads(words.backend_tokenizer.to_str())["model"]
    spelled = sorted(raw["vocab"], key=raw["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(spelled)
    writer.add_token_types([3 if word == SEPARATOR else 1 for word in spelled])  # control, normal
    writer.add_token_merges([" ".join(pair) for pair in raw["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.add_add_bos_token(False)


def _as_llama_cpp(name: str, weight: Any, config: Any) -> tuple[str, Any]:
    from mynah.gguf_files import permuted

    names = {
        "model.embed_tokens": "token_embd",
        "model.norm": "output_norm",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
        **{f"self_attn.{each}_proj": f"attn_{each}" for each in "qkv"},
        "self_attn.o_proj": "attn_output",
        **{f"mlp.{each}_proj": f"ffn_{each}" for each in ("gate", "up", "down")},
    }
    stem = name.removesuffix(".weight")
    if stem.startswith("model.layers."):
        block, _, layer = stem.removeprefix("model.layers.").partition(".")
        if layer == "self_attn.q_proj":
            weight = permuted(weight, config.num_attention_heads)
        if layer == "self_attn.k_proj":
            weight = permuted(weight, config.num_key_value_heads)
        return f"blk.{block}.{names[layer]}.weight", weight
    return f"{names[stem]}.weight", weight


def adapter_product(folder: Path, layer: str) -> Any:
    """Return what an adapter adds to a layer, [outputs, inputs]."""
    from safetensors.torch import load_file

    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    tensors = load_file(folder / "adapter_model.safetensors")
    first, second = (
        tensors[f"base_model.model.{layer}.lora_{each}.weight"].float() for each in "AB"
    )
    return (second @ first * config["lora_alpha"] / config["r"]).numpy()


def png(*notes: tuple[bytes, bytes]) -> bytes:
    """Return a picture of one grey point, with notes in it: kind and data."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)), *notes]
    parts += [(b"IDAT", zlib.compress(b"\0\x80")), (b"IEND", b"")]
    whole = b"\x89PNG\r\n\x1a\n"
    for kind, data in parts:
        check = zlib.crc32(kind + data)
        whole += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)
    return whole
