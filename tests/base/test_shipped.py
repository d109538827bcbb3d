"""What edgexl ships is its own, wherever it is installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgexl.base import shipped

ROOT = Path(__file__).parents[2]
FOLDERS = ("recipes/compile", "recipes/distill", "targets", "students")
FIND = (
    "from edgexl.base.shipped import *; from edgexl.compiler.recipe import available_recipes\n"
    "print(available_recipes()); print([str(shipped_folder(name)) for name in ('recipes/compile', 'students')])\n"
    "print(find_toml('balanced', 'recipes/compile', 'recipe')); print(list(available_students().items()))"
)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A site-packages with edgexl as a wheel lays it out, and beside it what another distribution left there."""
    site = tmp_path / "site-packages"
    shutil.copytree(ROOT / "edgexl", site / "edgexl", ignore=shutil.ignore_patterns("lib", "src", "tests"))
    shutil.copytree(ROOT / "recipes", site / "edgexl/recipes")
    (site / "edgexl/students/own").mkdir(parents=True)
    (site / "edgexl/students/own/student.json").write_text("{}")
    for folder, name in (("recipes/compile", "balanced.toml"), ("recipes/compile", "alien.toml")):
        (site / folder).mkdir(parents=True, exist_ok=True)
        (site / folder / name).write_text('name = "alien"\n')
    for student in ("own", "alien"):
        (site / "students" / student).mkdir(parents=True)
        (site / "students" / student / "student.json").write_text("{}")
    return site


def told_by(installed: Path, code: str) -> str:
    """What a fresh interpreter prints that has `installed` before all else, and no checkout: neither this directory nor
    an editable installation's hook (-I, -S)."""
    paths = [str(installed), *(path for path in sys.path if path and Path(path).resolve() != ROOT)]
    code = f"import sys; sys.path[:] = {paths}\n{code}"
    return subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True).stdout


def test_an_installed_edgexl_finds_its_own_files_alone(installed: Path) -> None:
    said = told_by(installed, FIND)
    names, folders, balanced, students = said.splitlines()
    assert names == str(tuple(sorted(path.stem for path in (ROOT / "recipes/compile").glob("*.toml"))))
    assert folders == str([str(installed / "edgexl/recipes/compile"), str(installed / "edgexl/students")])
    assert balanced == str(installed / "edgexl/recipes/compile/balanced.toml")
    assert students.startswith("[('own', ")
    assert "alien" not in said


def test_an_installed_edgexl_without_its_files_takes_no_others(installed: Path) -> None:
    shutil.rmtree(installed / "edgexl/recipes")
    assert told_by(installed, f"{FIND.splitlines()[0]}\nprint(available_recipes())") == "()\n"


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_checkout_finds_its_folders_beside_the_package(folder: str) -> None:
    assert shipped.shipped_folder(folder) == ROOT / folder
    assert (ROOT / folder).is_dir()


def test_a_recipe_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edgexl) -> None:
    folder = tmp_path / "recipes/compile"
    shutil.copytree(ROOT / "recipes/compile", folder)
    monkeypatch.setattr(shipped, "_PACKAGE", tmp_path)
    (folder / "tiny.toml").write_text("name = 5\n")
    edgexl("recipes").refuses(2, "tiny.toml", "name")
    edgexl("recipes", "tiny").refuses(2, "tiny.toml", "name")
    assert edgexl("recipes", "balanced").status == 0
