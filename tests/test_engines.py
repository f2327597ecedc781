"""Two engines, one voice: llama.cpp says what torch says, without torch."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tiny
from available import needs_llama
from mynah import engines
from mynah.bot import load_bot
from mynah.config import GenerationConfig
from mynah.copying import CopyIndex
from mynah.engines import LlamaCannot, open_engine, open_llama
from mynah.errors import BotError, SettingsError
from mynah.generation import Engine, generate
from mynah.gguf_files import (
    Update,
    adapter_updates,
    offsets,
    permuted,
    with_offsets,
    write_without_offsets,
)
from mynah.llama_cpp import LlamaCppMissing, Pace, library
from mynah.llama_engine import LlamaEngine
from mynah.records import Generation
from mynah.run_folder import RunFolder
from mynah.speaking import Tally, engine_for
from mynah.torch_engine import TorchEngine
from mynah.watch import Nobody

PLAIN = GenerationConfig(n=4, max_tokens=40, max_draws=1)


class Listener(Nobody):
    """Keeps what a stage says."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, sentence: str) -> None:
        self.said.append(sentence)


def say(engine: Engine, prompt: str = "", index: CopyIndex | None = None, **changes: Any):
    config = replace(PLAIN, **changes)
    return list(generate(engine, prompt, config, index, seed=0))


