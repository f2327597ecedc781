"""The verbs of the command line: what each takes. `commands` has what each does.

A NamedTuple, since `mynah --help` imports this and dataclasses would double its time.
"""

from __future__ import annotations

from typing import Any, NamedTuple

Argument = tuple[tuple[str, ...], dict[str, Any]]

_BOT: Argument = (("bot",), {"help": "name of the bot, as `mynah list` shows it"})
_SOURCES: Argument = (
    ("sources",),
    {
        "nargs": "+",
        "metavar": "source",
        "help": "archive (zip or folder) or file of posts; recognised by its content",
    },
)
_NAME: Argument = (("--name",), {"help": "name of the bot (default: the accounts' handles)"})
_REPLACE: Argument = (
    ("--replace",),
    {"action": "store_true", "help": "make a bot of that name anew"},
)
_PROMPT = {"nargs": "?", "default": "", "help": "beginning of every post"}


class Verb(NamedTuple):
    """One verb: its words, its own arguments, and the stages whose settings it takes."""

    name: str
    help: str
    description: str = ""
    arguments: tuple[Argument, ...] = ()
    stages: tuple[str, ...] = ()
    without: tuple[str, ...] = ()  # settings of those stages that do nothing here


VERBS = (
    Verb(
        name="make",
        help="the whole story: from archives to a bot that talks",
        description="Fetch, clean, train, report, say and card in one go. "
        "Several accounts make a blend.",
        arguments=(
            _SOURCES,
            _NAME,
            _REPLACE,
            (("--prompt",), {"default": "", "help": "beginning of the ten posts"}),
        ),
        stages=("fetch", "clean", "dataset", "train", "say", "report"),
    ),
    Verb(
        name="fetch",
        help="read posts from archives and files",
        arguments=(_SOURCES, _NAME, _REPLACE),
        stages=("fetch",),
    ),
    Verb(
        name="clean",
        help="decide which posts to learn from",
        arguments=(
            _BOT,
            (("--explain",), {"action": "store_true", "help": "show dropped posts by reason"}),
        ),
        stages=("clean",),
    ),
    Verb(
        name="train",
        help="teach the base the voice",
        arguments=(
            _BOT,
            (("--resume",), {"action": "store_true", "help": "go on where a training stopped"}),
        ),
        stages=("dataset", "train"),
    ),
    Verb(
        name="report",
        help="judge the bot: what it learned, what it copies, who can tell",
        arguments=(_BOT,),
        stages=("report", "say"),
        without=("n",),
    ),
    Verb(
        name="say",
        help="let the bot talk",
        arguments=(
            _BOT,
            (("prompt",), _PROMPT),
            (("--nearest",), {"action": "store_true", "help": "show the nearest real post"}),
        ),
        stages=("say",),
    ),
    Verb(name="card", help="write the model card", arguments=(_BOT,)),
    Verb(
        name="export",
        help="write the bot in a format that other programs read",
        arguments=(_BOT,),
        stages=("export",),
    ),
    Verb(name="list", help="show the bots in the folder"),
)
