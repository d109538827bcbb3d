"""The amalgamation: the whole runtime as two files, edgexl.c and edgexl.h, for projects that want no build system.

    cc -O3 -c edgexl.c && cc app.c edgexl.o -lm -ldl

Every source is its own scope in C only by its static names and macros; in one file these would meet. So each source's
static functions, types and macros get the source's name in front where another source has them, too.
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
_ATTRIBUTE = re.compile(r"__attribute__\s*(\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))\s*")
_STATIC = re.compile(r"^(?:[A-Z_0-9]+ )?(?:static|EXL__INLINE)\b[^;{=]*?\b(\w+)\s*(?:\(|\[|=|;)", re.M)
_TYPE = re.compile(r"^\}\s*(\w+)(?:\[\w*\])?;", re.M)
_ENUM = re.compile(r"^(?:typedef )?enum\s*\w*\s*\{([^}]*)\}", re.M)
_MACRO = re.compile(r"^#define (\w+)", re.M)
_WORD = re.compile(r"\b[A-Za-z_]\w*\b")
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
    new_names = _new_names(sources)
    headers: dict[str, str] = {}
    bodies = []
    for name, text in sources.items():
        body = _expanded(text, headers)
        for word, new in new_names[name].items():
            body = re.sub(rf"(?<![\w.>#\"]){word}(?![\w\"])", new, body)
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


def _new_names(sources: dict[str, str]) -> dict[str, dict[str, str]]:
    """For each source, its private names that another source or a header has as well, with others that nobody has."""
    words = {name: set(_WORD.findall(text)) for name, text in sources.items()}
    shared = set(_WORD.findall("".join(path.read_text(encoding="utf-8") for path in (RUNTIME / "src").glob("*.h"))))
    taken = shared.union(*words.values())
    new_names: dict[str, dict[str, str]] = {}
    for name, text in sources.items():
        elsewhere = shared.union(*(found for other, found in words.items() if other != name))
        new_names[name] = {}
        for word in sorted(_private(text) & elsewhere):
            new = f"{Path(name).stem}_{word}"
            while new in taken:
                new += "_"
            taken.add(new)
            new_names[name][word] = new
    return new_names


def _private(text: str) -> set[str]:
    text = _ATTRIBUTE.sub("", text)
    names = set(_STATIC.findall(text)) | set(_TYPE.findall(text))
    for body in _ENUM.findall(text):
        names |= set(re.findall(r"\b([A-Z][A-Z_0-9]*)\b(?=\s*[=,}]|\s*$)", body + ","))
    return {name for name in names if not name.startswith(("exl_", "EXL_", "NATIVE_"))}
