"""A dataset of the Hugging Face Hub, or a folder of one: `hf:owner/name`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mynah.errors import ExtraMissing, SourceError, SourceNotFound, UnknownFormat
from mynah.sources.guarded import Guarded
from mynah.sources.journal import Content, Journal
from mynah.sources.place import Place
from mynah.sources.rows import TEXT, Rows

SCHEME = "hf"


@dataclass(frozen=True)
class DatasetPlace:
    """A dataset by its name or folder; its files are the library's business."""

    path: Path
    names: tuple[str, ...] = ()

    def open(self, name: str, journal: Journal | None = None) -> Guarded:
        """Say that there is nothing to open."""
        raise SourceNotFound(f"{self.path} is a dataset, not a file.", hint="Run: mynah fetch hf:…")


def recognises(place: Place) -> float:
    """Tell by the spelling: nothing else is looked at."""
    return float(isinstance(place, DatasetPlace))


def read(place: Place, journal: Journal) -> Content:
    """Find the dataset's parts now, read their rows as they are asked for."""
    with _loading(place.path):
        parts = _parts(place.path)
    rows = Rows(place.path.name, "hf", journal)
    return Content("hf", rows.posts(listed(place.path, parts, journal)))


def _parts(path: Path) -> dict[str, Any]:
    """Return the parts (train, test) as they are stored; those of the Hub come row by row."""
    try:
        import datasets
    except ImportError as error:
        raise ExtraMissing.of(
            "datasets", "Hugging Face's datasets need the library datasets."
        ) from error
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # it logs what it raises
    datasets.disable_progress_bars()
    saved = (path / "state.json", path / "dataset_dict.json")
    if any(file.exists() for file in saved):
        loaded = datasets.load_from_disk(str(path))
    else:
        loaded = datasets.load_dataset(path.as_posix(), streaming=True)
    return dict(loaded) if isinstance(loaded, dict) else {"train": loaded}


def listed(path: Path, parts: dict[str, Any], journal: Journal) -> Iterator[dict[str, Any]]:
    """Yield the rows of all parts, their columns in lower case.

    Raises:
        UnknownFormat: no column is known to hold texts.
        SourceNotFound: the library cannot read them.
    """
    digest = hashlib.sha256()
    for part in parts.values():
        with _loading(path):
            for number, row in enumerate(part):
                lower = {key.lower().replace(" ", "_"): value for key, value in row.items()}
                if number == 0:
                    _check_text(path, lower)
                digest.update(json.dumps(row, sort_keys=True, default=str).encode())
                yield lower
    # Of the rows as they were read: a dataset is many files, of which the library keeps its own.
    journal.hashed(f"hf:{path.name}", digest.hexdigest())


def _check_text(path: Path, row: dict[str, Any]) -> None:
    if not row.keys() & set(TEXT):
        raise UnknownFormat(
            f"No column of {path} is known to hold texts: it has {', '.join(sorted(row))}.",
            hint=f"Mynah knows {', '.join(TEXT)}. Name the column so and save it as JSON lines.",
        )


@contextmanager
def _loading(path: Path) -> Iterator[None]:
    """Turn whatever the library raises, of its own or of a dozen others, into one sentence."""
    try:
        yield
    except (SourceError, ExtraMissing):
        raise
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")[:200]
        raise SourceNotFound(
            f"The dataset {path} cannot be read ({reason}).",
            hint=f"Look at https://huggingface.co/datasets/{path}; a private one needs a login: "
            "hf auth login",
        ) from error
