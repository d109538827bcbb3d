"""The doctor: looks into packages (`edgexl ship --check DIR`) for what would fail where they are installed.

It reads tarballs, wheels, jars, crates, Debian and npm packages, and files beside them, and trusts nothing that is in
them.
"""

from __future__ import annotations

import json
import re
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgexl.base.errors import BadInput
from edgexl.base.files import read_input
from edgexl.bundle.read import read_bundle
from edgexl.runtime.elf import AARCH64, ARM, X86_64, parse_elf
from edgexl.ship.hosts import HOSTS, Host
from edgexl.ship.pe import AMD64, ARM64, parse_pe
from edgexl.ship.unpack import ENDS, unpack

# What a file's name says of the processor: ELF's number, Mach-O's, and PE's.
_AMD64, _ARM64, _ARM = (X86_64, 0x01000007, AMD64), (AARCH64, 0x0100000C, ARM64), (ARM, 0, 0)
_PROCESSORS = {
    "x86-64": _AMD64, "x86_64": _AMD64, "amd64": _AMD64, "arm64": _ARM64, "aarch64": _ARM64, "armhf": _ARM,
    "armv7l": _ARM,
}  # fmt: skip
# Of every Windows since 10; the C runtime is there under these names.
_WINDOWS = re.compile(r"(kernel32|advapi32|shell32|ucrtbase|api-ms-win-crt-[a-z0-9-]+)\.dll", re.I)
_GLIBC, _MUSL = re.compile(r"lib(c|m|dl|pthread)\.so\.\d+|ld-linux.*"), re.compile(r"libc(\.musl-.*)?\.so(\.1)?")
_LEAST_PAGE, _NEWEST_GLIBC, _OLDEST_MACOS = 16384, (2, 28), (11, 0)
_MOST_BYTES = 4 << 30
# What a library may export: the API, and what Java looks for in each library by itself.
_OURS = ("exl_", "JNI_OnLoad")
# What the bytes of a package are of.
PARTS = ("bundle", "libraries", "tools", "sources and papers")


@dataclass(frozen=True)
class Finding:
    """What is wrong (`fault`), or may be (`warning`), with a file of a package; `file`: its path in it, or ""."""

    package: str
    file: str
    kind: Literal["fault", "warning"]
    sentence: str

    def as_json(self) -> dict[str, str]:
        """The finding as `ship --check --json` tells it."""
        return {"package": self.package, "file": self.file, "kind": self.kind, "sentence": self.sentence}


@dataclass(frozen=True)
class Hosted:
    """What a host gets of a package: the package itself (`file` is "" then), or a file in it."""

    host: Host
    file: str
    file_bytes: int


@dataclass(frozen=True)
class Checked:
    """A package that was looked into: its bytes, those of each part unpacked (`PARTS`), what was found, and what hosts
    get of it."""

    package: str
    file_bytes: int
    parts: Mapping[str, int]
    findings: tuple[Finding, ...]
    hosted: tuple[Hosted, ...] = ()

    @property
    def beside_bytes(self) -> int:
        """All that is unpacked but the bundle."""
        return sum(self.parts.values()) - self.parts["bundle"]

    def count(self, kind: Literal["fault", "warning"]) -> int:
        """How many findings are of a kind."""
        return sum(finding.kind == kind for finding in self.findings)


def check_packages(directory: Path) -> list[Checked]:
    """Look into all packages in `directory`. Raises `BadInput` where it holds none, or one that cannot be unpacked."""
    if not directory.is_dir():
        raise BadInput(f"{directory} is not a directory; give one with packages in it.")
    paths = [path for path in sorted(directory.iterdir()) if path.name.endswith(ENDS)]
    if not paths:
        raise BadInput(f"{directory} holds no package; `edgexl ship BUNDLE -o {directory}` writes some.")
    return [check_package(path) for path in paths]


def check_package(path: Path) -> Checked:
    """Look into one package. Raises `BadInput` where it cannot be unpacked."""
    content = read_input(path, _MOST_BYTES)
    try:
        members = unpack(path.name, content)
    except (tarfile.TarError, zipfile.BadZipFile, OSError, EOFError, ValueError, struct.error) as error:
        raise BadInput(f"{path} cannot be unpacked: {error}; fetch or make it again.") from None
    hosted = tuple(_hosted(path.name, len(content), members))
    findings = tuple(
        Finding(path.name, file, kind, sentence)
        for file, kind, sentence in (*_said_by_hosts(hosted), *_findings(path.name, members))
    )
    parts = dict.fromkeys(PARTS, 0)
    for name, each in members.items():
        parts[_part(name)] += len(each)
    return Checked(path.name, len(content), parts, findings, hosted)


