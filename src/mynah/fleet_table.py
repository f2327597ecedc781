"""What became of every bot of a fleet, as a table (Parquet), written a thousand rows at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mynah.errors import ExtraMissing
from mynah.run_folder import storage_errors

_ROWS = 1_000  # held until they are written
_COLUMNS = {
    "bot": "string",
    "status": "string",
    "accounts": "list",
    "posts": "int64",
    "held_out": "int64",
    "steps": "int64",
    "base_bits_per_byte": "float64",
    "bits_per_byte": "float64",
    "gain_percent": "float64",
    "copied": "float64",
    "copied_unguarded": "float64",
    "verdict": "string",
    "adapter_bytes": "int64",
    "seconds": "float64",
    "processor_seconds": "float64",
    "peak_mb": "float64",
    "machine": "string",
    "at": "string",
    "key": "string",
    "error": "string",
    "hint": "string",
}


class FleetTable:
    """A table that grows; it takes its place when it is whole."""

    def __init__(self, writer: Any, schema: Any) -> None:
        self._writer, self._schema = writer, schema
        self._rows: list[dict[str, Any]] = []

    def add(self, row: Mapping[str, Any]) -> None:
        """Add what became of one bot."""
        self._rows.append({name: row.get(name) for name in _COLUMNS})
        if len(self._rows) >= _ROWS:
            self.flush()

    def flush(self) -> None:
        """Write the rows that are held."""
        from pyarrow import Table

        if self._rows:
            self._writer.write_table(Table.from_pylist(self._rows, schema=self._schema))
            self._rows = []


@contextmanager
def writing_table(path: Path) -> Iterator[FleetTable]:
    """Open a table that replaces the one at `path` when the block ends well.

    Raises:
        ExtraMissing: the library is not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow.parquet import ParquetWriter
    except ImportError as error:
        raise ExtraMissing.of("fleet", "PyArrow is not installed.") from error
    kinds = {"list": pa.list_(pa.string()), "string": pa.string()}
    kinds |= {"int64": pa.int64(), "float64": pa.float64()}
    schema = pa.schema([(name, kinds[kind]) for name, kind in _COLUMNS.items()])
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            fresh = Path(folder) / path.name
            with ParquetWriter(fresh, schema) as writer:
                table = FleetTable(writer, schema)
                yield table
                table.flush()
            fresh.replace(path)


def failures_in(path: Path) -> dict[str, dict[str, Any]]:
    """Return the rows of bots that failed, by name; none where there is no table."""
    if not path.exists():
        return {}
    from pyarrow.parquet import read_table

    rows = read_table(path, columns=["bot", "status", "key", "error", "hint"]).to_pylist()
    return {row["bot"]: row for row in rows if row["status"] == "failed"}
