"""The card says what the records say, whatever the names in them try.

The texts in golden/ are compared letter by letter. After a change on purpose, write them again with
`MYNAH_GOLDEN=write pytest tests/test_card.py`, and read the difference before it is committed.
"""

from __future__ import annotations

import copy
import json
import os
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mynah.card import (
    DIAGRAM,
    card_text,
    diagram,
    display_names,
    duration,
    shown_samples,
    write_card,
)
from mynah.card_metadata import front_matter, spoken
from mynah.dataset import joined_name
from mynah.evaluation.figure import Figure
from mynah.evaluation.report import sections
from mynah.markup import escaped, link, plain
from mynah.run_folder import RunFolder, write_json, write_rows

GOLDEN = Path(__file__).parent / "golden"

# A card that huggingtweets published, kept in a copy that read its UTF-8 as windows-1254 and lost
# the bytes which that code page does not have; here the names are as their owners wrote them.
CHE = ("aliceaeterna", "che 💜", (1587, 682, 158, 747))
CLEMENTINE = ("clamtime", "clementine!!!! 𓃠", (3187, 500, 687, 2000))
PANDA = ("redpandasmash", "𝓡𝓮𝓭 𝓟𝓪𝓷𝓭𝓪'𝓼 𝓖𝓪𝓶𝓮 𝓒𝓸𝓻𝓷𝓮𝓻", (2492, 367, 362, 1763))
JOINED = "aliceaeterna-clamtime-redpandasmash"

HOSTILE = [
    "<script>alert(1)</script>",
    "a | b | c",
    "---",
    '": x',
    "{a: [b, *c], &d e}",
    "`code` ```fence",
    "](http://evil.example) [x",
    "![x](http://evil.example/x.png)",
    "two\nlines\r\n\n# heading",
    "\u202egnissorc\u202c eht",
    "**bold** _under_ ~~gone~~",
    "# heading",
    "c #",
    "1. list",
    "- item",
    "> quote",
    "===",
    "&lt;b&gt; &amp; &#35;",
    "a\\|b\\",
    "{{ run }} {% raw %}",
    "$x^2$ $$y$$",
    "https://evil.example www.evil.example",
    "a\x00b\x07c\ud83d",
    "no",
    "👩‍👩‍👧 🏴󠁧󠁢󠁥󠁮󠁧󠁿 𝕱𝖗𝖆𝖐𝖙𝖚𝖗 ñ ع",
]


def counted(downloaded: int, repost: int, short: int, kept: int, **more: int) -> dict[str, Any]:
    return {
        "downloaded": downloaded,
        "kept": kept,
        "dropped": {"repost": repost, "short": short, "duplicate": 0, **more},
    }


def cyborg() -> dict[str, Any]:
    """Return the three accounts as they were counted, handles in no order."""
    voices = (PANDA, CHE, CLEMENTINE)
    return {
        "name": JOINED,
        "accounts": [{"handle": handle, "name": name} for handle, name, _ in voices],
        "versions": {},
        "stages": {
            "clean": {
                "result": {
                    **counted(7266, 1549, 1207, 4510),
                    "by_author": {handle: counted(*figures) for handle, _, figures in voices},
                    "replaced": None,
                    "languages": {"en": 0.981, "ja": 0.004},
                }
            }
        },
    }


