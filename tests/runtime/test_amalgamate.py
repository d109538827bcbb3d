"""The two files compile with one command and answer as the library does."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from edgexl.base.errors import BadInput
from edgexl.bundle.read import read_bundle
from edgexl.runtime.amalgamate import RUNTIME, amalgamate, amalgamation
from tests.runtime.tiny_bundle import build

PROGRAM = """
#include "edgexl.h"
#include <stdio.h>
#include <string.h>
int main(int count, char **arguments) {
    exl_error error = {.struct_size = sizeof error};
    exl_self_test_report report = {.struct_size = sizeof report};
    exl_bundle *bundle = NULL;
    exl_session *session = NULL;
    if (count != 2 || exl_bundle_open(arguments[1], NULL, &bundle, &error) != EXL_OK ||
        exl_session_open(bundle, NULL, &session, &error) != EXL_OK ||
        exl_self_test_run(session, &report, &error) != EXL_OK)
        return puts(error.sentence), 1;
    exl_session_close(session);
    exl_bundle_close(bundle);
    return puts("answers as recorded"), 0;
}
"""


def test_one_command_makes_a_program_that_runs_a_bundle(tmp_path: Path) -> None:
    bundle = build(native=True).write(tmp_path / "tiny.exl")
    assert read_bundle(bundle).goldens.items
    sizes = amalgamate(tmp_path)
    assert sizes == {name: (tmp_path / name).stat().st_size for name in ("edgexl.h", "edgexl.c")}
    (tmp_path / "program.c").write_text(PROGRAM)
    command = ["cc", "-O1", "-Wall", "program.c", "edgexl.c", "-o", "program", "-lm", "-ldl"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "warning" not in done.stderr
    ran = subprocess.run(["./program", "tiny.exl"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.stdout == "answers as recorded\n"


def test_nothing_is_included_but_the_header_and_the_system(tmp_path: Path) -> None:
    amalgamate(tmp_path)
    included = re.findall(r'^#include "([^"]+)"', (tmp_path / "edgexl.c").read_text(), re.M)
    assert included == ["edgexl.h"]


def test_sources_stand_in_it_as_they_are() -> None:
    """Word for word but for their includes; so no two may have a static name in common, for any processor."""
    whole, owners = amalgamation(), dict[str, str]()
    for source in sorted((RUNTIME / "src").glob("*.c")):
        text = source.read_text(encoding="utf-8")
        for part in re.split(r'^#include "[^"]+"\n', text, flags=re.M):
            assert part.strip() in whole
        if source.stem.endswith(("_neon", "_wasm", "_x86")):  # of these, one is compiled
            continue
        statics = re.findall(r"^static\b[^;{=(]*?\b(\w+)\s*[(\[=;]", text, re.M) + re.findall(r"^\} (\w+);", text, re.M)
        for name in set(statics):
            assert owners.setdefault(name, source.name) == source.name, f"{name}: {owners[name]}, {source.name}"


def test_the_directory_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not a directory"):
        amalgamate(tmp_path / "none")
