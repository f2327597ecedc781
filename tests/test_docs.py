"""Documentation that cannot lie: its Python runs, its commands parse, its links and keys exist."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mynah.cli import build_parser
from mynah.run_folder import RunFolder
from mynah.verbs import VERBS
from mynah.versions import keep_version
from tiny import mynah

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
EMBEDDED = "smollm2-135m"  # blocks name it; here they get a base of two layers in its place


def blocks(page: Path, *kinds: str) -> list[str]:
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [code for kind, code in found if kind in kinds]


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of every command in a page's shell blocks, pipes and comments cut off."""
    for block in blocks(page, "sh", "bash"):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            end = next((at for at, word in enumerate(words) if word in "|>&&"), len(words))
            if words[:end]:
                yield [words[0].removeprefix(".venv/bin/"), *words[1:end]]


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=name)
def test_python_blocks_run(page: Path, tiny_base: Path, small_archive: Path) -> None:
    for archive in ("your-archive.zip", "twitter-2024.zip"):
        shutil.copy(small_archive, archive)
    space: dict[str, Any] = {"__name__": page.stem}
    for number, block in enumerate(blocks(page, "python"), start=1):
        code = block.replace(EMBEDDED, str(tiny_base))
        exec(compile(code, f"{page.name}, block {number}", "exec", dont_inherit=True), space)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_are_understood(page: Path) -> None:
    parser = build_parser()
    for words in commands(page):
        if words[0] == "mynah":
            parser.parse_args(words[1:])


def test_make_knows_what_the_docs_tell_it_to_make() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    told = {words[1] for page in PAGES for words in commands(page) if words[0] == "make"}
    assert {"demo", "test", "check", "bench"} <= told <= targets


def test_the_readme_installs_what_the_makefile_installs() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    installed = [words for words in commands(ROOT / "README.md") if words[:2] == ["pip", "install"]]
    installed = [words for words in installed if not words[-1].startswith(".[")]  # extras
    assert len(installed) == 3
    for words in installed:
        assert words[-1] in makefile


def test_the_readme_starts_with_two_commands() -> None:
    first, second, *_ = commands(ROOT / "README.md")
    assert first == ["make", "demo"]
    assert second[:2] == ["mynah", "make"]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    links = LINK.findall(page.read_text(encoding="utf-8"))
    own = [link for link in links if "://" not in link]
    assert [link for link in own if not (page.parent / link).exists()] == []


def test_the_page_of_the_command_line_is_what_the_code_says() -> None:
    check = [sys.executable, ROOT / "docs" / "generate_cli.py", "--check"]
    done = subprocess.run(check, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def schemas() -> dict[str, Any]:
    """Return the schema of each verb, the shared parts in it, from docs/json.md."""
    text = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
    shared, *verbs = re.findall(r"^```json\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    names = re.findall(r"^## mynah (\w+)$", text, re.MULTILINE)
    return {
        verb: closed(json.loads(shared) | json.loads(schema))
        for verb, schema in zip(names, verbs, strict=True)
    }


def closed(schema: Any) -> Any:
    """Return a schema that allows no key which it does not name."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: closed(value) for key, value in schema.items()}
    return {"additionalProperties": False} | inner if "properties" in inner else inner


def test_every_verb_has_a_schema() -> None:
    made = schemas()
    assert list(made) == [verb.name for verb in VERBS]
    for schema in made.values():
        jsonschema.Draft202012Validator.check_schema(schema)


QUICK = ["--effort", "quick", "--max-post-tokens", 32]
FEW = ["--samples", 3, "--resamples", 20, "--max-tokens", 16, "--max-draws", 2]


def asked(verb: str, archive: Path, base: Path) -> list[object]:
    """Return the words after a verb: `make` and `fetch` make a bot anew, the others have one."""
    return {
        "make": [archive, "--name", "new", "--base", base, *QUICK, *FEW, "-n", 2],
        "fetch": [archive, "--name", "new"],
        "train": ["ferryclerk", "--base", base, *QUICK],
        "flock": ["train", archive, "--base", base, "--max-post-tokens", 32],
        "blend": ["ferryclerk", "mirrorclerk"],
        "report": ["ferryclerk", *FEW],
        "say": ["ferryclerk", "My dream is", "-n", 2, "--max-tokens", 16],
        # The small archive repeats its sentences: by the usual rules none of its posts is new.
        "quiz": ["ferryclerk", "--pairs", 13, "--copied-words", 99, "--copied-share", 9],
        "who": ["My dream is"],
        "map": ["--posts", 2],
        "fleet": ["status", "flock.toml"],
        "sweep": ["ferryclerk", "--base", base, "--trials", 1, "--samples", 2, *QUICK[2:]],
        "takedown": ["ferryclerk", "--yes"],
        "pull": ["ada/ferryclerk", "--name", "back"],
        "list": [],
        "update": ["ferryclerk", archive],
    }.get(verb, ["ferryclerk"])


RUNS_ON = {"dashboard", "serve", "web"}  # until Ctrl-C, each with tests of its own


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS if verb.name not in RUNS_ON])
def test_what_a_verb_prints_has_the_documented_keys(
    verb: str, bot: RunFolder, small_archive: Path, tiny_base: Path, request: pytest.FixtureRequest
) -> None:
    assert bot.name == "ferryclerk"
    if verb in ("push", "takedown", "pull"):
        request.getfixturevalue("hub")
    if verb == "map":
        request.getfixturevalue("mirror")
    if verb in ("takedown", "pull"):
        assert mynah("push", bot.name).code == 0
    order = f'accounts = ["{small_archive}"]\n[train]\nbase = "{tiny_base}"\n'
    Path("flock.toml").write_text(order, encoding="utf-8")
    if verb == "blend":
        request.getfixturevalue("mirror")
    if verb == "rollback":
        keep_version(bot)
    answer = mynah(verb, *asked(verb, small_archive, tiny_base), "--json")
    assert (answer.code, answer.err) == (0, "")
    jsonschema.validate(answer.json, schemas()[verb], cls=jsonschema.Draft202012Validator)


def test_the_table_of_bots_has_the_documented_keys(bot: RunFolder, mirror: RunFolder) -> None:
    answer = mynah("who", "--table", bot.name, mirror.name, "--posts", 2, "--json")
    assert (answer.code, answer.err) == (0, "")
    jsonschema.validate(answer.json, schemas()["who"], cls=jsonschema.Draft202012Validator)


def test_counts_in_json_add_up(bot: RunFolder) -> None:
    counts = mynah("clean", bot.name, "--json").json
    for row in (counts, *counts["by_author"].values()):
        assert row["downloaded"] == row["kept"] + sum(row["dropped"].values())


def test_after_an_error_standard_output_is_empty() -> None:
    answer = mynah("say", "nobody", "--json")
    assert (answer.code, answer.out) == (2, "")


STAGES = ["fetch", "clean", "train", "report", "say", "card", "export"]


def test_examples_run_one_after_another(
    small_archive: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for stage in [*STAGES, "make"]:
        first = str(small_archive) if stage in ("fetch", "make") else "bots/ferryclerk"
        base = [str(tiny_base)] if stage in ("train", "make") else []
        monkeypatch.setattr(sys, "argv", [f"{stage}.py", first, *base])
        runpy.run_path(str(ROOT / "examples" / f"{stage}.py"), run_name="__main__")
    assert RunFolder(Path("bots/ferryclerk")).card.exists()


def test_every_example_is_run() -> None:
    scripts = {path.stem for path in (ROOT / "examples").glob("*.py")}
    assert scripts == {*STAGES, "make", "build_archives", "build_starter"}
