"""Rust: a crate without dependencies, over the runtime as one C file, with the bundle in the program."""

from __future__ import annotations

import json
from pathlib import Path

from edgexl import __version__
from edgexl.base.archives import Member, pack_tar_gz
from edgexl.base.errors import BadInput
from edgexl.runtime.amalgamate import amalgamation
from edgexl.runtime.build import HEADER
from edgexl.runtime.declarations import parse_header
from edgexl.ship import vectors
from edgexl.ship.documents import licenses, write_bill, write_notices
from edgexl.ship.ffi import write_ffi, write_layout
from edgexl.ship.product import Product
from edgexl.ship.readme import Section, code, proof_section, write_readme
from edgexl.ship.template import fill_template

_SOURCES = Path(__file__).parent / "rust"
# Of no crate: Rust's keywords (The Rust Reference, "Keywords"), and the names of crates that are always there.
_KEYWORDS = (
    "abstract alloc as async await become box break const continue core crate do dyn else enum extern false final fn "
    "for gen if impl in let loop macro match mod move mut override priv proc_macro pub ref return self static std "
    "struct super test trait true try type typeof unsafe unsized use virtual where while yield"
)
_CARGO = """[package]
name = "{name}"
version = "{version}"
edition = "2021"
rust-version = "1.63"
description = {summary}
authors = [{vendor}]
license = {license}
readme = "README.md"
keywords = ["classification", "search", "offline", "embedded"]

[features]
default = ["bundle"]
bundle = [] # the bundle in the program; without it, the runtime alone

[[example]]
name = "first"
required-features = ["bundle"]
"""


def ship_rust(product: Product) -> dict[str, bytes]:
    """The crate, by its name. Raises `BadInput` for a name that Rust keeps to itself."""
    if product.module in _KEYWORDS.split():
        raise BadInput(f"Rust keeps the name {product.module} to itself; give another --name.")
    facts = {
        "{name}": product.name, "{module}": product.module, "{version}": product.version, "{summary}": product.summary,
        "{edgexl}": __version__, "{file}": product.file, "{example}": rust_text(product.example),
        "{answer}": rust_text(product.answer),
        "{keys}": ", ".join(rust_text(key) for key in product.keys), "{least_version}": str(product.least_version),
    }  # fmt: skip

    def fill(name: str) -> bytes:
        return fill_template(_SOURCES / name, facts)

    declared = parse_header(HEADER.read_text(encoding="utf-8"))
    files = {
        "Cargo.toml": _manifest(product),
        "build.rs": (_SOURCES / "build.rs").read_bytes(),
        "src/lib.rs": fill("lib.rs"),
        "src/binding.rs": (_SOURCES / "binding.rs").read_bytes(),
        "src/ffi.rs": write_ffi(declared).encode(),
        "tests/vectors.rs": fill("vectors.rs"),
        "examples/first.rs": f"{_first(product)}\n".encode(),
        "c/edgexl.c": amalgamation().encode(),
        "c/edgexl.h": HEADER.read_bytes(),
        "c/layout.c": write_layout(declared).encode(),
        product.file: product.bundle,
        vectors.NAME: product.vectors,
        "README.md": _readme(product),
        "LICENSE": licenses()["LICENSE"],
        "NOTICE": write_notices((), product),
        "sbom.cdx.json": write_bill(product, "rust", ()),
    }
    archive = pack_tar_gz({f"{product.title}/{name}": Member(content) for name, content in files.items()})
    return {f"{product.title}.crate": archive}


def rust_text(text: str) -> str:
    """A text as Rust's sources have it, in its quotes."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _manifest(product: Product) -> bytes:
    license = "" if product.license == "NOASSERTION" else f" AND {product.license}"
    text = _CARGO.format(
        name=product.name, version=product.version, license=json.dumps(f"Apache-2.0{license}"),
        summary=json.dumps(f"{product.summary}, answered by edgexl {__version__}", ensure_ascii=False),
        vendor=json.dumps(product.vendor, ensure_ascii=False),
    )  # fmt: skip
    return text.encode()


def _first(product: Product) -> str:
    return "\n".join(
        (
            f"fn main() -> {product.module}::Result<()> {{",
            f"    let words = {product.module}::open()?;",
            f'    println!("{{}}", words.predict({rust_text(product.example)})?.labels[0].id);',
            "    Ok(())",
            "}",
        )
    )


def _readme(product: Product) -> bytes:
    name, module = product.title, product.module
    sections = (
        Section(
            "The first answer",
            code("console", f"$ tar xf {name}.crate", f"$ cargo add --path {name}")
            + "\n\n"
            + code("rust", *_first(product).splitlines()),
        ),
        Section(
            "More",
            f"`{module}::Bundle` is `Send` and `Sync`: one serves all threads. It has `predict`, `predict_with`, "
            "`predict_batch`, `explain`, `complete`, `labels`, `add_label`, `retire_label` and `self_test`; "
            "`OpenOptions` opens files, bytes, parts of files, and keeps changes of labels; `Bundle::update` makes a "
            f"file's next version of it and a patch. `{module}::ffi` is all of `edgexl.h`. Without the default "
            "feature `bundle` the crate has the runtime alone.",
        ),
        Section(
            "Other targets",
            "`build.rs` compiles `c/edgexl.c` by `cc`, or by what `CC_<target>`, `TARGET_CC` or `CC` names. "
            "Targets of MSVC are refused. Linux on x86-64 was run; other targets were not.",
        ),
        Section("Is it sound?", code("console", "$ cargo test") + f"\n\nIn the folder `{name}`."),
        proof_section(product, "rust"),
    )
    needs = "It needs Rust 1.63, a C11 compiler, and no other crate."
    return write_readme(product, "Rust", needs, sections)