def single() -> dict[str, Any]:
    """Return a bot of one account with every stage done."""
    counts = counted(1400, 120, 60, 1190, reply=0, edited=10) | {"kept": 1190}
    counts["dropped"]["near-duplicate"] = 20
    return {
        "name": "keeper",
        "accounts": [
            {
                "handle": "keeper_of_light",
                "name": "Ida | the Lamp 🕯️",
                "bio": "lamps",
                "url": "https://social.example/@keeper_of_light",
                "own_archive": True,
            }
        ],
        "versions": {"mynah": "0.1.0", "torch": "2.13.0", "transformers": "5.23.0"},
        "stages": {
            "clean": {
                "inputs": {"posts.jsonl": "1f" * 32},
                "result": {
                    **counts,
                    "by_author": {"keeper_of_light": counts},
                    "replaced": {"email": 3, "phone": 1, "iban": 0},
                    "languages": {"en": 0.9, "no": 0.08, "da": 0.02},
                },
            },
            "train": {
                "at": "2026-11-02T10:00:00Z",
                "seconds": 187.4,
                "config": {"effort": "normal", "seed": 0, "warmup": None, "epochs": None},
                "inputs": {"cleaned.jsonl": "2e" * 32},
                "result": {
                    "base": {
                        "name": "smollm2-135m",
                        "hub_id": "HuggingFaceTB/SmolLM2-135M-Instruct",
                        "license": "Apache-2.0",
                        "languages": ["en"],
                        "sha256": "3d" * 32,
                    },
                    "recipe": "mynah",
                    "dtype": "bfloat16",
                    "dtype_reason": "this processor has amx",
                    "device": "cpu",
                    "trained_parameters": 4_884_480,
                    "posts": 1071,
                    "held_out": 119,
                    "tokens": 51_200,
                    "steps": 134,
                    "epochs": 2.0,
                    "learning_rate": 1e-3,
                    "batch_tokens": 384,
                    "rank": 16,
                    "seed": 0,
                    "data_seed": 0,
                },
            },
        },
    }


def voice_report() -> dict[str, Any]:
    shared: dict[str, Any] = {"main": True, "n": 119}
    gain = Figure(
        name="gain",
        label="Fewer bits than the base",
        unit="percent",
        better="higher",
        value=24.449,
        interval=(22.9, 25.8),
        floors={"base": 0.0, "few_shot": 18.2},
        **shared,
    )
    told = Figure(
        name="detectability",
        label="Told apart by a classifier",
        unit="ratio",
        better="half",
        value=0.781,
        interval=(0.73, 0.83),
        floors={"base": 0.981, "few_shot": 0.9, "markov": 0.612},
        ceiling=0.58,
        **shared,
    )
    exact = Figure(name="exact", label="Word for word", unit="share", better="person", value=0.0)
    made = sections({"learned": (gain,), "voice": (told,), "copying": (exact,)})
    return {
        "verdict": "A clear voice, and its own words.",
        "bits_per_byte": {
            "base": 2.27,
            "bot": 1.715,
            "gain_percent": 24.449,
            "interval": [22.9, 25.8],
            "posts": 119,
        },
        "copied": {"bot": 0.0, "unguarded": 0.07, "person": 0.034, "samples": 100},
        "sections": [section.to_json() for section in made],
    }


def sample(text: str, overlap: float = 0.1) -> dict[str, Any]:
    return {"text": text, "prompt": "", "nearest": {"text": "a real one", "overlap": overlap}}


SAMPLES = [
    sample("My dream is a fog that apologises."),
    sample("1. Trim the wick. 2. Trust nobody who whistles *indoors*"),
    sample("copied whole", overlap=1.0),
]


