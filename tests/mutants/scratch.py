"""A copy of the repository that faults are put into, so that the working tree is never touched."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.inside import ROOT

COPIED = (
    *("edgexl", "tests", "recipes", "targets", "students", "benchmarks", "docs"),
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "NOTICE", "Makefile", "pyproject.toml", ".ci"),
)
SITE = "from tests.mutants.inside import enter\n\nenter()\n"
# What compiling leaves in the cache depends on the code: a fault must not find it, nor leave it to the next one.
_MADE = ("rows", "students", "teacher", "demo", "data", "mutants")


@dataclass(frozen=True)
class Scratch:
    """The copy's root; processes in it get `environment`."""

    root: Path

    @property
    def environment(self) -> dict[str, str]:
        """For Python processes that work in the copy; their caches lie there too."""
        own = {"PYTHONPATH": self.root, ROOT: self.root, "XDG_CACHE_HOME": self.root / "cache"}
        return os.environ | {name: str(value) for name, value in own.items()}

    def write(self, path: str, source: bytes) -> None:
        """Replace a source file. No compiled form of the old one stays, for both may be of one second and size."""
        whole = self.root / path
        whole.write_bytes(source)
        for compiled in (whole.parent / "__pycache__").glob(f"{whole.stem}.*.pyc"):
            compiled.unlink(missing_ok=True)

    def forget(self) -> None:
        """Remove what earlier tests made and remembered."""
        for name in _MADE:
            shutil.rmtree(self.root / "cache" / "edgexl" / name, ignore_errors=True)
        shutil.rmtree(self.root / ".hypothesis", ignore_errors=True)


@contextmanager
def scratch_copy(root: Path) -> Iterator[Scratch]:
    """A copy of the repository at `root`, with its built library; removed at the end."""
    with tempfile.TemporaryDirectory(prefix="edgexl-mutants.") as directory:
        copy = Path(directory) / "copy"
        copy.mkdir()
        for name in COPIED:
            source = root / name
            if source.is_dir():
                leave = shutil.ignore_patterns("__pycache__", "lib") if name == "edgexl" else None
                shutil.copytree(source, copy / name, ignore=leave or shutil.ignore_patterns("__pycache__"))
            elif source.exists():
                shutil.copy2(source, copy / name)
        (copy / "edgexl" / "runtime" / "lib").symlink_to(root / "edgexl" / "runtime" / "lib")
        (copy / "sitecustomize.py").write_text(SITE)
        yield Scratch(copy)
