"""The page of a report: one file that opens anywhere and can be read by anybody."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from mynah.page import page_text, write_page
from mynah.plots import plots
from mynah.report_file import read_report
from mynah.run_folder import RunFolder, read_json, write_json
from mynah.wording import cells, main_figures, number, span, table_of

QUIZ = {"pairs": 40, "right": 26, "share": 0.65, "low": 0.49, "high": 0.78, "rounds": [{}, {}]}


class Page(HTMLParser):
    """Collect tags with their attributes, and what stands in each table."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, Any]]] = []
        self.open: list[str] = []
        self.tables: list[list[list[str]]] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if any(each in self.open for each in ("td", "th")):
            self.tables[-1][-1][-1] += data.strip()


def parsed(text: str) -> Page:
    page = Page()
    page.feed(text)
    return page


@pytest.fixture
def report(tiny_bot: RunFolder) -> dict[str, Any]:
    return read_json(tiny_bot.report)


def test_the_page_lies_beside_the_report_and_needs_nothing_else(tiny_bot: RunFolder) -> None:
    text = tiny_bot.page.read_text(encoding="utf-8")
    addresses = set(re.findall(r"""https?://[^\s"'<>]+""", text))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    loads = {"src", "href", "data", "action", "poster"}
    for tag, attributes in parsed(text).tags:
        assert tag not in ("script", "link", "iframe", "img", "object", "base"), tag
        for name in loads & attributes.keys():
            assert attributes[name].startswith("#"), (tag, attributes)
    assert "@import" not in text and not re.search(r"url\((?!#)", text)


def test_light_and_dark_and_narrow_have_their_rules(tiny_bot: RunFolder) -> None:
    text = tiny_bot.page.read_text(encoding="utf-8")
    assert "prefers-color-scheme: dark" in text and "max-width: 44rem" in text
    assert 'name="viewport"' in text and '<html lang="en">' in text
    used = set(re.findall(r"var\((--[a-z-]+)\)", text))
    light, dark = re.findall(r":root \{(.*?)\}", text, re.DOTALL)
    for rules in (light, dark):
        assert used <= set(re.findall(r"(--[a-z-]+):", rules))


def test_every_figure_stands_in_a_table(tiny_bot: RunFolder, report: dict[str, Any]) -> None:
    tables = parsed(tiny_bot.page.read_text(encoding="utf-8")).tables
    every = [figure for section in report["sections"] for figure in section["figures"]]
    shown = " | ".join(cell for table in tables for row in table for cell in row)
    assert len(every) > 25
    for figure in every:
        assert figure["label"] in shown
        if figure["value"] is not None:
            assert number(figure["value"], figure["unit"]) in shown


def test_what_cannot_be_computed_says_why(tiny_bot: RunFolder, report: dict[str, Any]) -> None:
    """The tiny bot draws four posts, which is too few for most figures."""
    text = tiny_bot.page.read_text(encoding="utf-8")
    missing = [
        figure
        for section in report["sections"]
        for figure in section["figures"]
        if figure["value"] is None
    ]
    assert missing and all(figure["why"] for figure in missing)
    assert all(figure["why"].replace("'", "&#39;") in text for figure in missing)


def test_plots_have_words_instead_and_numbers_beside(report: dict[str, Any]) -> None:
    text = page_text({"name": "x", "accounts": [], "stages": {}}, full(report))
    page, made = parsed(text), plots(full(report))
    pictures = [attributes for tag, attributes in page.tags if attributes.get("role") == "img"]
    assert [each["aria-label"] for each in pictures] == [plot.alt for plot in made]
    assert len(made) == 4 and all(len(plot.alt) > 40 for plot in made)
    hidden = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert all(each.get("aria-hidden") == "true" for each in hidden) and len(hidden) == 4
    assert all(
        plot.rows or "Bits" in plot.caption for plot in made
    )  # bits stand in the first table
    assert not re.search(r"#0[0-9a-f]0[0-9a-f]0[0-9a-f]\b", text)  # every stand-in was replaced


