"""What an ELF file asks of the system that loads it: processor, libraries with their versions, page size; and its code.

Reads 64-bit little-endian files, objects among them, as the ELF specification and the Linux Standard Base's chapter on
symbol versions have them. Nothing but what the checks of a built runtime need.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from edgexl.base.errors import BadInput

X86_64, AARCH64 = 62, 183  # e_machine
_PT_LOAD, _PT_DYNAMIC, _SHF_EXECINSTR, _SHT_NOBITS = 1, 2, 4, 8
_DT_NEEDED, _DT_STRTAB, _DT_VERNEED, _DT_VERNEEDNUM = 1, 5, 0x6FFFFFFE, 0x6FFFFFFF


@dataclass(frozen=True)
class Elf:
    """`versions`: of symbols that the file takes from libraries, such as "GLIBC_2.28"; `load_alignment`: the largest
    page size, in bytes, with which all its segments can be loaded (0 for objects); `code`: sections of instructions."""

    machine: int
    needed: tuple[str, ...]
    versions: frozenset[str]
    load_alignment: int
    code: tuple[bytes, ...]


def read_elf(path: Path) -> Elf:
    """Read a program, a shared library or an object. Raises `BadInput` where it is something else, or cut."""
    content = path.read_bytes()
    if content[:6] != b"\x7fELF\x02\x01":
        raise BadInput(f"{path}: is not a 64-bit little-endian ELF file.")
    try:
        return _read(content)
    except (struct.error, IndexError, ValueError) as error:
        raise BadInput(f"{path}: is not a sound ELF file: {error}.") from error


def _read(content: bytes) -> Elf:
    machine = struct.unpack_from("<H", content, 18)[0]
    segments_at, sections_at = struct.unpack_from("<QQ", content, 32)
    segment_bytes, segments, section_bytes, sections = struct.unpack_from("<HHHH", content, 54)
    loads, dynamic = [], b""
    for place in range(segments):
        kind, _, offset, address, _, size, _, alignment = struct.unpack_from(
            "<IIQQQQQQ", content, segments_at + place * segment_bytes
        )
        if kind == _PT_LOAD:
            loads.append((offset, address, size, alignment))
        elif kind == _PT_DYNAMIC:
            dynamic = content[offset : offset + size]
    code = []
    for place in range(sections):
        _, kind, flags, _, offset, size = struct.unpack_from("<IIQQQQ", content, sections_at + place * section_bytes)
        if flags & _SHF_EXECINSTR and kind != _SHT_NOBITS:
            code.append(content[offset : offset + size])
    needed, versions = _needs(content, dynamic, [(offset, address, size) for offset, address, size, _ in loads])
    alignment = min((alignment for *_, alignment in loads), default=0)
    return Elf(machine, needed, versions, alignment, tuple(code))


def _needs(content: bytes, dynamic: bytes, loads: list[tuple[int, int, int]]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Names of the libraries that the dynamic section asks for, and of the versions."""
    entries = list(struct.iter_unpack("<QQ", dynamic[: len(dynamic) // 16 * 16]))
    values = dict(entries)
    if _DT_STRTAB not in values:
        return (), frozenset()
    strings = _file_offset(values[_DT_STRTAB], loads)

    def name(at: int) -> str:
        return content[strings + at : content.index(b"\0", strings + at)].decode()

    versions = set()
    at = _file_offset(values[_DT_VERNEED], loads) if _DT_VERNEED in values else 0
    for _ in range(values.get(_DT_VERNEEDNUM, 0)):  # a library, with as many versions as it says
        _, count, _, first, following = struct.unpack_from("<HHIII", content, at)
        version = at + first
        for _ in range(count):
            _, _, _, name_at, onward = struct.unpack_from("<IHHII", content, version)
            versions.add(name(name_at))
            version += onward
        at += following
    return tuple(name(value) for tag, value in entries if tag == _DT_NEEDED), frozenset(versions)


def _file_offset(address: int, loads: list[tuple[int, int, int]]) -> int:
    for offset, start, size in loads:
        if start <= address < start + size:
            return offset + address - start
    raise ValueError(f"no segment holds address {address:#x}")
