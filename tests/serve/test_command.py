"""`edgexl serve`: how it starts, what it refuses, how it ends, and that an installed one has its pages."""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edgexl.serve.server import start_workers
from tests.command_line import Edgexl
from tests.runtime.tiny_bundle import TinyBundle
from tests.serve.server import Server, serving

ROOT = Path(__file__).parents[2]


def test_it_says_where_it_answers_and_ends_at_ctrl_c(small: TinyBundle, tmp_path: Path) -> None:
    bundle = small.write(tmp_path / "small.exl")
    with serving(bundle) as server:
        assert server.said == {"bundle": str(bundle), "url": server.url, "writable": True}
        assert server.get("/api/health").json == {"status": "ok", "generation": 0}
        assert server.stop() == 0
    with serving(bundle, "--labels-file", str(tmp_path / "mine")) as server:
        server.post("/api/labels/add", {"labels": [{"id": "N1", "text": "red"}]})
    assert (tmp_path / "mine").is_file()
    assert not Path(f"{bundle}.labels").exists()


def test_no_thread_uses_the_bundle_after_its_server() -> None:
    began, ended = threading.Barrier(3), []

    def work(number: int) -> None:
        began.wait()
        time.sleep(0.3)
        ended.append(number)

    def serve_until_interrupted() -> None:
        with start_workers(2) as workers:
            for number in range(3):
                workers.submit(work, number)
            began.wait()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        serve_until_interrupted()
    assert sorted(ended) == [0, 1]  # what nobody had begun is not begun


def test_ctrl_c_twice_under_load_ends_it_and_crashes_nothing(small: TinyBundle, tmp_path: Path) -> None:
    """The second interrupt may come when there is nothing left to do but to end, which it then does."""
    batch = {"texts": [f"{one} {other}" for one, other in itertools.pairwise(small.texts[:257])]}
    with serving(small.write(tmp_path / "small.exl")) as server, ThreadPoolExecutor(16) as pool:

        def ask_on(_: int) -> list[int]:
            statuses = []
            with contextlib.suppress(OSError, http.client.HTTPException):
                while True:
                    statuses.append(server.post("/api/predict", batch).status)
            return statuses

        asking = pool.map(ask_on, range(16))
        time.sleep(1)
        server.process.send_signal(signal.SIGINT)
        time.sleep(0.1)
        assert server.stop() in (0, 130, -signal.SIGINT)
        statuses = list(itertools.chain(*asking))
        assert 200 in statuses
        assert set(statuses) <= {200, 503}


def test_what_cannot_be_served(unchanged: Server, tmp_path: Path, edgexl: Edgexl) -> None:
    port = unchanged.url.split(":")[2].strip("/")
    edgexl("serve", unchanged.bundle, "--port", port).refuses(2, f"Port {port}", "taken", "--port 0")
    edgexl("serve", ROOT / "README.md").refuses(2, "README.md", "does not begin as an edgexl bundle")
    edgexl("serve", tmp_path / "nosuch.exl").refuses(2, "nosuch.exl")
    edgexl("serve", unchanged.bundle, "--host", "nosuch.invalid").refuses(2, "nosuch.invalid", "no address")
    edgexl("serve", unchanged.bundle, "--host", "192.0.2.1").refuses(2, "192.0.2.1", "cannot listen")


def test_an_ipv6_loopback_is_loopback(small: TinyBundle, tmp_path: Path) -> None:
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(("::1", 0))
    except OSError as error:
        pytest.skip(f"this system has no IPv6 loopback: {error}")
    with serving(small.write(tmp_path / "small.exl"), "--host", "::1") as server:
        assert server.url.startswith("http://[::1]:")
        assert server.said["writable"] is True


def test_without_the_extra_it_says_how_to_get_it(unchanged: Server, tmp_path: Path) -> None:
    """A site-packages with what edgexl needs, and no Starlette."""
    for name in ("click", "numpy", "numpy.libs"):
        found = importlib.util.find_spec("numpy" if name == "numpy.libs" else name)
        assert found is not None
        assert found.origin is not None
        package = Path(found.origin).parent
        if (source := package.with_name(name)).exists():
            (tmp_path / name).symlink_to(source)
    code = f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(tmp_path)!r}]; from edgexl.cli import main; main()"
    command = [sys.executable, "-I", "-S", "-c", code, "serve", str(unchanged.bundle)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr.count("\n")) == (3, 1), done.stderr
    assert "starlette is not installed" in done.stderr
    assert "pip install 'edgexl[serve]'" in done.stderr


def test_a_wheel_has_the_pages(tmp_path: Path) -> None:
    """What scikit-build packs of the sources; the C library needs no building for that."""
    from scikit_build_core.build import build_wheel

    source = tmp_path / "source"
    names = shutil.ignore_patterns("lib", "__pycache__", "build", ".venv", ".git", "students", "shared")
    shutil.copytree(ROOT, source, ignore=names)
    (source / "students").mkdir()
    before = Path.cwd()
    os.chdir(source)
    try:
        wheel = build_wheel(str(tmp_path), {"wheel.cmake": "false"})
    finally:
        os.chdir(before)
    packed = {name for name in zipfile.ZipFile(tmp_path / wheel).namelist() if name.startswith("edgexl/serve/page/")}
    assert packed == {f"edgexl/serve/page/{path.name}" for path in (ROOT / "edgexl/serve/page").iterdir()}
