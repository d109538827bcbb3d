"""The library compiled with EXL_BARE, as for a page, writes its sentences as the C library's printf does."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

RUNTIME = Path(__file__).parents[2] / "edgexl" / "runtime"
# Files of systems, which a module for pages leaves out, and of other processors, whose assembler has forms of its own.
NOT_BARE = (
    "engine_ort",
    "file",
    "native_neon",
    "native_x86",
    "platform",
    "storage",
    "update",
    "win32",
    "win32_storage",
)
SENTENCES = r"""
#include "bare.h"
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
double exl_bare_now_ms(void) { return 0; }
static int failures;
static void compare(const char *format, ...) {
    for (size_t bytes = 1; bytes < 80; bytes++) {
        char want[80], got[80];
        va_list arguments, again;
        va_start(arguments, format);
        va_copy(again, arguments);
        memset(got, 'x', sizeof got);
        vsnprintf(want, bytes, format, arguments);
        exl__bare_format(got, bytes, format, again);
        va_end(again);
        va_end(arguments);
        if (strcmp(want, got) != 0 && ++failures < 10)
            printf("%zu bytes: '%s', not '%s'\n", bytes, got, want);
    }
}
int main(void) {
    compare("plain");
    compare("%s", "");
    compare("%s and %s: %u", "one", "two", 3u);
    compare("%.20s|%.*s|%.2s|", "cut behind twenty characters", 4, "abcdef", "x");
    compare("%d %d %d %lld", 0, -1, INT32_MIN, (long long)INT64_MIN);
    compare("%u %llu %zu", UINT32_MAX, (unsigned long long)UINT64_MAX, SIZE_MAX);
    compare("a coverage of %.4f at most", 0.12345);
    compare("%.4f %.2f %.1f", 0.99996, -1.5, 123456.75);
    return failures != 0;
}
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler is installed")
def test_sentences_are_those_of_printf(tmp_path: Path) -> None:
    (tmp_path / "sentences.c").write_text(SENTENCES)
    sources = [
        str(tmp_path / "sentences.c"),
        *(str(RUNTIME / "src" / f"{name}.c") for name in ("bare", "memory", "status")),
    ]
    flags = ("-std=c11", "-DEXL_BARE", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    includes = (f"-I{RUNTIME / 'include'}", f"-I{RUNTIME / 'src'}")
    subprocess.run(["cc", *flags, *includes, *sources, "-o", str(tmp_path / "sentences")], check=True)
    done = subprocess.run([str(tmp_path / "sentences")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_sentences_ask_for_no_other_form() -> None:
    forms = set()
    for source in (RUNTIME / "src").glob("*.c"):
        if source.stem not in NOT_BARE:
            for text in re.findall(r'"((?:[^"\\]|\\.)*)"', source.read_text(encoding="utf-8")):
                forms.update(re.findall(r"%[^a-zA-Z%]*(?:hh|h|ll|l|z|j|t)?[a-zA-Z%]", text))
    assert "%.4f" in forms
    other = [form for form in forms if not re.fullmatch(r"%(?:(?:\.(?:\d+|\*))?s|(?:ll)?[du]|zu|\.\df)", form)]
    assert other == []
