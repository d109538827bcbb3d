"""edgexl's own wheels: made, audited, and used where there is no compiler."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from edgexl import __version__
from edgexl.device.emulated import DEBIAN_SYSROOT, EMULATOR
from edgexl.ship.release import MACHINES_OF_RELEASES, make_wheels
from tests.ship.conftest import Run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif((platform.system(), platform.machine()) != ("Linux", "x86_64"), reason="not Linux on x86-64"),
]
TAGS = dict(zip(MACHINES_OF_RELEASES, ("manylinux_2_28_x86_64", "manylinux_2_28_aarch64"), strict=True))


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    pytest.importorskip("ziglang", reason="PyPI's ziglang is not installed (the extra `cross`)")
    made = make_wheels(tmp_path_factory.mktemp("dist"))
    assert [path.name for path in made] == [f"edgexl-{__version__}-py3-none-{tag}.whl" for tag in TAGS.values()]
    return dict(zip(TAGS, made, strict=True))


@pytest.mark.parametrize("name", TAGS)
def test_auditwheel_finds_what_the_tag_says(name: str, wheels: dict[str, Path]) -> None:
    pytest.importorskip("auditwheel", reason="PyPI's auditwheel is not installed (the extra `dev`)")
    command = [sys.executable, "-m", "auditwheel", "show", str(wheels[name])]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f'is consistent with the following platform tag: "{TAGS[name]}"' in " ".join(said.split())


def test_what_a_compile_needs_is_in_it(wheels: dict[str, Path]) -> None:
    with zipfile.ZipFile(wheels["linux-x86-64"]) as archive:
        names = set(archive.namelist())
    for name in (
        "recipes/compile/balanced.toml", "recipes/distill/wordnet.toml", "targets/raspberry-pi-5.toml", "py.typed",
        "students/wordnet/student.json", "runtime/src/session.c", "runtime/CMakeLists.txt", "report/page.css",
        "runtime/lib/libedgexl.so", "runtime/lib/libedgexl_private.so", "runtime/lib/exl-run", "ship/web/index.js",
    ):  # fmt: skip
        assert f"edgexl/{name}" in names, name
    assert not any("/tests/" in name for name in names)


def test_it_runs_and_profiles_where_there_is_no_compiler(
    wheels: dict[str, Path], bundle: Path, tmp_path: Path, run: Run
) -> None:
    """In a fresh environment, with the dependencies that pip finds."""
    venv.create(tmp_path / "fresh", with_pip=False, symlinks=True)
    python = tmp_path / "fresh" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--only-binary=:all:", "--quiet"]
    done = subprocess.run([*pip, str(wheels["linux-x86-64"])], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"pip finds no dependencies here: {done.stderr[-200:]}")
    edgexl = tmp_path / "fresh" / "bin" / "edgexl"
    no_compiler = {"PATH": "/nowhere"}
    said = json.loads(run(edgexl, "run", bundle, "old", "-k", "1", "--json", **no_compiler))
    assert said["labels"][0]["id"].startswith("L")
    profile = json.loads(run(edgexl, "profile", bundle, "--runs", "5", "--json", **no_compiler))
    assert profile["engine"] == "native"
    tool = next((tmp_path / "fresh" / "lib").glob("python3*/site-packages/edgexl/runtime/lib/exl-run"))
    assert json.loads(run(tool, bundle, "--self-test"))["failed"] == 0


def test_its_tools_answer_on_arm_under_an_emulator(
    wheels: dict[str, Path], bundle: Path, tmp_path: Path, run: Run
) -> None:
    if shutil.which(EMULATOR) is None or not DEBIAN_SYSROOT.is_dir():
        pytest.skip(f"{EMULATOR} or libc6-dev-arm64-cross is not installed")
    with zipfile.ZipFile(wheels["linux-arm64"]) as archive:
        tool = Path(archive.extract("edgexl/runtime/lib/exl-run", tmp_path))
    tool.chmod(0o755)
    said = run(EMULATOR, "-cpu", "cortex-a72", "-L", DEBIAN_SYSROOT, tool, bundle, "--self-test")
    assert json.loads(said)["failed"] == 0
