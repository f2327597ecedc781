"""The text files that Mynah fills in: cards, and what goes with exports."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import jinja2

from mynah.markup import shown


@cache
def template(name: str) -> jinja2.Template:
    """Return a Markdown template, which escapes all that it inserts unless it is Markdown."""
    environment = jinja2.Environment(
        finalize=shown, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    return environment.from_string(resource(name))


@cache
def plain_text(name: str) -> jinja2.Template:
    """Return a template that inserts everything as it is."""
    return jinja2.Environment(keep_trailing_newline=True).from_string(resource(name))


@cache
def page(name: str) -> jinja2.Template:
    """Return an HTML template, which escapes all that it inserts unless it is marked as HTML.

    What it includes is looked for beside it.
    """
    loader = jinja2.FunctionLoader(resource)
    return jinja2.Environment(loader=loader, autoescape=True).get_template(name)


def resource(name: str) -> str:
    """Return a text that comes with the package."""
    return (files("mynah") / "templates" / name).read_text(encoding="utf-8")
