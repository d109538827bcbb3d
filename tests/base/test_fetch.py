"""Fetching: what happens with the package manager's good, bad and missing answers, played by small programs on PATH."""

from __future__ import annotations

import hashlib
import importlib.util

import pytest

from edgexl.base.errors import BadInput
from edgexl.base.fetch import Package, cache_directory, fetch

CONTENT = b"an archive"
PACKAGE = Package("npm", "thing", "1.2.3", "thing-1.2.3.tgz", hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture
def client(tmp_path, monkeypatch):
    """Install a shell script as npm and pip, the only programs on PATH; the cache is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))

    def install(name, script):
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)

    return install


def test_a_fetched_archive_is_kept_and_not_fetched_again(client):
    client("npm", f'[ "$*" = "pack thing@1.2.3" ] && printf "{CONTENT.decode()}" > thing-1.2.3.tgz')
    path = fetch(PACKAGE)
    assert path.read_bytes() == CONTENT
    client("npm", "exit 1")
    assert fetch(PACKAGE) == path
    assert [entry.name for entry in cache_directory().iterdir()] == [PACKAGE.file_name]


def test_a_damaged_archive_in_the_cache_is_fetched_again(client):
    client("npm", f'printf "{CONTENT.decode()}" > thing-1.2.3.tgz')
    cache_directory().mkdir(parents=True)
    (cache_directory() / PACKAGE.file_name).write_bytes(b"half an arch")
    assert fetch(PACKAGE).read_bytes() == CONTENT


def test_another_archive_than_the_pinned_one_is_refused_and_not_kept(client):
    client("npm", "printf other > thing-1.2.3.tgz")
    with pytest.raises(BadInput, match="arrived with SHA-256") as caught:
        fetch(PACKAGE)
    assert PACKAGE.sha256 in str(caught.value)
    assert list(cache_directory().iterdir()) == []


def test_a_failed_fetch_tells_the_clients_reason_and_the_way_out(client):
    client("npm", 'echo "npm error 404 not in the registry" >&2; echo "npm notice log kept" >&2; exit 1')
    with pytest.raises(BadInput, match=r"404 not in the registry.*by hand"):
        fetch(PACKAGE)


def test_a_missing_client_is_named(client, monkeypatch):
    with pytest.raises(BadInput, match="npm, which is not installed"):
        fetch(PACKAGE)
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pip" else find_spec(name))
    wheel = Package("pip", "thing", "1.2.3", "thing-1.2.3.whl", PACKAGE.sha256)
    with pytest.raises(BadInput, match="pip, which is not installed"):
        fetch(wheel)
    client("pip", f'printf "{CONTENT.decode()}" > thing-1.2.3.whl')
    assert fetch(wheel).read_bytes() == CONTENT


def test_a_relative_cache_home_is_passed_over(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "somewhere")
    assert cache_directory() == tmp_path / ".cache" / "edgexl"
