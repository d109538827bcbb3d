"""Apple's platforms: a Swift package of one C file and one Swift file, with the bundle as a resource and a privacy
manifest, without a binary framework or unsafe flags; and a sample app in SwiftUI."""

from __future__ import annotations

import json
from pathlib import Path

from edgexl.base.archives import Member, pack_tar_gz
from edgexl.runtime.amalgamate import amalgamation
from edgexl.runtime.build import HEADER
from edgexl.ship import vectors
from edgexl.ship.documents import licenses, write_bill, write_notices
from edgexl.ship.jar import class_name
from edgexl.ship.product import Product
from edgexl.ship.readme import Section, code, proof_section, write_readme
from edgexl.ship.template import fill_template

_SOURCES = Path(__file__).parent / "apple"
# What Edgexl.swift and Swift's own libraries call types of theirs.
_TAKEN = frozenset(
    {"Answer", "EdgexlBundle", "EdgexlError", "Explanation", "Foundation", "FoundBy", "Label", "LabelState"}
    | {"ListedLabel", "Swift", "SwiftUI", "Trust", "Update"}
)


def ship_apple(product: Product) -> dict[str, bytes]:
    """The package, by its name."""
    module = swift_module(product)
    facts = {
        "{name}": product.name, "{Class}": module, "{version}": product.version, "{summary}": product.summary,
        "{file}": product.file, "{example}": swift_text(product.example),
        "{keys}": ", ".join(swift_text(key) for key in product.keys), "{least_version}": str(product.least_version),
    }  # fmt: skip

    def fill(name: str) -> bytes:
        return fill_template(_SOURCES / name, facts)

    folder = f"{product.title}-apple"
    files = {
        "Package.swift": fill("Package.swift"),
        "Sources/CEdgexl/edgexl.c": amalgamation().encode(),
        "Sources/CEdgexl/include/edgexl.h": HEADER.read_bytes(),
        "Sources/CEdgexl/include/module.modulemap": b'module CEdgexl {\n    header "edgexl.h"\n    export *\n}\n',
        f"Sources/{module}/Edgexl.swift": fill("Edgexl.swift"),
        f"Sources/{module}/PrivacyInfo.xcprivacy": fill("PrivacyInfo.xcprivacy"),
        f"Sources/{module}/{product.file}": product.bundle,
        f"Tests/{module}Tests/VectorsTests.swift": fill("VectorsTests.swift"),
        f"Tests/{module}Tests/{vectors.NAME}": product.vectors,
        "Sample/Sample/SampleApp.swift": fill("sample/SampleApp.swift"),
        "Sample/Sample.xcodeproj/project.pbxproj": fill("sample/project.pbxproj"),
        "README.md": _readme(product, module),
        "LICENSE": licenses()["LICENSE"],
        "NOTICE": write_notices((), product),
        "sbom.cdx.json": write_bill(product, "apple", ()),
    }
    archive = pack_tar_gz({f"{folder}/{name}": Member(content) for name, content in files.items()})
    return {f"{folder}.tar.gz": archive}


def swift_module(product: Product) -> str:
    """The module that Swift imports: TinyWords of tiny-words."""
    return f"{class_name(product)}Words" if class_name(product) in _TAKEN else class_name(product)


def swift_text(text: str) -> str:
    """A text as Swift's sources have it, in its quotes."""
    return json.dumps(text, ensure_ascii=False)


def _readme(product: Product, module: str) -> bytes:
    folder, text = f"{product.title}-apple", swift_text(product.example)
    sections = (
        Section(
            "The first answer",
            f'`.package(path: "{folder}")` in your `Package.swift`, or Add Package, Add Local in Xcode; then\n\n'
            + code(
                "swift",
                f"import {module}",
                "let words = try EdgexlBundle.included()",
                f"print(try words.predict({text}).labels[0].id)",
            ),
        ),
        Section(
            "More",
            "`EdgexlBundle` serves all threads. It has `predict`, `explain`, `complete`, `label`, `addLabel`, "
            "`retireLabel` and `selfTest`; `EdgexlBundle.open` opens files, data and parts of open files, with "
            "`labels` that keep changes; `EdgexlBundle.update` makes a file's next version of it and a patch. An app "
            "takes one such package; a second bundle is a file that it opens. Debug builds of Xcode compile the C "
            "file without optimization, and a query takes ten times as long there.",
        ),
        Section(
            "A sample app",
            "`Sample/Sample.xcodeproj` searches as you type, in SwiftUI, offline.",
        ),
        Section(
            "What was tried",
            "The C file compiles without a warning for iPhones, their simulator, Macs, Apple TV and Apple Watch, by "
            "Zig. The Swift file calls what `edgexl.h` declares, by a check of names, fields and numbers of arguments. "
            "No Mac, no Xcode and no Swift were at hand: neither it nor the sample has been compiled. `swift test` in "
            "this folder, on a Mac, holds the vectors to the bit.",
        ),
        proof_section(product, "apple"),
    )
    needs = "It needs iOS 15, macOS 12, tvOS 15, watchOS 8 or visionOS 1, and Swift 5.9."
    return write_readme(product, "Apple's platforms", needs, sections)
