"""What tests of devices share: a real sshd on loopback, which the client knows as a device."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgexl.device import ssh
from tests.device.sshd import Server, serve, why_no_server


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    if reason := why_no_server():
        pytest.skip(reason)
    with serve(tmp_path) as running:
        monkeypatch.setattr(ssh, "CLIENT", running.client)
        yield running
