"""Whether a built runtime keeps what its target says of the device: processor, C library, page size, instructions.

A compiler takes what its own system has: a distribution's cross gcc links against that distribution's glibc, and one
that was configured for newer processors uses their instructions everywhere. On the device, that ends in a message of
the loader's, or in an illegal instruction. Here it is seen before anything is copied.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgexl.runtime.elf import AARCH64, X86_64, Elf, read_elf
from edgexl.runtime.isa import a64_extensions, x86_extensions
from edgexl.target import Target

# What a target's instruction set has beyond its architecture's first processors (edgexl.runtime.isa has the names).
_PROMISED = {
    "armv8-a": frozenset[str](),
    "armv8.2-a+dotprod": frozenset({"lse", "rdm", "crc", "dotprod"}),
    "x86-64-v3": frozenset({"avx2"}),
    "x86-64-v4": frozenset({"avx2", "avx512"}),
    "x86-64-v4-vnni": frozenset({"avx2", "avx512", "avx512vnni"}),
}
# Sources in which functions for newer processors stand, that are called only where the processor has their extensions.
_CHOSEN_AT_RUN_TIME = {
    "native_neon": frozenset({"dotprod", "i8mm"}),
    "native_x86": frozenset({"avx2", "avxvnni", "avx512", "avx512vnni"}),
    "rescore_x86": frozenset({"avx2"}),
    "scan_x86": frozenset({"avx2", "avx512", "avx512vbmi"}),
    "sha256": frozenset({"crypto", "sha"}),
}
_GLIBC_LIBRARIES = frozenset(
    {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "ld-linux-aarch64.so.1", "ld-linux-x86-64.so.2"}
)
_OTHER_LIBRARIES = frozenset({"libc.so", "libm.so", "libdl.so"})  # Android's, musl's


def find_broken_promises(target: Target, outputs: Sequence[Path], objects: Sequence[Path]) -> list[str]:
    """A sentence for each way in which the linked `outputs` (library, tools) would not run on every such device.

    `objects`: what they were linked of, one a source, by its name. Raises `BadInput` where one is no ELF file.
    """
    broken = [sentence for path in outputs for sentence in _file_promises(target, path.name, read_elf(path))]
    return broken or list(_instruction_promises(target, outputs, objects))


def _file_promises(target: Target, name: str, elf: Elf) -> Iterator[str]:
    if elf.machine != expected_machine(target):
        yield f"{name} is for another processor than {target.isa}"
    if elf.load_alignment < target.page_bytes:
        yield (
            f"{name} can be loaded with pages of {elf.load_alignment} bytes at most, "
            f"and the target may have {target.page_bytes}"
        )
    newest = max(map(_glibc_version, elf.versions), default=())
    if target.glibc and newest > _glibc_version(f"GLIBC_{target.glibc}"):
        needed = ".".join(map(str, newest)) if newest < (999,) else "private symbols"
        yield f"{name} needs glibc {needed}, and the target promises {target.glibc}"
    unknown = sorted(set(elf.needed) - (_GLIBC_LIBRARIES if target.glibc else _OTHER_LIBRARIES))
    if unknown:
        yield f"{name} needs {', '.join(unknown)}, and the target promises the C library alone"


def _instruction_promises(target: Target, outputs: Sequence[Path], objects: Sequence[Path]) -> Iterator[str]:
    used = _extensions(target, (*objects, *outputs))
    # what the compiler links into every program chooses, too: libgcc among atomics
    anywhere = frozenset({"lse"}).union(*_CHOSEN_AT_RUN_TIME.values())
    for path in (*objects, *outputs):
        chosen = anywhere if path in outputs else _CHOSEN_AT_RUN_TIME.get(path.stem, frozenset())
        if beyond := sorted(used.get(path, frozenset()) - _PROMISED[target.isa] - chosen):
            yield f"{path.name} uses instructions that not every {target.isa} processor has ({', '.join(beyond)})"


def _extensions(target: Target, files: Sequence[Path]) -> dict[Path, frozenset[str]]:
    """What each file's code uses. x86-64 takes a disassembler; where none is installed, nothing is known."""
    if expected_machine(target) == AARCH64:
        return {path: frozenset().union(*map(a64_extensions, read_elf(path).code)) for path in files}
    disassembler = shutil.which("objdump") or shutil.which("llvm-objdump")
    if disassembler is None:
        return {}
    done = subprocess.run([disassembler, "-d", *map(str, files)], capture_output=True, text=True, check=False)
    parts = re.split(r"^(.+):\s+file format elf64-x86-64$", done.stdout, flags=re.M)[1:]
    return {Path(name): x86_extensions(text) for name, text in zip(parts[::2], parts[1::2], strict=True)}


def expected_machine(target: Target) -> int:
    """ELF's number of the target's processor."""
    return AARCH64 if target.isa.startswith("armv") else X86_64


def _glibc_version(symbol_version: str) -> tuple[int, ...]:
    """(2, 34) of "GLIBC_2.34"; one beyond all for symbols that no other glibc has; () of what is not glibc's."""
    if symbol_version == "GLIBC_PRIVATE":
        return (999,)
    found = re.fullmatch(r"GLIBC_(\d+(?:\.\d+)*)", symbol_version)
    return tuple(map(int, found[1].split("."))) if found else ()
