"""Whether a bot says the same wherever it is taken: each export against the weights it was made of.

The reference is the bot with its adapter merged, in fp32, through transformers. Each export is read
back by the programs that it is for, says what comes first to it after 20 beginnings of held-out
posts, and spells out all held-out posts.

    python bench/export.py                      # makes a bot of a sample account, some minutes
    python bench/export.py --bot bots/someone   # with a bot that is there
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from speech import PROMPTS, TOKENS, greedy, held_out, made_bot

QUANTIZATIONS = ("f32", "f16", "q8_0", "q5_0", "q4_0")
READ_TWICE = ("f16", "q8_0")
HEAD = f"""\
| export | read by | MB | seconds | same texts, of {PROMPTS} | the same file elsewhere | \
bits a byte | likeliest word the same |
|---|---|---:|---:|---:|---:|---:|---:|"""
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


@dataclass
class Row:
    """One line of the table; what was not measured is None."""

    export: str
    reader: str
    megabytes: float | None = None
    seconds: float | None = None
    greedy: int | None = None  # texts as the reference says them
    elsewhere: int | None = None  # texts as another program says them with the same file
    bits: float | None = None
    likeliest: float | None = None  # share of places with the same likeliest word
    note: str = ""


@dataclass
class Bench:
    """What all exports are held against."""

    folder: Any
    work: Path
    exact: Any  # the bot in fp32
    texts: list[str]
    prompts: list[str]

    def __post_init__(self) -> None:
        from mynah.curriculum import encode
        from mynah.torch_engine import TorchEngine

        self.rows = encode(self.exact.tokenizer, self.texts, self.exact.separator, 1_000)
        self.said = greedy(TorchEngine(self.exact), self.prompts)
        self.logits = [torch_logits(self.exact.model, ids) for ids in self.rows]
        self.bits = self.bits_of(self.logits)

    def bits_of(self, logits: Sequence[Any]) -> float:
        """Return the bits a byte of the held-out posts."""
        nats = sum(spent(each, ids) for each, ids in zip(logits, self.rows, strict=True))
        return nats / np.log(2) / sum(len(text.encode()) for text in self.texts)

    def judge(self, row: Row, engine: Any, logits: Callable[[list[int]], Any]) -> list[str]:
        """Fill a line with what an export says and spells; return what it says."""
        mine = [logits(ids) for ids in self.rows]
        pairs = zip(mine, self.logits, strict=True)
        same = [a.argmax(axis=1) == b.argmax(axis=1) for a, b in pairs]
        said = greedy(engine, self.prompts)
        row.greedy = equal(said, self.said)
        row.bits, row.likeliest = self.bits_of(mine), float(np.concatenate(same).mean())
        return said


def main() -> None:
    """Export, read back, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bot", type=Path, help="folder of a trained bot")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        options.bot = options.bot or made_bot(Path(place))
        bench = opened(options, Path(place))
        print(f"{processor()}; {bench.folder.name}, {len(bench.texts)} held-out posts of")
        print(f"{bench.bits:.4f} bits a byte in the reference\n\n{HEAD}")
        for row in measured(bench):
            show(row, bench.bits)


def opened(options: argparse.Namespace, place: Path) -> Bench:
    """Return the reference."""
    from mynah.bot import load_bot
    from mynah.model import exact_device
    from mynah.run_folder import RunFolder

    folder, texts = RunFolder(options.bot), held_out(options)
    prompts = [" ".join(text.split()[:3]) for text in texts[:PROMPTS]]
    return Bench(folder, place, load_bot(folder, exact_device()), texts, prompts)


def measured(bench: Bench) -> Iterator[Row]:
    """Yield a line for each export and reader."""
    yield from of_transformers(bench)
    yield from of_adapter(bench)
    for quantization in QUANTIZATIONS:
        yield from of_gguf(bench, quantization)
    yield of_ollama(bench)
    for quantization in READ_TWICE:
        yield of_web(bench, quantization)


def of_transformers(bench: Bench) -> Iterator[Row]:
    """Read the merged model, as it is and in the arithmetic that is quicker here."""
    target, row = written(bench, "transformers")
    judge_torch(bench, row, read(target))
    yield row
    again = Row("transformers", "transformers, in bf16")
    judge_torch(bench, again, read(target, dtype="bfloat16"))
    yield again


def of_adapter(bench: Bench) -> Iterator[Row]:
    """Read the adapter with peft, beside the base that it was trained on."""
    from peft import PeftModel

    from mynah.bot import load_bots_base
    from mynah.model import exact_device

    target, row = written(bench, "adapter")
    base = load_bots_base(bench.folder, exact_device())
    row.reader = "peft"
    judge_torch(bench, row, PeftModel.from_pretrained(base.model, target).eval())
    yield row


def of_gguf(bench: Bench, quantization: str) -> Iterator[Row]:
    """Read a GGUF file with llama.cpp, and with transformers where it has to know the kind."""
    from mynah.llama_cpp import Context, Model
    from mynah.llama_engine import LlamaEngine

    target, row = written(bench, "gguf", quantization)
    [file] = target.glob("*.gguf")
    row.reader, model = "llama.cpp", Model(file)
    context = Context(model, texts=1, length=1_024)

    def logits(ids: list[int]) -> Any:
        context.clear(0)
        return context.read(ids[:-1], [(0, at) for at in range(len(ids) - 1)])

    mine = bench.judge(row, LlamaEngine(model, bench.exact.separator), logits)
    again = Row(f"gguf, {quantization}", "transformers")
    if quantization in READ_TWICE:
        theirs = judge_torch(bench, again, read(target, gguf_file=file.name))
        row.elsewhere = again.elsewhere = equal(mine, theirs)
    yield row
    if quantization in READ_TWICE:
        yield again


