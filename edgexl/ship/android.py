"""Android: a Gradle library as source with a sample app, and, where an NDK is at hand, its AAR in a Maven layout.

The native library is the runtime with its face for Java, for three ABIs, with pages of 16 KiB. Zig has no headers of
Android's C library, so that the NDK compiles it, by Gradle or here.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edgexl.base.archives import Member, pack_tar_gz, pack_zip
from edgexl.base.errors import DeviceError
from edgexl.base.progress import Progress, no_progress
from edgexl.runtime.amalgamate import amalgamation
from edgexl.runtime.build import HEADER, call_compiler
from edgexl.runtime.toolchain import find_ndk_clang
from edgexl.ship import vectors
from edgexl.ship.documents import licenses, write_bill, write_notices
from edgexl.ship.jar import (
    JNI,
    class_name,
    compile_classes,
    fill,
    find_javac,
    java_sources,
    java_text,
    library_name,
    write_pom,
)
from edgexl.ship.machines import PAGE_BYTES
from edgexl.ship.product import Product
from edgexl.ship.readme import Section, code, proof_section, write_readme

# An ABI's triple, as the NDK's clang is named.
ABIS = {
    "arm64-v8a": "aarch64-linux-android",
    "armeabi-v7a": "armv7a-linux-androideabi",
    "x86_64": "x86_64-linux-android",
}
OLDEST = 24
_SOURCES = Path(__file__).parent / "android"
_SDK = ("ANDROID_HOME", "ANDROID_SDK_ROOT")
_DEBIAN_SDK = Path("/usr/lib/android-sdk")
# As CMakeLists.txt has it for Gradle.
FLAGS = ("-std=gnu11", "-O3", "-DNDEBUG", "-ffp-contract=off", "-fvisibility=hidden", "-fPIC", "-ffunction-sections",
         "-fdata-sections", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables", "-DEXL_API=")  # fmt: skip
# The sample's files by their names here, and where an app has them.
_SAMPLE = {
    "build.gradle.kts": "build.gradle.kts",
    "AndroidManifest.xml": "src/main/AndroidManifest.xml",
    "strings.xml": "src/main/res/values/strings.xml",
    "styles.xml": "src/main/res/values/styles.xml",
    "colors.xml": "src/main/res/values/colors.xml",
    "styles-night.xml": "src/main/res/values-night/styles.xml",
    "colors-night.xml": "src/main/res/values-night/colors.xml",
    "icon.xml": "src/main/res/drawable/icon.xml",
    "field.xml": "src/main/res/drawable/field.xml",
    "search.xml": "src/main/res/layout/search.xml",
    "label.xml": "src/main/res/layout/label.xml",
}
_PROPERTIES = "org.gradle.jvmargs=-Xmx2g\nandroid.useAndroidX=true\nandroid.nonTransitiveRClass=true\n"


def ship_android(product: Product) -> dict[str, bytes]:
    """The Gradle project, by its name. Raises `BadInput` for a name that Java keeps to itself."""
    folder, name = f"{product.title}-android", product.name
    main = f"{name}/src/main"
    sample = fill(_SOURCES / "sample" / "SearchActivity.kt", product)
    files = {
        "settings.gradle.kts": fill(_SOURCES / "settings.gradle.kts", product),
        "gradle.properties": _PROPERTIES.encode(),
        f"{name}/build.gradle.kts": fill(_SOURCES / "build.gradle.kts", product),
        f"{name}/consumer-rules.pro": fill(_SOURCES / "consumer-rules.pro", product),
        f"{main}/AndroidManifest.xml": (_SOURCES / "AndroidManifest.xml").read_bytes(),
        **{f"{main}/java/{path}": each for path, each in android_sources(product).items()},
        f"{main}/cpp/CMakeLists.txt": fill(_SOURCES / "CMakeLists.txt", product),
        f"{main}/cpp/edgexl.c": amalgamation().encode(),
        f"{main}/cpp/edgexl.h": HEADER.read_bytes(),
        f"{main}/cpp/edgexl_jni.c": JNI.read_bytes(),
        f"{main}/assets/{product.file}": product.bundle,
        **{f"{name}/src/androidTest/java/{path}": each for path, each in proof_sources(product).items()},
        f"{name}/src/androidTest/assets/{vectors.NAME}": product.vectors,
        **{f"sample/{path}": fill(_SOURCES / "sample" / source, product) for source, path in _SAMPLE.items()},
        f"sample/src/main/java/{product.module}/sample/SearchActivity.kt": sample,
        "README.md": _readme(product),
        "LICENSE": licenses()["LICENSE"],
        "NOTICE": write_notices((), product),
        "sbom.cdx.json": write_bill(product, "android", ()),
    }
    archive = pack_tar_gz({f"{folder}/{path}": Member(content) for path, content in files.items()})
    return {f"{folder}.tar.gz": archive}


def ship_aar(product: Product, progress: Progress = no_progress) -> dict[str, bytes]:
    """The AAR and its POM in a Maven layout, as one archive. Raises as `ship_android` does, and `DeviceError` without
    an NDK, an SDK or a JDK."""
    clangs, android_jar = find_ndk(), find_android_jar()
    library = f"lib{library_name(product)}.so"
    classes = compile_classes(product, android_sources(product), (android_jar,))
    jar = pack_zip({name: Member(content) for name, content in classes.items()})
    native = {}
    for done, (abi, clang) in enumerate(clangs.items()):
        progress("compile for Android", done, len(clangs))
        native[f"jni/{abi}/{library}"] = build_native(product, (str(clang),), library)
    progress("compile for Android", len(clangs), len(clangs))
    manifest = (
        '<manifest xmlns:android="http://schemas.android.com/apk/res/android" '
        f'package="{product.module}">\n    <uses-sdk android:minSdkVersion="{OLDEST}" />\n</manifest>\n'
    )
    files = {
        "AndroidManifest.xml": manifest.encode(),
        "classes.jar": jar,
        "R.txt": b"",
        "proguard.txt": fill(_SOURCES / "consumer-rules.pro", product),
        **native,
        f"assets/{product.file}": product.bundle,
        "META-INF/LICENSE": licenses()["LICENSE"],
        "META-INF/NOTICE": write_notices((), product),
        "META-INF/sbom.cdx.json": write_bill(product, "android-aar", ()),
    }
    aar = pack_zip({name: Member(content) for name, content in files.items()})
    artifact = f"{product.name}-android"
    place = f"maven/{product.name}/{artifact}/{product.version}/{artifact}-{product.version}"
    tree = {
        f"{place}.aar": aar,
        f"{place}.pom": write_pom(product, "aar", "-android"),
        "LICENSE": licenses()["LICENSE"],
        "NOTICE": write_notices((), product),
        "sbom.cdx.json": write_bill(product, "android-aar", ()),
    }
    archive = pack_tar_gz({name: Member(content) for name, content in tree.items()})
    return {f"{product.title}-android-maven.tar.gz": archive}


def android_sources(product: Product) -> dict[str, bytes]:
    """The binding with Android's ways of opening, by the sources' paths."""
    return java_sources(product, ("Loader", "Product"), _SOURCES)


def proof_sources(product: Product) -> dict[str, bytes]:
    """What answers the vectors on a device, by the sources' paths."""
    paths = (_SOURCES / "Proof.java", _SOURCES.parent / "proof" / "Vectors.java")
    return {f"{product.module}/{path.name}": fill(path, product) for path in paths}


