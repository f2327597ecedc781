"""The model card: what a bot is made of and how well it does, for people and for the Hub.

`card_text` is pure: three records in, one Markdown text out. Names and posts come from strangers,
so the template escapes whatever it inserts, unless it is `Markdown` made here.
"""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from mynah.card_metadata import (
    PROMPT,
    Json,
    Relation,
    cleaned_of,
    consents_of,
    dump,
    front_matter,
    learned_of,
    voices,
)
from mynah.card_usage import Usage, usage_text
from mynah.config import STARTER, GenerationConfig
from mynah.copying import words_of
from mynah.dataset import bot_kind, joined_name
from mynah.markup import Markdown, link, plain, table
from mynah.parentage import told
from mynah.records import read_rows
from mynah.report_file import read_report
from mynah.run_folder import RunFolder, replacing
from mynah.templating import resource, template
from mynah.wording import COLUMNS, main_figures, table_of

DIAGRAM = "pipeline.svg"  # stands beside the card: an embedded picture is blocked by most viewers
SHOWN = 5  # samples on the card

_REASONS = {
    "repost": "Reposts",
    "short": "Short posts",
    "cut": "Cut short in the source",
    "edited": "Earlier versions of edited posts",
    "empty": "Nothing left but links",
    "duplicate": "Duplicates",
    "content-warning": "Behind a content warning",
    "near-duplicate": "Near duplicates",
    "reply": "Replies",
}
_ALWAYS = ("repost", "short")  # shown even when zero, as readers of older cards expect
_SETTINGS = {
    "recipe": "Recipe",
    "effort": "Effort",
    "trained_parameters": "Trained parameters",
    "rank": "Rank of the adapter",
    "epochs": "Epochs",
    "validation": "Share of the posts set aside to tell when to stop",
    "distill": "Share that the bot itself teaches, where posts come again",
    "steps": "Steps",
    "best_step": "Step that learning went back to",
    "tokens": "Tokens",
    "batch_tokens": "Tokens a step",
    "learning_rate": "Peak learning rate",
    "warmup": "Warm-up, share of the steps",
    "seed": "Seed",
    "data_seed": "Seed of the data's order",
}


def card_text(
    run: Json,
    report: Json | None,
    samples: Sequence[Json],
    *,
    relation: Relation = "adapter",
    model: str | None = None,
    repo: str | None = None,
    preview: str | None = None,
    usage: Usage | None = None,
) -> str:
    """Return the model card of a bot.

    Args:
        run: run.json: `name`; `consents`, of which `terms` are shown; `accounts`, each `{handle,
            name, bio, url, own_archive}`; `versions`, `{library: version}`; `stages`, each `{at,
            seconds, config, inputs, result}`, where `inputs` is `{file: SHA-256}`. Read are
            `clean.result`: `{downloaded, kept, dropped: {reason: n}, by_author: {handle: the same
            three}, replaced: {kind: n} or null when not searched for, languages: {code: share}}`;
            `train.seconds`, `train.config` (as used) and `train.result`: `{base: {name, hub_id,
            license, languages, sha256}, recipe, dtype, dtype_reason, device, trained_parameters,
            posts, held_out, tokens, steps, epochs, learning_rate, batch_tokens, rank, seed,
            data_seed}`; a result wins over a config.
        report: report.json, see docs/json.md: of its figures, those marked `main` are shown.
        samples: rows of samples.jsonl, `{text, prompt, nearest: {text, overlap}}`; a copy, or one
            that was not compared, is not shown.
        relation: "finetune" for merged weights.
        model: the folder that the snippet for transformers loads (default: `repo`, or the name).
        repo: where the card will stand on the Hub, as me/name.
        preview: address of the share image.
        usage: how it is used in a format of its own (default: with transformers).
    """
    library = usage.library if usage else None
    fields = front_matter(run, relation=relation, preview=preview, library=library)
    return template("card.md").render(
        front_matter=Markdown(dump(fields)),
        **_who(run),
        **_data(run),
        train=_training(run),
        versions=", ".join(f"{key} {value}" for key, value in _versions(run).items()),
        voice=_voice(report) if report else None,
        samples=shown_samples(samples),
        relation=relation,
        usage=usage_text(usage, run) if usage else None,
        lineage=_lineage(run),
        diagram=Markdown(DIAGRAM),
        **_commands(run, model, repo),
    )


