"""Nothing private goes up: each kind of it is planted in each kind of file."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

import tiny
from hub_server import ADA, Hub
from mynah.card import standing_text, write_card
from mynah.errors import UnsafeUpload
from mynah.file_texts import json_texts
from mynah.inspection import Private, gather, inspect
from mynah.run_folder import RunFolder, read_json, write_json, write_rows

POST = tiny.account_rows(1)[0]["text"]
SECRET = "tide-table-7711-of-the-harbour"

PLANTS = {
    "a real post": POST,
    "a sample that repeats a real post": "a hat on a hat is gone",
    "an access token": f"key {ADA} of ada",
    "an e-mail address": "write to ada.clerk@ferry.example please",
    "a path of this machine": "see /home/ada/posts for more",
}
OTHER_TOKENS = [
    "ghp_" + "a1" * 18,
    "sk-proj-" + "b2" * 20,
    "AKIA" + "ABCD" * 4,
    "xoxb-" + "12-" * 8 + "ab",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0",
    "Authorization: Bearer " + "c3." * 12,
    "-----BEGIN OPENSSH PRIVATE KEY-----",
    SECRET,
]
OTHER_PATHS = ["C:\\Users\\ada\\bot", "~/bots/ferry", "file:///etc/hosts", "(/tmp/pytest-1/x)"]


def as_note(text: str) -> bytes:
    return tiny.png((b"tEXt", b"Comment\0" + text.encode("latin-1", "replace")))


def as_packed_note(text: str) -> bytes:
    return tiny.png((b"zTXt", b"Comment\0\0" + zlib.compress(text.encode())))


def as_packed_note_in_unicode(text: str) -> bytes:
    return tiny.png((b"iTXt", b"Comment\0\1\0en\0\0" + zlib.compress(text.encode())))


def as_settings(text: str) -> bytes:
    return json.dumps({"model_type": "llama", "deep": [{"er": [1, text]}]}).encode()


def as_key(text: str) -> bytes:
    return json.dumps({text: 1}).replace("@", "\\u0040").encode()


def as_doubled_key(text: str) -> bytes:
    return b'{"a": %s, "a": 1}' % json.dumps(text).encode()


def as_tensor_name(text: str) -> bytes:
    return as_safetensors({text: np.zeros(2)}, {})


def as_tensor_note(text: str) -> bytes:
    return as_safetensors({"w": np.zeros(2)}, {"made": text})


def as_safetensors(tensors: dict[str, np.ndarray], notes: dict[str, str]) -> bytes:
    save_file(tensors, "planted", metadata=notes)
    return Path("planted").read_bytes()


def as_markdown(text: str) -> bytes:
    return f"# Card\n\n- {text}\n".encode()


def as_escaped_markdown(text: str) -> bytes:
    return f"- {text.replace('.', '&#46;').replace('_', chr(92) + '_')}\n".encode()


def as_table(text: str) -> bytes:
    return f"| A | B |\n| --- | --- |\n| one | {text} |\n".encode()


def as_page(text: str) -> bytes:
    return f"<p>A <b>page</b></p><p>{text.replace('@', '&#64;')}</p>".encode()


def as_comment(text: str) -> bytes:
    return f"<p>A page</p><!-- {text} -->".encode()


def as_attribute(text: str) -> bytes:
    return f'<svg><text data-x="{text}"/></svg>'.encode()


def as_line(text: str) -> bytes:
    return f"t h\nth e\n{text}\n".encode()


FILES: list[tuple[str, Callable[[str], bytes]]] = [
    ("README.md", as_markdown),
    ("README.md", as_escaped_markdown),
    ("README.md", as_table),
    ("report.html", as_page),
    ("report.html", as_comment),
    ("pipeline.svg", as_attribute),
    ("config.json", as_settings),
    ("report.json", as_key),
    ("generation_config.json", as_doubled_key),
    ("tokenizer.json", as_settings),
    ("model.safetensors", as_tensor_name),
    ("adapter_model.safetensors", as_tensor_note),
    ("preview.png", as_note),
    ("preview.png", as_packed_note),
    ("preview.png", as_packed_note_in_unicode),
    ("merges.txt", as_line),
    ("tokenizer.model", as_line),
]


@pytest.fixture
def private(bot: RunFolder, monkeypatch: pytest.MonkeyPatch) -> Private:
    """Return what the finished bot must not give away, a copying sample included."""
    monkeypatch.setenv("HARBOUR_TOKEN", SECRET)
    cleaned = bot.cleaned.read_text(encoding="utf-8")
    row = json.loads(cleaned.splitlines()[0]) | {"text": "A hat, on a hat: is still a HAT!"}
    bot.cleaned.write_text(cleaned + json.dumps(row) + "\n", encoding="utf-8")
    write_rows(bot.samples, [{"text": "a hat on a hat is gone"}, {"text": "a boat, nothing else"}])
    return gather(bot, token=ADA, public=[standing_text()])


@pytest.fixture
def parcel(tmp_path: Path) -> Path:
    folder = tmp_path / "parcel"
    folder.mkdir()
    return folder


def found(parcel: Path, private: Private) -> str:
    with pytest.raises(UnsafeUpload) as caught:
        inspect(parcel, private, "ferry")
    assert caught.value.hint
    return caught.value.sentence


@pytest.mark.parametrize("kind", PLANTS)
@pytest.mark.parametrize(
    ("name", "spelled"), FILES, ids=[f"{name}-{how.__name__}" for name, how in FILES]
)
def test_every_kind_is_found_in_every_file(
    kind: str, name: str, spelled: Callable[[str], bytes], parcel: Path, private: Private
) -> None:
    (parcel / name).write_bytes(spelled("a boat, nothing else"))
    inspect(parcel, private, "ferry")
    (parcel / name).write_bytes(spelled(PLANTS[kind]))
    assert found(parcel, private) == f"{name} holds {kind}, so nothing was uploaded."


@pytest.mark.parametrize("text", OTHER_TOKENS)
def test_other_tokens(text: str, parcel: Path, private: Private) -> None:
    (parcel / "README.md").write_text(f"with {text} it works", encoding="utf-8")
    assert "an access token" in found(parcel, private)


@pytest.mark.parametrize("text", OTHER_PATHS)
def test_other_paths(text: str, parcel: Path, private: Private) -> None:
    (parcel / "README.md").write_text(f"It was {text} where", encoding="utf-8")
    assert "a path of this machine" in found(parcel, private)


def test_the_folder_of_bots_is_a_path_of_this_machine(
    parcel: Path, private: Private, bots: Path
) -> None:
    (parcel / "config.json").write_text(json.dumps({"from": f"{bots}"}), encoding="utf-8")
    assert "a path of this machine" in found(parcel, private)


@pytest.mark.parametrize(
    "name", ["posts.jsonl", "samples.jsonl", "run.json", "cleaned.jsonl", "chat/notes.txt", ".env"]
)
def test_a_file_that_is_not_a_bots_does_not_go(name: str, parcel: Path, private: Private) -> None:
    (parcel / name).parent.mkdir(exist_ok=True)
    (parcel / name).write_text("{}", encoding="utf-8")
    assert found(parcel, private) == (
        f"{name} holds what is no part of a published bot, so nothing was uploaded."
    )


def test_a_link_to_somewhere_else_does_not_go(
    parcel: Path, private: Private, bot: RunFolder
) -> None:
    (parcel / "report.json").symlink_to(bot.report)
    assert "no part of a published bot" in found(parcel, private)


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("preview.png", tiny.png() + b"more"),
        ("preview.png", tiny.png()[:40]),
        ("preview.png", b"GIF89a"),
        ("preview.png", tiny.png((b"eXIf", b"II*\0where it was"))),
        ("preview.png", tiny.png((b"zTXt", b"Comment\0\0not packed"))),
        ("preview.png", tiny.png((b"zTXt", b"Comment\0\0" + zlib.compress(bytes(20_000_000))))),
        ("model.safetensors", b"PK\x03\x04"),
        ("model.safetensors", struct.pack("<Q", 2) + b"{}" + b"more"),
        ("model.safetensors", struct.pack("<Q", 2**60) + b"{}"),
        ("model.safetensors", struct.pack("<Q", 9) + b'{"w": [1]}'),
        ("config.json", b"{'a': 1}"),
        ("config.json", b"[" * 100_000),
        ("README.md", b"\xff\xfe"),
    ],
)
def test_what_cannot_be_read_does_not_go(
    name: str, raw: bytes, parcel: Path, private: Private
) -> None:
    (parcel / name).write_bytes(raw)
    assert found(parcel, private) == (
        f"{name} holds bytes that do not belong there, so nothing was uploaded."
    )


def test_the_card_of_a_bot_passes(parcel: Path, tiny_bot: RunFolder) -> None:
    public = [standing_text()]
    write_card(tiny_bot, into=parcel, repo="ada/ferryclerk")
    inspect(parcel, gather(tiny_bot, token=ADA, public=public), "ferryclerk")


def test_what_every_card_says_is_nobodys_post(bot: RunFolder, parcel: Path) -> None:
    """Somebody who once posted a line that stands on the card could not publish any more."""
    lines = ["How to use", "Posts go in and are cleaned; the newest are set aside."]
    rows = [{"text": line} for line in [*lines, "Ferry Clerk ⛴ | 𝓻𝓸𝓵𝓵 𝓸𝓷"]]
    write_rows(bot.dropped, rows)
    write_card(bot, into=parcel, repo="ada/ferryclerk")
    inspect(parcel, gather(bot, token=ADA, public=[standing_text()]), "ferryclerk")


def test_a_handle_with_a_place_is_no_address(bot: RunFolder, parcel: Path) -> None:
    run = bot.read_run()
    run["accounts"][0]["handle"] = "ferry@social.example"
    write_json(bot.run, run)
    write_card(bot, into=parcel)
    inspect(parcel, gather(bot, token=None, public=[standing_text()]), "ferryclerk")


def test_a_few_words_in_common_are_no_copy(parcel: Path, private: Private) -> None:
    words = POST.split()
    (parcel / "README.md").write_text(" ".join(words[:7]), encoding="utf-8")
    inspect(parcel, private, "ferry")
    (parcel / "README.md").write_text("\n".join(words[:8]), encoding="utf-8")
    assert "a real post" in found(parcel, private)


def test_a_push_that_is_refused_sends_nothing(bot: RunFolder, hub: Hub) -> None:
    write_json(bot.report, read_json(bot.report) | {"best": POST})
    answer = tiny.mynah("push", bot.name, "--repo", "ada/ferry")
    assert answer.code == 2
    assert "report.json holds a real post, so nothing was uploaded." in answer.err
    assert POST not in answer.err
    assert hub.seen == [] and "push" not in bot.read_run()["stages"]
    assert [path.name for path in bot.root.glob(".push*")] == []


KEYS = st.text(max_size=5)
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=10,
)


@given(VALUES)
def test_no_text_of_a_json_document_is_missed(value: object) -> None:
    assert sorted(json_texts(json.dumps(value))) == sorted(all_texts(value))


def all_texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(text for each in value.values() for text in all_texts(each))]
    if isinstance(value, list):
        return [text for each in value for text in all_texts(each)]
    return [value] if isinstance(value, str) else []
