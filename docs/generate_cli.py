"""Write docs/cli.md from the parser, or check that it is what the parser says.

python docs/generate_cli.py [--check]
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from mynah.cli import build_parser

PAGE = Path(__file__).resolve().with_name("cli.md")
WIDTH = 100
HEAD = """\
# The command line

<!-- Written by `make docs` from the code; change the code, not this page. -->

Every default below comes from one place, `src/mynah/config.py`. A flag that is typed wins over a
`--settings` file, which wins over the default. With `--json` a verb prints one object on standard
output and nothing else there: [json.md](json.md) shows each. Exit codes: 0 done, 2 an error with
one sentence and the next command to type, 130 after Ctrl-C.
"""


def page() -> str:
    """Return the page: the help of `mynah`, then of every verb."""
    # argparse asks the terminal for its width and, from 3.14 on, for its colours.
    os.environ |= {"COLUMNS": str(WIDTH + 2), "NO_COLOR": "1"}
    return "\n".join([HEAD, *(section(parser) for parser in parsers())])


def parsers() -> Iterator[argparse.ArgumentParser]:
    """Yield the parser of `mynah`, then that of every verb."""
    parser = build_parser()
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.values()


def section(parser: argparse.ArgumentParser) -> str:
    """Return the heading and the help of one parser."""
    return f"## {parser.prog}\n\n```text\n{parser.format_help().strip()}\n```\n"


def main(words: list[str]) -> int:
    """Write or check the page; return 1 where it is stale."""
    if words == ["--check"]:
        if PAGE.exists() and PAGE.read_text(encoding="utf-8") == page():
            return 0
        print("docs/cli.md is not what the code says. Run: make docs", file=sys.stderr)
        return 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
