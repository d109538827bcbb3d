"""Fixtures that several packages' tests share."""

from __future__ import annotations

import pytest

from edgexl.runtime.kernels import Kernels, build_kernels


@pytest.fixture(scope="session")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Kernels:
    """The runtime's private functions, compiled so that an operation that C leaves undefined traps."""
    trapping = ["-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"]
    return build_kernels(tmp_path_factory.mktemp("kernels"), trapping)
