"""Options that say which column of a table is what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

_Command = Callable[..., Any]


def label_columns(command: _Command) -> _Command:
    """Of a file of labels: `id`, `text`, `aliases`, `descriptions`, `language`."""
    for option in (
        click.option("--language", metavar="TAG", help="Of a thesaurus: the texts of this language, such as en."),
        click.option(
            "--description", "descriptions", multiple=True, metavar="COLUMN", help="Of descriptions; may be repeated."
        ),
        click.option("--aliases", multiple=True, metavar="COLUMN", help="Of other names; may be repeated."),
        click.option("--text", metavar="COLUMN", help="Of the labels' texts.  [default: guessed, and said]"),
        click.option("--id", metavar="COLUMN", help="Of the labels' ids."),
    ):
        command = option(command)
    return command


def query_columns(command: _Command) -> _Command:
    """Of a file of queries: `query_text`, `query_labels`."""
    for option in (
        click.option(
            "--query-labels", multiple=True, metavar="COLUMN", help="Of the labels that are right, by id or text."
        ),
        click.option("--query-text", metavar="COLUMN", help="Of the queries' texts."),
    ):
        command = option(command)
    return command
