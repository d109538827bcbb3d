"""`edgexl.h` for ctypes, read from the header itself: its structs, its constants, and its functions' types.

`binding` is what to use. What a reader of the header needs to know is the form in which it is written: a field or a
parameter is a type and a name, and every struct begins with struct_size.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Declared:
    """A field, a parameter or a function: its C type and its name. `count`: of an array's items, 0 of what is none;
    `parameters`: of a function, or of a pointer to one (`kind` is what it gives), else None."""

    kind: str
    name: str
    count: int = 0
    parameters: tuple[Declared, ...] | None = None


@dataclass(frozen=True)
class Declarations:
    """What the text of edgexl.h declares, in its order: structs with their fields, functions, statuses with their
    sentences, and enums with their constants; "" is the name of one that has none."""

    structs: dict[str, tuple[Declared, ...]]
    functions: tuple[Declared, ...]
    statuses: dict[str, tuple[int, str]]
    enums: dict[str, dict[str, int]]


def parse_header(text: str) -> Declarations:
    """Read what `text` declares; it is written as edgexl.h is."""
    bare = re.sub(r"^#.*?(?<!\\)$", "", strip_comments(text), flags=re.S | re.M)
    structs = {
        name: tuple(field for line in body.split(";")[:-1] for field in _declared(line))
        for name, body in re.findall(r"typedef struct (\w+) \{(.*?)\} \1;", bare, re.S)
    }
    functions = tuple(
        Declared(kind.strip(), name, parameters=_parameters(parameters))
        for kind, name, parameters in re.findall(r"EXL_API ([\w *]+?)(\w+)\((.*?)\);", bare, re.S)
    )
    statuses = re.findall(r'STATUS\((\w+), (\d+), "(.*?)"\)', text)
    enums = {
        name: {key: int(value) for key, value in re.findall(r"(\w+) = (\d+)", body)}
        for name, body in re.findall(r"enum (\w*) ?\{(.*?)\}", bare, re.S)
    }
    return Declarations(structs, functions, {name: (int(number), said) for name, number, said in statuses}, enums)


def _declared(text: str) -> Iterator[Declared]:
    """Each name that a C declaration has."""
    if called := re.fullmatch(r"\s*([\w *]+)\(\*(\w+)\)\((.*)\)", text, re.S):
        yield Declared(called[1].strip(), called[2], parameters=_parameters(called[3]))
        return
    first, *others = text.split(",")
    kind, name, size = re.fullmatch(r"\s*(.*?)(\w+)(?:\[(\d+)\])?\s*", first, re.S).groups()  # type: ignore[union-attr]
    yield Declared(kind.strip(), name, int(size or 0))
    yield from (Declared(kind.strip(), other.strip()) for other in others)


def _parameters(text: str) -> tuple[Declared, ...]:
    return tuple(next(_declared(one)) for one in text.split(",") if one.strip() != "void")


class Header:
    """What edgexl.h declares: `structs` and `constants`, by their names; a status, as every enum, is an int."""

    def __init__(self, text: str) -> None:
        self._declared = parse_header(text)
        self._types = dict(_SIMPLE)
        self.structs: dict[str, Any] = {}
        self.constants = {name: number for name, (number, _) in self._declared.statuses.items()}
        for name, constants in self._declared.enums.items():
            self._types[name] = ctypes.c_int
            self.constants |= constants
        for name, fields in self._declared.structs.items():
            members = [(field.name, self._of(field)) for field in fields]
            self._types[name] = self.structs[name] = type(name, (ctypes.Structure,), {"_fields_": members})

    def make(self, name: str, **fields: Any) -> Any:
        """A struct of this name that knows its size, with these fields."""
        return self.structs[name](struct_size=ctypes.sizeof(self.structs[name]), **fields)

    def declare(self, library: ctypes.CDLL) -> ctypes.CDLL:
        """Give the library's functions their types. Raises AttributeError where one is missing: it is another
        library."""
        for each in self._declared.functions:
            function = getattr(library, each.name)
            function.restype = self._type(each.kind)
            function.argtypes = [self._of(parameter) for parameter in each.parameters or ()]
        return library

    def _of(self, declared: Declared) -> Any:
        """The type of a field or a parameter."""
        plain = self._type(declared.kind)
        if declared.parameters is not None:
            return ctypes.CFUNCTYPE(plain, *map(self._of, declared.parameters))
        return plain * declared.count if declared.count else plain

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
