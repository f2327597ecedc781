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
        stages=("fetch", "clean", "dataset", "train", "say", "report", "track"),
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
        stages=("dataset", "train", "track"),
    ),
    Verb(
        name="report",
        help="judge the bot: what it learned, what it copies",
        arguments=(_BOT,),
        stages=("report", "say", "track"),
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
    Verb(
        name="lineage",
        help="check the chain from the posts to the bot",
        description="Hash every file of the chain from the posts to the bot again and compare it "
        "with what its stage wrote down. Ends with 1 where a link is broken.",
        arguments=(_BOT,),
    ),
    Verb(
        name="dashboard",
        help="look at the tracked runs in a browser",
        description="Show the runs that trackio keeps, on this machine only. Ctrl-C ends it.",
        arguments=(
            (("--no-open",), {"action": "store_true", "help": "open no browser"}),
            (("--port",), {"type": int, "metavar": "N", "help": "port (default: a free one)"}),
        ),
    ),
)
