"""A table with a column of texts: tweets.csv of 2012-2018, scrapers' dumps, one's own."""

from __future__ import annotations

from mynah.sources.journal import Content, Journal
from mynah.sources.place import Place, first_line, stem
from mynah.sources.rows import Rows
from mynah.sources.tables import columns, ids, is_header, table

SCHEME = "file"


def recognises(place: Place) -> float:
    """Tell by the columns that the file's first line names, texts among them."""
    name = place.names[0].lower().removesuffix(".gz")
    line = first_line(place)
    if is_header(line, sure=False):
        return 0.9
    return 0.6 if is_header(line, sure=name.endswith((".csv", ".tsv"))) else 0.0


def read(place: Place, journal: Journal) -> Content:
    """Read the rows as they are asked for."""
    name = place.names[0]
    header, _ = columns(first_line(place))
    grailbird = "retweeted_status_timestamp" in header
    # A reply to one of the file's own posts is a thread; the file is newest first, so the ids
    # have to be known before.
    threads = "in_reply_to_status_id" in header
    own = ids(place.open(name)) if threads else frozenset[str]()
    rows = Rows(stem(place), "csv", journal, own_archive=grailbird, own_ids=own)
    kind = "grailbird-csv" if grailbird else "csv"
    return Content(kind, rows.posts(table(place.open(name, journal))))
