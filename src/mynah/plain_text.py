"""From a post as stored to the one line of plain text that a model reads.

`plain` applies, in this order: cut the links whose positions the source gives, undo HTML escaping
once, repair characters, cut the links that a pattern finds, join lines and collapse spaces, cut
the names a reply begins with. Each rule is a function from text to text. The text of a plain post
stays as it is when it comes through again, except that entities someone typed (`&amp;lt;`, hence
`&lt;`) would be undone again if the text were still marked as escaped: the mark goes with the
first pass.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable

from mynah.records import Post

Range = tuple[int, int]  # start and end in a text, in code points

# X escapes three characters, other places also quotes and code points. `html.unescape` on the
# whole text would read "AT&T&notes" as "AT&T¬es": only entities that end in ; are undone.
_ENTITY = re.compile(r"&(?:amp|lt|gt|quot|apos|nbsp|#\d{1,7}|#[xX][0-9a-fA-F]{1,6});")

_SURROGATE = re.compile("[\ud800-\udfff]")
_JOINING = "\u0590-\u18ff\ua840-\uabff"  # scripts in which a joiner changes how a word is written
_PICTURE = "\u2190-\u2bff\u3030\u303d\U0001f000-\U0001faff"
_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f"  # control characters; white space is collapsed later
    "\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffc"
    "\ufdd0-\ufdef\ufffe\uffff]"
    # Joiners stay inside words of scripts that need them, and in emoji made of several.
    f"|(?<![{_JOINING}])\u200c|\u200c(?![{_JOINING}])"
    f"|(?<![{_JOINING}{_PICTURE}\ufe0f])\u200d|\u200d(?![{_JOINING}{_PICTURE}])"
)

# What the first byte of a letter in UTF-8 becomes in another encoding: an accented, Greek or
# Cyrillic letter, a root sign (Macintosh), a line (DOS). Emoji and curly quotes are none of these.
_PERHAPS_BROKEN = re.compile("[\u0080-\u052f\u221a\u2500-\u257f]")

_LINK = re.compile(
    r"https?://t\.co/[!-~]*…?"  # ASCII only: Japanese goes on without a space after a link
    r"|https?://\S*"
    r"|(?-i:https?:)\S*"  # the original's rule: "HTTP: the basics" is about it, not a link
    r"|(?<![\w./@:-])www\.\w\S*"
    r"|(?<![\w./@-])t\.co/\w+[!-~]*…?"
    r"|pic\.(?:twitter|x)\.com/\w*…?"  # no boundary before: scrapes glue it to the last word
    r"|(?<!\S)htt(?:ps?)?…$",  # a retyped or cut post: the link's head is all that is left
    re.IGNORECASE,
)
_LINK_SIGNS = ("htt", "www.", "t.co/", "pic.")
_BRACKETS = {"(": ")", "[": "]", "<": ">", '"': '"', "“": "”", "«": "»"}

# @name or @name@server, alone as a word: "@name: hi" was typed, a place writes no colon.
_LEADING_NAMES = re.compile(r"(?:[@＠](?:\w+|[\w.-]+@[\w.-]+)(?:\s+|$))+")


def plain(post: Post) -> str:
    """Return the post's text as one line without links, reply prefix and escapes."""
    if is_html(post.text):
        text = tidy(html_to_text(post.text))
    else:
        text = cut(post.text, _marked_links(post))
        text = tidy(unescape(text) if post.escaped else text)
    return cut_reply_prefix(text) if post.kind in ("reply", "self-reply") else text


def is_html(text: str) -> bool:
    """Tell the paragraphs that Mastodon serves from a post about HTML, which holds them inside."""
    return text.startswith("<p>") and text.endswith("</p>")


def html_to_text(text: str) -> str:
    """Return what a reader of the page sees, without its links; tags and names stay."""
    from mynah.sources.hypertext import to_text  # all sources come with it, and few posts need it

    page = to_text(text)
    return cut(page.text, ((span.start, span.end) for span in page.spans))


def tidy(text: str) -> str:
    """Repair characters, cut links and join lines until there is nothing left to do.

    ASCII needs one round. Elsewhere a cut link can leave two letters side by side that look like
    one letter in a broken encoding.
    """
    tidied = one_line(cut_links(repair(text)))
    while not tidied.isascii() and tidied != text:
        text, tidied = tidied, one_line(cut_links(repair(tidied)))
    return tidied


def unescape(text: str) -> str:
    """Undo HTML escaping exactly once: `&amp;lt;` becomes `&lt;`, a bare `&` stays."""
    if "&" not in text:
        return text
    return _ENTITY.sub(lambda entity: html.unescape(entity[0]), text)


def repair(text: str) -> str:
    """Repair broken encodings, drop what cannot be seen, compose accents (NFC)."""
    if not text.isascii():
        text = _repair_encoding(_compose(join_surrogates(text)))
    return _compose(_UNSEEN.sub("", text))


def join_surrogates(text: str) -> str:
    """Make surrogate pairs the character they stand for and drop those without a partner."""
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")


def cut_links(text: str) -> str:
    """Cut the links that a pattern finds: http, www., bare t.co and picture links."""
    lower = text.lower()
    if not any(sign in lower for sign in _LINK_SIGNS):  # most have none, and a search is slow
        return text
    while (shorter := cut(text, (link.span() for link in _LINK.finditer(text)))) != text:
        text = shorter  # what stood on both sides of a link can be one itself
    return text


def one_line(text: str) -> str:
    """Join the lines and collapse white space: new lines made predictions worse."""
    return " ".join(text.split())


def cut_reply_prefix(text: str) -> str:
    """Cut the names that the place, not the person, wrote before a reply."""
    prefix = _LEADING_NAMES.match(text)
    return text[prefix.end() :] if prefix else text


def cut(text: str, ranges: Iterable[Range]) -> str:
    """Cut ranges with the white space before them, and brackets that held nothing else."""
    pieces, done = [], 0
    for start, end in sorted(ranges):
        if start < done or end <= start or end > len(text):
            continue  # a source's positions can be wrong: better a link too many than lost words
        start, end = _with_brackets(text, start, end, done)
        head = text[done:start]
        glued = end < len(text) and not text[end].isspace()
        pieces.append(head if glued else head.rstrip())
        done = end
    return "".join(pieces) + text[done:] if pieces else text


def _marked_links(post: Post) -> list[Range]:
    return [(span.start, span.end) for span in post.spans if span.kind != "mention"]


def _with_brackets(text: str, start: int, end: int, floor: int) -> Range:
    closing = _BRACKETS.get(text[start - 1]) if start > floor else None
    if closing and text[end : end + 1] == closing:
        return start - 1, end + 1
    if closing and text[end - 1] == closing:
        return start - 1, end
    return start, end


def _compose(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _repair_encoding(text: str) -> str:
    if not _PERHAPS_BROKEN.search(text):
        return text
    import ftfy  # 70 ms, needed only here

    return str(ftfy.fix_encoding(text))