def build_native(product: Product, compiler: Sequence[str], library: str) -> bytes:
    """The native library by a compiler for Android. Raises `DeviceError` where it fails."""
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch, "edgexl.c").write_text(amalgamation(), encoding="utf-8")
        Path(scratch, "edgexl.h").write_bytes(HEADER.read_bytes())
        flags = (*FLAGS, f'-DEXL_JNI_CLASS="{product.module}/Native"', "-I.")
        how = ("-shared", "-s", f"-Wl,-soname,{library}", "-Wl,--gc-sections", f"-Wl,-z,max-page-size={PAGE_BYTES}")
        call_compiler((*compiler, *flags, *how, "edgexl.c", str(JNI), "-o", library, "-lm", "-ldl"), scratch)
        return Path(scratch, library).read_bytes()


def find_ndk() -> dict[str, Path]:
    """The NDK's clang for each ABI. Raises `DeviceError` where there is none."""
    found = {abi: find_ndk_clang(triple, OLDEST) for abi, triple in ABIS.items()}
    clangs = {abi: clang for abi, clang in found.items() if clang is not None}
    if len(clangs) < len(ABIS):
        raise DeviceError("There is no Android NDK on this machine; set ANDROID_NDK_HOME to one (r27 or newer).")
    return clangs


def find_android_jar() -> Path:
    """The classes of the newest Android that an SDK has. Raises `DeviceError` where there is none."""
    places = [Path(os.environ[name]) for name in _SDK if os.environ.get(name)]
    for sdk in (*places, _DEBIAN_SDK):
        jars = sorted((sdk / "platforms").glob("android-*/android.jar"), key=lambda path: _level(path.parent.name))
        if jars:
            return jars[-1]
    raise DeviceError("There is no Android SDK with a platform on this machine; set ANDROID_HOME to one.")


