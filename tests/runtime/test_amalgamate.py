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

SOURCES = sorted((RUNTIME / "src").glob("*.c"))
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
    """Word for word but for their includes."""
    whole = amalgamation()
    for source in SOURCES:
        for part in re.split(r'^#include "[^"]+"\n', source.read_text(encoding="utf-8"), flags=re.M):
            assert part.strip() in whole


def test_a_static_name_begins_with_its_files_name() -> None:
    """So no two files' names meet: `scan_` and what follows is scan.c's, but `scan_crew_` is scan_crew.c's."""
    stems = sorted((source.stem for source in SOURCES), key=len, reverse=True)
    found = 0
    for source in SOURCES:
        for name in _static_names(source.read_text(encoding="utf-8")):
            owner = next((stem for stem in stems if name.lower().startswith(f"{stem}_")), None)
            assert owner == source.stem, f"{source.name}: {name}"
            found += 1
    assert found > 500


def _static_names(text: str) -> set[str]:
    """What a source names for itself alone, at the level of the file, for any processor.

    Left out are the library's names (exl_), those of ONNX Runtime's interface (Ort), and macros that end with the file:
    it undefines them, or they are parameters of a template that it includes.
    """
    included = [(RUNTIME / "src" / name).read_text(encoding="utf-8") for name in re.findall('#include "(.*)"', text)]
    templates = "".join(header for header in included if "No include guard" in header)
    code = re.sub(r"/\*.*?\*/", "", text, flags=re.S).replace("\\\n", "")
    macros = set(re.findall(r"^#define (\w+)", code, re.M)) - set(re.findall(r"^#undef (\w+)", code, re.M))
    code = re.sub(r"^#.*|__attribute__\(\(.*?\)\)+", "", code, flags=re.M)
    patterns = (
        r"^\w* ?(?:static|EXL__INLINE)\b[^;{=(]*?\b(\w+)\s*[(\[=;]",  # functions and data
        r"^DOT_BY_PANEL\((\w+)",
        r"^(?:\w+ )*(?:struct|union|enum) (\w+) \{",
        r"^typedef[^{};]*?(\w+)\)?(?:\([^;{]*\))?\s*;",
        r"^\} (\w+)\b",
    )
    names = {name for pattern in patterns for name in re.findall(pattern, code, re.M)}
    for enumerators in re.findall(r"^(?:typedef )?enum\b[^{;]*\{([^}]*)\}", code, re.M):
        names |= set(re.findall(r"(?:^|,)\s*(\w+)", enumerators))
    names = {name for name in names if not name.startswith(("exl_", "Ort"))}
    return names | (macros - set(re.findall(r"\w+", templates)))


def test_the_directory_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not a directory"):
        amalgamate(tmp_path / "none")
