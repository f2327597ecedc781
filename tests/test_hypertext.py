"""From a server's HTML to what was typed: samples of every shape, and whatever comes along."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fediverse import content, link, mention
from mynah.sources.hypertext import to_text

LONG = "https://tide.example/tables/2026/november/spring-tides?port=skerry&unit=m"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>one</p><p>two<br />three</p>", "one\n\ntwo\nthree"),
        ("<p>one</p>\n<p>two</p>\n", "one\n\ntwo"),
        ("<p>Fish &amp; chips &lt;3</p>", "Fish & chips <3"),
        ("<p>typed: &amp;lt;b&amp;gt;</p>", "typed: &lt;b&gt;"),  # once, and last
        ("<p>&lt;p&gt;no paragraph&lt;/p&gt;</p>", "<p>no paragraph</p>"),
        ("no paragraph at all", "no paragraph at all"),
        (f"<p>See {link('https://a.example/b')} now</p>", "See https://a.example/b now"),
        (f"<p>{link(LONG)}</p>", LONG),
        ('<p><a href="https://a.example/x">my notes</a></p>', "my notes https://a.example/x"),
        ('<p><a name="here">no address</a></p>', "no address"),
        (
            '<p><a href="https://a.example/fog" class="mention hashtag">#<span>fog</span></a></p>',
            "#fog",
        ),
        ("<p>a<!-- not seen -->b", "ab"),
        ("<p>3 < 4</p>, <", "3 < 4\n\n, <"),
        ('<p><a href="https://a.example/tag/fog" rel="tag">#fog</a></p>', "#fog"),
        ("<p>a<span class=\"invisible\">b</span>c</p>", "ac"),
        ("<ul><li>salt</li><li>rope</li></ul><p>done</p>", "salt\nrope\n\ndone"),
        ("<blockquote>said</blockquote><p>so?</p>", "said\n\nso?"),
        ('<p>hi <img class="emoji" alt=":wave:" src="x"></p>', "hi :wave:"),
        ("<p>a<script>alert(1)</script>b</p>", "ab"),
        ("", ""),
        ("<p></p>", ""),
    ],
)  # fmt: skip
def test_shapes(html: str, text: str) -> None:
    assert to_text(html).text == text


def test_a_mention_gets_its_server() -> None:
    shown, _ = mention("coral", "reef.example")
    known = {"https://reef.example/@coral": "coral@reef.example", "coral": "coral@other.example"}
    assert to_text(f"<p>{shown} hello</p>", known).text == "@coral@reef.example hello"
    by_name = {"coral": "coral@reef.example"}
    assert to_text(f"<p>{shown} hello</p>", by_name).text == "@coral@reef.example hello"
    assert to_text(f"<p>{shown} hello</p>").text == "@coral hello"  # a neighbour of one's own


def test_the_address_that_a_server_puts_before_a_quote_goes() -> None:
    inline = f'<p class="quote-inline">RE: {link("https://reef.example/@coral/1")}</p>'
    assert to_text(f"{inline}<p>This.</p>", quotes=True).text == "This."
    assert to_text(f"{inline}<p>This.</p>").text == "RE: https://reef.example/@coral/1\n\nThis."


def test_spans_stand_where_the_links_do() -> None:
    found = to_text(f"<p> \U0001f6df é </p><p>{link(LONG)}, {link('https://a.example')}!</p>")
    cut = [found.text[span.start : span.end] for span in found.spans]
    assert cut == [LONG, "https://a.example"]
    assert {span.kind for span in found.spans} == {"url"}


TYPED = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp", "Zs"])
    | st.sampled_from(list(" \n&<>\"'#@;")),
    max_size=80,
)


@given(TYPED)
def test_what_was_typed_comes_back(typed: str) -> None:
    lines = [line.strip() for line in typed.split("\n")]
    typed = "\n".join(lines).strip()
    while "\n\n\n" in typed:  # the server makes one gap of several
        typed = typed.replace("\n\n\n", "\n\n")
    assert to_text(content(typed)).text == typed


TAGS = "<p> </p> <br> <br/> <a> </a> <li> <b </p <!-- --> <! <![CDATA[ <? &# &amp &#x0; &#55296;"
PIECES = st.sampled_from(
    [*TAGS.split(), '<a href="https://a.example/x">', '<span class="invisible">', "<script>",
     '<p class="quote-inline">', "</span>", "</script>", '<a href="', "\0", "\ud800", "@b", "tide "]
)  # fmt: skip


@given(st.lists(PIECES | st.text(max_size=5), max_size=30).map("".join), st.booleans())
def test_any_html_gives_a_text(html: str, quotes: bool) -> None:
    found = to_text(html, {"b": "b@c.example"}, quotes=quotes)
    assert found.text == found.text.strip()
    for span in found.spans:
        assert 0 <= span.start < span.end <= len(found.text)


@pytest.mark.parametrize("sign", ["<", "<a ", "<!--", "<![", "&#", '<a href="', "</", "<p>"])
def test_no_row_of_signs_costs_the_square_of_its_length(sign: str) -> None:
    def seconds(times: int) -> float:
        start = time.process_time()
        to_text(sign * times)
        return time.process_time() - start

    assert seconds(20_000) < 3
