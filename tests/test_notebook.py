"""The notebook runs from its first cell to its last, and stays as short as it promises."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="nbclient is not installed")
nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
pytest.importorskip("ipykernel", reason="ipykernel is not installed")

NOTEBOOK = Path(__file__).resolve().parents[1] / "examples" / "mynah.ipynb"


def test_no_cell_is_longer_than_ten_lines_or_holds_results() -> None:
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        assert len(cell.source.splitlines()) <= 10
        assert not cell.get("outputs")


# Other people's code: the kernel's client opens its sockets and loops in older ways.
@pytest.mark.filterwarnings("default::DeprecationWarning", "default::RuntimeWarning")
@pytest.mark.filterwarnings("default::pytest.PytestUnraisableExceptionWarning")
def test_it_runs_from_the_archive_to_the_card(
    small_archive: Path, tiny_base: Path, tmp_path: Path
) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    [parameters] = [
        cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())
    ]
    parameters.source += f"""
from mynah.config import *
from mynah.pipeline import Recipe
sources = [{str(small_archive)!r}]
recipe = Recipe(
    train=TrainingConfig(base={str(tiny_base)!r}, epochs=2.0, learning_rate=0.01),
    dataset=DatasetConfig(max_post_tokens=64),
    report=ReportConfig(samples=4, resamples=50),
    say=GenerationConfig(n=3, seed=0, max_tokens=24, max_draws=2),
)
"""
    os.environ["IPYTHONDIR"] = str(tmp_path / "ipython")
    client = nbclient.NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": "."}}
    )
    asyncio.run(client.async_execute())
    said = "".join(
        output.get("text") or output.get("data", {}).get("text/plain", "")
        for cell in notebook.cells
        for output in cell.get("outputs", ())
    )
    assert "kept" in said and "@ferryclerk" in said and "My dream is" in said
    folder = Path("bots") / "ferryclerk"
    assert all((folder / name).exists() for name in ("adapter", "report.json", "README.md"))