@pytest.fixture(scope="module")
def spoken(tiny_bot: RunFolder, tiny_base: Path, tmp_path_factory: pytest.TempPathFactory):
    """Return the tiny bot beside a base that has a GGUF file too."""
    root = tmp_path_factory.mktemp("spoken")
    base = root / tiny_base.name
    shutil.copytree(tiny_base, base)
    tiny.write_gguf(base)
    shutil.copytree(tiny_bot.root, root / "bots" / tiny_bot.name)
    folder = RunFolder(root / "bots" / tiny_bot.name)
    run = folder.run.read_text(encoding="utf-8")
    folder.run.write_text(run.replace(str(tiny_base), str(base)), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def reference(spoken: RunFolder) -> TorchEngine:
    return TorchEngine(load_bot(spoken, tiny.FP32))


@pytest.fixture(scope="module")
def llama(spoken: RunFolder) -> LlamaEngine:
    return open_llama(spoken)


PROMPTS = ["", "My dream is", "The 💜", " two  spaces ", "It's 9 o'clock <|endoftext|>, isn't it?"]


@needs_llama
@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_prompt_is_the_same_tokens_and_back(
    prompt: str, reference: TorchEngine, llama: LlamaEngine
) -> None:
    """A mark written out in a prompt is text to llama.cpp; transformers makes a token of it."""
    ids = llama.encode(prompt)
    if "<|" not in prompt:
        assert ids == reference.encode(prompt)
    assert llama.separator not in ids
    assert llama.decode(ids) == prompt
    assert (llama.separator, llama.longest) == (reference.separator, reference.longest)


@needs_llama
def test_logits_are_those_of_the_reference(reference: TorchEngine, llama: LlamaEngine) -> None:
    ids = [llama.separator, *llama.encode("The gull on counter two")]
    mine = llama.begin(ids, 1, 64).first
    with torch.inference_mode():
        theirs = reference.bot.model(input_ids=torch.tensor([ids])).logits[0, -1].numpy()
    assert np.abs(mine - theirs).max() < 1e-2  # the adapter is in fp16 there, and the cache


@needs_llama
@pytest.mark.parametrize("prompt", ["", "My dream is", "The", "Rain on the"])
def test_greedy_posts_are_those_of_the_reference(
    prompt: str, reference: TorchEngine, llama: LlamaEngine
) -> None:
    changes: dict[str, Any] = {"n": 1, "temperature": 0.0}
    assert say(llama, prompt, **changes) == say(reference, prompt, **changes)


@needs_llama
def test_the_same_dice_fall_on_the_same_posts(reference: TorchEngine, llama: LlamaEngine) -> None:
    """Digits differ from the third on, so now and then a die falls on the next token."""
    short: dict[str, Any] = {"n": 20, "max_tokens": 12}
    mine = {post.text for post in say(llama, **short)}
    assert len(mine & {post.text for post in say(reference, **short)}) >= 14


@needs_llama
def test_a_seed_repeats_and_the_others_in_the_batch_do_not_matter(llama: LlamaEngine) -> None:
    """Other products run for another number of rows, so over many tokens digits drift apart."""
    short: dict[str, Any] = {"max_tokens": 12}
    first = say(llama, n=9, **short)
    assert first == say(llama, n=9, **short)
    assert {post.text for post in say(llama, n=3, **short)} <= {post.text for post in first}


@needs_llama
def test_more_posts_than_fit_side_by_side(llama: LlamaEngine) -> None:
    posts = say(llama, n=70, max_tokens=8)
    assert len(posts) == 70
    assert len({post.text for post in posts}) > 40


@needs_llama
def test_a_prompt_longer_than_one_batch_is_too_long_for_this_base(llama: LlamaEngine) -> None:
    with pytest.raises(SettingsError, match="more than the 256 that the base reads at once"):
        say(llama, "The gull " * 300)


@needs_llama
def test_a_row_that_left_is_read_by_nobody(llama: LlamaEngine) -> None:
    """A row taken again begins as the prompt, whatever stood there before."""
    rows = llama.begin([llama.separator, *llama.encode("The")], 2, 64)
    one, two = rows.join(), rows.join()
    assert one and two and rows.join() is None
    fresh = rows.read({one: 7, two: 9})[one]
    rows.read({two: 5})
    again = rows.join()
    assert again == one
    assert np.array_equal(rows.read({one: 7, two: 3})[one], fresh)


# --- threads ---


def paced(pace: Pace, steps: int, seconds: dict[int, float], tokens: int = 1) -> list[int]:
    """Return the threads of each step where one takes so long with so many threads."""
    taken = []
    for _ in range(steps):
        taken.append(pace.threads())
        pace.took(seconds[taken[-1]] * (1 + tokens), tokens)
    return taken


def test_threads_are_tried_in_turn_and_the_faster_are_kept() -> None:
    trial = [4, 4, 4, 2, 2]  # the first step of all shows nothing
    assert paced(Pace(4), 65, {4: 1.0, 2: 1.5}) == trial + 60 * [4]
    assert paced(Pace(4), 65, {4: 1.5, 2: 1.0}) == trial + 60 * [2]


def test_threads_are_tried_anew_when_the_others_may_have_left() -> None:
    pace = Pace(2)
    assert paced(pace, 65, {2: 3.0, 1: 1.0})[-1] == 1
    assert paced(pace, 64, {2: 0.6, 1: 1.0}) == [2, 2, 1, 1] + 60 * [2]


def test_a_shrinking_batch_is_no_speed() -> None:
    pace = Pace(2)
    pace.took(9.0, 1)
    for tokens, seconds in ((9, 10.0), (9, 10.0), (4, 6.0), (4, 6.0)):  # 1.0 and 1.2 a share
        pace.took(seconds, tokens)
    assert pace.threads() == 2


def test_one_processor_has_no_choice() -> None:
    assert set(paced(Pace(1), 70, {1: 1.0})) == {1}


# --- files ---


def test_rows_of_a_head_are_paired_as_llama_cpp_pairs_them() -> None:
    """Two heads of four rows: 0 1 2 3 become 0 2 1 3, so that 0 and 2 stand side by side."""
    rows = np.arange(8, dtype=np.float32)[:, None]
    assert permuted(rows, heads=2)[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_an_adapter_keeps_its_product_under_new_names(tiny_bot: RunFolder) -> None:
    found = {each.layer: each for each in adapter_updates(tiny_bot.adapter, heads=4, kv_heads=2)}
    assert len(found) == 2 * 7
    plain = tiny.adapter_product(tiny_bot.adapter, "model.layers.1.mlp.down_proj")
    update = found["blk.1.ffn_down.weight"]
    assert np.allclose(update.second @ update.first, plain, atol=1e-6)
    turned = found["blk.0.attn_k.weight"]
    plain = tiny.adapter_product(tiny_bot.adapter, "model.layers.0.self_attn.k_proj")
    assert np.allclose(turned.second @ turned.first, permuted(plain, heads=2), atol=1e-6)


def test_a_base_without_offsets_and_what_it_lacks_are_the_base(tmp_path: Path) -> None:
    import gguf

    kinds = gguf.GGMLQuantizationType
    weight = np.random.default_rng(0).normal(size=(6, 96)).astype(np.float32)
    packed = gguf.quants.quantize(weight, kinds.Q4_1)
    writer = gguf.GGUFWriter(tmp_path / "base.gguf", "llama")
    writer.add_string("general.name", "four bits")
    writer.add_tensor("blk.0.ffn_up.weight", packed, raw_dtype=kinds.Q4_1)
    writer.add_tensor("norm.weight", np.ones(4, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    reader = gguf.GGUFReader(tmp_path / "base.gguf")
    write_without_offsets(reader, tmp_path / "new.gguf")
    after = gguf.GGUFReader(tmp_path / "new.gguf")
    assert after.fields["general.name"].contents() == "four bits"
    assert after.tensors[1].tensor_type == kinds.F32
    [quantised] = [each for each in after.tensors if each.name == "blk.0.ffn_up.weight"]
    bare = gguf.quants.dequantize(quantised.data, quantised.tensor_type)

    mine = Update("blk.0.ffn_up.weight", np.ones((2, 96), np.float32), np.ones((6, 2), np.float32))
    [update] = with_offsets([mine], offsets(reader))
    expected = gguf.quants.dequantize(packed, kinds.Q4_1) + 2
    assert update.first.shape == (2 + 96 // 32, 96)
    assert np.allclose(bare + update.second @ update.first, expected, atol=1e-5)


def test_a_layer_that_the_bot_left_alone_gets_its_offsets_too() -> None:
    missing = {"blk.0.attn_v.weight": np.full((4, 2), 3.0, np.float32)}
    [update] = with_offsets([], missing)
    assert update.layer == "blk.0.attn_v.weight"
    assert np.array_equal(update.second @ update.first, np.full((4, 64), 3.0))


# --- the choice ---


@needs_llama
def test_auto_takes_llama_cpp_where_it_can(spoken: RunFolder) -> None:
    watch = Listener()
    assert open_engine(spoken, "auto", watch).name == "llama.cpp"
    assert watch.said == ["Speaking through llama.cpp."]


@pytest.mark.parametrize(
    ("bot", "reason"),
    [
        ("tiny_bot", "base 'tiny-llama' has no GGUF file"),
        ("tiny_gpt2_bot", "base 'tiny-gpt2' has no GGUF file"),
    ],
)
def test_auto_takes_torch_elsewhere_and_says_why(
    bot: str, reason: str, request: pytest.FixtureRequest
) -> None:
    folder, watch = request.getfixturevalue(bot), Listener()
    assert open_engine(folder, "auto", watch).name.startswith("torch on ")
    assert watch.said[0].endswith(f"({reason}).")
    with pytest.raises(BotError, match=reason):
        open_engine(folder, "llama", watch)


def test_without_the_wheel_torch_speaks(spoken: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *more: None if name == "xllamacpp" else real(name, *more),
    )
    library.cache_clear()
    watch = Listener()
    assert isinstance(open_engine(spoken, "auto", watch), TorchEngine)
    assert "xllamacpp is not installed" in watch.said[0]
    library.cache_clear()


@needs_llama
def test_settings_laid_out_otherwise_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from mynah import llama_cpp

    monkeypatch.setitem(llama_cpp._KNOWN, "n_batch", 4_096)
    library.cache_clear()
    with pytest.raises(LlamaCppMissing, match="of another build"):
        library()
    library.cache_clear()


@needs_llama
def test_files_are_made_once_and_anew_after_a_training(
    spoken: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MYNAH_CACHE", str(tmp_path / "cache"))
    folder = RunFolder(tmp_path / "bot")
    shutil.copytree(spoken.root, folder.root)
    open_llama(folder)
    [first] = (tmp_path / "cache" / "speech").rglob("*.gguf")
    made = first.stat().st_mtime_ns
    open_llama(folder)
    assert first.stat().st_mtime_ns == made
    weights = folder.adapter / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    open_llama(folder)
    [second] = (tmp_path / "cache" / "speech").rglob("*.gguf")
    assert second != first


@needs_llama
def test_a_broken_gguf_is_no_reason_to_be_silent(
    spoken: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_speech_files", lambda *_: (tmp_path / "x.gguf", tmp_path / "y"))
    (tmp_path / "x.gguf").write_bytes(b"GGUF and then nothing")
    with pytest.raises(LlamaCannot, match=r"llama\.cpp cannot read x\.gguf"):
        open_llama(spoken)
    assert isinstance(open_engine(spoken, "auto", Nobody()), TorchEngine)


@needs_llama
def test_say_does_not_import_torch_where_llama_cpp_speaks(spoken: RunFolder) -> None:
    open_llama(spoken)  # its files are made
    script = (
        "import sys; from mynah.cli import main; code = main(sys.argv[1:]); "
        "print(code, sorted({'torch', 'transformers', 'gguf', 'tokenizers'} & set(sys.modules)))"
    )
    words = ["say", str(spoken.root), "-n", "2", "--seed", "3", "--max-tokens", "9"]
    done = subprocess.run(
        [sys.executable, "-c", script, *words], check=True, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "0 []", done.stderr
    assert "Speaking through llama.cpp." in done.stderr


# --- the copy guard ---


class Reciter:
    """An engine of single letters that recites one text, the same in every draw."""

    name, separator, longest, at_once = "reciter", 0, 1_000, 32

    def __init__(self, text: str) -> None:
        self.ids = [*map(ord, text), 0]

    def encode(self, text: str) -> list[int]:
        return [ord(letter) for letter in text]

    def decode(self, ids: Any) -> str:
        return "".join(map(chr, ids))

    def begin(self, start: Any, rows: int, length: int) -> Reciter:
        self.first, self.read_so_far = self.after(0), {}
        return self

    def after(self, count: int) -> Any:
        logits = np.full(128, -50.0, dtype=np.float32)
        logits[self.ids[count]] = 50.0
        return logits

    def join(self) -> int | None:
        self.read_so_far[1] = 0
        return 1

    def read(self, tokens: Any) -> Any:
        for row in tokens:
            self.read_so_far[row] += 1
        return {row: self.after(self.read_so_far[row]) for row in tokens}


REAL = "we sold tickets to a sound and the sound was a horn today"
CUT = len("we sold tickets to a sound and the ")  # eight words, and the space that ends the last


def test_a_copying_draw_is_dropped_at_its_eighth_word() -> None:
    [post] = say(Reciter(REAL), index=CopyIndex([REAL]), n=1, max_tokens=80, max_draws=3)
    assert (post.drawn_again, post.dropped_early, post.dropped_tokens) == (2, 2, 2 * CUT)
    assert post.tokens == 2 * CUT + len(REAL) + 1  # the last draw is carried to its end
    assert post.text == REAL and post.copied_first and post.nearest.overlap == 1.0


@pytest.mark.parametrize(
    ("changes", "dropped"),
    [({"allow_copies": True}, 0), ({"copied_words": 20}, 0), ({"max_draws": 1}, 0), ({}, 1)],
)
def test_draws_are_dropped_only_where_copies_are_not_wanted(
    changes: dict[str, Any], dropped: int
) -> None:
    settings: dict[str, Any] = {"n": 1, "max_tokens": 80, "max_draws": 2} | changes
    [post] = say(Reciter(REAL), index=CopyIndex([REAL]), **settings)
    assert post.dropped_early == dropped


def test_the_words_of_a_prompt_count() -> None:
    prompt = "we sold tickets to a sound "
    rest = "and the sound was a horn today"
    [post] = say(Reciter(rest), prompt, CopyIndex([REAL]), n=1, max_tokens=80, max_draws=2)
    assert post.dropped_tokens == len("and the ")


def test_what_dropping_saved_is_counted() -> None:
    """Two whole draws of 30 tokens on average, three dropped after 36 together: 3 x 30 - 36."""

    def post(**changes: int) -> Generation:
        return Generation(text="", prompt="", seed=0, **changes)

    first = post(tokens=20)
    second = post(tokens=40 + 36, drawn_again=3, dropped_early=3, dropped_tokens=36)
    assert Tally.of([first, second]) == Tally(drawn_again=3, dropped_early=3, saved_tokens=54)
    assert Tally.of([]) == Tally(drawn_again=0, dropped_early=0, saved_tokens=0)


def test_greedy_text_comes_from_the_reference_unless_an_engine_is_named() -> None:
    assert engine_for(GenerationConfig(temperature=0.0)) == "torch"
    assert engine_for(GenerationConfig(temperature=0.8)) == "auto"
    assert engine_for(GenerationConfig(temperature=0.0, engine="llama")) == "llama"
