"""What --help shows: examples that the command line knows, and lines of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from edgexl.cli import edgexl
from tests.test_docs import check_command

# Its example is how the whole is used.
WITHOUT = {("labels",), ("data",), ("runtime",), ("keys",)}


def commands(group: click.Group, names: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield names
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*names, name))
        else:
            yield (*names, name)


@pytest.mark.parametrize("names", list(commands(edgexl)), ids=lambda names: " ".join(names) or "edgexl")
def test_help_shows_an_example_within_80_columns(names: tuple[str, ...]) -> None:
    said = CliRunner().invoke(edgexl, [*names, "--help"], terminal_width=80, max_content_width=80)
    assert said.exit_code == 0
    assert max(map(len, said.output.splitlines())) <= 80
    examples = [line.strip() for line in said.output.splitlines() if line.startswith("  edgexl ")]
    assert bool(examples) == (names not in WITHOUT)
    for example in examples:
        check_command(example)
        assert example.split()[1 : 1 + len(names)] == list(names) or names in ((), ("characterize", "profile"))


def test_a_misspelt_command_is_answered_with_those_that_are_like_it() -> None:
    said = CliRunner().invoke(edgexl, ["complie", "labels.csv"])
    assert said.exit_code == 2
    assert "'compile'" in said.output
    assert "--explain" in CliRunner().invoke(edgexl, ["run", "a.exl", "text", "--explian", "x"]).output