def _hosted(package: str, package_bytes: int, members: Mapping[str, bytes]) -> Iterator[Hosted]:
    for host in HOSTS:
        if not host.inside and package.endswith(host.end):
            yield Hosted(host, "", package_bytes)
        if host.inside and package.endswith(".tgz"):
            yield from (Hosted(host, name, len(each)) for name, each in members.items() if name.endswith(host.end))


def _part(name: str) -> str:
    if name.endswith(".exl"):
        return "bundle"
    if re.search(r"(libedgexl[._]|edgexl\w*\.dll$)[^/]*$|\.wasm$", name):
        return "libraries"
    return "tools" if re.search(r"bin/exl-\w+(\.exe)?$", name) else "sources and papers"


_Found = Iterator[tuple[str, Literal["fault", "warning"], str]]


def _said_by_hosts(hosted: Iterable[Hosted]) -> _Found:
    for each in hosted:
        if each.file_bytes > each.host.most_bytes:
            yield each.file, "warning", f"it has {each.file_bytes:,} bytes, and {each.host.sentence}"


def _findings(package: str, members: Mapping[str, bytes]) -> _Found:
    yield from _papers(package, members)
    libraries = 0
    for name, each in members.items():
        if each.startswith(b"\x7fELF"):
            yield from _elf(package, name, each)
        elif each.startswith(b"\xcf\xfa\xed\xfe"):
            yield from _macho(package, name, each)
        elif each.startswith(b"MZ"):
            yield from _pe(package, name, each)
        elif each.startswith(b"\0asm"):
            yield from _wasm(name, each)
        elif name.endswith(".exl"):
            yield from _bundle(name, each, members)
        libraries += re.search(r"(libedgexl\.(so|dylib|[\d.]+dylib)[\d.]*|edgexl\.dll)$", name) is not None
    if libraries > 1:
        yield "", "fault", f"it holds {libraries} copies of the runtime"
    if package.endswith((".deb", ".whl")):
        yield "", "warning", "it is not signed: say its SHA-256 where people fetch it"


# ---- papers ----------------------------------------------------------------------------------------------------------


def _papers(package: str, members: Mapping[str, bytes]) -> _Found:
    names = [name.rpartition("/")[2] for name in members]
    if not {"LICENSE", "copyright"} & set(names):
        yield "", "fault", "it holds no licence"
    if not {"NOTICE", "copyright"} & set(names):
        yield "", "fault", "it holds no notices"
    bills = [name for name in members if name.endswith("sbom.cdx.json")]
    if not bills and not package.startswith("libedgexl"):
        yield "", "fault", "it holds no bill of materials"
    for name in bills:
        try:
            components = json.loads(members[name])["components"]
            unknown = [each["name"] for each in components if "name" in each["licenses"][0].get("license", {})]
        except (ValueError, KeyError, TypeError, IndexError):
            yield name, "fault", "it is no bill of materials"
            continue
        if unknown:
            yield name, "warning", f"it states no licence of {unknown[0]}: give --license"


def _bundle(name: str, content: bytes, members: Mapping[str, bytes]) -> _Found:
    import hashlib

    digest = hashlib.sha256(content).hexdigest().encode()
    if not any(digest in bill for path, bill in members.items() if path.endswith("sbom.cdx.json")):
        yield name, "fault", "the bill of materials is of another bundle"
    with tempfile.NamedTemporaryFile(suffix=".exl") as file:
        file.write(content)
        file.flush()
        try:
            read_bundle(Path(file.name))
        except BadInput as error:
            yield name, "fault", str(error).replace(f"{file.name}: ", "").rstrip(".")


# ---- programs --------------------------------------------------------------------------------------------------------


def _processor(package: str, name: str, place: int) -> int | None:
    """As the package's name says, or, of one for several machines, the file's."""
    said = (numbers[place] for text in (package, name) for word, numbers in _PROCESSORS.items() if word in text)
    return next(said, None)


