"""Java: one jar with the binding, the runtime for each machine through JNI, and the bundle."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from edgexl import __version__
from edgexl.base.archives import Member, pack_zip
from edgexl.base.errors import BadInput, DeviceError
from edgexl.base.progress import Progress, no_progress
from edgexl.runtime.build import HEADER
from edgexl.runtime.declarations import Header
from edgexl.ship import vectors
from edgexl.ship.documents import licenses, write_bill, write_notices
from edgexl.ship.machines import MACHINES, Machine, build_jni
from edgexl.ship.product import Product
from edgexl.ship.readme import Section, code, proof_section, shell_text, write_readme
from edgexl.ship.template import fill_template

SOURCES = Path(__file__).parent / "java"
JNI = SOURCES / "edgexl_jni.c"
# What a jar brings; Alpine's Java, for musl, finds a library by the property edgexl.library.
JARS = ("linux-x86-64", "linux-arm64", "macos-arm64", "macos-x86-64", "windows-x86-64")
# Of every API: classes that Java 8 and Android have.
_CLASSES = ("Answer", "Bundle", "EdgexlException", "Explanation", "Info", "Label", "ListedLabel", "Native",
            "OpenOptions", "PredictOptions", "Told", "Update", "UpdateOptions")  # fmt: skip
_RELEASE = "8"
_LINKED = ("compiler-rt", "mingw-w64")
# Of no package: Java's keywords and literals (The Java Language Specification, 3.9).
_KEYWORDS = (
    "abstract assert boolean break byte case catch char class const continue default do double else enum extends final "
    "finally float for goto if implements import instanceof int interface long native new package private protected "
    "public return short static strictfp super switch synchronized this throw throws transient try void volatile while "
    "true false null java javax"
)
_POM = """<?xml version="1.0" encoding="UTF-8"?>
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>{name}</groupId>
  <artifactId>{name}{suffix}</artifactId>
  <version>{version}</version>
  <packaging>{packaging}</packaging>
  <name>{name}</name>
  <description>{description}</description>
  <licenses>
    <license>
      <name>{license}</name>
    </license>
  </licenses>
</project>
"""


def ship_java(product: Product, progress: Progress = no_progress, machines: Sequence[str] = JARS) -> dict[str, bytes]:
    """The jar, by its name, with the runtime for these machines. Raises `BadInput` for a name that Java keeps to
    itself, `DeviceError` without a JDK."""
    classes = compile_classes(product, java_sources(product, ("Loader", "Product")))
    library, module = library_name(product), product.module
    native = {}
    for name in machines:
        machine = MACHINES[name]
        file = _library_file(machine, library)
        native[f"{module}/native/{name}/{file}"] = build_jni(machine, file, JNI, jni_flags(product), progress)
    about = f"META-INF/maven/{product.name}/{product.name}"
    manifest = (
        f"Manifest-Version: 1.0\r\nMain-Class: {module}.{class_name(product)}\r\nAutomatic-Module-Name: {module}\r\n"
        f"Implementation-Title: {product.name}\r\nImplementation-Version: {product.version}\r\n\r\n"
    )
    files = {
        "META-INF/MANIFEST.MF": manifest.encode(),
        f"{about}/pom.xml": write_pom(product, "jar"),
        f"{about}/pom.properties": (
            f"groupId={product.name}\nartifactId={product.name}\nversion={product.version}\n".encode()
        ),
        "META-INF/LICENSE": licenses()["LICENSE"],
        "META-INF/NOTICE": write_notices(_LINKED, product),
        "META-INF/README.md": _readme(product),
        "META-INF/sbom/sbom.cdx.json": write_bill(product, "java", _LINKED),
        **classes,
        **native,
        f"{module}/{product.file}": product.bundle,
        f"{module}/{vectors.NAME}": product.vectors,
    }
    return {f"{product.title}.jar": pack_zip({name: Member(content) for name, content in files.items()})}


def class_name(product: Product) -> str:
    """The class that opens the bundle: TinyWords of tiny-words."""
    return "".join(word.capitalize() for word in product.name.split("-"))


def java_sources(product: Product, more: Sequence[str], folder: Path = SOURCES) -> dict[str, bytes]:
    """The binding's sources in the product's package, by their paths; `more`: classes out of `folder`, of which Product
    opens the bundle. Raises `BadInput` for a name that Java keeps to itself."""
    opener = class_name(product)
    if product.module in _KEYWORDS.split() or opener in (*_CLASSES, "Loader"):
        raise BadInput(f"Java's binding has a use for the name {product.name} itself; give another --name.")
    sources = {}
    for name in (*_CLASSES, *more):
        text = fill((SOURCES if name in _CLASSES else folder) / f"{name}.java", product)
        sources[f"{product.module}/{opener if name == 'Product' else name}.java"] = text
    return sources


def fill(path: Path, product: Product) -> bytes:
    """A source for Java, Kotlin or Gradle, with the product's names in it."""
    constants = Header(HEADER.read_text(encoding="utf-8")).constants
    facts = {
        "{module}": product.module, "{Class}": class_name(product), "{name}": product.name,
        "{version}": product.version, "{summary}": product.summary, "{file}": product.file,
        "{bytes}": str(len(product.bundle)), "{library}": library_name(product),
        "{verify}": str(constants["EXL_OPEN_VERIFY"]), "{copy}": str(constants["EXL_OPEN_COPY"]),
        "{sha256}": product.sha256, "{keys}": ", ".join(f'"{key}"' for key in product.keys),
        "{least_version}": str(product.least_version),
    }  # fmt: skip
    return fill_template(path, facts)


