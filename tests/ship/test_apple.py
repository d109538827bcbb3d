"""The Swift package as far as it goes without a Mac: the C target for each of Apple's systems, and the Swift file held
to what the C header says; where a Swift toolchain is, its own tests."""

from __future__ import annotations

import plistlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edgexl.runtime.build import HEADER
from edgexl.runtime.declarations import parse_header
from edgexl.runtime.toolchain import zig_command, zig_directory
from edgexl.ship.apple import ship_apple
from edgexl.ship.check import check_packages
from edgexl.ship.product import Product
from tests.ship.conftest import Run, unpack

TRIPLES = ("arm64-apple-ios15.0", "arm64-apple-ios15.0-simulator", "x86_64-apple-ios15.0-simulator",
           "arm64-apple-macos12.0", "x86_64-apple-macos12.0", "arm64-apple-tvos15.0", "arm64-apple-watchos8.0",
           "arm64-apple-xros1.0")  # fmt: skip


@pytest.fixture(scope="module")
def package(product: Product, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(ship_apple(product)["tiny-words-1.2.3-apple.tar.gz"], tmp_path_factory.mktemp("apple"))


def test_it_is_two_source_files_and_no_unsafe_flag(package: Path, product: Product) -> None:
    sources = [path.name for path in (package / "Sources").rglob("*") if path.suffix in (".c", ".swift", ".m")]
    assert sorted(sources) == ["Edgexl.swift", "edgexl.c"]
    manifest = (package / "Package.swift").read_text()
    assert "unsafeFlags" not in manifest
    assert "binaryTarget" not in manifest
    for name in re.findall(r'\.copy\("(.*?)"\)', manifest):
        assert list(package.rglob(name)), name
    assert (package / "Sources" / "TinyWords" / product.file).read_bytes() == product.bundle
    privacy = plistlib.loads((package / "Sources" / "TinyWords" / "PrivacyInfo.xcprivacy").read_bytes())
    assert (privacy["NSPrivacyTracking"], privacy["NSPrivacyCollectedDataTypes"]) == (False, [])
    for path in package.rglob("*"):
        if path.suffix in (".swift", ".pbxproj", ".md"):
            text = path.read_text()
            assert not re.search(r"\{(module|name|Class|version|file|example)\}", text), path
            assert text.count("{") == text.count("}"), path
            assert text.count("(") == text.count(")"), path
    first = (package / "README.md").read_text().split("```swift\n")[1].split("```")[0]
    assert len(first.splitlines()) <= 5


def test_the_doctor_finds_nothing(product: Product, tmp_path: Path) -> None:
    for name, content in ship_apple(product).items():
        (tmp_path / name).write_bytes(content)
    assert [each.sentence for each in check_packages(tmp_path)[0].findings] == []
    assert ship_apple(product) == ship_apple(product)


@pytest.mark.parametrize("triple", TRIPLES)
def test_the_c_target_compiles_without_a_warning(triple: str, package: Path) -> None:
    """As SwiftPM compiles it: with its language standard and its definition, of all warnings."""
    pytest.importorskip("ziglang", reason="PyPI's ziglang is not installed (the extra `cross`)")
    own = zig_directory() / "lib"
    target = package / "Sources" / "CEdgexl"
    flags = ("-std=gnu11", "-Os", "-DNDEBUG", "-fblocks", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-nostdinc")
    beside = ("-isystem", own / "include", "-isystem", own / "libc" / "include" / "any-darwin-any")
    command = (
        *zig_command(),
        "clang",
        "-target",
        triple,
        *flags,
        *beside,
        "-I",
        target / "include",
        target / "edgexl.c",
    )
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def call_of(text: str, at: int) -> list[str]:
    """The arguments of the call whose parenthesis opens at `at`."""
    depth, arguments = 0, [""]
    for letter in text[at:]:
        depth += (letter in "([{") - (letter in ")]}")
        if depth == 0:
            break
        if letter == "," and depth == 1:
            arguments.append("")
        elif not (depth == 1 and letter == "("):
            arguments[-1] += letter
    return arguments if arguments != [""] else []


def wrong(swift: str) -> list[str]:
    """What a Swift file uses otherwise than edgexl.h declares it: functions, their numbers of arguments, constants,
    structs, and the fields of variables whose struct it names."""
    declared = parse_header(HEADER.read_text(encoding="utf-8"))
    functions = {each.name: len(each.parameters or ()) for each in declared.functions}
    constants = {*declared.statuses, *(name for values in declared.enums.values() for name in values)}
    found = []
    for match in re.finditer(r"\b(exl_\w+)\(", swift):
        given = len(call_of(swift, match.end() - 1))
        if functions.get(match[1]) != given:
            found.append(f"{match[1]} with {given} arguments")
    types = {*declared.structs, *declared.enums}
    found += [name for name in re.findall(r"\b(exl_\w+)\b(?!\()", swift) if name not in types]
    found += [name for name in re.findall(r"\bEXL_\w+", swift) if name not in constants]
    for function in re.split(r"\n    (?=public |private |deinit)", swift):
        for name, struct in re.findall(r"(?:var|let) (\w+): (exl_\w+)", function):
            fields = {field.name for field in declared.structs[struct]}
            used = set(re.findall(rf"(?<![.\w]){name}\.(\w+)", function)) - {"pointee"}
            found += [f"{struct}.{field}" for field in sorted(used - fields)]
    return found


def test_the_swift_file_uses_what_the_header_declares(package: Path) -> None:
    swift = (package / "Sources" / "TinyWords" / "Edgexl.swift").read_text()
    assert len(re.findall(r"\bexl_\w+\(", swift)) > 15
    assert wrong(swift) == []
    assert wrong(swift.replace("exl_label_find(handle, ", "exl_label_find(")) == ["exl_label_find with 4 arguments"]
    assert wrong(swift.replace("exl_explain(", "exl_explains(")) == ["exl_explains with 6 arguments"]
    assert wrong(swift.replace("EXL_OPEN_COPY", "EXL_OPEN_COPIED"))[0] == "EXL_OPEN_COPIED"
    assert wrong(swift.replace("result.none_fits", "result.none_fit")) == ["exl_result.none_fit"]


@pytest.mark.slow
def test_its_own_tests_pass(package: Path, run: Run) -> None:
    if shutil.which("swift") is None:
        pytest.skip("swift is not installed")
    said = run("swift", "test", cwd=package, PATH=f"{Path(shutil.which('swift') or '').parent}:/usr/bin:/bin")
    answered = [line.removeprefix("vector=") for line in said.splitlines() if line.startswith("vector=")]
    assert answered == (package / "Tests" / "TinyWordsTests" / "vectors.tsv").read_text().splitlines()
