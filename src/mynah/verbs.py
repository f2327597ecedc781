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
        "help": "archive (zip or folder) or file of posts, recognised by its content; "
        "or an account, as bluesky:alice.example",
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
        stages=("fetch", "clean", "dataset", "train", "say", "report", "track"),
    ),
    Verb(
        name="fetch",
        help="read posts from archives, files and accounts",
        arguments=(
            _SOURCES,
            _NAME,
            _REPLACE,
            (
                ("--update",),
                {
                    "action": "store_true",
                    "help": "the source is a bot: ask its accounts for what is new",
                },
            ),
        ),
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
        name="flock",
        help="teach one base many voices, for bots to start from",
        description="Train one adapter on many accounts. A bot that starts from it "
        "(mynah make --flock) gets as far in less time. It is a bot of its own as well.",
        arguments=(
            (("action",), {"choices": ("train",), "help": "train: fetch, clean and train"}),
            _SOURCES,
            _NAME,
            _REPLACE,
        ),
        stages=("fetch", "clean", "dataset", "train"),
    ),
    Verb(
        name="fleet",
        help="make many bots at once, here or on a cluster",
        description="Make every bot of a flock file (TOML) as a task on Ray, on this machine or on "
        "a cluster. A bot that is there, made of the same posts with the same settings, is "
        "skipped; one that fails does not stop the rest. With the word status before the file "
        "nothing is made. Ends with 1 where a bot failed.",
        arguments=(
            (("words",), {"nargs": "+", "metavar": "file", "help": "flock file, or status file"}),
        ),
        stages=("fleet",),
    ),
    Verb(
        name="sweep",
        help="search for the settings that teach this voice best",
        description="Train many times, each time with other settings, and keep those that predict "
        "unseen posts best without copying: sweep/best.toml in the bot's folder, for --settings. "
        "Trials that do badly are given up at a quarter, a half or three quarters. Ctrl-C and "
        "again goes on. The bot itself is not changed.",
        arguments=(
            _BOT,
            (("--fleet",), {"action": "store_true", "help": "several trials at once, on Ray"}),
        ),
        stages=("sweep", "dataset", "train", "fleet"),
        without=(
            *("epochs", "learning_rate", "schedule", "warmup", "accumulate", "rank", "modules"),
            *("batch_tokens", "recipe", "effort", "flock", "flock_share"),
            *("save_seconds", "storage"),
        ),
    ),
    Verb(
        name="blend",
        help="make one bot of several finished ones, without training",
        description="Add up what finished bots of one base have learned, each with its weight. It "
        "takes seconds and leaves them as they are; the report then shows how much of each voice "
        "is heard. For a blend that is trained on several accounts see mynah make.",
        arguments=(
            (("names",), {"nargs": "+", "metavar": "bot", "help": "finished bots, two or more"}),
            (("--name",), {"help": "name of the blend (default: the bots' names)"}),
            _REPLACE,
        ),
        stages=("blend",),
    ),
    Verb(
        name="report",
        help="judge the bot: what it learned, what it copies, who can tell",
        arguments=(_BOT,),
        stages=("report", "say", "track"),
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
    Verb(
        name="quiz",
        help="real or bot? find out whether you can tell",
        description="Shows pairs of a held-out post and one by the bot and asks which is real: "
        "type 1 or 2, or q to stop early. Where there is no terminal, answers are read line by "
        "line. With --json nothing is asked: the pairs come with a key.",
        arguments=(_BOT,),
        stages=("quiz", "say"),
        without=("n", "allow_copies"),
    ),
    Verb(
        name="who",
        help="which bot would most likely have said this",
        description="Compares what a text costs each bot, in bits. Without a text the bots are "
        "tried on each other's held-out posts.",
        arguments=(
            (("text",), {"nargs": "?", "help": "what somebody said"}),
            (
                ("names",),
                {"nargs": "*", "metavar": "bot", "help": "names of bots (default: all trained)"},
            ),
            (("--table",), {"action": "store_true", "help": "no text: all words name bots"}),
        ),
        stages=("who",),
    ),
    Verb(
        name="map",
        help="put bots on a map: who sounds like whom",
        description="Asks every bot for held-out posts of all the others and draws how far apart "
        "their voices are, with groups called by their telling words: map.html and map.png. What "
        "was measured is remembered, so one bot more is quick. The bots have to be of one base.",
        arguments=(
            (
                ("names",),
                {"nargs": "*", "metavar": "bot", "help": "names of bots (default: all trained)"},
            ),
        ),
        stages=("map",),
    ),
    Verb(name="card", help="write the model card", arguments=(_BOT,)),
    Verb(
        name="share",
        help="draw a post of the bot as a picture, and a page for it",
        description="Draw one of the posts that the bot said last as preview.png, marked as "
        "machine-made, and write preview.html, a page that shows it and that sites read when "
        "somebody links to it. Nothing is sent anywhere.",
        arguments=(_BOT,),
        stages=("share",),
    ),
    Verb(
        name="export",
        help="write the bot in a format that other programs read",
        arguments=(_BOT,),
        stages=("export",),
    ),
    Verb(
        name="push",
        help="publish the bot on your Hugging Face account, private by default",
        description="Upload the bot to your own account on the Hugging Face Hub, with the login of "
        "its client (HF_TOKEN, or `hf auth login`). Every file is checked first: posts, tokens, "
        "e-mail addresses and paths never leave. The second time only what has changed is sent.",
        arguments=(
            _BOT,
            (("--dry-run",), {"action": "store_true", "help": "check and list, send nothing"}),
        ),
        stages=("push", "hub"),
    ),
    Verb(
        name="takedown",
        help="delete the bot from the Hub again",
        arguments=(
            _BOT,
            (
                ("--repo",),
                {"metavar": "NAME", "help": "what to delete (default: where it was pushed)"},
            ),
            (("--yes",), {"action": "store_true", "help": "do not ask"}),
        ),
        stages=("hub",),
    ),
    Verb(
        name="pull",
        help="bring a bot back from the Hub, or one of huggingtweets",
        arguments=(
            (("repo",), {"help": "me/name on the Hub"}),
            (("--name",), {"help": "name of the bot here (default: that of the repository)"}),
            _REPLACE,
        ),
        stages=("hub",),
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
        name="web",
        help="open the studio: the three steps on a page in your browser",
        description="Serve the studio to this machine and open it. Ctrl-C ends it; a training that "
        "runs goes on. With --host others reach it, who need the password in MYNAH_PASSWORD. "
        "The other settings are what the page starts from.",
        arguments=((("--no-open",), {"action": "store_true", "help": "open no browser"}),),
        stages=("web", "fetch", "clean", "dataset", "train", "report", "say", "track", "hub"),
        without=("weights", "effort"),
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
    Verb(
        name="serve",
        help="let many bots answer at once, over HTTP",
        description="Answer for all bots of the folder that are on one base, in OpenAI's form: "
        "/v1/completions and /v1/models. Posts of different bots are drawn in one batch. On this "
        "machine only, unless --host says otherwise. Ctrl-C or SIGTERM ends it once all that is "
        "begun is done. The settings of say are for requests that do not bring their own.",
        stages=("serve", "say"),
        without=("n", "seed", "engine"),
    ),
    Verb(
        name="update",
        help="learn from what is new, and keep that only where it is better",
        description="Fetch what the account has written since, learn on from the bot as it is, and "
        "keep the new one only where it knows the newest posts better and repeats no more of them. "
        "The bot changes in the end or not at all; what it was stays as a version.",
        arguments=(
            _BOT,
            (("sources",), {"nargs": "*", "help": "a newer archive (default: ask the accounts)"}),
        ),
        stages=("update", "fetch"),
    ),
    Verb(
        name="rollback",
        help="bring back what a bot was before an update",
        arguments=(
            _BOT,
            (("--to",), {"type": int, "metavar": "N", "help": "version (default: the newest)"}),
        ),
    ),
    Verb(
        name="drift",
        help="show how the voice changes over the months",
        description="Shows, month by month, how far the posts are from all others, which needs no "
        "model; and how well the bot, its base and earlier versions know the held-out posts, the "
        "only ones that they have not learned from: drift.html and drift.png in the bot's folder.",
        arguments=(_BOT,),
        stages=("drift",),
    ),
)
