"""The amalgamation: the whole runtime as two files, edgexl.c and edgexl.h, for projects that want no build system.

    cc -O3 -c edgexl.c && cc app.c edgexl.o -lm -ldl

Sources go in as they are: each static name begins with its file's, and a source's macros end with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from edgexl import __version__
from edgexl.base.errors import BadInput
from edgexl.base.files import write_text

RUNTIME = Path(__file__).parent
_INCLUDE = re.compile(r'^#include "([^"]+)"\n', re.M)
_MACRO = re.compile(r"^#define (\w+)", re.M)
# What sources ask of compilers and of the system's headers must stand before the first of these.
_FIRST = "compiler.h"


def amalgamate(directory: Path) -> dict[str, int]:
    """Write edgexl.c and edgexl.h into `directory`; gives their bytes. Raises `BadInput` where it is no directory."""
    if not directory.is_dir():
        raise BadInput(f"{directory}: is not a directory; make it first.")
    header = (RUNTIME / "include" / "edgexl.h").read_text(encoding="utf-8")
    files = {"edgexl.h": header, "edgexl.c": amalgamation()}
    for name, text in files.items():
        write_text(directory / name, text)
    return {name: len(text.encode()) for name, text in files.items()}


def amalgamation() -> str:
    """edgexl.c: headers in the order in which they need each other, then the sources, by name."""
    sources = {path.name: path.read_text(encoding="utf-8") for path in sorted((RUNTIME / "src").glob("*.c"))}
    headers: dict[str, str] = {}
    bodies = []
    for name, text in sources.items():
        body = _expanded(text, headers)
        undone = _undefined(_MACRO.findall(body))
        bodies.append(f"/* ---- {name} {'-' * (100 - len(name))} */\n\n{body.strip()}\n{undone}")
    first = headers.pop(_FIRST).strip()
    parts = [
        f"/* edgexl {__version__}: the whole runtime in one file. Compile with -O3 and link with -lm (and -ldl). */\n",
        f'/* ---- {_FIRST} */\n\n{first}\n\n#include "edgexl.h"\n',
        *(f"/* ---- {name} */\n\n{text.strip()}\n" for name, text in headers.items()),
        *bodies,
        _undefined(macro for macro in _MACRO.findall("".join(headers.values())) if not macro.startswith("EXL_")),
    ]
    return "\n".join(parts)


def _expanded(text: str, headers: dict[str, str]) -> str:
    """The text without its includes of our own headers, which go into `headers` once; a template stays in place."""

    def include(match: re.Match[str]) -> str:
        name = Path(match[1]).name
        if name == "edgexl.h":
            return ""
        content = (RUNTIME / "src" / name).read_text(encoding="utf-8")
        if "No include guard" in content:
            return content
        if name not in headers:
            headers[name] = ""  # a place behind what it includes
            body = _expanded(content, headers)
            del headers[name]
            headers[name] = body
        return ""

    return _INCLUDE.sub(include, text)


def _undefined(macros: Iterable[str]) -> str:
    return "".join(f"#undef {macro}\n" for macro in sorted(set(macros)))
