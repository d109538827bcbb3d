"""README shows what is there: the program that is compiled elsewhere in the tests, commands and modules that exist."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import edgexl
from edgexl import cli

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found
    return found[1]


def test_the_c_program_is_the_one_that_is_tested() -> None:
    program = (ROOT / "edgexl" / "runtime" / "examples" / "embed.c").read_text(encoding="utf-8")
    assert block("c") == program


def test_the_python_names_exist() -> None:
    tree = ast.parse(block("python"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.module
            module = importlib.import_module(node.module)
            assert all(hasattr(module, alias.name) for alias in node.names)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "edgexl":
            assert node.attr in edgexl.__all__


def test_all_commands_that_readme_writes_are_known() -> None:
    shown = set(re.findall(r"(?:`|\$ )edgexl ([a-z]+)", README))
    assert shown
    assert shown <= set(cli.edgexl.commands)


def test_the_benchmarks_exist() -> None:
    for script in re.findall(r"python benchmarks/(\w+)\.py", README) + re.findall(
        r"python -m benchmarks\.(\w+)", README
    ):
        named = ROOT / "benchmarks" / script
        assert named.with_suffix(".py").is_file() or (named / "__main__.py").is_file()
