"""README and docs show what is there: every block of code runs here, its options exist, its output has that form.

A comment above a block marks it: `<!-- slow -->` runs in `make test-all`; of `<!-- not run: REASON -->` the syntax,
commands and options are checked alone; `<!-- file: NAME -->` is written for the blocks after it. The blocks of a
document run in order, in one folder. Of output, words must be those shown, numbers may differ, and a line `...` stands
for any lines.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

import edgexl
import edgexl.compiler.pipeline  # all passes
from edgexl import cli
from edgexl.base import toml
from edgexl.base.errors import BadInput
from edgexl.cli.study import DefaultingGroup
from edgexl.compiler.passes.declaration import Pass
from edgexl.compiler.recipe import Recipe
from edgexl.distill.recipe import DistillRecipe
from edgexl.target import Target
from tests.test_rooms import ROOMS

ROOT = Path(__file__).parents[1]
INCLUDE = ROOT / "edgexl/runtime/include"
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^(?:<!-- (slow|not run|file)(?:: (.+?))? -->\n)?```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")


@dataclass(frozen=True)
class Block:
    """A block of code; `language` is console (commands after `$ `, and their output), python, c, toml, json or text."""

    document: Path
    line: int
    language: str
    content: str
    mark: str
    note: str

    @property
    def commands(self) -> list[tuple[str, list[str]]]:
        """The commands of a console block, each with the lines that it prints."""
        found: list[tuple[str, list[str]]] = []
        for line in self.content.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif found[-1][0].endswith("\\"):
                found[-1] = (f"{found[-1][0][:-1]}{line}", [])
            else:
                found[-1][1].append(line)
        return found


def blocks(document: Path) -> list[Block]:
    text = document.read_text(encoding="utf-8")
    return [
        Block(document, text[: found.start()].count("\n") + 1, found[3], found[4], found[1] or "", found[2] or "")
        for found in BLOCK.finditer(text)
    ]


ALL = [block for document in DOCUMENTS for block in blocks(document)]


def name(block: Block) -> str:
    return f"{block.document.name}:{block.line}"


@pytest.mark.parametrize("block", ALL, ids=name)
def test_a_block_is_well_formed(block: Block) -> None:
    match block.language:
        case "console":
            for command, _ in block.commands:
                check_command(command)
        case "python":
            compile(block.content, name(block), "exec")
        case "c":
            check_c(block)
        case "toml":
            check_toml(block.content)
        case "json":
            assert all(json.loads(line) for line in block.content.splitlines())
        case other:
            assert other == "text", f"{name(block)} does not say its language"
    if block.mark == "not run":
        pytest.skip(f"checked, and not run: {block.note}")


def check_command(command: str) -> None:
    """The shell can read it, and the parts of it that are this project's have the names and options that it gives."""
    subprocess.run(["bash", "-n", "-c", command], check=True)
    for part in re.split(r" (?:&&|\||;) ", command):
        words = shlex.split(part, comments=True)
        while words and re.fullmatch(r"\w+=.*", words[0]):
            words.pop(0)
        if words[:1] == ["edgexl"]:
            check_options(cli.edgexl, words[1:])
        elif words[:1] == ["make"]:
            makefile = (ROOT / "Makefile").read_text()
            assert all(re.search(rf"^{word}:", makefile, re.MULTILINE) for word in words[1:] if "=" not in word)
        elif words[:2] == ["python", "-m"] and words[2].split(".")[0] in ("benchmarks", "tests"):
            file = Path(importlib.import_module(words[2]).__file__ or "")
            source = (file.with_name("__main__.py") if file.name == "__init__.py" else file).read_text()
            assert all(f'"{word}"' in source for word in words if word.startswith("--")), command


def check_options(command: click.Command, words: list[str]) -> None:
    """The command line knows these words; values and files are not looked at."""
    context = click.Context(command, info_name=command.name)
    if isinstance(command, DefaultingGroup) and (not words or words[0] not in command.commands):
        words = [command.default, *words]
    _, rest, _ = command.make_parser(context).parse_args(list(words))
    if isinstance(command, click.Group) and rest:
        _, sub, rest = command.resolve_command(context, rest)
        assert sub
        check_options(sub, rest)


def check_toml(content: str) -> None:
    """It is a recipe of either kind or a target."""
    sentences = []
    for kind in (Recipe, DistillRecipe, Target):
        try:
            toml.build(toml.tomllib.loads(content), kind, kind.__name__)
            return
        except BadInput as error:
            sentences.append(str(error))
    raise AssertionError(sentences)


