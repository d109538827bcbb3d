"""Each fuzz target for some seconds, from its seeds and all that was ever found (`python -m tests.fuzz` for longer)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import run as fuzz

SMOKE_SECONDS = 3

pytestmark = pytest.mark.skipif(not fuzz.has_clang(), reason="clang with libFuzzer is not installed")


@pytest.fixture(scope="module")
def directory() -> Path:
    return fuzz.build()


@pytest.mark.parametrize("target", fuzz.TARGETS)
def test_a_while(target: str, directory: Path, tmp_path: Path) -> None:
    done = fuzz.run(target, SMOKE_SECONDS, tmp_path / target, directory)
    assert done.fault is None, done.fault
    assert done.edges > 200, "the target does not get past the first checks"
    print(f"{done.executions} executions, {done.edges} of {done.all_edges} edges")


def test_every_target_has_seeds() -> None:
    built = {path.stem.removeprefix("fuzz_") for path in fuzz.ROOT.glob("edgexl/runtime/fuzz/fuzz_*.c")}
    assert built == set(fuzz.TARGETS)