def _elf(package: str, name: str, content: bytes) -> _Found:
    try:
        elf = parse_elf(content, name)
    except BadInput as error:
        yield name, "fault", str(error).partition(": ")[2].rstrip(".")
        return
    wanted = _processor(package, name, 0)
    if wanted is not None and elf.machine != wanted:
        yield name, "fault", f"it is for another processor than the package says (ELF machine {elf.machine})"
    if elf.load_alignment < _LEAST_PAGE:
        yield name, "fault", f"it cannot be loaded with pages of {_LEAST_PAGE} bytes, only of {elf.load_alignment}"
    newest = max((tuple(map(int, found)) for found in _glibc_versions(elf.versions)), default=())
    if newest > _NEWEST_GLIBC:
        yield name, "fault", f"it needs glibc {'.'.join(map(str, newest))}"
    known = _MUSL if "musl" in package else _GLIBC
    if unknown := [needed for needed in elf.needed if not known.fullmatch(needed)]:
        yield name, "fault", f"it needs {unknown[0]}, which no system promises"
    if elf.soname:
        if others := [symbol for symbol in elf.exported if not symbol.startswith(_OURS)]:
            yield name, "fault", f"it exports {others[0]}, which another library may, too"
        if not elf.exported:
            yield name, "fault", "it exports nothing"


def _glibc_versions(versions: frozenset[str]) -> Iterator[list[str]]:
    for version in versions:
        if found := re.fullmatch(r"GLIBC_(\d+)\.(\d+)(\.\d+)?", version):
            yield [found[1], found[2]]


def _macho(package: str, name: str, content: bytes) -> _Found:
    """As <mach-o/loader.h> has it, 64 bits."""
    try:
        _, processor, _, kind, commands, _, _, _ = struct.unpack_from("<IIIIIIII", content)
        at, signed, oldest = 32, False, (0, 0)
        for _ in range(commands):
            command, size = struct.unpack_from("<II", content, at)
            if command == 0x1D:  # LC_CODE_SIGNATURE
                signed = True
            elif command == 0x32:  # LC_BUILD_VERSION
                version = struct.unpack_from("<I", content, at + 12)[0]
                oldest = (version >> 16, version >> 8 & 255)
            at += max(size, 8)
    except struct.error:
        yield name, "fault", "it is no sound Mach-O file"
        return
    wanted = _processor(package, name, 1)
    if wanted is not None and processor != wanted:
        yield name, "fault", "it is for another processor than the package says"
    if kind != 6:
        yield name, "fault", "it is no dynamic library"
    if oldest > _OLDEST_MACOS:
        yield name, "fault", f"it needs macOS {oldest[0]}.{oldest[1]}"
    if not signed:
        yield name, "warning", "it is not signed: codesign it; Macs with Apple's processors load nothing else"


def _pe(package: str, name: str, content: bytes) -> _Found:
    try:
        pe = parse_pe(content, name)
    except BadInput as error:
        yield name, "fault", str(error).partition(": ")[2].rstrip(".")
        return
    wanted = _processor(package, name, 2)
    if wanted is not None and pe.machine != wanted:
        yield name, "fault", f"it is for another processor than the package says (PE machine {pe.machine:#06x})"
    if unknown := [needed for needed in pe.imports if not _WINDOWS.fullmatch(needed)]:
        yield name, "fault", f"it needs {unknown[0]}, which no Windows promises"
    if others := [symbol for symbol in pe.exports if not symbol.startswith(_OURS)]:
        yield name, "fault", f"it exports {others[0]}, which another library may, too"
    if pe.is_library and not pe.exports:
        yield name, "fault", "it exports nothing"
    if b"\\" in pe.debug or b"/" in pe.debug:
        yield name, "fault", "it says where on the builder's disk it was built: link it without debug information"
    if pe.built:
        yield name, "warning", "it holds the time of its build, so that no other build gives the same bytes"


def _wasm(name: str, content: bytes) -> _Found:
    try:
        imports = list(_wasm_imports(content))
    except (IndexError, UnicodeDecodeError):
        yield name, "fault", "it is no sound WebAssembly module"
        return
    if others := [each for each in imports if each != "edgexl.now_ms"]:
        yield name, "fault", f"it imports {others[0]}, which pages do not have"


def _wasm_imports(content: bytes) -> Iterator[str]:
    """What a module imports, "module.name" each, all functions."""
    at = 8

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = content[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def text() -> str:
        nonlocal at
        length = number()
        at += length
        return content[at - length : at].decode()

    while at < len(content):
        section = content[at]
        at += 1
        end = number() + at
        if section == 2:
            for _ in range(number()):
                names = f"{text()}.{text()}"
                if content[at] != 0:  # a memory, a table: nothing of ours imports one
                    yield f"{names} (no function)"
                    return
                at += 1
                number()
                yield names
            return
        at = end
