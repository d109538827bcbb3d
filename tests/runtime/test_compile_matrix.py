"""The runtime compiles where strangers compile it, without a warning, and answers there to the bit as here; where it
would not, it does not compile.

`python -m tests.runtime.compile_matrix` (part of `make test-all`) runs the whole matrix; here is a diagonal of it. A
cell without its tools is skipped with the reason, and fails instead when $EDGEXL_REQUIRE_COMPILERS is set, as CI does.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edgexl.runtime.amalgamate import amalgamate
from tests.command_line import Tiny
from tests.runtime.compile_matrix import ARCHITECTURES, COMPILERS, DIAGONAL, FORMS, LEVELS, RUNTIME, ZIG, Cell, Matrix

SOURCES = sorted((RUNTIME / "src").glob("*.c"))


def needs(cell: Cell) -> None:
    """Skip, or fail where CI promises all compilers, when the cell's tools are not on this machine."""
    if cell.missing and os.environ.get("EDGEXL_REQUIRE_COMPILERS"):
        pytest.fail(cell.missing)
    if cell.missing:
        pytest.skip(f"{cell}: {cell.missing}")


@pytest.fixture(scope="module")
def matrix(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Matrix:
    return Matrix(tiny.bundle, tmp_path_factory.mktemp("matrix"))


@pytest.fixture(scope="module")
def one_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("one")
    amalgamate(directory)
    return directory / "edgexl.c"


# zig builds its own C library first
CELLS = [pytest.param(cell, marks=[pytest.mark.slow] * (cell.compiler == "zig"), id=str(cell)) for cell in DIAGONAL]


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_answers_as_the_scalar_kernels_here(cell: Cell, matrix: Matrix) -> None:
    needs(cell)
    matrix.check(cell)


def test_the_diagonal_has_every_compiler_architecture_level_and_form() -> None:
    for all_of, seen in (
        (COMPILERS, {cell.compiler for cell in DIAGONAL}),
        (ARCHITECTURES, {cell.architecture for cell in DIAGONAL}),
        (LEVELS, {cell.level for cell in DIAGONAL}),
        (FORMS, {cell.form for cell in DIAGONAL}),
    ):
        assert set(all_of) == seen


# Flags that change what floats are, and are undone (clang heeds no source after -ffp-contract=fast); and those that
# other projects add to all that they compile.
UNDONE = ("-ffp-contract=fast -march=haswell", "-funsafe-math-optimizations", "-freciprocal-math -fassociative-math")
USUAL = ("-flto", "-fshort-enums -funsigned-char", "-DNDEBUG -D_FORTIFY_SOURCE=2 -fstack-protector-strong", "-fPIC -g")
SANITIZED = "-fsanitize=address,undefined -fno-sanitize-recover=all"


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("compiler", "flags"),
    [
        *(("gcc", flags) for flags in (UNDONE[0], *USUAL, SANITIZED, "-march=native", "-Og", "-O2")),
        *(("clang", flags) for flags in (*UNDONE[1:], *USUAL[1:], "-march=native", "-O2")),
        *(("zig", flags) for flags in (UNDONE[1], "-O2")),
    ],
)
def test_flags_of_other_projects_change_no_answer(compiler: str, flags: str, form: str, matrix: Matrix) -> None:
    cell = Cell(compiler, "x86-64", "-O3", form)
    needs(cell)
    matrix.check(cell, tuple(flags.split()))


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("triple", ["aarch64-macos", "x86_64-macos", "x86-linux-musl", "x86_64-freebsd"])
def test_it_compiles_for_systems_that_are_not_run_here(triple: str, form: str, one_file: Path, tmp_path: Path) -> None:
    needs(Cell("zig", "x86-64", "-O1", form))
    sources = [one_file] if form == "one" else SOURCES
    flags = ("-O1", "-Wall", "-Wextra", "-Werror", f"-I{RUNTIME / 'include'}", "-shared", "-fPIC")
    command = [*ZIG, "-target", triple, *flags, *map(str, sources), "-o", str(tmp_path / "library"), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:2000]


