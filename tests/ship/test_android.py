"""Android as far as it goes without an NDK: C sources with each ABI's flags, classes and the sample against a real
android.jar, and an AAR by compilers that stand in for the NDK's, whose libraries are of the right form and size."""

from __future__ import annotations

import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from edgexl.base.errors import BadInput, DeviceError
from edgexl.runtime.amalgamate import amalgamate
from edgexl.runtime.elf import parse_elf
from edgexl.runtime.toolchain import zig_directory
from edgexl.ship.android import (
    ABIS,
    FLAGS,
    OLDEST,
    android_sources,
    find_android_jar,
    find_ndk,
    proof_sources,
    ship_aar,
    ship_android,
)
from edgexl.ship.check import check_packages
from edgexl.ship.jar import JNI, compile_classes, find_javac, jni_flags
from edgexl.ship.product import Product
from edgexl.ship.ship import lacking
from edgexl.ship.unpack import unpack as unpack_package
from tests.ship.conftest import Run, unpack

# As the NDK's own clang is told: what it adds to a triple, and the names of its processor's headers.
HOW = {
    "arm64-v8a": ("aarch64-none-linux-android", (), "aarch64", "aarch64"),
    "armeabi-v7a": ("armv7a-none-linux-androideabi", ("-mthumb", "-mfpu=neon", "-mfloat-abi=softfp"), "arm", "arm"),
    "x86_64": ("x86_64-none-linux-android", (), "x86_64", "x86"),
}
STRICT = ("-Wall", "-Wextra", "-Wformat", "-Werror", "-fstack-protector-strong", "-D_FORTIFY_SOURCE=2", "-fsyntax-only")
# Whose cross gcc stands in for an ABI's clang.
STANDING_IN = {"arm64-v8a": "aarch64-linux-gnu-gcc", "armeabi-v7a": "arm-linux-gnueabihf-gcc", "x86_64": "gcc"}
jdk = pytest.mark.skipif(shutil.which("javac") is None, reason="no JDK is installed")


@pytest.fixture(scope="module")
def project(product: Product, tmp_path_factory: pytest.TempPathFactory) -> Path:
    archive = ship_android(product)["tiny-words-1.2.3-android.tar.gz"]
    return unpack(archive, tmp_path_factory.mktemp("android"))


def test_the_project_is_complete(project: Path, product: Product) -> None:
    main = project / "tiny-words" / "src" / "main"
    assert (main / "assets" / product.file).read_bytes() == product.bundle
    cmake = (main / "cpp" / "CMakeLists.txt").read_text()
    for source in re.findall(r"\w+\.c\b", cmake):
        assert (main / "cpp" / source).is_file()
    assert {
        flag for flag in FLAGS if flag.startswith(("-O", "-f")) and flag not in ("-fPIC", "-fvisibility=hidden")
    } <= set(cmake.replace(")", " ").split())
    assert "max-page-size=16384" in cmake
    for path in project.rglob("*"):
        if path.suffix in (".kts", ".kt", ".java", ".xml", ".pro", ".txt"):
            assert not re.search(r"\{(module|name|Class|version|file|library)\}", path.read_text()), path
    tests = project / "tiny-words" / "src" / "androidTest"
    assert (tests / "assets" / "vectors.tsv").read_bytes() == product.vectors
    assert {path.name for path in (tests / "java" / "tiny_words").iterdir()} == {"Proof.java", "Vectors.java"}
    assert "tiny_words.Proof" in (project / "tiny-words" / "build.gradle.kts").read_text()
    readme = (project / "README.md").read_text()
    lines = readme.split("```kotlin\n")[1:]
    assert sum(len(block.split("```")[0].splitlines()) for block in lines) <= 5


