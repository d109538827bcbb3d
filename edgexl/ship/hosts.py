"""Where packages are put, and how large a file may be there."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Host:
    """A host that takes files whose names end in `end`, of `most_bytes` at most; `inside`: those in a package for npm,
    which it serves one by one. `sentence`: what it says of larger ones."""

    name: str
    end: str
    most_bytes: int
    sentence: str
    inside: bool = False


HOSTS = (
    Host("PyPI", ".whl", 100 << 20, "PyPI takes 100 MiB a file unless asked"),
    Host("crates.io", ".crate", 10 << 20, "crates.io takes 10 MiB a crate: host it elsewhere, or leave the bundle out"),
    Host("jsDelivr", ".tgz", 150_000_000, "jsDelivr serves 150 MB a package"),
    Host("a page's readers", ".wasm", 280_000, "a module of more than 280 KB makes pages wait", inside=True),
    Host(
        "Cloudflare Pages", ".exl", 25 << 20,
        "some hosts of pages (Cloudflare) serve 25 MiB a file: host the bundle elsewhere, as `source`", inside=True,
    ),
)  # fmt: skip
