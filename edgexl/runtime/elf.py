"""What an ELF file asks of the system that loads it: processor, libraries with their versions, page size; and its code.

Reads little-endian files of 32 and 64 bits, objects among them, as the ELF specification and the Linux Standard Base's
chapter on symbol versions have them. Nothing but what the checks of a built runtime need.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from edgexl.base.errors import BadInput

ARM, X86_64, AARCH64 = 40, 62, 183  # e_machine
_PT_LOAD, _PT_DYNAMIC, _SHF_EXECINSTR, _SHT_NOBITS, _SHT_DYNSYM = 1, 2, 4, 8, 11
_DT_NEEDED, _DT_STRTAB, _DT_SONAME, _DT_VERNEED, _DT_VERNEEDNUM = 1, 5, 14, 0x6FFFFFFE, 0x6FFFFFFF
_STB_LOCAL, _STV_DEFAULT = 0, 0


@dataclass(frozen=True)
class Elf:
    """`bits`: 32 or 64; `versions`: of symbols that the file takes from libraries, such as "GLIBC_2.28";
    `load_alignment`: the largest page size, in bytes, with which all its segments can be loaded (0 for objects);
    `code`: sections of instructions; `soname`: by which programs ask for it, or ""; `exported`: what others see."""

    machine: int
    needed: tuple[str, ...]
    versions: frozenset[str]
    load_alignment: int
    code: tuple[bytes, ...]
    bits: int = 64
    soname: str = ""
    exported: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Layout:
    """Where a class of ELF has its numbers: offsets in the header, and the structs' formats with the fields' places."""

    tables_at: int
    table_format: str
    counts_at: int
    segment: str  # type, offset, address, size in the file, alignment
    segment_fields: tuple[int, int, int, int, int]
    section: str  # name, type, flags, address, offset, size, link
    dynamic: str
    symbol: str
    symbol_fields: tuple[int, int, int, int]  # name, info, visibility, section


_LAYOUTS = {
    1: _Layout(28, "<II", 42, "<IIIIIIII", (0, 1, 2, 4, 7), "<IIIIIII", "<II", "<IIIBBH", (0, 3, 4, 5)),
    2: _Layout(32, "<QQ", 54, "<IIQQQQQQ", (0, 2, 3, 5, 7), "<IIQQQQI", "<QQ", "<IBBHQQ", (0, 1, 2, 3)),
}


def read_elf(path: Path) -> Elf:
    """Read a program, a shared library or an object. Raises `BadInput` where it is something else, or cut."""
    return parse_elf(path.read_bytes(), str(path))


def parse_elf(content: bytes, name: str) -> Elf:
    """The same of a file's bytes; `name`: what it is called in errors."""
    if content[:4] != b"\x7fELF" or content[4:5] not in (b"\1", b"\2") or content[5:6] != b"\1":
        raise BadInput(f"{name}: is not a little-endian ELF file.")
    try:
        return _read(content, _LAYOUTS[content[4]])
    except (struct.error, IndexError, ValueError) as error:
        raise BadInput(f"{name}: is not a sound ELF file: {error}.") from error


def _read(content: bytes, layout: _Layout) -> Elf:
    machine = struct.unpack_from("<H", content, 18)[0]
    segments_at, sections_at = struct.unpack_from(layout.table_format, content, layout.tables_at)
    head_bytes, segment_bytes, segments, section_bytes, sections = struct.unpack_from(
        "<HHHHH", content, layout.counts_at - 2
    )
    if head_bytes != layout.counts_at + 10:
        raise ValueError("its header is of another class")
    loads, dynamic = [], b""
    for place in range(segments):
        entry = struct.unpack_from(layout.segment, content, segments_at + place * segment_bytes)
        kind, offset, address, size, alignment = (entry[field] for field in layout.segment_fields)
        if kind == _PT_LOAD:
            loads.append((offset, address, size, alignment))
        elif kind == _PT_DYNAMIC:
            dynamic = content[offset : offset + size]
    tables = [
        struct.unpack_from(layout.section, content, sections_at + place * section_bytes) for place in range(sections)
    ]
    code = [
        content[offset : offset + size]
        for _, kind, flags, _, offset, size, _ in tables
        if flags & _SHF_EXECINSTR and kind != _SHT_NOBITS
    ]
    exported = [
        name for table in tables if table[1] == _SHT_DYNSYM for name in _exported(content, table, tables, layout)
    ]
    needed, versions, soname = _needs(
        content, dynamic, [(offset, address, size) for offset, address, size, _ in loads], layout
    )
    alignment = min((alignment for *_, alignment in loads), default=0)
    bits = 32 if layout is _LAYOUTS[1] else 64
    return Elf(machine, needed, versions, alignment, tuple(code), bits, soname, tuple(sorted(exported)))


def _exported(
    content: bytes, table: tuple[int, ...], tables: list[tuple[int, ...]], layout: _Layout
) -> list[str]:  # fmt: skip
    """Names of a table of dynamic symbols that are defined here and seen outside."""
    _, _, _, _, offset, size, link = table
    strings, found = tables[link][4], []
    for entry in struct.iter_unpack(layout.symbol, content[offset : offset + size]):
        name, info, visibility, section = (entry[field] for field in layout.symbol_fields)
        if section and info >> 4 != _STB_LOCAL and visibility & 3 == _STV_DEFAULT:
            found.append(content[strings + name : content.index(b"\0", strings + name)].decode())
    return found


def _needs(
    content: bytes, dynamic: bytes, loads: list[tuple[int, int, int]], layout: _Layout
) -> tuple[tuple[str, ...], frozenset[str], str]:
    """Names of the libraries that the dynamic section asks for, of the versions, and its own."""
    size = struct.calcsize(layout.dynamic)
    entries = list(struct.iter_unpack(layout.dynamic, dynamic[: len(dynamic) // size * size]))
    values = dict(entries)
    if _DT_STRTAB not in values:
        return (), frozenset(), ""
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
    soname = name(values[_DT_SONAME]) if _DT_SONAME in values else ""
    return tuple(name(value) for tag, value in entries if tag == _DT_NEEDED), frozenset(versions), soname


def _file_offset(address: int, loads: list[tuple[int, int, int]]) -> int:
    for offset, start, size in loads:
        if start <= address < start + size:
            return offset + address - start
    raise ValueError(f"no segment holds address {address:#x}")