@jdk
@pytest.mark.parametrize("abi", ABIS)
def test_the_c_compiles_without_a_warning_for_every_abi(abi: str, product: Product, tmp_path: Path) -> None:
    """By clang for Android; its C library's headers are not at hand, and musl's stand in."""
    if shutil.which("clang") is None:
        pytest.skip("clang is not installed")
    pytest.importorskip("ziglang", reason="PyPI's ziglang is not installed (the extra `cross`)")
    amalgamate(tmp_path)
    triple, more, own, kernel = HOW[abi]
    headers = zig_directory() / "lib" / "libc" / "include"
    folders = (f"{own}-linux-musl", "generic-musl", f"{kernel}-linux-any", "any-linux-any")
    beside = [word for folder in folders for word in ("-isystem", str(headers / folder))]
    command = ["clang", "-target", f"{triple}{OLDEST}", *more, *FLAGS, *STRICT, "-nostdlibinc", *beside, "-I."]
    done = subprocess.run(
        [*command, *jni_flags(product), "edgexl.c", str(JNI)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_what_lacks_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ANDROID_NDK_HOME", "ANDROID_NDK_ROOT", "ANDROID_NDK", "ANDROID_HOME", "ANDROID_SDK_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceError, match="ANDROID_NDK_HOME"):
        find_ndk()
    assert set(lacking()) == {"java", "android-aar"}
    assert "no Android NDK" in lacking()["android-aar"]


# ---- against Android's classes ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def android_jar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An SDK's, or Android 6's out of Debian 11, which has one."""
    try:
        yield find_android_jar()
        return
    except DeviceError:
        pass
    for needed in ("apt-get", "dpkg-deb"):
        if shutil.which(needed) is None:
            pytest.skip(f"there is no Android SDK, and {needed} is not installed")
    place = tmp_path_factory.mktemp("sdk")
    (place / "lists" / "partial").mkdir(parents=True)
    key = "/usr/share/keyrings/debian-archive-keyring.gpg"
    (place / "sources").write_text(f"deb [signed-by={key}] http://deb.debian.org/debian bullseye main\n")
    own = [f"Dir::Etc::SourceList={place}/sources", "Dir::Etc::SourceParts=/dev/null", "APT::Sandbox::User=",
           f"Dir::State::Lists={place}/lists", f"Dir::Cache={place}/cache"]  # fmt: skip
    apt = ["apt-get", "-qq", *(word for each in own for word in ("-o", each))]
    for command in ([*apt, "update"], [*apt, "download", "libandroid-23-java"]):
        if subprocess.run(command, cwd=place, capture_output=True, check=False).returncode:
            pytest.skip("there is no Android SDK, and apt-get has no android.jar here")
    (package,) = place.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", package, place / "root"], check=True)
    yield place / "root" / "usr" / "share" / "java" / "com.android.android-23.jar"
    shutil.rmtree(place, ignore_errors=True)


@jdk
@pytest.mark.slow
def test_the_classes_compile_against_android(android_jar: Path, product: Product) -> None:
    classes = compile_classes(product, android_sources(product) | proof_sources(product), (android_jar,))
    assert {"tiny_words/TinyWords.class", "tiny_words/Native.class", "tiny_words/Proof.class"} <= set(classes)


@jdk
@pytest.mark.slow
def test_the_sample_compiles(android_jar: Path, product: Product, project: Path, tmp_path: Path, run: Run) -> None:
    """Resources by Debian's aapt, Kotlin by the compiler that npm has; warnings are errors."""
    for needed in ("aapt", "npm", "java"):
        if shutil.which(needed) is None:
            pytest.skip(f"{needed} is not installed")
    main = project / "sample" / "src" / "main"
    manifest = (
        (main / "AndroidManifest.xml").read_text().replace("<manifest ", '<manifest package="tiny_words.sample" ')
    )
    (tmp_path / "AndroidManifest.xml").write_text(manifest)
    (tmp_path / "made").mkdir()
    package = ("aapt", "package", "-m", "-f", "-J", "made", "-M", "AndroidManifest.xml", "-S", main / "res")
    run(*package, "-I", android_jar, "-F", "sample.apk", "--min-sdk-version", "24", "--target-sdk-version", "35")
    for name, content in compile_classes(product, android_sources(product), (android_jar,)).items():
        (tmp_path / "classes" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "classes" / name).write_bytes(content)
    made = next((tmp_path / "made").rglob("R.java"))
    run(find_javac(), "--release", "8", "-Xlint:-options", "-d", tmp_path / "classes", made)
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefer-offline", "kotlin-compiler@2"]
    if subprocess.run(install, cwd=tmp_path, capture_output=True, check=False).returncode:
        pytest.skip("npm cannot install kotlin-compiler here")
    kotlinc = tmp_path / "node_modules" / "kotlin-compiler" / "bin" / "kotlinc"
    source = main / "java" / "tiny_words" / "sample" / "SearchActivity.kt"
    how = ("-no-jdk", "-jvm-target", "1.8", "-Werror", "-cp", f"{android_jar}:{tmp_path / 'classes'}")
    run("bash", kotlinc, *how, "-d", tmp_path / "kotlin", source, PATH=f"{find_javac().parent}:/usr/bin:/bin")
    assert (tmp_path / "kotlin" / "tiny_words" / "sample" / "SearchActivity.class").is_file()


@jdk
@pytest.mark.slow
def test_the_aar_has_its_form_and_size(
    android_jar: Path, product: Product, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With Debian's compilers in the NDK's places, so that the libraries want another C library than Android's."""
    bin_folder = tmp_path / "ndk" / "toolchains" / "llvm" / "prebuilt" / "linux-x86_64" / "bin"
    bin_folder.mkdir(parents=True)
    headers = find_javac().resolve().parents[1] / "include"
    for abi, triple in ABIS.items():
        gcc = shutil.which(STANDING_IN[abi])
        if gcc is None:
            pytest.skip(f"{STANDING_IN[abi]} is not installed")
        neon = "-mfpu=neon" if abi.startswith("arme") else ""
        script = bin_folder / f"{triple}{OLDEST}-clang"
        script.write_text(f'#!/bin/sh\nexec {gcc} {neon} -I{JNI.parent} -I{headers} "$@"\n')
        script.chmod(0o755)
    platform = tmp_path / "sdk" / "platforms" / "android-23"
    platform.mkdir(parents=True)
    (platform / "android.jar").symlink_to(android_jar)
    monkeypatch.setenv("ANDROID_NDK_HOME", str(tmp_path / "ndk"))
    monkeypatch.setenv("ANDROID_HOME", str(tmp_path / "sdk"))
    ((name, content),) = ship_aar(product).items()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_bytes(content)
    members = unpack_package(name, content)
    place = "maven/tiny-words/tiny-words-android/1.2.3/tiny-words-android-1.2.3"
    assert b"<packaging>aar</packaging>" in members[f"{place}.pom"]
    with zipfile.ZipFile(BytesIO(members[f"{place}.aar"])) as inside:
        sizes = {abi: inside.getinfo(f"jni/{abi}/libedgexl_tiny_words.so") for abi in ABIS}
        for abi, info in sizes.items():
            elf = parse_elf(inside.read(info), info.filename)
            assert sorted(elf.exported) == ["JNI_OnLoad"]
            assert elf.load_alignment >= 16384, abi
            packed = info.compress_size + inside.getinfo("classes.jar").compress_size
            print(f"{abi}: {info.file_size:,} bytes, with the classes {packed:,} packed")
            assert packed <= 300_000
        assert inside.read(f"assets/{product.file}") == product.bundle
    assert [each.sentence for each in check_packages(tmp_path / "out")[0].findings if each.kind == "fault"] == []


def test_names_that_java_keeps_are_refused(product: Product) -> None:
    from dataclasses import replace

    with pytest.raises(BadInput, match="the name package"):
        ship_android(replace(product, name="package"))
