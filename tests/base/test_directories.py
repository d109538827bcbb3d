"""Directories are written in one step: whenever the writer is killed, a reader finds the old content or the new."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from edgexl.base.directories import entries, settle_directory, write_directory
from edgexl.base.errors import BadInput, DeviceError

OWN = ("one", "two", "three")
OLD = {"one": b"old 1", "two": b"old 2"}
NEW = {"one": b"new 1", "three": b"new 3"}
# A process that writes NEW, and kills itself before the so manieth thing that it asks of the file system.
WRITER = """
import os, signal, sys
from pathlib import Path
from edgexl.base import directories
path, at, two_renames = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "two renames"
if two_renames:  # a system without renameat2
    directories.ctypes.CDLL = lambda *_, **__: object()
os.chdir(sys.argv[4])
left, on = at, False
def watch(event, _arguments):
    global left
    asks = event in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.chmod", "shutil.rmtree")
    if on and asks:
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(watch)
on = True
with directories.write_directory(path, ("one", "two", "three")) as staging:
    (staging / "one").write_bytes(b"new 1")
    (staging / "three").write_bytes(b"new 3")
"""


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A directory that other users can reach, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        yield Path(place)


def content(directory: Path) -> dict[str, bytes]:
    return {name: (directory / name).read_bytes() for name in sorted(entries(directory))}


def fill(directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    for name, data in OLD.items():
        (directory / name).write_bytes(data)


def write(path: Path) -> None:
    with write_directory(path, OWN) as staging:
        for name, data in NEW.items():
            (staging / name).write_bytes(data)


def run_writer(path: Path, at: int, how: str, here: Path) -> int:
    command = [sys.executable, "-c", WRITER, path, str(at), how, here]
    return subprocess.run(command, capture_output=True, check=False).returncode


def test_a_directory_is_made_and_replaced(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "d"
    write(target)
    assert content(target) == NEW
    shutil.rmtree(target)
    fill(target)
    target.chmod(0o750)
    if os.geteuid() == 0:
        os.chown(target, 1234, 2345)
    before = target.stat()
    write(target)
    assert content(target) == NEW
    assert (stat.S_IMODE(target.stat().st_mode), target.stat().st_uid) == (0o750, before.st_uid)
    assert os.listdir(target.parent) == ["d"]


def test_what_others_keep_there_stays(tmp_path: Path) -> None:
    target = tmp_path / "d"
    fill(target)
    (target / "notes.md").write_text("mine")
    (target / "folder").mkdir()
    (target / "folder" / "deep").write_text("mine, too")
    (target / "link").symlink_to("nowhere")
    write(target)
    assert (target / "notes.md").read_text() == "mine"
    assert (target / "folder" / "deep").read_text() == "mine, too"
    assert os.readlink(target / "link") == "nowhere"
    assert {name: (target / name).read_bytes() for name in NEW} == NEW
    assert not (target / "two").exists()


@pytest.mark.parametrize("there", [True, False], ids=["leading to a directory", "dangling"])
def test_a_symlink_is_followed_and_stays(there: bool, tmp_path: Path) -> None:
    real, link = tmp_path / "far" / "real", tmp_path / "link"
    real.parent.mkdir()
    if there:
        fill(real)
    link.symlink_to(real)
    write(link)
    assert link.is_symlink()
    assert content(real) == NEW
    assert sorted(os.listdir(tmp_path)) == ["far", "link"]
    assert os.listdir(real.parent) == ["real"]


def test_an_error_in_the_middle_leaves_the_old_directory(tmp_path: Path) -> None:
    target = tmp_path / "d"
    fill(target)

    def write_then(error: Callable[[Path], Exception]) -> None:
        with write_directory(target, OWN) as staging:
            (staging / "one").write_bytes(b"half")
            raise error(staging)

    with pytest.raises(ZeroDivisionError):
        write_then(lambda _staging: ZeroDivisionError())
    with pytest.raises(BadInput, match=f"^the file {target}/x is odd$"):
        write_then(lambda staging: BadInput(f"the file {staging}/x is odd"))
    assert content(target) == OLD
    assert os.listdir(tmp_path) == ["d"]


def test_a_file_is_not_replaced_by_a_directory(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    for path in (tmp_path / "f", tmp_path / "f" / "below"):
        with pytest.raises(BadInput, match=str(path)):
            write(path)
    assert (tmp_path / "f").read_bytes() == b"x"


@pytest.mark.parametrize("inside", [False, True], ids=["beside", "at the mount point"])
def test_a_full_disk_leaves_the_old_directory(inside: bool, small_disk: Path) -> None:
    target = small_disk if inside else small_disk / "d"
    fill(target)
    with pytest.raises(DeviceError, match=f"{target}: the disk is full"), write_directory(target, OWN) as staging:
        (staging / "one").write_bytes(bytes(2 << 20))
    assert content(target) == OLD
    assert set(os.listdir(small_disk)) <= {"d", *OLD}


def test_a_mount_point_gets_the_new_content(small_disk: Path) -> None:
    fill(small_disk)
    (small_disk / "lost+found").mkdir()
    (small_disk / "notes.md").write_text("mine")
    write(small_disk)
    assert content(small_disk) == {**NEW, "notes.md": b"mine"}
    assert set(os.listdir(small_disk)) == {*NEW, "notes.md", "lost+found"}


def test_a_mount_that_does_not_look_like_one_gets_the_new_content(tmp_path: Path, mount: Callable[..., None]) -> None:
    """A directory bound to its own file system, as a container's volume often is."""
    volume, target = tmp_path / "volume", tmp_path / "d"
    fill(volume)
    target.mkdir()
    mount("--bind", str(volume), str(target))
    assert not os.path.ismount(target)
    write(target)
    assert content(volume) == content(target) == NEW
    assert sorted(os.listdir(tmp_path)) == ["d", "volume"]


