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

_LINK = re.compile(
    r"https?://t\.co/[!-~]*…?"  # ASCII only: Japanese goes on without a space after a link
    r"|https?:\S*"
    r"|(?<!\S)[(\[\"']?www\.\w\S*"
    r"|(?<![\w./@-])t\.co/\w+[!-~]*…?"
    r"|pic\.(?:twitter|x)\.com/\w*…?"  # no boundary before: scrapes glue it to the last word
    r"|(?<!\S)htt(?:ps?)?…$",  # a retyped or cut post: the link's head is all that is left
    re.IGNORECASE,
)
_BRACKETS = {"(": ")", "[": "]", "<": ">", '"': '"', "“": "”", "«": "»"}

# @name, @name.bsky.social, @name@server: where a name ends the word, as the places write replies.
_LEADING_NAMES = re.compile(r"(?:[@＠]\w+(?:[.@-]\w+)*(?:\s+|$))+")


def plain(post: Post) -> str:
    """Return the post's text as one line without links, reply prefix and escapes."""
    text = cut(post.text, _marked_links(post))
    text = repair(unescape(text) if post.escaped else text)
    text = one_line(cut_links(text))
    return cut_reply_prefix(text) if post.kind in ("reply", "self-reply") else text


def unescape(text: str) -> str:
    """Undo HTML escaping exactly once: `&amp;lt;` becomes `&lt;`, a bare `&` stays."""
    if "&" not in text:
        return text
    return _ENTITY.sub(lambda entity: html.unescape(entity[0]), text)


def repair(text: str) -> str:
    """Repair broken encodings, drop what cannot be seen, compose accents (NFC)."""
    if text.isascii():
        return _UNSEEN.sub("", text)
    return unicodedata.normalize("NFC", _UNSEEN.sub("", _repair_encoding(join_surrogates(text))))


def join_surrogates(text: str) -> str:
    """Make surrogate pairs the character they stand for and drop those without a partner."""
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")


def cut_links(text: str) -> str:
    """Cut the links that a pattern finds: http, www., bare t.co and picture links."""
    return cut(text, (link.span() for link in _LINK.finditer(text)))


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


def _repair_encoding(text: str) -> str:
    import ftfy  # 70 ms, needed only where a text is not ASCII

    return str(ftfy.fix_encoding(text))
