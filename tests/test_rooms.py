"""The order of the rooms: a room imports itself and rooms that stand below it, wherever in a file the import is."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
# From the bottom up. A module beside the rooms is one itself. The package's own name brings nothing (it loads lazily).
ROOMS = (
    *("base", "report", "target", "bundle", "data", "runtime", "device", "cost", "student", "index", "predict"),
    *("compiler", "distill", "use", "sklearn", "serve", "ship", "cli", "__main__"),
)


def modules() -> dict[str, Path]:
    """The package's modules: dotted name -> file."""
    paths = (ROOT / "edgexl").rglob("*.py")
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


def imports(path: Path, known: dict[str, Path]) -> set[str]:
    """The modules of the package that a file imports, in its functions, too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in known}
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            below = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in known else node.module for name in below}
    return found - {"edgexl"}


def room(module: str) -> str:
    return module.split(".")[1]


def test_every_room_has_a_place() -> None:
    assert {room(name) for name in modules() if name != "edgexl"} == set(ROOMS)


def test_a_module_imports_from_its_room_and_below() -> None:
    known = modules()
    names = [name for name in known if name != "edgexl"]
    above = [
        f"{name} imports {found}"
        for name in names
        for found in imports(known[name], known)
        if ROOMS.index(room(found)) > ROOMS.index(room(name))
    ]
    assert not above


def test_no_module_reaches_itself() -> None:
    known = modules()
    edges = {name: imports(path, known) for name, path in known.items()}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"a circle of imports: {' -> '.join((*path[path.index(name) :], name))}"
        if name not in done:
            for below in edges[name]:
                visit(below, (*path, name))
            done.add(name)

    for name in known:
        visit(name, ())
