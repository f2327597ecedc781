"""The command `mynah`: parse, call one library function, show.

Nothing heavy is imported before the arguments are understood, so that `--help` is quick.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from mynah import __version__
from mynah.errors import MynahError, SettingsError, TrainingStopped
from mynah.verbs import VERBS, Verb


class _Help(argparse.HelpFormatter):
    """Keeps every verb on the line of its help: argparse forgets that verbs are indented."""

    def add_argument(self, action: argparse.Action) -> None:
        """Make room for an action, and for the indentation where it is the verbs."""
        super().add_argument(action)
        if action.nargs == argparse.PARSER:
            self._action_max_length += self._indent_increment


class _Parser(argparse.ArgumentParser):
    """Raises instead of printing and leaving, so that every error looks alike."""

    def error(self, message: str) -> NoReturn:
        raise SettingsError(f"{message[0].upper()}{message[1:]}.", hint=f"See: {self.prog} --help")


def build_parser(wanted: Sequence[str] | None = None) -> argparse.ArgumentParser:
    """Return the parser; the docs of the command line are made from it.

    Args:
        wanted: verbs to add settings' flags to, None for all: reading the settings takes longer
            than all the rest of `mynah --help`.
    """
    parser = _Parser(
        prog="mynah",
        description="Teach a small language model to post the way an account does.",
        epilog="Start with: mynah make <archive.zip>",
        formatter_class=_Help,
    )
    parser.add_argument("--version", action="version", version=f"mynah {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="verb", required=True)
    for verb in VERBS:
        _add_verb(verbs, verb, wanted is None or verb.name in wanted)
    return parser


def _add_verb(verbs: Any, verb: Verb, whole: bool) -> None:
    parser = verbs.add_parser(verb.name, help=verb.help, description=verb.description or verb.help)
    for names, options in verb.arguments:
        parser.add_argument(*names, **options)
    parser.add_argument("--json", action="store_true", help="print one JSON object, nothing else")
    parser.add_argument("--bots", metavar="DIR", help="folder of bots (MYNAH_BOTS, else ./bots)")
    if verb.stages and whole:
        from mynah.flags import add_flags

        parser.add_argument("--settings", metavar="FILE", help="TOML file, one table a stage")
        add_flags(parser, verb.stages, verb.without)


# Read by libraries when they are first loaded; what the person has set stays.
_LIBRARIES = {
    "TOKENIZERS_PARALLELISM": "false",
    # Threads that wait for each other spin for a moment, then sleep: beside a browser or a second
    # bot long spinning costs most of the speed, alone no spinning at all costs a third (LOG.md).
    "GOMP_SPINCOUNT": "5000",
    # Kernels that are kept for each shape of a matrix: all of them would be half a gigabyte.
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",
    "LRU_CACHE_CAPACITY": "64",
}


def run(arguments: argparse.Namespace) -> int:
    """Carry out one parsed command; return 1 where its answer is that something is not `ok`."""
    for name, value in _LIBRARIES.items():
        os.environ.setdefault(name, value)
    import json
    from pathlib import Path

    from mynah import commands
    from mynah.flags import configs
    from mynah.replicas import one_of_several

    verb = next(each for each in VERBS if each.name == arguments.verb)
    if one_of_several() and verb.name != "train":
        raise SettingsError(
            f"Several processes can train a bot together, but not {verb.name} it.",
            hint="Run: mynah fetch, mynah clean, then accelerate launch --module mynah train <bot>",
        )
    settings = configs(arguments, verb.stages) if verb.stages else {}
    bots = Path(arguments.bots or os.environ.get("MYNAH_BOTS") or "bots")
    shown: dict[str, Any] = getattr(commands, f"do_{verb.name}")(arguments, settings, bots)
    if arguments.json and shown:  # a verb that runs on has printed its object itself
        print(json.dumps(shown, ensure_ascii=False))
    return int(shown.get("ok") is False)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `mynah`; return 0, 1 where a check failed, 2 after an error, 130 after Ctrl-C."""
    try:
        words = sys.argv[1:] if argv is None else list(argv)
        return run(build_parser(words).parse_args(words))
    except MynahError as error:
        from mynah.terminal import print_error

        print_error(error.sentence, error.hint)
        return 130 if isinstance(error, TrainingStopped) else 2
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output went away: nothing left to tell it
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - closed by the interpreter
        return 1
