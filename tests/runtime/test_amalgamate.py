"""The two files compile with one command and answer as the library does."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from edgexl.base.errors import BadInput
from edgexl.bundle.read import read_bundle
from edgexl.runtime.amalgamate import _new_names, amalgamate
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


def test_private_names_that_meet_get_others_that_nobody_has() -> None:
    """Attributes in front of a name, and a source that already has the name that would come next."""
    sources = {
        "near.c": "static __attribute__((always_inline)) int pair(int x);\nstatic int near_pair;\n",
        "far.c": '__attribute__((target("a,b"), noinline)) static int pair(int x) { return x; }\n#define LONE 1\n',
        "near_far.c": "typedef struct {\n    int x;\n} walk;\nstatic walk begin(void);\n",
        "far_off.c": "enum { MOST = 1 };\nstatic walk pair[3];\nstatic int far_pair_(int walk);\nint MOST_of_all;\n",
    }
    new_names = _new_names(sources)
    assert new_names["near.c"]["pair"] == "near_pair_"
    assert new_names["far.c"]["pair"] == "far_pair"
    assert new_names["near_far.c"]["walk"] == "near_far_walk"
    assert new_names["far_off.c"]["pair"] == "far_off_pair"


def test_the_directory_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not a directory"):
        amalgamate(tmp_path / "none")
