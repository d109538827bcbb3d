"""What it costs to open only what was signed: the time of opening a bundle in each way.

    python -m benchmarks.trust words.exl [--runs 31]

The least processor time of all runs in milliseconds, the page cache warm, without the engine, which takes the same
either way.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from edgexl.bundle.signing import new_key, sign_bundle, store_signature
from edgexl.runtime.binding import open_bundle


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--runs", type=int, default=31)
    given = parser.parse_args()
    key = new_key()
    with tempfile.TemporaryDirectory() as folder:
        signed = Path(folder) / "signed.exl"
        store_signature(given.bundle, sign_bundle(given.bundle, key, version=1), signed)
        trusted = {"keys": [key.public.line], "least_version": 1}
        print("| opened | ms |\n|---|---|")
        ways: dict[str, dict[str, Any]] = {
            "the small sections' hashes": {"verify": False},
            "all hashes": {"verify": True},
            "signature and all hashes": trusted,
            "signature, large sections' hashes at first use": trusted | {"lazy": True},
        }
        for name, how in ways.items():
            print(f"| {name} | {_least_ms(signed, given.runs, how):.1f} |")


def _least_ms(path: Path, runs: int, how: dict[str, Any]) -> float:
    taken = []
    for _ in range(runs):
        start = time.process_time()
        open_bundle(path, engine=False, compiled_only=True, **how).close()
        taken.append(1e3 * (time.process_time() - start))
    return min(taken)


if __name__ == "__main__":
    main()