def of_ollama(bench: Bench) -> Row:
    """Compare the file with that of `gguf`: Ollama itself is not run here."""
    target, row = written(bench, "ollama", "q8_0")
    [mine], [theirs] = target.glob("*.gguf"), (bench.work / "gguf-q8_0").glob("*.gguf")
    same = digest(mine) == digest(theirs)
    row.reader, row.note = "Ollama", f"{'the same' if same else 'NOT the same'} file as gguf, q8_0"
    return row


def of_web(bench: Bench, quantization: str) -> Row:
    """Let the page write in Chromium, against llama.cpp itself with the same file."""
    from mynah.errors import ExtraMissing
    from mynah.llama_cpp import Model
    from mynah.llama_engine import LlamaEngine

    chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
    try:
        import playwright.sync_api  # noqa: F401 - whether it is there

        target, row = written(bench, "web", quantization)
    except (ImportError, ExtraMissing) as error:
        return Row(f"web, {quantization}", "Chromium", note=str(error))
    if chromium is None:
        return replace(row, reader="Chromium", note="there is no Chromium")
    begun = time.perf_counter()
    said = in_browser(target, bench.prompts, chromium)
    seconds = time.perf_counter() - begun
    engine = LlamaEngine(Model(target / "bot.gguf"), bench.exact.separator)
    native = whole(engine, bench.prompts)
    starts = [[start(engine, each) for each in texts] for texts in (said, native)]
    row.reader, row.elsewhere = "Chromium, one thread", equal(*starts)
    row.greedy = equal(starts[0], [start(engine, each) for each in bench.said])
    row.note = f"{equal(said, native)} to the end of the post; {seconds:.0f} s for all"
    return row


# --- parts ---


def written(bench: Bench, form: str, quantization: str | None = None) -> tuple[Path, Row]:
    """Export; return the folder, and a line with its size and how long it took."""
    from mynah.config import ExportConfig, build
    from mynah.export import export

    name = f"{form}-{quantization}" if quantization else form
    config = build(ExportConfig, {"format": form, "quantization": quantization})
    begun = time.perf_counter()
    target = export(bench.folder, bench.work / name, config)
    seconds = time.perf_counter() - begun
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file()) / 1e6
    return target, Row(name.replace("-", ", "), form, size, seconds)


def read(target: Path, *, dtype: str = "float32", **how: Any) -> Any:
    """Return a folder's model as transformers reads it."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(target, dtype=dtype, **how).eval()


def judge_torch(bench: Bench, row: Row, model: Any) -> list[str]:
    """Fill a line with what a model of torch's says and spells; return what it says."""
    from mynah.torch_engine import TorchEngine

    engine = TorchEngine(replace(bench.exact, model=model))
    return bench.judge(row, engine, lambda ids: torch_logits(model, ids))


def torch_logits(model: Any, ids: list[int]) -> Any:
    """Return the logits after each token but the last, fp32 [tokens - 1, vocabulary]."""
    import torch

    with torch.inference_mode():
        return model(input_ids=torch.tensor([ids[:-1]])).logits[0].float().numpy()


def spent(logits: Any, ids: list[int]) -> float:
    """Return -log p of the tokens after the first, in nats."""
    exact = logits.astype(np.float64)
    top = exact.max(axis=1)
    total = top + np.log(np.exp(exact - top[:, None]).sum(axis=1))
    return float((total - exact[np.arange(len(ids) - 1), ids[1:]]).sum())


def whole(engine: Any, prompts: list[str]) -> list[str]:
    """Return greedy posts up to the length at which the page stops."""
    from mynah.config import GenerationConfig
    from mynah.generation import generate

    config = GenerationConfig(n=1, temperature=0.0, min_tokens=0, max_draws=1)
    return [next(generate(engine, each, config, None, seed=0)).text for each in prompts]


def start(engine: Any, text: str) -> list[int]:
    """Return as much of a text as the others were asked to write."""
    return list(engine.encode(text)[:TOKENS])


def in_browser(site: Path, prompts: list[str], chromium: str) -> list[str]:
    """Return what the page writes at temperature 0."""
    from playwright.sync_api import sync_playwright

    posts = []
    with served(site) as address, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(600_000)
        page.goto(address)
        page.click("#ask summary")
        page.fill("#temperature", "0")
        for prompt in prompts:
            page.fill("#prompt", prompt)
            page.click("#write")
            page.locator("#status", has_text="One post is written.").wait_for()
            posts.append(page.locator("#posts p").first.text_content() or "")
            page.evaluate("document.querySelector('#status').textContent = ''")
        browser.close()
    return posts


class Silent(SimpleHTTPRequestHandler):
    """A static host that keeps no log."""

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Yield the address of a folder on this machine."""
    handler = functools.partial(Silent, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def equal(mine: Sequence[Any], theirs: Sequence[Any]) -> int:
    """Count the texts that are the same."""
    return [a == b for a, b in zip(mine, theirs, strict=True)].count(True)


def digest(path: Path) -> str:
    """Return a file's hash."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def processor() -> str:
    """Return the name of what this runs on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} cores of {names[0]}" if names else "an unknown processor"


def show(row: Row, reference: float) -> None:
    """Print one line."""
    bits = row.bits and f"{row.bits:.4f} ({100 * (row.bits / reference - 1):+.2f} %)"
    cells = (
        row.export,
        row.reader,
        row.megabytes and f"{row.megabytes:.0f}",
        row.seconds and f"{row.seconds:.0f}",
        row.greedy,
        row.elsewhere,
        bits or row.note,
        row.likeliest and f"{row.likeliest:.1%}",
    )
    print("| " + " | ".join("" if cell is None else str(cell) for cell in cells) + " |", flush=True)


if __name__ == "__main__":
    main()
