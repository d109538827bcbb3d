"""What was measured, kept on disk, so that a search that was interrupted goes on and another one begins with it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgexl import __version__
from edgexl.base.errors import BadInput
from edgexl.base.fetch import cache_directory
from edgexl.base.files import write_text
from edgexl.compiler.recipe import Recipe
from edgexl.data.layout import spell_queries
from edgexl.student.student import Student
from edgexl.target import Target
from edgexl.use.budget.figures import Figures

_KEPT_SEARCHES = 64


class Store:
    """The figures of one student's candidates on one device, by their recipes. A file that cannot be read or written
    costs time, not the search."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known: dict[str, Any] = {}
        if path is not None:
            with contextlib.suppress(OSError, ValueError):
                known = json.loads(path.read_text(encoding="utf-8"))
                self._known = known if isinstance(known, dict) else {}

    @classmethod
    def of_user(cls, student: Student, target: Target, measured_on: str) -> Store:
        """The user's own. `measured_on` names the device and what it was measured with."""
        facts = [__version__, fingerprint(student), json.dumps(target.as_compiled(), sort_keys=True), measured_on]
        key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]
        try:
            folder = cache_directory() / "budget"
            folder.mkdir(parents=True, exist_ok=True)
        except (BadInput, OSError):
            return cls(None)
        _make_room(folder)
        return cls(folder / f"{key}.json")

    def get(self, recipe: Recipe) -> Figures | None:
        """What `put` has kept."""
        try:
            return Figures.of_json(self._known[_key(recipe)])
        except (KeyError, TypeError, ValueError, AttributeError):
            return None

    def put(self, recipe: Recipe, figures: Figures) -> None:
        self._known[_key(recipe)] = figures.as_json()
        self._write()

    def get_fact(self, name: str) -> Any:
        return self._known.get(name)

    def put_fact(self, name: str, value: Any) -> None:
        self._known[name] = value
        self._write()

    def _write(self) -> None:
        if self._path is not None:
            with contextlib.suppress(OSError, BadInput):
                write_text(self._path, json.dumps(self._known, indent=1))


def fingerprint(student: Student) -> str:
    """A hash of all of a student that its compiled answers depend on."""
    found = hashlib.sha256()
    for module in (student.screener, student.reasoner):
        found.update(repr(module).encode())
        for name, value in sorted(module.state_dict().items()):
            found.update(name.encode())
            found.update(value.detach().cpu().contiguous().numpy().tobytes())
    found.update(student.tokenizer.to_str().encode())
    found.update(student.labels.sha256().encode())
    found.update(repr(student.shapes).encode())
    for queries in (student.calibration, student.evaluation):
        found.update(spell_queries(queries).encode())
    if student.label_tower is not None:
        found.update(student.label_tower.weights_sha256.encode())
        found.update(student.label_tower.projection.detach().numpy().tobytes())
    return found.hexdigest()


def _key(recipe: Recipe) -> str:
    told = {name: value for name, value in asdict(recipe).items() if name not in ("name", "description")}
    return f"recipe {hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:24]}"


def _make_room(folder: Path) -> None:
    """Forget what was used the longest ago."""
    with contextlib.suppress(OSError):
        files = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
        for path in files[: max(0, len(files) - _KEPT_SEARCHES)]:
            os.unlink(path)
