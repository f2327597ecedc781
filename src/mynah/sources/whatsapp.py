"""A WhatsApp chat as the telephone exports it: a text with a time and a name before a message."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from mynah.records import Post
from mynah.sources.chat_dates import DATE, TIME, Stamp, find_order, stamp, to_iso
from mynah.sources.journal import Content, Journal
from mynah.sources.parsing import lines
from mynah.sources.people import Cast
from mynah.sources.place import Place, head
from mynah.sources.values import as_text, made_up_id

SCHEME = "file"
# "31.12.25, 21:05 - " on Android, "[31.12.25, 9:05:33 PM] " on iOS; \s takes U+202F as well.
_BETWEEN = r",?\s+(?:(?:à|às|at|um|kl\.)\s)?"
_HEAD = re.compile(
    rf"[\u200e\u200f\u202a]*(?:\[{DATE}{_BETWEEN}{TIME}\]|{DATE}{_BETWEEN}{TIME}\s-)\s(.*)",
    re.DOTALL,
)
_MARKS = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_LONGEST_NAME = 100
# iOS writes U+200E before all that it says itself; `<...>` is a picture, or that one was left out.
_ATTACHED = re.compile(r"\u200e<[^<>\n]*>")
_LEFT_OUT = re.compile(r"<[^<>\n]*>|null")
_FILE = re.compile(
    r"(?:[A-Z]{3}-\d{8}-WA\d+\.\w+ \(.*\)|.*\.\w{2,5} \((?:file attached|Datei angehängt|"
    r"archivo adjunto|fichier joint|arquivo anexado|file allegato|bestand bijgevoegd)\))(?:\n|$)"
)
_EDITED = re.compile(
    r"\s*<(?:This message was edited|Diese Nachricht wurde bearbeitet|Se editó este mensaje|"
    r"Ce message a été modifié|Mensagem editada|Questo messaggio è stato modificato)>$"
)
_DELETED = re.compile(
    r"(?:This message was deleted|You deleted this message|Diese Nachricht wurde gelöscht|"
    r"Du hast diese Nachricht gelöscht|Se eliminó este mensaje|Eliminaste este mensaje|"
    r"Ce message a été supprimé|Vous avez supprimé ce message|Mensagem apagada|"
    r"Você apagou esta mensagem|Questo messaggio è stato eliminato|"
    r"Hai eliminato questo messaggio|Missed (?:voice|video) call)\.?"
)

_Message = tuple[Stamp, str]


def recognises(place: Place) -> float:
    """Tell by the times and names that lines begin with."""
    start = head(place).decode("utf-8-sig", "replace").splitlines(keepends=True)
    found = list(messages(start))
    named = sum(_sender(rest)[0] != "" for _, rest in found)
    first = bool(found) and bool(start) and _HEAD.match(start[0]) is not None
    return (1.0 if named > 1 else 0.8) if first and named else 0.6 if named > 2 else 0.0


def read(place: Place, journal: Journal) -> Content:
    """Find the order of day and month now, read everybody's messages as they are asked for."""
    return Content("whatsapp", _posts(place, journal), chat=True)


def messages(rows: Iterable[str]) -> Iterator[_Message]:
    """Yield each message's time and what follows it; a line without a time goes on with the last.

    What stands before the first message belongs to none.
    """
    when, said = None, list[str]()
    for row in rows:
        found = _HEAD.match(row)
        groups = found.groups() if found else ()
        time = stamp(groups[:8] if groups[0] else groups[8:16]) if groups else None
        if time is None:
            said.append(row)
            continue
        if when is not None:
            yield when, "".join(said)
        when, said = time, [groups[16] or ""]
    if when is not None:
        yield when, "".join(said)


def _posts(place: Place, journal: Journal) -> Iterator[Post]:
    name, cast = place.names[0], Cast(journal)
    order = find_order(when for when, _ in messages(lines(place.open(name))))
    for when, rest in messages(lines(place.open(name, journal))):
        person, text = _sender(rest)
        text = _said(text)
        if not person:
            journal.skip("line was said by WhatsApp", "lines were said by WhatsApp")
        elif not text:
            journal.skip("message has no text", "messages have no text")
        else:
            handle, time = cast.handle(person, person), to_iso(when, order)
            yield Post(
                id=made_up_id(handle, time or "", text),
                author=handle,
                text=text,
                source="whatsapp",
                created_at=time,
            )


def _sender(rest: str) -> tuple[str, str]:
    """Return who says what; nobody where WhatsApp itself speaks."""
    first = rest.partition("\n")[0].rstrip("\r")
    name, colon, _ = (first + " ").partition(": ")
    if not colon or len(name) > _LONGEST_NAME or '"' in name or "“" in name:
        return "", ""
    return _MARKS.sub("", name).lstrip("~ \u202f\xa0").strip(), rest[len(name) + 1 :]


def _said(text: str) -> str:
    """Return what a person typed, "" where that is nothing."""
    text = _ATTACHED.sub("", as_text(text).replace("\r\n", "\n")).strip(" \n")
    if text.startswith("\u200e"):
        return ""
    text = _MARKS.sub("", text).strip()
    text = _EDITED.sub("", _FILE.sub("", text, count=1)).strip()
    return "" if _LEFT_OUT.fullmatch(text) or _DELETED.fullmatch(text) else text