def preprocess(command: str, *sources: Path) -> str:
    """What the compiler says when it preprocesses sources; empty where it takes them."""
    call = [*command.split(), "-E", f"-I{RUNTIME / 'include'}", *map(str, sources)]
    done = subprocess.run(call, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    return done.stderr if done.returncode else ""


OTHER_ANSWERS = [
    ("gcc -O2 -ffast-math", "-ffast-math"),
    ("gcc -Ofast", "-ffast-math"),
    ("gcc -ffinite-math-only", "-ffast-math"),
    ("gcc -funsafe-math-optimizations", "-ffast-math"),
    ("gcc -fassociative-math -fno-signed-zeros -fno-trapping-math", "-ffast-math"),
    ("gcc -freciprocal-math", "-ffast-math"),
    ("gcc -m32 -mno-sse", "-mfpmath=sse"),
    ("clang -O2 -ffast-math", "-ffast-math"),
    ("clang -Ofast", "-ffast-math"),
    ("clang -ffinite-math-only", "-ffast-math"),
    ("clang --target=powerpc64-linux-gnu", "big-endian"),
    ("clang --target=s390x-linux-gnu", "big-endian"),
    ("clang --target=aarch64_be-linux-gnu", "big-endian"),
]


@pytest.mark.parametrize(("command", "said"), OTHER_ANSWERS)
def test_it_does_not_compile_where_it_would_answer_otherwise(command: str, said: str, one_file: Path) -> None:
    compiler = command.split()[0]
    needs(Cell(compiler, "x86-64", "-O1", "one"))
    found = re.findall(r"(\w+\.[ch]):\d+.*error: .*edgexl: (.*)", preprocess(command, one_file, SOURCES[0]))
    assert [file for file, _ in found] == ["edgexl.c", "compiler.h"]  # which every source includes first, see below
    assert all(said in words for _, words in found)


def test_plain_flags_are_taken() -> None:
    for compiler in ("gcc", "clang"):
        if shutil.which(compiler):
            assert preprocess(f"{compiler} -O3 -march=native", SOURCES[0]) == ""


def test_every_source_asks_compilers_first() -> None:
    """So that what compiler.h settles holds for all system headers and functions of the source."""
    for source in SOURCES:
        first = re.search(r"^#.*", source.read_text(encoding="utf-8"), re.M)
        assert first, source
        assert first[0] == '#include "compiler.h"', source


def test_a_32_bit_system_gets_large_files_in_both_forms(one_file: Path, tmp_path: Path) -> None:
    """A bundle may lie where inodes need 64 bits; open and fstat without them refuse it."""
    needs(Cell("gcc", "armhf", "-O1", "one"))
    platform = RUNTIME / "src" / "platform.c"
    check = '_Static_assert(sizeof(off_t) == 8 && sizeof(ino_t) == 8, "small files");\n'
    for source in (one_file, platform):
        wrapped = tmp_path / f"wrapped_{source.name}"
        wrapped.write_text(f'#include "{source}"\n#include <sys/types.h>\n{check}')
        call = ["arm-linux-gnueabihf-gcc", f"-I{RUNTIME / 'include'}", "-c", str(wrapped), "-o", str(tmp_path / "x.o")]
        subprocess.run(call, check=True)
        named = subprocess.run(["nm", "-u", str(tmp_path / "x.o")], capture_output=True, text=True, check=True).stdout
        assert not {"open", "fstat", "stat", "mmap", "lseek"} & set(named.split()), source


@pytest.mark.parametrize("standard", ["c++11", "c++20"])
@pytest.mark.parametrize("command", ["g++", "clang++", "zig"])
def test_cpp_takes_the_header(command: str, standard: str, tmp_path: Path) -> None:
    call = [*ZIG[:-1], "c++"] if command == "zig" else [command]
    if shutil.which(call[0]) is None:
        pytest.skip(f"{command} is not installed")
    program = tmp_path / "program.cpp"
    program.write_text(
        '#include "edgexl.h"\nint main() { return exl_bundle_open(nullptr, nullptr, nullptr, nullptr); }\n'
    )
    flags = [f"-std={standard}", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{RUNTIME / 'include'}", "-c"]
    done = subprocess.run([*call, *flags, str(program), "-o", str(tmp_path / "x.o")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_one_file_leaves_no_macro_behind(one_file: Path) -> None:
    """A project that compiles several such files as one meets only names with our prefix."""
    left: set[str] = set()
    for word, name in re.findall(r"^#\s*(define|undef) (\w+)", one_file.read_text(), re.M):
        left = left | {name} if word == "define" else left - {name}
    features = {"_DEFAULT_SOURCE", "_DARWIN_C_SOURCE", "_POSIX_C_SOURCE", "_FILE_OFFSET_BITS"}
    features |= {"WIN32_LEAN_AND_MEAN", "NOMINMAX"}  # of windows.h
    assert {name for name in left if not name.startswith("EXL_")} == features
