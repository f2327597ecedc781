"""What keeps the house habitable: budgets, light starts, each default in one place."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from statistics import median

import pytest

import mynah
from mynah.config import STAGES

SOURCES = sorted(Path(mynah.__file__).parent.rglob("*.py"))
CONFIG = "config.py"
HEAVY = {
    *("accelerate", "ftfy", "gguf", "huggingface_hub", "jinja2", "numpy", "phonenumbers"),
    *("markovify", "matplotlib", "py3langid", "rapidfuzz", "rich", "sacrebleu", "safetensors"),
    *("scipy", "sklearn", "stdnum", "tokenizers", "torch", "trackio", "transformers", "wandb"),
    *("yaml", "fastapi", "prometheus_client", "pydantic", "uvicorn"),
    *("ray", "pyarrow", "fsspec", "optuna"),
}


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in SOURCES:
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def functions() -> Iterator[tuple[Path, ast.FunctionDef]]:
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                yield path, node


def lines(node: ast.FunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_functions_stay_short() -> None:
    lengths = sorted(lines(node) for _, node in functions())
    assert median(lengths) <= 10
    assert lengths[len(lengths) * 9 // 10] <= 35


def test_no_function_is_longer_than_a_screen() -> None:
    long = {f"{path.name}:{node.name}": lines(node) for path, node in functions()}
    assert {name: count for name, count in long.items() if count > 60} == {}


def test_modules_stay_readable_in_one_sitting() -> None:
    counts = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert {name: count for name, count in counts.items() if count > 400} == {}


@pytest.mark.parametrize(
    "script",
    [
        "import mynah.cli; mynah.cli.build_parser([])",
        "import mynah.cli; mynah.cli.build_parser()",
        "import mynah.cli\ntry: mynah.cli.main(['--help'])\nexcept SystemExit: pass",
    ],
    ids=["parser", "parser of every verb", "help"],
)
def test_nothing_heavy_is_imported_before_the_words_are_understood(script: str) -> None:
    show = "import sys; print('loaded', *{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", f"{script}\n{show}"], check=True, capture_output=True, text=True
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "mynah" in loaded
    assert loaded & HEAVY == set()


def test_reading_an_archive_loads_no_library_of_services() -> None:
    show = "import sys; print('loaded', *{name.split('.')[0] for name in sys.modules})"
    script = f"import mynah.sources\n{show}"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    loaded = set(done.stdout.split())
    assert "mynah" in loaded
    assert loaded & {"atproto", "feedparser", "httpx2", "mastodon", "tenacity"} == set()


def test_a_setting_says_what_it_is() -> None:
    for config in STAGES.values():
        assert config.__doc__
        for item in fields(config):
            assert item.metadata["help"].strip(), f"{config.__name__}.{item.name}"


def test_settings_cannot_be_changed_or_given_by_place() -> None:
    for config in STAGES.values():
        assert config.__dataclass_params__.frozen, config.__name__
        assert all(item.kw_only for item in fields(config)), config.__name__


SETTINGS = {item.name for config in STAGES.values() for item in fields(config)}


def test_no_function_repeats_the_default_of_a_setting() -> None:
    """`n=10` in a signature would be a second place where that default is written."""
    repeated = [
        f"{path.name}:{node.name}({name})"
        for path, node in functions()
        for name, default in defaults(node)
        if name in SETTINGS and not is_none(default)
    ]
    assert repeated == []


def defaults(node: ast.FunctionDef) -> Iterator[tuple[str, ast.expr | None]]:
    places = [*node.args.posonlyargs, *node.args.args]
    missing = [None] * (len(places) - len(node.args.defaults))
    places += node.args.kwonlyargs
    given = [*missing, *node.args.defaults, *node.args.kw_defaults]
    yield from zip((each.arg for each in places), given, strict=True)


def is_none(node: ast.expr | None) -> bool:
    return node is None or (isinstance(node, ast.Constant) and node.value is None)


def test_no_flag_has_a_default_of_its_own() -> None:
    """Flags get theirs from the settings; only a prompt may be empty without one."""
    own = [
        f"{path.name}:{at}"
        for path, tree in trees()
        if path.name != "flags.py"
        for at, value in argparse_defaults(tree)
        if value != ""
    ]
    assert own == []


def argparse_defaults(tree: ast.Module) -> Iterator[tuple[int, object]]:
    """Yield where `default` is given to `add_argument`, or in a table of its options."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            keys = [each.value if isinstance(each, ast.Constant) else None for each in node.keys]
            if "default" in keys and "help" in keys:
                yield node.lineno, ast.literal_eval(node.values[keys.index("default")])
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument":
            for keyword in node.keywords:
                if keyword.arg == "default":
                    yield node.lineno, ast.unparse(keyword.value)
