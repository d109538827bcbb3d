"""C sources: the runtime as two files, the bundle, an example, and a CMake project, also one for FetchContent."""

from __future__ import annotations

import hashlib

from edgexl.base.archives import Member, pack_tar_gz
from edgexl.runtime.amalgamate import amalgamation
from edgexl.runtime.build import CPP_HEADER, HEADER, RUNTIME
from edgexl.ship import vectors
from edgexl.ship.documents import licenses, write_bill, write_notices
from edgexl.ship.product import Product
from edgexl.ship.readme import Section, code, proof_section, shell_text, write_readme

_CMAKE = """# {title}: edgexl::edgexl is the runtime, {VARIABLE} the bundle's path.
cmake_minimum_required(VERSION 3.18)
project({name} VERSION {version} LANGUAGES C)
find_package(Threads REQUIRED)

add_library(edgexl STATIC edgexl.c)
add_library(edgexl::edgexl ALIAS edgexl)
set_target_properties(edgexl PROPERTIES C_STANDARD 11 POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden)
target_compile_options(edgexl PRIVATE -O3) # of a debug build, too: without it a query takes ten times as long
target_include_directories(edgexl PUBLIC ${{CMAKE_CURRENT_SOURCE_DIR}})
target_link_libraries(edgexl PUBLIC m ${{CMAKE_DL_LIBS}} Threads::Threads)
set({VARIABLE} ${{CMAKE_CURRENT_SOURCE_DIR}}/{file} CACHE INTERNAL "The bundle that comes with this")

if(CMAKE_SOURCE_DIR STREQUAL CMAKE_CURRENT_SOURCE_DIR)
  add_executable(example example.c)
  target_link_libraries(example PRIVATE edgexl::edgexl)
endif()
"""


def ship_c_source(product: Product) -> dict[str, bytes]:
    """The archive, by its name, and a file of its hash, which FetchContent asks for."""
    folder, variable = f"{product.title}-c-source", f"{product.module.upper()}_BUNDLE"
    cmake = _CMAKE.format(
        title=product.title, name=product.name, version=product.version, file=product.file, VARIABLE=variable
    )
    files = {
        "edgexl.c": (_trust(product) + amalgamation()).encode(),
        "edgexl.h": HEADER.read_bytes(),
        "example.c": (RUNTIME / "examples" / "embed.c").read_bytes(),
        "CMakeLists.txt": cmake.encode(),
        "edgexl.hpp": CPP_HEADER.read_bytes(),
        product.file: product.bundle,
        vectors.NAME: product.vectors,
        "README.md": _readme(product, variable),
        "LICENSE": licenses()["LICENSE"],
        "NOTICE": write_notices((), product),
        "sbom.cdx.json": write_bill(product, "c-source", ()),
    }
    archive = pack_tar_gz({f"{folder}/{name}": Member(content) for name, content in files.items()})
    return {
        f"{folder}.tar.gz": archive,
        f"{folder}.tar.gz.sha256": f"{hashlib.sha256(archive).hexdigest()}  {folder}.tar.gz\n".encode(),
    }


def _trust(product: Product) -> str:
    """What edgexl.c begins with, where the product has keys."""
    if not product.keys:
        return ""
    keys = ", ".join(f'"{key}"' for key in product.keys)
    return (
        "/* Who must have signed what this opens, unless told otherwise: edgexl.h. */\n"
        f"#if !defined(EXL_TRUSTED_KEYS)\n#define EXL_TRUSTED_KEYS {keys}\n"
        f"#define EXL_LEAST_VERSION {product.least_version}\n#endif\n\n"
    )


def _readme(product: Product, variable: str) -> bytes:
    text, archive = shell_text(product), f"{product.title}-c-source.tar.gz"
    sections = (
        Section(
            "The first answer",
            code(
                "console",
                "$ cc -O3 -I. example.c edgexl.c -o example -lm -ldl -lpthread",
                f"$ ./example {product.file} {text}",
            ),
        ),
        Section(
            "By CMake",
            "This folder is a CMake project, and one to fetch:\n\n"
            + code(
                "cmake",
                "include(FetchContent)",
                f"FetchContent_Declare({product.name} URL {archive} URL_HASH SHA256=...) # {archive}.sha256 has it",
                f"FetchContent_MakeAvailable({product.name})",
                "target_link_libraries(app PRIVATE edgexl::edgexl)",
                f'target_compile_definitions(app PRIVATE {variable}="${{{variable}}}")',
            ),
        ),
        Section("In your own build", "Compile `edgexl.c` with `-O3` beside your sources. `edgexl.h` says all of it."),
        *_trust_section(product),
        proof_section(product, "c-source"),
    )
    return write_readme(product, "C", "It needs a C11 compiler and libc.", sections)


def _trust_section(product: Product) -> tuple[Section, ...]:
    text = (
        "`edgexl.c` opens what the key has signed that it was made with, of the version of this bundle or a later one, "
        "where the options name no `trusted_keys`. With `EXL_OPEN_ANYONE` it opens any bundle."
    )
    return (Section("Whose bundles it opens", text),) if product.keys else ()
