"""`edgexl.h` for ctypes, read from the header itself: its structs, its constants, and its functions' types.

`binding` is what to use. What a reader of the header needs to know is the form in which it is written: a field or a
parameter is a type and a name, and every struct begins with struct_size.
"""

from __future__ import annotations

import ctypes
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

HEADER = Path(__file__).parent / "include" / "edgexl.h"
_SIMPLE: dict[str, Any] = {
    "void": None, "int": ctypes.c_int, "int32_t": ctypes.c_int32, "uint32_t": ctypes.c_uint32,
    "uint64_t": ctypes.c_uint64, "size_t": ctypes.c_size_t, "float": ctypes.c_float, "double": ctypes.c_double,
    "char*": ctypes.c_char_p, "void*": ctypes.c_void_p, "exl_bundle*": ctypes.c_void_p, "exl_session*": ctypes.c_void_p,
}  # fmt: skip


def strip_comments(text: str) -> str:
    """C without its comments and the lines that they leave empty."""
    bare = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    return "".join(f"{line.rstrip()}\n" for line in bare.splitlines() if line.strip())


class Header:
    """What edgexl.h declares: `structs` and `constants`, by their names; a status, as every enum, is an int."""

    def __init__(self, text: str) -> None:
        self._text = re.sub(r"^#.*?(?<!\\)$", "", strip_comments(text), flags=re.S | re.M)
        self._types = dict(_SIMPLE)
        self.structs: dict[str, Any] = {}
        self.constants = {name: int(value) for name, value in re.findall(r"STATUS\((\w+), (\d+), ", text)}
        for name, body in re.findall(r"enum (\w*) ?\{(.*?)\}", self._text, re.S):
            self._types[name] = ctypes.c_int
            self.constants |= {key: int(value) for key, value in re.findall(r"(\w+) = (\d+)", body)}
        for name, body in re.findall(r"typedef struct (\w+) \{(.*?)\} \1;", self._text, re.S):
            fields = [field for line in body.split(";")[:-1] for field in self._fields(line)]
            self._types[name] = self.structs[name] = type(name, (ctypes.Structure,), {"_fields_": fields})

    def make(self, name: str, **fields: Any) -> Any:
        """A struct of this name that knows its size, with these fields."""
        return self.structs[name](struct_size=ctypes.sizeof(self.structs[name]), **fields)

    def declare(self, library: ctypes.CDLL) -> ctypes.CDLL:
        """Give the library's functions their types. Raises AttributeError where one is missing: it is another
        library."""
        for kind, name, parameters in re.findall(r"EXL_API ([\w *]+?)(\w+)\((.*?)\);", self._text, re.S):
            function = getattr(library, name)
            function.restype = self._type(kind)
            function.argtypes = [self._fields(one)[0][1] for one in parameters.split(",") if one != "void"]
        return library

    def _fields(self, declaration: str) -> list[tuple[str, Any]]:
        """(name, type) of each name that a C declaration has."""
        called = re.fullmatch(r"\s*([\w *]+)\(\*(\w+)\)\((.*)\)", declaration, re.S)
        if called:
            kinds = [self._fields(one)[0][1] for one in called[3].split(",")]
            return [(called[2], ctypes.CFUNCTYPE(self._type(called[1]), *kinds))]
        first, *others = declaration.split(",")
        kind, name, size = re.fullmatch(r"\s*(.*?)(\w+)(?:\[(\d+)\])?\s*", first, re.S).groups()  # type: ignore[union-attr]
        plain = self._type(kind) * int(size) if size else self._type(kind)
        return [(name, plain), *((other.strip(), plain) for other in others)]

    def _type(self, kind: str) -> Any:
        """A C type's; text that goes in is `bytes`, whose length is told beside it, so that it may hold NUL bytes."""
        bare = re.sub(r"\bconst\b|\s", "", kind)
        if bare in ("char", "char*") and "const" not in kind:  # memory that is written to
            return ctypes.c_char if bare == "char" else ctypes.c_void_p
        return self._types[bare] if bare in self._types else ctypes.POINTER(self._type(kind.replace("*", "", 1)))


@lru_cache(maxsize=1)
def read_header() -> Header:
    """The header beside this package's library."""
    return Header(HEADER.read_text(encoding="utf-8"))
