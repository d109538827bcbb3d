"""The Java binding: on this machine's JDK, on Debian's for ARM under qemu, and the jar with all its machines."""

from __future__ import annotations

import io
import platform
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edgexl import __version__
from edgexl.base.errors import BadInput
from edgexl.runtime.amalgamate import amalgamate
from edgexl.ship.check import check_packages
from edgexl.ship.jar import (
    JARS,
    JNI,
    class_name,
    compile_classes,
    find_javac,
    java_sources,
    java_text,
    jni_flags,
    ship_java,
)
from edgexl.ship.product import Product
from edgexl.ship.trial import Trial, try_packages
from tests.ship.conftest import Run, commands

PROGRAM = Path(__file__).with_name("Binding.java")
STRICT = ("-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror")
PASSED = f"50 vectors, 3 goldens\nversion {__version__}"
OPEN = ("--add-opens", "java.base/java.io=ALL-UNNAMED")  # the number of a descriptor, which Android tells

pytestmark = [
    pytest.mark.skipif(shutil.which("javac") is None, reason="no JDK is installed"),
    pytest.mark.skipif((platform.system(), platform.machine()) != ("Linux", "x86_64"), reason="not Linux on x86-64"),
]


@pytest.fixture(scope="module")
def classes(product: Product, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that a jar has but libraries, and with the program compiled."""
    folder = tmp_path_factory.mktemp("java")
    for name, content in compile_classes(product, java_sources(product, ("Loader", "Product"))).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "tiny_words" / product.file).write_bytes(product.bundle)
    (folder / product.file).write_bytes(product.bundle)
    (folder / "vectors.tsv").write_bytes(product.vectors)
    javac = [str(find_javac()), "-Xlint:all,-options", "-Werror", "-cp", str(folder), "-d", str(folder), str(PROGRAM)]
    subprocess.run(javac, check=True)
    return folder


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the runtime as one object, compiled fast, and its header."""
    folder = tmp_path_factory.mktemp("runtime")
    amalgamate(folder)
    hidden = ("-fPIC", "-fvisibility=hidden", "-DEXL_API=")
    subprocess.run(["cc", "-O0", *hidden, "-c", "edgexl.c", "-o", "edgexl.o"], cwd=folder, check=True)
    return folder


def link(compiler: str, product: Product, runtime: Path) -> Path:
    library = runtime / f"{compiler}.so"
    flags = (
        *STRICT,
        "-O2",
        "-fPIC",
        "-fvisibility=hidden",
        "-DEXL_API=",
        f"-I{runtime}",
        *jni_flags(product),
        "-shared",
    )
    command = (compiler, *flags, str(JNI), "edgexl.o", "-o", str(library), "-lm", "-ldl", "-lpthread")
    subprocess.run(command, cwd=runtime, check=True)
    return library


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_all_vectors_pass_to_the_bit(
    compiler: str, classes: Path, runtime: Path, product: Product, run: Run, tmp_path: Path
) -> None:
    """And all else that the binding does, while the JVM checks each call of JNI's."""
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    library = link(compiler, product, runtime)
    shutil.copytree(classes, tmp_path / "classes")
    checks = ("-Xcheck:jni", "-ea", *OPEN, f"-Dedgexl.library={library}")
    said = run(shutil.which("java") or "", *checks, "-cp", tmp_path / "classes", "Binding", tmp_path / "classes")
    assert said == PASSED
    exported = run("nm", "-D", "--defined-only", library).splitlines()
    assert [line.split()[-1] for line in exported] == ["JNI_OnLoad"]


def test_names_that_java_keeps_are_refused(product: Product) -> None:
    for name, said in (("package", "the name package"), ("bundle", "the name bundle"), ("loader", "the name loader")):
        with pytest.raises(BadInput, match=said):
            java_sources(replace(product, name=name), ())
    assert class_name(replace(product, name="a-2nd-one")) == "A2ndOne"
    assert java_text('a "b" \\ $c') == '"a \\"b\\" \\\\ \\u0024c"'


# ---- the jar ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def jar(product: Product, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("ziglang", reason="PyPI's ziglang is not installed (the extra `cross`)")
    ((name, content),) = ship_java(product).items()
    path = tmp_path_factory.mktemp("jar") / name
    path.write_bytes(content)
    return path


@pytest.mark.slow
def test_the_jar_holds_and_answers(jar: Path, product: Product, classes: Path, tmp_path: Path, run: Run) -> None:
    (checked,) = check_packages(jar.parent)
    assert [each.sentence for each in checked.findings if each.kind == "fault"] == []
    assert try_packages("java", [jar]) == {jar: Trial("answered", "by Java", 3, 3)}
    with zipfile.ZipFile(jar) as archive:
        names = archive.namelist()
        readme = archive.read("META-INF/README.md").decode()
        sizes = [archive.getinfo(name).compress_size for name in names if "/native/" in name]
    assert names[0] == "META-INF/MANIFEST.MF"
    assert len(sizes) == len(JARS)
    assert not any("jetbrains" in name for name in names)
    first, _ = commands(readme)
    assert product.answer in run("sh", "-ec", first.replace("java ", f"{shutil.which('java')} "), cwd=jar.parent)
    lines = readme.split("```java\n")[1].split("```")[0]
    assert len(lines.splitlines()) <= 5
    (tmp_path / "First.java").write_text(f"class First {{ public static void main(String[] a) {{\n{lines}}} }}\n")
    assert run(shutil.which("java") or "", "-cp", jar, tmp_path / "First.java") == product.answer
    shutil.copytree(classes, tmp_path / "folder", ignore=shutil.ignore_patterns("tiny_words"))
    assert run(shutil.which("java") or "", *OPEN, "-cp", f"{jar}:folder", "Binding", "folder") == PASSED
    assert ship_java(product)[jar.name] == jar.read_bytes()


@pytest.fixture(scope="module")
def arm_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Debian's Java for 64-bit ARM with what it needs, unpacked and not installed: nothing in it has run."""
    for needed in ("apt-get", "dpkg-deb", "qemu-aarch64"):
        if shutil.which(needed) is None:
            pytest.skip(f"{needed} is not installed")
    place = tmp_path_factory.mktemp("arm")
    (place / "lists" / "partial").mkdir(parents=True)
    (place / "status").touch()
    own = [f"Dir::State::lists={place}/lists", f"Dir::State::status={place}/status", "APT::Architecture=arm64",
           "APT::Architectures=arm64", f"Dir::Cache={place}/cache", "APT::Sandbox::User="]  # fmt: skip
    apt = ["apt-get", "-qq", *(word for each in own for word in ("-o", each))]
    packages = ["openjdk-17-jre-headless:arm64", "libc6:arm64", "zlib1g:arm64", "libstdc++6:arm64", "libgcc-s1:arm64"]
    for command in ([*apt, "update"], [*apt, "download", *packages]):
        if subprocess.run(command, cwd=place, capture_output=True, check=False).returncode:
            pytest.skip("apt-get has no Java for arm64 here")
    for package in sorted(place.glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", package, place / "root"], check=True)
    yield place / "root"
    shutil.rmtree(place, ignore_errors=True)


@pytest.mark.slow
def test_it_answers_on_arm_under_an_emulator(
    jar: Path, arm_root: Path, classes: Path, tmp_path: Path, run: Run
) -> None:
    shutil.copytree(classes, tmp_path / "folder", ignore=shutil.ignore_patterns("tiny_words"))
    java = next((arm_root / "usr" / "lib" / "jvm").glob("java-17-openjdk-arm64")) / "bin" / "java"
    shutil.copytree(arm_root / "etc" / "java-17-openjdk", java.parents[1] / "etc-of-it")
    how = ("qemu-aarch64", "-cpu", "cortex-a72", "-L", arm_root, java, "-Xint", *OPEN)
    assert run(*how, "-cp", f"{jar}:folder", "Binding", "folder") == PASSED


def test_the_jars_parts_are_told_apart(product: Product, tmp_path: Path) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("tiny_words/native/linux-arm64/libedgexl_tiny_words.so", b"\x7fELF")
    (tmp_path / "a.jar").write_bytes(content.getvalue())
    (checked,) = check_packages(tmp_path)
    assert checked.parts["libraries"] == 4
    assert any((each.kind, Path(each.file).suffix) == ("fault", ".so") for each in checked.findings)
