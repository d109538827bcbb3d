"""Libraries built wrong by real compilers, each in one way, and what is said of them."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgexl.base.errors import BadInput
from edgexl.runtime.elf import AARCH64, X86_64, read_elf
from edgexl.runtime.promise import find_broken_promises
from edgexl.target import load_target

PLAIN = """
#include <stddef.h>
void add(int *restrict x, const int *restrict y, size_t n) { for (size_t i = 0; i < n; i++) x[i] += y[i]; }
int count(int *x) { return __atomic_fetch_add(x, 1, __ATOMIC_SEQ_CST); }
"""
THREAD = """
#include <pthread.h>
static void *nothing(void *x) { return x; }
int start(pthread_t *thread) { return pthread_create(thread, NULL, nothing, NULL); }
"""
ARM, X86 = "aarch64-linux-gnu-gcc", "x86_64-linux-gnu-gcc"
OLD_GLIBC = f"{sys.executable} -m ziglang cc -target aarch64-linux-gnu.2.28"


def build(compiler: str, text: str, directory: Path, name: str = "plain") -> tuple[Path, Path]:
    """A library and its object."""
    command = compiler.split()
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    source, built, library = (directory / f"{name}.{kind}" for kind in ("c", "o", "so"))
    source.write_text(text)
    for call in (["-c", str(source), "-o", str(built)], ["-shared", "-s", str(built), "-o", str(library)]):
        subprocess.run([*command, "-O3", "-fPIC", *call], check=True)
    return library, built


@pytest.mark.parametrize(
    ("compiler", "text", "target", "said"),
    [
        (ARM, PLAIN, "raspberry-pi-4", ()),
        (ARM, THREAD, "raspberry-pi-4", ("needs glibc 2.34", "promises 2.28")),
        (OLD_GLIBC, THREAD, "raspberry-pi-4", ()),
        (f"{ARM} -Wl,-z,max-page-size=4096", PLAIN, "raspberry-pi-4", ()),
        (f"{ARM} -Wl,-z,max-page-size=4096", PLAIN, "raspberry-pi-5", ("pages of 4096 bytes", "16384")),
        (f"{ARM} -march=armv8.2-a+sve", PLAIN, "raspberry-pi-5", ("plain.o", "sve", "armv8.2-a+dotprod")),
        (f"{ARM} -march=armv8.1-a -mno-outline-atomics", PLAIN, "raspberry-pi-5", ()),
        (f"{ARM} -march=armv8.1-a -mno-outline-atomics", PLAIN, "raspberry-pi-4", ("plain.o", "lse")),
        (f"{ARM} -Wl,--no-as-needed -lgcc_s", PLAIN, "raspberry-pi-4", ("libgcc_s.so.1", "the C library alone")),
        (X86, PLAIN, "raspberry-pi-4", ("another processor",)),
        (ARM, PLAIN, "x86-64-v3", ("another processor",)),
        (ARM, PLAIN, "android-arm64", ("libc.so.6",)),
        (f"{X86} -march=x86-64-v3", PLAIN, "x86-64-v3", ()),
        (f"{X86} -march=x86-64-v4 -mprefer-vector-width=512", PLAIN, "x86-64-v3", ("plain.o", "avx512")),
        (f"{X86} -march=x86-64-v4 -mprefer-vector-width=512", PLAIN, "x86-64-v4", ()),
    ],
)
def test_what_a_target_does_not_promise_is_named(
    compiler: str, text: str, target: str, said: tuple[str, ...], tmp_path: Path
) -> None:
    # a library that needs no other has no libc.so.6 among its needs
    library, built = build(f"{compiler} -Wl,--no-as-needed" if "zig" not in compiler else compiler, text, tmp_path)
    broken = find_broken_promises(load_target(target), [library], [built])
    assert bool(broken) == bool(said), broken
    for words in said:
        assert words in broken[0]


def test_instructions_are_allowed_in_the_sources_that_choose_at_run_time_alone(tmp_path: Path) -> None:
    target = load_target("raspberry-pi-4")
    dot = """
#include <arm_neon.h>
int32x4_t dot(int32x4_t sum, int8x16_t x, int8x16_t y) { return vdotq_s32(sum, x, y); }
"""
    for name, expected in (("native_neon", 0), ("scan", 1)):
        library, built = build(f"{ARM} -march=armv8.2-a+dotprod", dot, tmp_path, name)
        broken = find_broken_promises(target, [library], [built])
        assert len(broken) == expected, broken


def test_a_stripped_library_alone_shows_what_nothing_chooses(tmp_path: Path) -> None:
    library, _ = build(f"{ARM} -march=armv8.2-a+sve", PLAIN, tmp_path)
    (broken,) = find_broken_promises(load_target("raspberry-pi-5"), [library], [])
    assert "plain.so" in broken


def test_private_symbols_of_one_glibc_are_no_promise(tmp_path: Path) -> None:
    """Every glibc promises its numbered versions, none its private ones."""
    target = dataclasses.replace(load_target("x86-64-v3"), glibc="2.99")
    library, built = build(X86, "extern int __libc_siglongjmp; int *x(void) { return &__libc_siglongjmp; }", tmp_path)
    if "GLIBC_PRIVATE" in read_elf(library).versions:
        assert "private symbols" in find_broken_promises(target, [library], [built])[0]


def test_elf_files_are_read_and_others_refused(tmp_path: Path) -> None:
    library, built = build(f"{X86} -Wl,--no-as-needed", THREAD, tmp_path)
    elf = read_elf(library)
    assert (elf.machine, elf.needed, elf.load_alignment) == (X86_64, ("libc.so.6",), 4096)
    assert any(version.startswith("GLIBC_2.") for version in elf.versions)
    assert read_elf(built).needed == ()
    assert read_elf(built).machine != AARCH64
    content = library.read_bytes()
    for wrong in (b"", b"#!/bin/sh\n", content[:4] + b"\x01" + content[5:], content[:40], content[: len(content) // 2]):
        library.write_bytes(wrong)
        with pytest.raises(BadInput, match="ELF file"):
            read_elf(library)