def test_the_working_directory_stays_the_same_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "d"
    fill(target)
    monkeypatch.chdir(target)
    write(Path("."))
    assert content(Path(".")) == content(target) == NEW


def test_a_directory_in_a_parent_that_is_not_ours_gets_the_new_content(open_place: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user, whom a parent directory refuses")
    parent, target = open_place / "parent", open_place / "parent" / "d"
    parent.mkdir()
    fill(target)
    os.chown(target, 65534, 65534)
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    if shutil.which("setpriv") is None:
        pytest.skip("this system has no setpriv(1)")
    command = [*user, sys.executable, "-c", WRITER, target, "-1", "", "/"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert content(target) == NEW
    assert os.listdir(parent) == ["d"]


@pytest.mark.parametrize("how", ["exchange", "two renames", "inside"])
def test_a_kill_at_any_moment_leaves_the_old_content_or_the_new(how: str, tmp_path: Path) -> None:
    target = tmp_path / "place" / "d"
    target.parent.mkdir()
    found = set()
    for at in range(1, 200):
        if target.exists():
            shutil.rmtree(target)
        fill(target)
        status = run_writer(target, at, how, target if how == "inside" else tmp_path)
        assert status in (0, -9)
        place = settle_directory(target, OWN)
        assert content(place) in (OLD, NEW), (at, sorted(os.listdir(tmp_path)))
        assert content(target) == content(place)
        found.add(content(place) == NEW)
        if status == 0:
            break
    else:
        pytest.fail("the writer does not end")
    assert found == {True, False}
    assert at > 10
    write(target)  # the next writer clears up
    assert content(target) == NEW
    assert os.listdir(target.parent) == ["d"]
    assert set(os.listdir(target)) == set(NEW)


def test_who_may_not_write_reads_what_a_killed_writer_left(open_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the two moments in which the files are put in place, a reader without rights still finds all of them."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user, who may only read")
    target = open_place / "d"
    monkeypatch.setattr(subprocess, "run", partial(subprocess.run, umask=0o022))
    program = (
        "import os, sys; from edgexl.base.directories import entries, settle_directory\nos.setuid(65534)\n"
        "place = settle_directory(sys.argv[1], ())\n"
        "print(sorted((name, (place / name).read_bytes()) for name in entries(place)))"
    )
    found = set()
    for at in range(1, 200):
        fill(target)
        for path in (target, *target.iterdir()):
            path.chmod(0o755)
        status = run_writer(target, at, "inside", target)
        said = subprocess.run([sys.executable, "-c", program, target], capture_output=True, text=True, check=False)
        assert said.returncode == 0, said.stderr
        assert said.stdout.strip() in (str(sorted(OLD.items())), str(sorted(NEW.items()))), at
        found.add(bool(list(target.glob(".arriving-*"))))
        shutil.rmtree(target)
        if status == 0:
            break
    assert found == {True, False}