def write_card(
    folder: RunFolder,
    *,
    into: Path | None = None,
    relation: Relation = "adapter",
    model: str | None = None,
    repo: str | None = None,
    preview: str | None = None,
    usage: Usage | None = None,
) -> Path:
    """Write the card of a bot, and the diagram it shows, into its folder or another.

    A bot that was pulled keeps the card that came with it: only there is told what it learned from.

    Args:
        folder: the bot's.
        into: where to write (default: the bot's folder).
        relation: see `card_text`.
        model: see `card_text`.
        repo: see `card_text`.
        preview: address of the share image (default: preview.png, where it stands beside the card).
        usage: see `card_text`.
    """
    root = into or folder.root
    if folder.pulled_from:
        return _carry(folder.card, root)
    report = read_report(folder)
    samples = list(read_rows(folder.samples)) if folder.samples.exists() else []
    if preview is None and (root / folder.preview.name).exists():
        preview = folder.preview.name
    text = card_text(
        folder.read_run(),
        report,
        samples,
        relation=relation,
        model=model,
        repo=repo,
        preview=preview,
        usage=usage,
    )
    for name, content in ((DIAGRAM, diagram()), (folder.card.name, text)):
        with replacing(root / name) as file:
            file.write(content)
    return root / folder.card.name


def _carry(card: Path, into: Path) -> Path:
    target = into / card.name
    if target.resolve() != card.resolve():
        shutil.copy2(card, target)
    return target


def diagram() -> str:
    """Return the drawing of the pipeline, as SVG."""
    return resource(DIAGRAM)


def display_names(accounts: Sequence[Json]) -> list[str]:
    """Return what to call each account: its display name, told apart by handle where shared."""
    names = [plain(account.get("name") or "") or f"@{account['handle']}" for account in accounts]
    return [
        f"{name} (@{account['handle']})" if names.count(name) > 1 else name
        for name, account in zip(names, accounts, strict=True)
    ]


def shown_samples(samples: Iterable[Json]) -> list[str]:
    """Return the first few posts that copy nobody."""
    texts = (plain(row["text"]) for row in samples if not copies(row))
    return [text for text in texts if text][:SHOWN]


def standing_text() -> str:
    """Return what every card says, whoever's it is."""
    return resource("card.md")


def _who(run: Json) -> Json:
    accounts = voices(run)
    names = display_names(accounts)
    return {
        "title": " & ".join(names),
        "kind": bot_kind(account["handle"] for account in accounts),
        "joined": joined_name(account["handle"] for account in accounts),
        "whose": names[0] if len(names) == 1 else "each of these accounts",
        "people": _people(accounts, names),
    }


def _data(run: Json) -> Json:
    cleaned = cleaned_of(run)
    return {
        "counts": _counts(cleaned, voices(run)) if cleaned else "",
        "replaced": _replaced(cleaned.get("replaced")),
        "languages": _languages(cleaned.get("languages") or {}),
        "terms": dict.fromkeys(sentence for each in consents_of(run) for sentence in each["terms"]),
    }


def _people(accounts: Sequence[Json], names: Sequence[str]) -> Markdown:
    links = []
    for account, name in zip(accounts, names, strict=True):
        handle = f"@{account['handle']}"
        known = name if handle in name else f"{name} ({handle})"
        own = ", read from their own archive" if account.get("own_archive") else ""
        links.append(f"{link(known, account.get('url'))}{own}")
    return Markdown("; ".join(links))


def _counts(cleaned: Json, accounts: Sequence[Json]) -> Markdown:
    columns = [_column(cleaned, account["handle"], len(accounts)) for account in accounts]
    dropped = [column.get("dropped") or {} for column in columns]
    rows: list[list[object]] = [
        ["Posts downloaded", *(column.get("downloaded", 0) for column in columns)]
    ]
    for reason in _reasons(dropped):
        label = _REASONS.get(reason, reason.replace("-", " ").capitalize())
        rows.append([label, *(counts.get(reason, 0) for counts in dropped)])
    rows.append(["Posts kept", *(column.get("kept", 0) for column in columns)])
    return table(["Data", *display_names(accounts)], rows)


def _column(cleaned: Json, handle: str, accounts: int) -> Json:
    by_author = cleaned.get("by_author") or {}
    lowered = {author.lower(): counts for author, counts in by_author.items()}
    alone = cleaned if accounts == 1 else {}
    found: Json = by_author.get(handle) or lowered.get(handle.lower()) or alone
    return found


def _reasons(dropped: Iterable[dict[str, int]]) -> list[str]:
    """Return the reasons to show: the two always shown, then any that took a post."""
    seen = {reason for counts in dropped for reason, count in counts.items() if count}
    ranked = [*_REASONS, *sorted(seen - set(_REASONS))]
    return [reason for reason in ranked if reason in seen or reason in _ALWAYS]


def _replaced(counts: dict[str, int] | None) -> str | None:
    if counts is None:
        return None
    return ", ".join(f"{count} × {kind}" for kind, count in counts.items() if count)


def _languages(languages: dict[str, float]) -> str:
    ranked = sorted(languages.items(), key=lambda item: -item[1])
    return ", ".join(f"{code} ({100 * share:.0f} %)" for code, share in ranked if share >= 0.01)


