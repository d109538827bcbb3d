"""The ARM build gives x86-64's answers: the same bundle, the aarch64 runtime and ONNX Runtime's aarch64 library, on
emulated CPUs without and with dot products.

It needs qemu-user, a compiler for aarch64 and Debian's cross libraries; where they are missing it is skipped with the
reason, and fails instead when $EDGEXL_REQUIRE_EMULATION is set, as CI does.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from edgexl.base.errors import EdgexlError
from edgexl.compiler import compile
from edgexl.compiler.recipe import GraphRecipe, IndexRecipe, Recipe
from edgexl.device.emulated import EmulatedDevice, why_not
from edgexl.device.local import this_machine
from edgexl.runtime.build import architecture, build_runtime
from edgexl.runtime.engine import fetch_engine
from edgexl.runtime.toolchain import find_toolchains
from edgexl.target import Target, load_target
from tests.command_line import TARGET, Tiny
from tests.tiny import AS_IT_IS, tiny_labels, tiny_ngram_student

# the boards' CPUs: A53 and A72 without dot products, A76 with
TARGETS = ("raspberry-pi-zero-2", "raspberry-pi-4", "raspberry-pi-5")
QUERIES = 100


def emulated(target: Target, directory: Path) -> EmulatedDevice:
    """The target's emulator with a runtime built for it; skips or fails the test where that cannot be."""
    assert target.emulator is not None
    try:
        if reason := why_not(target.emulator.cpu):
            raise EdgexlError(reason)
        find_toolchains(target)
        fetch_engine(architecture(target), directory.parent)
    except EdgexlError as error:
        if os.environ.get("EDGEXL_REQUIRE_EMULATION"):
            raise
        pytest.skip(f"no emulation of {target.name}: {error}")
    built = build_runtime(target, directory, with_engine=True)
    return EmulatedDevice(target.emulator.cpu, built.directory, built.directory / "libonnxruntime.so")


@pytest.fixture(scope="module")
def ngrams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose screener hashes n-grams: 64-bit integer operators that no transformer has."""
    place = tmp_path_factory.mktemp("ngrams") / "ngrams.exl"
    recipe = Recipe(
        "eight-byte codes",
        screener=GraphRecipe("int8-token"),
        index=IndexRecipe(code_bytes=8, overfetch=64),
        **AS_IT_IS,
    )
    return compile(tiny_ngram_student(tiny_labels(aliases=True)), recipe, TARGET, place).path


# one of each kind of kernel is enough for every run
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name == "raspberry-pi-4")) for name in TARGETS]
)
def test_the_same_answers_as_on_this_machine(name: str, tiny: Tiny, ngrams: Path, tmp_path: Path) -> None:
    device = emulated(load_target(name), tmp_path / name)
    asked = "".join(f"{text}\n" for text in tiny.texts(QUERIES))
    for bundle in (tiny.bundle, ngrams):
        there, here = (
            [json.loads(line) for line in ran.stdout.splitlines()]
            for ran in (
                device.run("exl-run", [device.push(bundle), "-k", "5"], stdin=asked),
                this_machine().run("exl-run", [str(bundle), "-k", "5"], stdin=asked),
            )
        )
        assert len(there) == len(here) == QUERIES
        for ours, theirs in zip(here, there, strict=True):
            assert [label["id"] for label in theirs["labels"]] == [label["id"] for label in ours["labels"]]
            differences = [
                abs(a["probability"] - b["probability"]) for a, b in zip(ours["labels"], theirs["labels"], strict=True)
            ]
            assert max(differences) <= 1e-3


def test_the_goldens_are_reproduced_and_the_kernel_is_neon(tiny: Tiny, ngrams: Path, tmp_path: Path) -> None:
    device = emulated(load_target("raspberry-pi-5"), tmp_path / "pi")
    for bundle in (tiny.bundle, ngrams):
        tested = device.run("exl-run", [device.push(bundle), "--self-test"])
        assert (tested.exit_code, json.loads(tested.stdout)["failed"]) == (0, 0), tested.stderr
    timed = device.run("exl-bench", [device.push(tiny.bundle), "--runs", "2", "--warmup", "0"])
    assert json.loads(timed.stdout)["kernel"] == "neon"
    assert not device.facts().timed