class Cells(HTMLParser):
    """Collect the cells of every table, the text of the heading and every tag met."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.tags: list[str] = []
        self.heading = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] in (["td"], ["th"]):
            self.tables[-1][-1][-1] += data
        if self.tags[-1:] == ["h1"]:
            self.heading += data


def rendered(card: str) -> Cells:
    cells = Cells()
    body = card.split("\n---\n", 1)[1]
    cells.feed(MarkdownIt("commonmark", {"html": True}).enable("table").render(body))
    return cells


def head(card: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(card.split("\n---\n", 1)[0].removeprefix("---\n"))
    return loaded


def named(name: str) -> dict[str, Any]:
    """Return the single bot with everything that a stranger writes set to one text."""
    run = single()
    run["accounts"][0] |= {"name": name, "bio": name, "url": f"javascript:{name}"}
    return run


@pytest.mark.parametrize(
    ("name", "card"),
    [
        ("cyborg", lambda: card_text(cyborg(), None, [])),
        ("single", lambda: card_text(single(), voice_report(), SAMPLES, preview="preview.png")),
        ("cleaned", lambda: card_text(only_cleaned(), None, [])),
    ],
)
def test_golden(name: str, card: Any) -> None:
    path = GOLDEN / f"card-{name}.md"
    if os.environ.get("MYNAH_GOLDEN") == "write":
        path.write_text(card(), encoding="utf-8")
    assert card() == path.read_text(encoding="utf-8")


def only_cleaned() -> dict[str, Any]:
    run = single()
    del run["stages"]["train"]
    return run


def test_a_card_of_huggingtweets_keeps_its_table_and_its_name() -> None:
    page = rendered(card_text(cyborg(), None, []))
    assert page.tables[0] == [
        ["Data", CHE[1], CLEMENTINE[1], PANDA[1]],
        ["Posts downloaded", "1587", "3187", "2492"],
        ["Reposts", "682", "500", "367"],
        ["Short posts", "158", "687", "362"],
        ["Posts kept", "747", "2000", "1763"],
    ]
    assert page.heading == f"{CHE[1]} & {CLEMENTINE[1]} & {PANDA[1]}"
    assert f"**CYBORG** · @{JOINED} ·" in card_text(cyborg(), None, [])


def test_the_order_in_which_accounts_were_named_changes_nothing() -> None:
    run = cyborg()
    run["accounts"].reverse()
    assert card_text(run, None, []) == card_text(cyborg(), None, [])


def test_the_joined_name_knows_no_order_no_case_and_no_at() -> None:
    assert joined_name(["@RedPandaSmash", "clamtime", "aliceaeterna", "Clamtime"]) == JOINED


@pytest.mark.parametrize("run", [cyborg(), single()])
def test_every_column_adds_up(run: dict[str, Any]) -> None:
    rows = rendered(card_text(run, None, [])).tables[0]
    for _, downloaded, *parts in zip(*rows, strict=True):
        if downloaded.isdigit():
            assert int(downloaded) == sum(map(int, parts))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_stays_a_name(name: str) -> None:
    card = card_text(named(name), voice_report(), [sample(name)])
    page, friendly = (
        rendered(card),
        rendered(card_text(named("Ida"), voice_report(), [sample("x")])),
    )
    assert page.tables[0][0] == ["Data", plain(name)]
    assert page.heading == plain(name)
    assert page.tags == friendly.tags
    assert head(card)["mynah"]["voices"] == [{"handle": "keeper_of_light", "name": plain(name)}]
    assert "\u202e" not in card
    assert card.encode()


@given(st.text(max_size=40))
def test_any_name_is_shown_as_it_is(name: str) -> None:
    page = rendered(f"---\n---\n# {escaped(name)}\n\n| {escaped(name)} | x |\n| --- | --- |\n")
    assert page.tables[0][0] == [plain(name), "x"]
    assert page.heading == plain(name)


def test_emoji_and_mathematical_letters_are_not_touched() -> None:
    for name in (CHE[1], CLEMENTINE[1], PANDA[1], HOSTILE[-1]):
        assert escaped(name) == name


def test_a_name_of_nothing_visible_gives_way_to_the_handle() -> None:
    assert display_names([{"handle": "ida", "name": "\u202e \u200b"}]) == ["@ida"]


def test_two_accounts_of_one_name_are_told_apart() -> None:
    accounts = [{"handle": "a", "name": "Ida"}, {"handle": "b", "name": "Ida"}]
    assert display_names(accounts) == ["Ida (@a)", "Ida (@b)"]


@pytest.mark.parametrize("url", ["javascript:alert(1)", "http://[", "data:text/html,x", "", None])
def test_only_a_web_address_becomes_a_link(url: str | None) -> None:
    assert link("Ida", url) == "Ida"


def test_an_address_cannot_leave_its_brackets() -> None:
    assert link("x", "https://a.example/) <b>") == "[x](https://a.example/%29%20%3Cb%3E)"


def test_front_matter_is_what_the_hub_reads() -> None:
    from huggingface_hub import ModelCard

    card = ModelCard(card_text(single(), voice_report(), SAMPLES, preview="preview.png"))
    data = card.data.to_dict()
    assert data["language"] == ["en", "no"]
    assert data["license"] == "apache-2.0"
    assert data["base_model"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert data["base_model_relation"] == "adapter"
    assert (data["library_name"], data["pipeline_tag"]) == ("peft", "text-generation")
    assert {"mynah", "machine-generated", "machine-generated-text"} <= set(data["tags"])
    assert data["widget"] == [{"text": "My dream is"}]
    assert data["thumbnail"] == "preview.png"
    assert card.text.lstrip().startswith("# Ida")


@pytest.mark.parametrize(
    ("relation", "words", "call"),
    [
        ("finetune", "With transformers alone:", 'model="ida/lamp")'),
        ("adapter", "With transformers and peft", 'model="ida/lamp", tokenizer="ida/lamp")'),
    ],
)
def test_on_the_hub_the_card_says_how_to_have_the_bot_from_there(
    relation: Any, words: str, call: str
) -> None:
    card = card_text(single(), None, [], relation=relation, repo="ida/lamp")
    assert words in card and f'generator = pipeline("text-generation", {call}\n' in card
    assert "```sh\nmynah pull ida/lamp --name keeper\nmynah say keeper" in card
    library = front_matter(single(), relation=relation)["library_name"]
    assert library == {"finetune": "transformers", "adapter": "peft"}[relation]


@pytest.mark.parametrize("name", HOSTILE)
def test_the_hub_client_reads_a_hostile_name(name: str) -> None:
    from huggingface_hub import ModelCard

    card = ModelCard(card_text(named(name), None, []))
    assert card.data.to_dict()["mynah"]["voices"][0]["name"] == plain(name)


def test_what_is_not_known_is_not_claimed() -> None:
    data = front_matter(cyborg())
    assert not {"license", "base_model", "base_model_relation", "thumbnail"} & set(data)


def test_a_licence_that_the_hub_does_not_list_is_named() -> None:
    run = single()
    run["stages"]["train"]["result"]["base"]["license"] = "Acme-1"
    data = front_matter(run, relation="finetune")
    assert (data["license"], data["license_name"]) == ("other", "acme-1")
    assert data["base_model_relation"] == "finetune"


def test_a_base_from_a_folder_does_not_tell_where_the_folder_was() -> None:
    run = single()
    run["stages"]["train"]["result"]["base"] |= {"name": "/home/ida/models/tiny", "hub_id": None}
    card = card_text(run, None, [])
    assert "The base is tiny" in card
    assert "/home/ida" not in card
    assert "base_model" not in head(card)


def test_norwegian_is_not_false() -> None:
    """YAML 1.1 reads a bare `no` as false."""
    run = only_cleaned()
    run["stages"]["clean"]["result"]["languages"] = {"no": 1.0}
    assert head(card_text(run, None, []))["language"] == ["no"]


def test_languages_in_use_come_first_and_guesses_go() -> None:
    assert spoken({"de": 0.3, "pt-BR": 0.3, "pt_PT": 0.35, "und": 0.04, "fr": 0.01}) == ["pt", "de"]
    assert spoken({"fr": 0.01}) == ["fr"]
    assert spoken({}) == []


def test_no_copy_is_shown() -> None:
    eight_words = sample("a b c d e f g h i j k l m n o p q", overlap=8 / 17)
    unknown = sample("who knows") | {"nearest": None}
    rows = [
        sample("copied", 0.6),
        eight_words,
        unknown,
        sample(" \n"),
        sample("my own words", 0.59),
    ]
    assert shown_samples(rows) == ["my own words"]


def test_a_few_samples_are_enough() -> None:
    assert len(shown_samples([sample(f"number {n}") for n in range(30)])) == 5


def test_the_snippet_is_exact() -> None:
    card = card_text(single(), None, [], relation="finetune", model="bots/keeper/model")
    snippet = (
        "```python\n"
        "from transformers import pipeline\n"
        'generator = pipeline("text-generation", model="bots/keeper/model")\n'
        'generator("My dream is", num_return_sequences=5)\n'
        "```\n"
    )
    assert snippet in card
    assert "mynah export" not in card


def test_a_missing_part_says_so() -> None:
    bare = card_text({"name": "x", "accounts": [], "stages": {}}, None, [])
    for sentence in (
        "have not been cleaned yet",
        "has not been trained yet",
        "No report has been made yet",
        "none to show yet",
        "No hashes of inputs",
    ):
        assert sentence in bare


def test_the_report_in_words() -> None:
    card = " ".join(card_text(single(), voice_report(), []).split())
    assert "The bot needs 24.4 % fewer than its base (95 % interval: 22.9 to 25.8 % fewer)." in card
    assert "Of the 100 posts drawn to check, 0.0 % repeat" in card
    assert "Of the held-out posts, 3.4 % repeat" in card


def test_the_main_figures_stand_between_floor_and_ceiling() -> None:
    tables = rendered(card_text(single(), voice_report(), [])).tables
    [figures] = [table for table in tables if table[0][0] == "Figure"]
    assert figures == [
        ["Figure", "Bot", "95 %", "Base", "Base, shown posts", "Markov chain", "Person", "n"],
        [
            "Fewer bits than the base",
            "24.4 %",
            "22.9 to 25.8 %",
            "0.0 %",
            "18.2 %",
            "–",
            "–",
            "119",
        ],
        [
            "Told apart by a classifier",
            "0.78",
            "0.73 to 0.83",
            "0.98",
            "0.90",
            "0.61",
            "0.58",
            "119",
        ],
    ]


def test_a_report_without_held_out_posts_has_a_card_too() -> None:
    report = voice_report() | {"bits_per_byte": None}
    card = card_text(single(), report, [])
    assert "A clear voice" in card and "than its base" not in card


def test_a_report_that_is_no_success_is_told_as_it_is() -> None:
    report = copy.deepcopy(voice_report())
    report["bits_per_byte"] |= {"bot": 2.3, "gain_percent": -1.32, "interval": [-3.0, 0.4]}
    card = " ".join(card_text(single(), report, []).split())
    assert "1.3 % more than its base" in card
    assert "so the difference may be chance" in card


@pytest.mark.parametrize(
    ("replaced", "sentence"),
    [
        ({"email": 2, "iban": 0}, "before training: 2 × email."),
        ({"email": 0}, "No personal data was replaced."),
        (None, "Personal data was not searched for."),
    ],
)
def test_personal_data(replaced: dict[str, int] | None, sentence: str) -> None:
    run = only_cleaned()
    run["stages"]["clean"]["result"]["replaced"] = replaced
    assert sentence in card_text(run, None, [])


def test_an_unlisted_reason_and_author_still_count() -> None:
    run = only_cleaned()
    guest = counted(5, 1, 1, 1) | {"dropped": {"repost": 1, "short": 1, "too-loud": 2}}
    run["stages"]["clean"]["result"]["by_author"]["guest"] = guest
    rows = rendered(card_text(run, None, [])).tables[0]
    assert rows[0][1] == "@guest"
    assert ["Too loud", "2", "0"] in rows


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, ""), (0.2, "less than a second"), (187.4, "3 min 7 s"), (7260, "2 h 1 min")],
)
def test_duration(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words


def test_card_is_pure() -> None:
    run, report, samples = single(), voice_report(), copy.deepcopy(SAMPLES)
    before = json.dumps([run, report, samples])
    assert card_text(run, report, samples) == card_text(run, report, samples)
    assert json.dumps([run, report, samples]) == before


def test_write_card_brings_the_diagram(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "keeper")
    write_json(folder.run, single())
    write_json(folder.report, voice_report())
    write_rows(folder.samples, SAMPLES)
    assert write_card(folder) == folder.card
    assert folder.card.read_text("utf-8") == card_text(single(), voice_report(), SAMPLES)
    assert f"]({DIAGRAM})" in folder.card.read_text("utf-8")
    assert (folder.root / DIAGRAM).read_text("utf-8") == diagram()


def test_write_card_beside_merged_weights(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "keeper")
    write_json(folder.run, single())
    card = write_card(folder, into=folder.model, relation="finetune")
    assert card.parent == folder.model
    assert head(card.read_text("utf-8"))["base_model_relation"] == "finetune"
    assert not folder.card.exists()


def test_the_diagram_stands_alone() -> None:
    drawing = diagram()
    assert len(drawing.encode()) < 12_000
    assert drawing.count("http") == 1  # the namespace
    assert {
        element.tag.rpartition("}")[2] for element in ElementTree.fromstring(drawing).iter()
    } <= {*("svg", "title", "desc", "style", "g", "rect", "path", "text", "circle")}