def library_name(product: Product) -> str:
    """As Java loads it: no two products' libraries meet."""
    return f"edgexl_{product.module}"


def compile_classes(product: Product, sources: Mapping[str, bytes], libraries: Sequence[Path] = ()) -> dict[str, bytes]:
    """The classes of these sources, by their paths, for Java 8; warnings are errors. `libraries`: jars beside Java's
    own. Raises `DeviceError` without a JDK, or where it refuses them."""
    javac = find_javac()
    with tempfile.TemporaryDirectory() as scratch:
        paths = [str(path) for path in sorted((SOURCES / "annotations").glob("*.java"))]
        for name, content in sources.items():
            path = Path(scratch, "sources", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            paths.append(str(path))
        out = Path(scratch, "classes")
        beside = ("-cp", ":".join(map(str, libraries))) if libraries else ()
        how = ("--release", _RELEASE, "-encoding", "UTF-8", "-Xlint:all,-options", "-Werror", "-g:source,lines")
        done = subprocess.run(
            [str(javac), *how, *beside, "-d", str(out), *paths], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise DeviceError(f"javac refuses the binding: {(done.stderr.strip() or 'it said nothing')[-400:]}")
        package = out / product.module
        return {f"{product.module}/{path.name}": path.read_bytes() for path in sorted(package.iterdir())}


def jni_flags(product: Product) -> tuple[str, ...]:
    """What the C compiler is told besides."""
    headers = find_javac().resolve().parents[1] / "include"
    return (f'-DEXL_JNI_CLASS="{product.module}/Native"', f"-I{SOURCES}", f"-I{headers}")


def find_javac() -> Path:
    """The compiler of a JDK that has jni.h, too. Raises `DeviceError` where there is none."""
    javac = shutil.which("javac")
    if javac is None or not (Path(javac).resolve().parents[1] / "include" / "jni.h").is_file():
        raise DeviceError("There is no JDK on this machine, which compiles for Java; install default-jdk-headless.")
    return Path(javac)


def write_pom(product: Product, packaging: str, suffix: str = "") -> bytes:
    """The POM of an artifact that is called as the product, with `suffix`."""
    license = "Apache-2.0" if product.license == "NOASSERTION" else f"Apache-2.0 AND {product.license}"
    text = _POM.format(
        name=product.name, suffix=suffix, version=product.version, packaging=packaging, license=escape(license),
        description=escape(f"{product.summary}, answered by edgexl {__version__}"),
    )  # fmt: skip
    return text.encode()


def java_text(text: str) -> str:
    """A text as sources in Java and Kotlin have it, in its quotes."""
    escaped = re.sub(r'[\\"$]', lambda match: f"\\{match[0]}" if match[0] != "$" else "\\u0024", text)
    return f'"{escaped}"'


def _library_file(machine: Machine, library: str) -> str:
    """As System.mapLibraryName has it there."""
    return {"windows": f"{library}.dll", "macos": f"lib{library}.dylib"}.get(machine.system, f"lib{library}.so")


def _readme(product: Product) -> bytes:
    jar, module = f"{product.title}.jar", product.module
    sections = (
        Section(
            "The first answer",
            code("console", f"$ java -jar {jar} {shell_text(product)}") + "\n\nIn a program, with the jar on its class "
            "path:\n\n"
            + code(
                "java",
                f"try ({module}.Bundle words = {module}.{class_name(product)}.open()) {{",
                f"    System.out.println(words.predict({java_text(product.example)}).getLabels().get(0).getId());",
                "}",
            ),
        ),
        Section(
            "More",
            "`Bundle` serves all threads, and is `AutoCloseable`. It has `predict`, `predictBatch`, `explain`, "
            "`complete`, `label`, `addLabel`, `replaceLabel`, `retireLabel`, `selfTest` and `getInfo`; `Bundle.open` "
            "opens files, bytes and parts of open files, and `Bundle.update` makes a file's next version of it and a "
            "patch; `OpenOptions.withLabels` keeps changes of labels. Kotlin sees what may be null. "
            f"`mvn install:install-file -Dfile={jar}` puts it into your repository, as {product.name}:{product.name}.",
        ),
        Section(
            "Machines",
            f"It holds the runtime for {', '.join(JARS)}, which is written to a temporary file to be loaded. Elsewhere "
            "`-Dedgexl.library=PATH` names one. Linux was run, on x86-64 and, emulated, on arm64; the others were not.",
        ),
        Section("Is it sound?", code("console", f"$ java -jar {jar} --self-test")),
        proof_section(product, "java"),
    )
    return write_readme(product, "Java", "It needs Java 8 or newer, and no other jar.", sections)
