"""What the Hub reads of a model card: the metadata at its top."""

from __future__ import annotations

import re
from typing import Any, Literal

import yaml

from mynah.marking import SOURCE_TYPE
from mynah.markup import plain

Relation = Literal["adapter", "finetune"]
Json = dict[str, Any]

PROMPT = "My dream is"
SPOKEN = 0.05  # a language of fewer posts than this share is more likely a wrong guess

MACHINE_MADE_TAGS = ("machine-generated", "machine-generated-text")
MACHINE_MADE: Json = {"machine_generated": True, "digital_source_type": SOURCE_TYPE}

# What the Hub accepts under `license`; any other is declared as "other" with its name.
_LICENSES = re.compile(
    r"apache-2\.0|mit|bsd-[23]-clause|cc0-1\.0|cc-by(-nc)?(-sa)?-[34]\.0|a?gpl-3\.0|gpl-2\.0|lgpl-2\.1"
    r"|lgpl-3\.0|mpl-2\.0|unlicense|openrail|big(science|code)-openrail-m|gemma"
    r"|llama(2|3(\.[123])?|4)"
)


def front_matter(
    run: Json,
    *,
    relation: Relation = "adapter",
    preview: str | None = None,
    library: str | None = None,
) -> Json:
    """Return what the Hub reads of the card; what is not known is left out."""
    base = learned_of(run).get("base") or {}
    found = cleaned_of(run).get("languages") or {}
    fields = {
        "language": spoken(found),
        **_license(base.get("license")),
        "base_model": base.get("hub_id"),
        "base_model_relation": relation if base.get("hub_id") else None,
        "library_name": library or ("peft" if relation == "adapter" else "transformers"),
        "pipeline_tag": "text-generation",
        "tags": ["mynah", *MACHINE_MADE_TAGS],
        "widget": [{"text": PROMPT}],
        "thumbnail": preview,
        "mynah": {
            "bot": plain(run["name"]),
            "voices": [
                {"handle": plain(account["handle"]), "name": plain(account.get("name") or "")}
                for account in voices(run)
            ],
            **MACHINE_MADE,
        },
    }
    return {key: value for key, value in fields.items() if value}


def spoken(languages: dict[str, float]) -> list[str]:
    """Return the ISO 639 codes of the languages in real use, the commonest first."""
    shares: dict[str, float] = {}
    for tag, share in languages.items():
        code = re.split("[-_]", tag.lower())[0]
        if re.fullmatch("[a-z]{2,3}", code) and code not in ("und", "zxx", "mul"):
            shares[code] = shares.get(code, 0.0) + share
    ranked = sorted(shares, key=lambda code: -shares[code])
    return [code for code in ranked if shares[code] >= SPOKEN] or ranked[:1]


def dump(fields: Json) -> str:
    """Return the fields as YAML."""
    # Never folded: a name of `---` must not come to stand at the start of a line.
    text = yaml.safe_dump(fields, allow_unicode=True, sort_keys=False, width=float("inf"))
    return text.rstrip("\n")


def result_of(run: Json, stage: str) -> Json:
    """Return what a stage found, or nothing before it has run."""
    return (run.get("stages", {}).get(stage) or {}).get("result") or {}


def learned_of(run: Json) -> Json:
    """Return what the stage found that made the weights: a training, or a blend of bots."""
    return result_of(run, "train") or result_of(run, "blend")


def consents_of(run: Json) -> list[Json]:
    """Return what was asked of the accounts, and what binds by the flock that a bot began from."""
    flock = result_of(run, "train").get("flock") or {}
    return [*(run.get("consents") or ()), *(flock.get("consents") or ())]


def cleaned_of(run: Json) -> Json:
    """Return what became of the posts; of a blend, of those of all its bots."""
    return result_of(run, "clean") or result_of(run, "blend").get("clean") or {}


def voices(run: Json) -> list[Json]:
    """Return the accounts by handle, with those that are only known from their posts."""
    listed = list(run.get("accounts") or [])
    known = {account["handle"].lower() for account in listed}
    authors = cleaned_of(run).get("by_author") or {}
    listed += [{"handle": author} for author in authors if author.lower() not in known]
    listed.sort(key=lambda account: account["handle"].lower())
    return listed or [{"handle": run["name"]}]


def _license(name: str | None) -> Json:
    if not name:
        return {}
    known = plain(name).lower()
    if _LICENSES.fullmatch(known):
        return {"license": known}
    return {"license": "other", "license_name": known}
