"""What a Windows program or library (PE) asks of the system that loads it, and what it says of where it was built.

As Microsoft's "PE Format" has it, 64 bits alone.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from edgexl.base.errors import BadInput

ARM64, AMD64 = 0xAA64, 0x8664
_EXPORTS, _IMPORTS, _DEBUG, _DELAYED = 0, 1, 6, 13
_IS_LIBRARY, _PE32_PLUS, _HASHED = 0x2000, 0x20B, 16  # the last: IMAGE_DEBUG_TYPE_REPRO
_MOST = 65536  # of imported libraries and exported names: no sound file of ours has as many


@dataclass(frozen=True)
class Pe:
    """`imports`: the libraries, by name, as the file writes them; `built`: seconds since 1970, or 0 where
    there is no time, or a hash in its place; `debug`: what its debug directory holds, paths among it."""

    machine: int
    is_library: bool
    built: int
    imports: tuple[str, ...]
    exports: tuple[str, ...]
    debug: bytes


def parse_pe(content: bytes, name: str) -> Pe:
    """Read a program or a library. Raises `BadInput` where it is something else, or cut."""
    try:
        return _Reader(content).read()
    except (struct.error, UnicodeDecodeError, ValueError, IndexError):
        raise BadInput(f"{name}: it is no sound PE file of 64 bits.") from None


class _Reader:
    def __init__(self, content: bytes) -> None:
        self.content = content
        self.sections: list[tuple[int, int, int]] = []  # address, bytes in the file, place in the file

    def read(self) -> Pe:
        (head,) = struct.unpack_from("<I", self.content, 0x3C)
        if self.content[:2] != b"MZ" or self.content[head : head + 4] != b"PE\0\0":
            raise ValueError
        machine, sections, built, _, _, optional, flags = struct.unpack_from("<HHIIIHH", self.content, head + 4)
        at = head + 24
        if struct.unpack_from("<H", self.content, at)[0] != _PE32_PLUS:
            raise ValueError
        (count,) = struct.unpack_from("<I", self.content, at + 108)
        directories = [struct.unpack_from("<II", self.content, at + 112 + 8 * each) for each in range(min(count, 16))]
        for each in range(sections):
            _, address, size, place = struct.unpack_from("<IIII", self.content, at + optional + 40 * each + 8)
            self.sections.append((address, size, place))
        directories += [(0, 0)] * (16 - len(directories))
        return Pe(
            machine,
            bool(flags & _IS_LIBRARY),
            0 if _HASHED in self._debug_kinds(*directories[_DEBUG]) else built,
            (*self._imports(directories[_IMPORTS][0], 20, 12), *self._imports(directories[_DELAYED][0], 32, 4)),
            self._exports(directories[_EXPORTS][0]),
            self._debug(*directories[_DEBUG]),
        )

    def _place(self, address: int) -> int:
        """Where in the file the bytes at an address are."""
        for start, size, place in self.sections:
            if start <= address < start + size:
                return address - start + place
        raise ValueError

    def _text(self, address: int) -> str:
        at = self._place(address)
        return self.content[at : self.content.index(b"\0", at)].decode("ascii")

    def _imports(self, table: int, entry_bytes: int, name_at: int) -> tuple[str, ...]:
        found: list[str] = []
        while table and len(found) < _MOST:
            (name,) = struct.unpack_from("<I", self.content, self._place(table) + len(found) * entry_bytes + name_at)
            if name == 0:
                break
            found.append(self._text(name))
        return tuple(found)

    def _exports(self, table: int) -> tuple[str, ...]:
        if not table:
            return ()
        count, _, names = struct.unpack_from("<III", self.content, self._place(table) + 24)
        if count > _MOST:
            raise ValueError
        at = self._place(names) if count else 0
        return tuple(self._text(each) for each in struct.unpack_from(f"<{count}I", self.content, at))

    def _debug_kinds(self, table: int, size: int) -> list[int]:
        at = self._place(table) if size else 0
        return [struct.unpack_from("<I", self.content, at + 28 * each + 12)[0] for each in range(size // 28)]

    def _debug(self, table: int, size: int) -> bytes:
        parts = []
        for each in range(size // 28):
            held, _, place = struct.unpack_from("<III", self.content, self._place(table) + 28 * each + 16)
            parts.append(self.content[place : place + held])
        return b"".join(parts)