def check_c(block: Block) -> None:
    """It compiles without a warning, as a file or as the inside of a function."""
    program = block.content
    if "#include" not in program:
        program = f"#include <edgexl.h>\n#include <stdio.h>\n#include <string.h>\n{program}"
    command = ["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{INCLUDE}", "-xc", "-"]
    done = subprocess.run(command, input=program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "document",
    # the page on Python compiles and trains again and again
    [pytest.param(path, marks=[pytest.mark.slow] * (path.name == "python.md"), id=path.name) for path in DOCUMENTS],
)
def test_blocks_run(document: Path, tmp_path: Path) -> None:
    run_blocks([block for block in blocks(document) if block.mark not in ("slow", "not run")], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "document", dict.fromkeys(block.document for block in ALL if block.mark == "slow"), ids=lambda path: path.name
)
def test_slow_blocks_run_too(document: Path, tmp_path: Path) -> None:
    run_blocks([block for block in blocks(document) if block.mark != "not run"], tmp_path)


def run_blocks(chosen: list[Block], folder: Path) -> None:
    (folder / "students").symlink_to(ROOT / "students")  # the folder of a checkout that a reader uses by its path
    for block in chosen:
        if block.mark == "file":
            (folder / block.note).write_text(block.content)
        elif block.language == "python":
            run([sys.executable, "-c", block.content], folder, name(block))
        elif block.language == "console":
            for command, shown in block.commands:
                printed = run(["bash", "-c", command], folder, f"{name(block)}: {command}")
                assert not shown or is_alike(shown, printed), f"{name(block)}: {command}: {printed}"


def run(command: list[str], folder: Path, what: str) -> str:
    """What a command prints; it must end well."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "COLUMNS": "80"}
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, f"{what}: {done.stdout}"
    return done.stdout


def is_alike(shown: list[str], printed: str) -> bool:
    """Whether what is printed has the words shown, whatever the numbers."""

    def form(line: str) -> str:
        return re.sub(r"\d[\d.,]*", "#", " ".join(line.split()))

    pattern = r"\n".join(".*" if line == "..." else re.escape(form(line)) for line in shown)
    return bool(re.fullmatch(pattern, "\n".join(map(form, printed.strip("\n").splitlines())), re.DOTALL))


def test_output_with_another_word_is_not_alike() -> None:
    assert is_alike(["a 1.5 ms", "..."], "a  2 ms\nb\nc\n")
    assert not is_alike(["a 1.5 ms"], "a 2 s\n")
    assert not is_alike(["a", "b"], "a\n")


def test_the_c_program_is_the_one_that_is_tested() -> None:
    program = (ROOT / "edgexl/runtime/examples/embed.c").read_text(encoding="utf-8")
    assert [block.content for block in blocks(ROOT / "README.md") if block.language == "c"] == [program]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for file, heading in LINK.findall(document.read_text(encoding="utf-8")):
        place = document.parent / file if file else document
        assert place.exists(), f"{document.name}: there is no {file}"
        headings = re.findall(r"^#+ (.*)$", place.read_text(encoding="utf-8"), re.MULTILINE) if heading else []
        anchors = {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}
        assert not heading or heading in anchors, f"{document.name}: {place.name} has no heading {heading}"


def test_commands_within_sentences_exist() -> None:
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for command in re.findall(r"`((?:edgexl|make|python -m benchmarks)[^`\n]*)`", text):
            check_command(command)


def test_files_within_sentences_exist() -> None:
    for document in DOCUMENTS:
        for file in re.findall(r"`((?:edgexl|tests|benchmarks|recipes|targets)/[\w./-]+)`", document.read_text()):
            assert (ROOT / file).exists(), f"{document.name}: there is no {file}"


def test_architecture_draws_all_rooms_and_passes() -> None:
    rooms, passes, _ = (block.content for block in blocks(ROOT / "docs/architecture.md"))
    drawn = re.compile(r"^  (\w+)", re.MULTILINE)
    assert drawn.findall(rooms) == [room for room in reversed(ROOMS) if room != "__main__"]
    known = {step.name for step in Pass.__subclasses__() if step.__module__.startswith("edgexl.")}
    assert set(drawn.findall(passes)) == known


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


def test_public_names_have_an_example_in_pydoc() -> None:
    assert edgexl.__doc__
    shown = set(re.findall(r"edgexl\.(\w+)(?:\.\w+)?\(", edgexl.__doc__))
    assert shown == set(edgexl.__all__) - {"__version__"}
