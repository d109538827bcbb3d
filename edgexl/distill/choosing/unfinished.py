"""What an unfinished run was of, so that the same command goes on with it, and another one is told in the first second
what has changed.

OUT.work holds `run.json`, what was asked for and the hashes of the files, beside the recipe that was made and the
checkpoints.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgexl.base.errors import BadInput
from edgexl.base.files import open_input, read_input, write_text
from edgexl.compiler.from_files import Sources
from edgexl.data.layout import LABELS_FILE, QUERY_FILES

RUN_FILE, RECIPE_FILE = "run.json", "recipe.toml"


@dataclass(frozen=True)
class Asked:
    """What a run is of: `options` by the name that the command line has for them, and the `files` with their hashes."""

    options: dict[str, str]
    files: dict[str, str]

    @classmethod
    def of_files(cls, sources: Sources, minutes: float) -> Asked:
        """Of labels, queries and an encoder."""
        columns = asdict(sources.columns) | {
            "query_text": sources.query_text, "query_labels": sources.query_labels, "language": sources.language,
        }  # fmt: skip
        named = {key: str(value) for key, value in columns.items() if value}
        options = {"--encoder": sources.encoder, "--minutes": f"{minutes:g}"}
        options |= {"--" + key.replace("_", "-"): value for key, value in named.items()}
        files = {"the labels": sources.labels, "the queries": sources.queries}
        return cls(options, {name: _hash(path) for name, path in (files | _model(sources.encoder)).items() if path})

    @classmethod
    def of_recipe(cls, path: Path, table: dict[str, Any]) -> Asked:
        """Of a recipe's file, and the files that its `table` names."""
        files, data = {"the recipe": path}, table.get("data", "")
        if isinstance(data, dict):
            named = {key: path.parent / data[key] for key in ("labels", "queries") if isinstance(data.get(key), str)}
            files |= {f"the {key}": file for key, file in named.items() if file.is_file()}
        elif isinstance(data, str) and (Path(data) / LABELS_FILE).is_file():
            files |= {"the labels": Path(data) / LABELS_FILE, "the queries": Path(data) / QUERY_FILES[0]}
        files |= _model(str(table.get("start") or table.get("teacher") or ""))
        return cls({}, {name: _hash(file) for name, file in files.items()})


def _model(source: str) -> dict[str, Path]:
    """A model's weights, where it is a directory."""
    weights = Path(source) / "model.safetensors"
    return {"the encoder": weights} if source and weights.is_file() else {}


def _hash(path: Path) -> str:
    """Of a file's content; of a directory its name alone."""
    if path.is_dir():
        return os.fspath(path)
    digest = hashlib.sha256()
    with open_input(path) as stream:
        while part := stream.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def begin_run(work: Path, asked: Asked, fresh: bool) -> bool:
    """Whether `work` holds an unfinished run of the same; else notes what this one is of. `fresh` drops whatever is
    there. Raises `BadInput` where something else is unfinished there, naming what has changed."""
    if fresh:
        shutil.rmtree(work, ignore_errors=True)
    known = _read(work)
    if known is not None:
        changed = _changes(known, asked)
        if changed:
            raise BadInput(
                f"{work} holds an unfinished run, and since then {changed}; put that back to go on with the run, or "
                "begin anew with --fresh."
            )
        return True
    work.mkdir(parents=True, exist_ok=True)
    write_text(work / RUN_FILE, json.dumps(asdict(asked), indent=1) + "\n")
    return False


def _read(work: Path) -> Asked | None:
    """What the run in `work` was of; None where nothing is known of it."""
    if not (work / RUN_FILE).is_file():
        return None
    try:
        found: Any = json.loads(read_input(work / RUN_FILE))
        return Asked(dict(found["options"]), dict(found["files"]))
    except (ValueError, KeyError, TypeError):
        return None


def _changes(known: Asked, asked: Asked) -> str:
    """In words, what is another now; nothing where all is the same."""
    said = []
    if set(known.files) != set(asked.files):
        return "the command is another (a recipe instead of files of labels, or the other way round)"
    changed = [name for name, digest in asked.files.items() if known.files[name] != digest]
    if changed:
        said.append(f"{' and '.join(changed)} {'has' if changed == ['the recipe'] else 'have'} changed")
    for name in sorted({*known.options, *asked.options}):
        before, now = known.options.get(name), asked.options.get(name)
        if before != now:
            said.append(f"{name} is {now or 'not given'} instead of {before or 'not given'}")
    return ", ".join(said)
