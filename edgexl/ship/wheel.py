"""Python: a wheel for each platform, with the runtime and the bundle inside: `pip install`, `import`, `predict`."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgexl import __version__
from edgexl.base.archives import Member, pack_zip
from edgexl.base.progress import Progress, no_progress
from edgexl.runtime import declarations
from edgexl.runtime.build import HEADER
from edgexl.ship import vectors
from edgexl.ship.documents import licenses, write_bill, write_notices
from edgexl.ship.machines import MACHINES, Machine, build_library
from edgexl.ship.product import Product
from edgexl.ship.readme import Section, code, proof_section, write_readme

_INIT = '''"""{name} {version}: {summary}, answered by edgexl {edgexl}.

>>> import {module}
>>> {module}.predict({example!r}).labels[0].id
{answer!r}
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ._edgexl.binding import Answer, Bundle, EdgexlError, Explanation, Label, Update, version

__all__ = ["Answer", "Bundle", "EdgexlError", "Explanation", "Label", "Update", "bundle", "predict", "predict_batch",
           "version"]  # fmt: skip
__version__ = "{version}"
BUNDLE = Path(__file__).parent / "{file}"
_lock, _opened = threading.Lock(), list[Bundle]()


def bundle() -> Bundle:
    """The bundle that comes with this package, opened once. Changes of labels are kept where `Bundle(BUNDLE,
    labels_path=...)` says; this one has those of the compile."""
    with _lock:
        if not _opened:
            descriptor = BUNDLE.open("rb")
            with descriptor:
                _opened.append(Bundle(descriptor=descriptor.fileno()))
    return _opened[0]


def predict(text: str, k: int = 0, **options: Any) -> Answer:
    """Labels for a text, best first; see `Bundle.predict`."""
    return bundle().predict(text, k, **options)


def predict_batch(texts: Iterable[str], k: int = 0, **options: Any) -> list[Answer]:
    """Labels for texts, in order."""
    return bundle().predict_batch(texts, k, **options)
'''
_WHEEL = "Wheel-Version: 1.0\nGenerator: edgexl {edgexl}\nRoot-Is-Purelib: false\nTag: {tag}\n"
# The binding is checked here, and runs beside what it imports there.
_IMPORT = ("from edgexl.runtime.declarations import", "from .declarations import")
_KEYS, _LEAST_VERSION = "TRUSTED_KEYS: tuple[str, ...] = ()", "LEAST_VERSION = 0"
# Of C libraries that the dynamic loader brings, none is in a wheel; musl's are for Alpine.
WHEELS = ("linux-x86-64", "linux-arm64", "linux-armhf", "linux-x86-64-musl", "linux-arm64-musl", "macos-arm64",
          "macos-x86-64", "windows-x86-64")  # fmt: skip


def ship_python(
    product: Product, progress: Progress = no_progress, machines: Sequence[str] = WHEELS
) -> dict[str, bytes]:
    """The wheels, by their names, for these machines."""
    wheels = {}
    for name in machines:
        machine = MACHINES[name]
        tag = f"py3-none-{machine.wheel}"
        wheels[f"{product.module}-{product.version}-{tag}.whl"] = _wheel(
            product, machine, tag, build_library(machine, progress)[machine.shared]
        )
    return wheels


def _wheel(product: Product, machine: Machine, tag: str, library: bytes) -> bytes:
    module, inside = product.module, f"{product.module}/_edgexl"
    about = f"{module}-{product.version}.dist-info"
    file = {"macos": "libedgexl.dylib", "windows": machine.shared}.get(machine.system, "libedgexl.so")
    linked = ("mingw-w64", "compiler-rt") if machine.system == "windows" else ()
    init = _INIT.format(
        name=product.name, version=product.version, summary=product.summary, edgexl=__version__, module=module,
        example=product.example, answer=product.answer, file=product.file,
    )  # fmt: skip
    binding = (Path(__file__).parent / "python" / "binding.py").read_text(encoding="utf-8")
    files = {
        f"{module}/__init__.py": init.encode(),
        f"{module}/py.typed": b"",
        f"{inside}/__init__.py": b"",
        f"{inside}/binding.py": trusting(binding, product).encode(),
        f"{inside}/declarations.py": Path(declarations.__file__).read_bytes(),
        f"{inside}/edgexl.h": declarations.strip_comments(HEADER.read_text(encoding="utf-8")).encode(),
        f"{inside}/{file}": library,
        f"{module}/{product.file}": product.bundle,
        f"{module}/{vectors.NAME}": product.vectors,
        f"{about}/licenses/LICENSE": licenses()["LICENSE"],
        f"{about}/licenses/NOTICE": write_notices(linked, product),
        f"{about}/sboms/sbom.cdx.json": write_bill(product, machine.name, linked),
        f"{about}/METADATA": _metadata(product, machine),
        f"{about}/WHEEL": _WHEEL.format(edgexl=__version__, tag=tag).encode(),
    }
    files[f"{about}/RECORD"] = make_record(files, about)
    modes = {f"{inside}/{file}": 0o755}
    return pack_zip({name: Member(content, modes.get(name, 0o644)) for name, content in files.items()})


def trusting(binding: str, product: Product) -> str:
    """The binding's source as a wheel has it: beside what it imports, and trusting the keys that the product has."""
    return (
        binding.replace(*_IMPORT)
        .replace(_KEYS, f"{_KEYS[:-2]}{product.keys!r}")
        .replace(_LEAST_VERSION, f"{_LEAST_VERSION[:-1]}{product.least_version}")
    )


def make_record(files: Mapping[str, bytes], about: str) -> bytes:
    """The RECORD of a wheel of these files; `about`: its folder for what is about it."""
    lines = "".join(f"{name},sha256={_digest(content)},{len(content)}\n" for name, content in files.items())
    return f"{lines}{about}/RECORD,,\n".encode()


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def _metadata(product: Product, machine: Machine) -> bytes:
    sections = (
        Section(
            "The first answer",
            code(
                "python",
                f"import {product.module}",
                f"print({product.module}.predict({product.example!r}).labels[0].id)",
            ),
        ),
        Section(
            "More",
            f"`{product.module}.bundle()` has `predict`, `predict_batch`, `explain`, `complete`, `labels` and "
            f"`self_test`. `{product.module}.Bundle(path, labels_path=...)` opens one whose labels can be changed, and "
            f"`{product.module}.Bundle.update(path, patch)` makes the next one of it and a patch.",
        ),
        proof_section(product, "python" if machine.system == "linux" else machine.system),
    )
    readme = write_readme(product, "Python", "It needs Python 3.9 or newer and no other package.", sections)
    license = "" if product.license == "NOASSERTION" else f"License-Expression: Apache-2.0 AND {product.license}\n"
    head = (
        f"Metadata-Version: 2.4\nName: {product.name}\nVersion: {product.version}\nSummary: {product.summary}\n"
        f"{license}License-File: LICENSE\nLicense-File: NOTICE\nRequires-Python: >=3.9\n"
        f"Author-email: {product.vendor}\nDescription-Content-Type: text/markdown\n\n"
    )
    return head.encode() + readme