def check_tools() -> None:
    """Raises `DeviceError` where something lacks that an AAR is made by."""
    find_ndk()
    find_android_jar()
    find_javac()


def _level(name: str) -> int:
    """35 of "android-35"."""
    return int(re.findall(r"\d+", name)[0]) if re.search(r"\d", name) else 0


def _readme(product: Product) -> bytes:
    name, opener, text = product.name, class_name(product), java_text(product.example)
    sections = (
        Section(
            "The first answer",
            f'`include(":{name}")` in `settings.gradle.kts`, with the folder `{name}` in your project, and\n\n'
            + code("kotlin", f'implementation(project(":{name}"))')
            + "\n\nin the app's `build.gradle.kts`; then, off the main thread,\n\n"
            + code(
                "kotlin",
                f"val words = {product.module}.{opener}.open(context)",
                f"val id = words.predict({text}).labels[0].id",
            ),
        ),
        Section(
            "A sample app",
            "`gradle :sample:installDebug` builds and installs search as you type, in Kotlin, without another library. "
            "It has no permission, nor the one for the network.",
        ),
        Section(
            "Where the bundle lies",
            f"`{opener}.open(context)` opens the asset `{product.file}` by a descriptor of the APK, if the app has "
            '`androidResources { noCompress += "exl" }`. An asset seldom begins where it can be mapped, and is '
            f"read into memory then; `{opener}.openInstalled(context, options)` copies it once to a file that is not "
            f"backed up, and maps that: less memory, more storage. `{opener}.update(context, patch, options)` puts the "
            "bundle that a patch makes in its place. An AI pack (`com.android.ai-pack`) that is delivered "
            f"with the app has it in `src/main/assets`, and `open` finds it there; of one that comes later, "
            "`Bundle.open(path)` opens `assetsPath()` and the file's name.",
        ),
        Section(
            "An AAR",
            f"`gradle :{name}:publish` writes it into `{name}/build/maven`, as {name}:{name}-android. `edgexl ship "
            "--platform android-aar` does without Gradle where `ANDROID_NDK_HOME` and `ANDROID_HOME` are set.",
        ),
        Section(
            "What was tried",
            "The binding passes its tests on a desktop's JDK; its classes for Android, and the sample, were compiled "
            "against Android 6's `android.jar`; the C sources, with the flags of the three ABIs. No NDK and no phone "
            "were at hand.",
        ),
        proof_section(product, "android"),
    )
    needs = "It needs Android 7 or newer, Gradle with Android's plugin 8.7, and the NDK."
    return write_readme(product, "Android", needs, sections)
