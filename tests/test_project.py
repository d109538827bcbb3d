"""What pyproject.toml says of edgexl: the packages that it needs, and its version."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import edgexl

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
# Declared and not imported: transformers imports these where it reads GGUF files.
INDIRECT = {"gguf", "accelerate"}


def names(requirements: list[str]) -> set[str]:
    """The packages that requirements name."""
    return {re.split(r"[\[<>=~!; ]", requirement)[0].lower() for requirement in requirements}


def imports(folder: str) -> dict[str, str]:
    """The packages outside Python's own library that the modules of a folder import: import name -> one such module."""
    found = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules = [node.module or ""]
            else:
                continue
            found.update({module.partition(".")[0]: str(path.relative_to(ROOT)) for module in modules})
    own = {"edgexl", "tests", "benchmarks", *sys.stdlib_module_names}
    return {name: path for name, path in found.items() if name not in own}


@pytest.mark.parametrize("folder", ["edgexl", "tests"])
def test_every_import_is_declared(folder: str) -> None:
    extras = [extra for extra in EXTRAS if extra != "dev" or folder == "tests"]
    declared = names(PROJECT["dependencies"]).union(*(names(EXTRAS[extra]) for extra in extras))
    providers = packages_distributions()
    for name, module in imports(folder).items():
        provided = {provider.lower().replace("_", "-") for provider in providers.get(name, [name])}
        assert provided & declared, f"{module} imports {name}, which pyproject.toml does not declare"


def test_every_dependency_is_imported() -> None:
    users = [extra for extra in EXTRAS if extra not in ("dev", "cross")]
    declared = names(PROJECT["dependencies"]).union(*(names(EXTRAS[extra]) for extra in users)) - INDIRECT
    providers = packages_distributions()
    used = {
        provider.lower().replace("_", "-") for name in imports("edgexl") for provider in providers.get(name, [name])
    }
    assert declared - used == set()


def test_there_is_one_version() -> None:
    header = (ROOT / "edgexl/runtime/include/edgexl.h").read_text()
    assert re.findall(r'#define EXL_VERSION_STRING "(.*)"', header) == [PROJECT["version"]]
    assert edgexl.__version__ == PROJECT["version"]