def full(report: dict[str, Any]) -> dict[str, Any]:
    """Return a report as if many posts had been drawn, with figures made up."""
    made: dict[str, Any] = json.loads(json.dumps(report))
    for section in made["sections"]:
        for at, figure in enumerate(section["figures"]):
            figure |= {"value": 0.4 + at / 50, "interval": [0.3, 0.6], "n": 200, "ceiling": 0.2}
            figure["floors"] = {"base": 0.9, "few_shot": 0.7, "markov": 0.1}
            if figure["name"] == "surface_length":
                figure["details"]["shares"] = {
                    name: {"≤ 20": 0.5, "≤ 140": 0.3, "longer": 0.2}
                    for name in ("learned", "base", "bot")
                }
    return made


def test_the_same_report_makes_the_same_page(report: dict[str, Any]) -> None:
    run = {"name": "x", "accounts": [], "stages": {}}
    assert page_text(run, full(report)) == page_text(run, full(report))


def test_a_hostile_name_stays_a_name(report: dict[str, Any]) -> None:
    name = '<script>alert(1)</script>"><img src=x>'
    run = {"name": name, "accounts": [{"handle": name}], "stages": {}}
    report["sections"][0]["figures"][0]["label"] = name
    page = parsed(page_text(run, report))
    assert not [tag for tag, _ in page.tags if tag in ("script", "img")]
    assert page.tables[0][1][0].startswith(name)


# --- the quiz ---


def test_the_quiz_is_shown_wherever_the_report_is(tiny_bot: RunFolder, bot: RunFolder) -> None:
    assert "Told apart by people" not in bot.page.read_text(encoding="utf-8")
    write_json(bot.root / "quiz.json", QUIZ)
    write_page(bot)
    tables = parsed(bot.page.read_text(encoding="utf-8")).tables
    [row] = [row for row in tables[0] if row and row[0].startswith("Told apart by people")]
    assert {"0.65", "40"} <= set(row) and any("0.49 to 0.78" in cell for cell in row)
    [voice] = [s for s in read_report(bot)["sections"] if s["name"] == "voice"]
    assert [figure["name"] for figure in voice["figures"]][:2] == ["detectability", "human"]
    assert read_report(bot) == read_report(bot)


def test_a_quiz_of_no_pairs_is_no_figure(bot: RunFolder) -> None:
    write_json(bot.root / "quiz.json", {"pairs": 0, "right": 0, "share": 0, "low": 0, "high": 1})
    assert "human" not in json.dumps(read_report(bot))


def test_no_report_is_none(tmp_path: Path) -> None:
    assert read_report(RunFolder(tmp_path)) is None


# --- cells ---


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1.66184, "bits", "1.662"),
        (27.08, "percent", "27.1 %"),
        (0.0349, "share", "3.5 %"),
        (-0.25, "ratio", "−0.25"),
        (2.25, "words", "2.2"),
        (None, "share", "–"),
    ],
)
def test_a_number_in_its_unit(value: float | None, unit: str, text: str) -> None:
    assert number(value, unit) == text


def test_an_interval_in_its_unit() -> None:
    assert span([0.0, 0.0349], "share") == "0.0 to 3.5 %"
    assert span([0.0, 0.0349], "share", short=True) == "0.0…3.5"
    assert span(None, "share") == "–"


def test_empty_columns_are_left_out(report: dict[str, Any]) -> None:
    [first, *_] = report["sections"]
    rows = table_of(first["figures"])
    assert list(rows[0]) == ["label", "value", "interval", "base", "few_shot", "n"]
    assert "n" not in table_of(first["figures"], without=("n",))[0]
    assert {figure["name"] for figure in main_figures(report)} >= {"gain", "detectability", "style"}
    assert cells(first["figures"][0])["ceiling"] == "–"
