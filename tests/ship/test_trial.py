"""Packages are tried where this machine can run them, and what is wrong with one is said."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from edgexl.base.archives import Member, pack_tar_gz, pack_zip
from edgexl.runtime.library import find_library
from edgexl.ship.product import Product
from edgexl.ship.trial import Trial, try_packages
from tests.command_line import Edgexl
from tests.report.look import look

HERE = "linux-x86-64"
here = pytest.mark.skipif((platform.system(), platform.machine()) != ("Linux", "x86_64"), reason="not Linux on x86-64")
TOOL = Path(find_library()).with_name("exl-run")


def tried(files: dict[str, bytes], folder: Path, on: str = HERE, name: str = "a.tar.gz") -> Trial:
    members = {path: Member(content) for path, content in files.items()}
    (folder / name).write_bytes(pack_zip(members) if name.endswith(".whl") else pack_tar_gz(members))
    (trial,) = try_packages(on, [folder / name, folder / "a.sha256"]).values()
    return trial


@here
def test_a_tarball_answers(product: Product, tmp_path: Path) -> None:
    files = {"a/bin/exl-run": TOOL.read_bytes(), "a/words.exl": product.bundle}
    assert tried(files, tmp_path) == Trial("answered", "natively", 3, 3)


@here
def test_what_is_wrong_is_said(product: Product, tmp_path: Path) -> None:
    tool = TOOL.read_bytes()
    damaged = bytearray(product.bundle)
    damaged[-5000] ^= 1
    said = tried({"a/bin/exl-run": tool, "a/words.exl": bytes(damaged)}, tmp_path)
    why = "a/words.exl: the section lexical does not match its hash: copy the bundle again"
    assert said == Trial("failed", "natively", why=why)
    assert tried({"a/bin/exl-run": tool}, tmp_path) == Trial("failed", why="it holds no .exl")
    assert tried({"a/words.exl": product.bundle}, tmp_path) == Trial("failed", why="it holds no exl-run")
    wrong = b'#!/bin/sh\necho \'{"goldens": 3, "failed": 1}\'\necho "a golden has changed" >&2\nexit 6\n'
    said = tried({"a/bin/exl-run": wrong, "a/words.exl": product.bundle}, tmp_path)
    assert said == Trial("failed", "natively", 3, 2, "a golden has changed")
    crash = b"#!/bin/sh\nkill -SEGV $$\n"
    said = tried({"a/bin/exl-run": crash, "a/words.exl": product.bundle}, tmp_path)
    assert (said.outcome, "SIGSEGV" in said.why) == ("failed", True)
    none = b'#!/bin/sh\necho \'{"goldens": 0, "failed": 0}\'\n'
    assert tried({"a/bin/exl-run": none, "a/words.exl": product.bundle}, tmp_path).outcome == "failed"


def test_nothing_is_written_outside_of_a_package(product: Product, tmp_path: Path) -> None:
    said = tried({"a/words.exl": product.bundle, "a/edgexl.c": b"", "../../escaped": b"x"}, tmp_path, "c-source")
    assert (said.outcome, "outside itself" in said.why) == ("failed", True)


def test_what_cannot_run_here_says_why(product: Product, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"a/bin/exl-run": b"", "a/words.exl": product.bundle}
    monkeypatch.setenv("PATH", str(tmp_path))
    other = "linux-arm64" if platform.machine() == "x86_64" else HERE
    assert tried(files, tmp_path, other).why.startswith("it is for another processor, and qemu-")
    assert tried(files, tmp_path, "web", "a.tgz").why == "node is not installed"
    assert tried(files, tmp_path, "c-source").why == "no C compiler is installed"
    wheel = tried(files, tmp_path, "python", "words-1.0.0-py3-none-musllinux_1_2_armv7l.whl")
    assert wheel == Trial("not run", why="it is for linux-armhf-musl")


@here
@pytest.mark.slow
def test_one_command_packs_tries_and_tells_all(
    bundle: Path, edgexl: Edgexl, tmp_path: Path, chromium: str, axe: str
) -> None:
    """For all platforms; the table on a terminal, the page in a browser."""
    pytest.importorskip("ziglang", reason="PyPI's ziglang is not installed (the extra `cross`)")
    out, page = tmp_path / "out", tmp_path / "page.html"
    said = edgexl("ship", bundle, "-o", out, "--license", "CC0-1.0", "--report", page)
    assert said.status == 0, said.err
    assert max(map(len, said.out.splitlines())) <= 80
    for platform_name in ("c-source", HERE, "python"):
        (row,) = (line for line in said.out.splitlines() if line.startswith(f"{platform_name} "))
        assert row.endswith("3 of 3"), row
    assert "checked, not run: it is for macos-arm64: py3-none-macosx_11_0_arm64.whl" in said.out
    text = look(chromium, axe, page.read_text(encoding="utf-8"), tmp_path)
    for words in ("Answered here", "PyPI", "takes it", "compiled by", "it is for macos-arm64", "it is not signed"):
        assert words in text, words


@here
@pytest.mark.slow
def test_json_has_all_of_it(bundle: Path, edgexl: Edgexl, tmp_path: Path) -> None:
    pytest.importorskip("ziglang", reason="PyPI's ziglang is not installed (the extra `cross`)")
    told = edgexl("ship", bundle, "--platform", "python", "-o", tmp_path, "--json").json
    assert (told["name"], told["bundle_bytes"]) == ("tiny-words", bundle.stat().st_size)
    trials = {Path(each["path"]).name.rpartition("-")[2]: each["trial"]["outcome"] for each in told["files"]}
    assert trials["manylinux_2_28_x86_64.whl"] == "answered"
    assert trials["manylinux_2_28_aarch64.whl"] == "not run"
    for each in told["files"]:
        assert each["beside_bytes"] == sum(each["parts_bytes"].values()) - told["bundle_bytes"]
    untried = edgexl("ship", bundle, "--platform", "python", "-o", tmp_path, "--no-try", "--json").json
    assert {each["trial"] for each in untried["files"]} == {None}


@here
@pytest.mark.slow
def test_a_package_that_does_not_answer_fails_the_command(
    bundle: Path, edgexl: Edgexl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the compiler cannot compile."""
    (tmp_path / "cc").write_text("#!/bin/sh\necho 'error: no space' >&2\nexit 1\n")
    (tmp_path / "cc").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    said = edgexl("ship", bundle, "--platform", "c-source", "-o", tmp_path / "out")
    assert said.status == 1
    fault = "it does not answer: it cannot be compiled: error: no space"
    assert f"A fault: tiny-words-1.0.0-c-source.tar.gz: {fault}" in said.err
    assert "fault" in said.out
    said = edgexl("ship", bundle, "--platform", "c-source", "-o", tmp_path / "out", "--no-try")
    assert (said.status, "not tried" in said.out) == (0, True)