def _training(run: Json) -> Json | None:
    stage = run.get("stages", {}).get("train") or {}
    result = learned_of(run)
    if not result:
        return None
    base = result.get("base") or {}
    hub_id = base.get("hub_id")
    url = f"https://huggingface.co/{hub_id}" if hub_id else None
    return {
        **result,
        "hub_id": hub_id,
        "base": link(hub_id or Path(base.get("name") or "not recorded").name, url),
        "base_license": base.get("license"),
        "base_page": link("the page of the base", url),
        "duration": duration(stage.get("seconds")),
        "flock": _flock(result.get("flock"), run["name"]),
        "parents": _parents(result.get("parents")),
        "settings": _settings({**(stage.get("config") or {}), **result}),
    }


def _flock(row: Json | None, own: str) -> Json | None:
    """Return what a bot started from, in Markdown, where it was not the bare base."""
    if not row:
        return None
    voices = ", ".join(f"@{plain(handle)}" for handle in row["accounts"])
    itself, ours = row["name"] == own, row["name"] == STARTER
    return {"name": plain(row["name"]), "voices": voices, "itself": itself, "ours": ours}


def _parents(rows: Sequence[Json] | None) -> str:
    """Return which bots a blend was made of, each with its share; nothing where it was trained."""
    return told({plain(row["name"]): row["weight"] for row in rows}) if rows else ""


def _versions(run: Json) -> dict[str, str]:
    """Return the versions of the training, or those of the last stage where it has none."""
    stages = run.get("stages") or {}
    return (stages.get("train") or {}).get("versions") or run.get("versions") or {}


def _settings(used: Json) -> Markdown:
    known = [(label, used[key]) for key, label in _SETTINGS.items() if used.get(key) is not None]
    return table(["Setting", "Value"], ([label, _figure(value)] for label, value in known))


def _figure(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def duration(seconds: float | None) -> str:
    """Return a time in words, or nothing where none was taken."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (rest, "s"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "less than a second"


def _voice(report: Json) -> Json:
    bits, copied = report.get("bits_per_byte") or {}, report.get("copied") or {}
    interval: list[float] = bits.get("interval") or []
    return {
        "verdict": report.get("verdict"),
        "posts": bits.get("posts"),
        "table": _figures(report),
        "gain": _less(bits["gain_percent"]) if bits else "",
        "interval": " to ".join(f"{end:.1f}" for end in interval),
        "chance": bool(interval) and interval[0] <= 0 <= interval[1],
        "samples": copied.get("samples"),
        "copied": _percent(copied.get("bot")),
        "unguarded": _percent(copied.get("unguarded")),
        "repeated": _percent(copied.get("person")),
    }


def _figures(report: Json) -> Markdown:
    """Return the main figures as a table, floors and ceiling beside each."""
    rows = table_of(main_figures(report), without=("excess",))
    header = [COLUMNS[name] for name in rows[0]] if rows else []
    return table(header, [list(row.values()) for row in rows])


def _less(percent: float) -> str:
    return f"{abs(percent):.1f} % {'fewer' if percent >= 0 else 'more'}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


def copies(sample: Json) -> bool:
    """Tell whether a sample repeats a real post, by the limits that `say` draws again at."""
    nearest, limits = sample.get("nearest"), GenerationConfig()
    if nearest is None:
        return True
    run = round(nearest["overlap"] * len(words_of(sample["text"])))
    return bool(nearest["overlap"] >= limits.copied_share or run >= limits.copied_words)


def _commands(run: Json, model: str | None, repo: str | None) -> Json:
    name = plain(run["name"])
    pull = f"mynah pull {repo}" if repo else ""
    if repo and not repo.endswith(f"/{name}"):
        pull += f" --name {shlex.quote(name)}"
    return {
        "pull": Markdown(pull),
        "say": Markdown(f'mynah say {shlex.quote(name)} "{PROMPT}"'),
        "export": Markdown(f"mynah export {shlex.quote(name)} --format transformers"),
        "model": Markdown(json.dumps(plain(model or repo or name), ensure_ascii=False)),
    }


def _lineage(run: Json) -> str:
    """Return the SHA-256 of every input, shortened; where a file lay is nobody's business."""
    hashes = {
        Path(name).name: value
        for verb, stage in (run.get("stages") or {}).items()
        if verb != "card"  # it would tell of itself
        for name, value in (stage.get("inputs") or {}).items()
    }
    base = learned_of(run).get("base") or {}
    if base.get("sha256"):
        hashes["base"] = base["sha256"]
    listed = ", ".join(f"{name} {str(value)[:12]}" for name, value in hashes.items())
    return listed and f"SHA-256, the first twelve digits (run.json has all of them): {listed}."
