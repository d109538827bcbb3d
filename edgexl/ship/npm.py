"""The web: a package for npm with the runtime as WebAssembly, its types, a worker, and a page to try it."""

from __future__ import annotations

import json
from pathlib import Path

from edgexl import __version__
from edgexl.base.archives import Member, pack_tar_gz
from edgexl.base.progress import Progress, no_progress
from edgexl.ship import vectors
from edgexl.ship.documents import licenses, write_bill, write_notices
from edgexl.ship.machines import build_wasm
from edgexl.ship.product import Product
from edgexl.ship.readme import Section, code, proof_section, write_readme
from edgexl.ship.template import fill_template

_SOURCES = Path(__file__).parent / "web"
_LINKED = ("wasi-libc", "compiler-rt")


def ship_web(product: Product, progress: Progress = no_progress) -> dict[str, bytes]:
    """The package, by its name."""
    wasm = build_wasm(progress)
    facts = {
        "{name}": product.name, "{title}": f"{product.name} {product.version}", "{summary}": product.summary,
        "{file}": product.file, "{bytes}": str(len(product.bundle)), "{sha256}": product.sha256,
        "{example}": _escape(product.example), "{edgexl}": __version__,
        "{keys}": ", ".join(json.dumps(key) for key in product.keys), "{least_version}": str(product.least_version),
    }  # fmt: skip

    def fill(name: str) -> bytes:
        return fill_template(_SOURCES / name, facts)

    names = ("edgexl.js", "edgexl.d.ts", "index.js", "index.d.ts", "worker.js", "demo/index.html", "demo/demo.js")
    files = {
        **{name: fill(name) for name in names},
        "demo/demo.css": _colours() + fill("demo/demo.css"),
        "edgexl.wasm": wasm,
        product.file: product.bundle,
        vectors.NAME: product.vectors,
        "package.json": _package(product),
        "README.md": _readme(product),
        "LICENSE": licenses()["LICENSE"],
        "NOTICE": write_notices(_LINKED, product),
        "sbom.cdx.json": write_bill(product, "web", _LINKED),
    }
    archive = pack_tar_gz({f"package/{name}": Member(content) for name, content in files.items()})
    return {f"{product.name}-{product.version}.tgz": archive}


def _colours() -> bytes:
    """Those of edgexl's own pages."""
    return (Path(__file__).parents[1] / "report" / "tokens.css").read_bytes()


def _escape(text: str) -> str:
    """A text as HTML has it in an attribute's quotes."""
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")


def _package(product: Product) -> bytes:
    license = "" if product.license == "NOASSERTION" else f" AND {product.license}"
    package = {
        "name": product.name,
        "version": product.version,
        "description": f"{product.summary}, answered by edgexl {__version__} as WebAssembly",
        "type": "module",
        "main": "./index.js",
        "types": "./index.d.ts",
        "exports": {
            ".": {"types": "./index.d.ts", "default": "./index.js"},
            "./edgexl.js": {"types": "./edgexl.d.ts", "default": "./edgexl.js"},
            "./edgexl.wasm": "./edgexl.wasm",
            f"./{product.file}": f"./{product.file}",
            "./package.json": "./package.json",
        },
        "sideEffects": ["./worker.js"],
        "engines": {"node": ">=18"},
        "author": product.vendor,
        "license": f"Apache-2.0{license}" if product.license else "Apache-2.0",
    }
    return (json.dumps(package, indent=1, ensure_ascii=False) + "\n").encode()


def _readme(product: Product) -> bytes:
    text, name = json.dumps(product.example, ensure_ascii=False), product.name
    sections = (
        Section(
            "The first answer",
            code(
                "js",
                f'import {{ open }} from "{name}";',
                "const words = await open();",
                f"console.log(words.predict({text}).labels[0].id);",
            )
            + "\n\nThe same lines run in Node, in a page (`<script type=module>`), in a worker and in a service "
            "worker. "
            f"A host must serve `edgexl.wasm` and `{product.file}`; the bundle is fetched once, checked by its SHA-256 "
            "and kept by the Cache API.",
        ),
        Section(
            "Beside a page",
            code("js", f'import {{ openInWorker }} from "{name}";', "const words = await openInWorker();")
            + "\n\nEach method gives a promise then. `onProgress(done, total)` is told while the bundle comes.",
        ),
        Section(
            "The next version",
            "`await update(patch)`, exported beside `open`, makes it of the bundle and a patch of `edgexl diff`, a URL "
            "or bytes, and keeps it by the Cache API: `open` opens it from then on. It gives `bundle` and `bytes`.",
        ),
        Section(
            "Vite",
            '`vite build` takes all files along (`build: { target: "es2022" }` where you await at a module\'s top). '
            f'`vite` needs a line in its configuration: `optimizeDeps: {{ exclude: ["{name}"] }}`.',
        ),
        Section("A page to try it", "`demo/index.html`, over HTTP: `npx serve .`, and open `/demo/`."),
        proof_section(product, "web"),
    )
    return write_readme(product, "the web", "It needs a browser of 2021 or newer, or Node 18.", sections)
