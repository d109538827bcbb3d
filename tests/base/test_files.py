"""Files are opened without waiting and written in one step, whatever stops the writer."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from edgexl.base.errors import BadInput, DeviceError, EdgexlError
from edgexl.base.files import check_output, copy_file, open_input, read_input, write_bytes, write_file, write_text


def test_a_file_is_replaced_and_nothing_else_stays(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "one\r\n")
    assert target.read_bytes() == b"one\r\n"
    write_bytes(target, b"two", durable=False)
    assert target.read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    target = tmp_path / ("n" * 255)
    write_bytes(target, b"x")
    assert os.listdir(tmp_path) == [target.name]
    with pytest.raises(BadInput, match="cannot be written"):
        write_bytes(tmp_path / ("n" * 256), b"x")


def test_mode_and_owner_of_an_older_file_are_kept(tmp_path: Path) -> None:
    target = tmp_path / "a"
    write_bytes(target, b"old")
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~umask
    target.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(target, 1234, 2345)
    before = target.stat()
    write_bytes(target, b"new")
    after = target.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize("there", [True, False], ids=["leading to a file", "dangling"])
def test_a_symlink_is_followed_and_stays(there: bool, tmp_path: Path) -> None:
    real, link = tmp_path / "far" / "real", tmp_path / "link"
    real.parent.mkdir()
    if there:
        real.write_bytes(b"old")
    link.symlink_to("far/real")
    write_bytes(link, b"new")
    assert os.readlink(link) == "far/real"
    assert real.read_bytes() == b"new"
    assert os.listdir(real.parent) == ["real"]


def test_a_planted_name_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever guesses the temporary name gains nothing by it."""
    names = iter(["11111111", "22222222"])
    monkeypatch.setattr("edgexl.base.files.secrets.token_hex", lambda _bytes: next(names))
    victim, target = tmp_path / "victim", tmp_path / "a"
    victim.write_bytes(b"precious")
    (tmp_path / ".a.11111111.tmp").symlink_to(victim)
    write_bytes(target, b"new")
    assert (victim.read_bytes(), target.read_bytes()) == (b"precious", b"new")
    assert not target.is_symlink()


def test_an_error_in_the_middle_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")

    def write_from(source: Path) -> None:
        with write_file(target) as stream:
            stream.write(b"half")
            stream.write(source.read_bytes())

    with pytest.raises(FileNotFoundError):  # an error about another file stays what it is
        write_from(tmp_path / "another")
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_full_disk_leaves_the_old_file(small_disk: Path) -> None:
    target = small_disk / "a"
    target.write_bytes(b"old")
    with pytest.raises(DeviceError, match=r"a: the disk is full; free some space"):
        write_bytes(target, bytes(2 << 20))
    assert target.read_bytes() == b"old"
    assert os.listdir(small_disk) == ["a"]


def test_a_limit_to_a_file_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")
    program = (
        "import resource, sys; from edgexl.base.files import write_bytes\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); write_bytes(sys.argv[1], bytes(5000))"
    )
    done = subprocess.run([sys.executable, "-c", program, target], capture_output=True, text=True, check=False)
    assert "DeviceError" in done.stderr
    assert "File too large" in done.stderr
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_killed_writer_leaves_the_old_file_and_the_next_one_clears_up(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")
    program = (
        "import os, signal, sys; from edgexl.base.files import write_file\n"
        "with write_file(sys.argv[1]) as stream:\n"
        "    stream.write(b'half'); stream.flush(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", program, target], check=False)
    assert target.read_bytes() == b"old"
    assert len(os.listdir(tmp_path)) == 2
    with write_file(target) as stream:
        stream.write(b"new")
        write_bytes(target, b"between")  # which does not take a living writer's file for a dead one's
    assert target.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a"]


def test_a_copy_keeps_the_mode_of_a_new_file(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"program")
    source.chmod(0o755)
    copy_file(source, target)
    assert (target.read_bytes(), stat.S_IMODE(target.stat().st_mode)) == (b"program", 0o755)
    target.chmod(0o700)
    copy_file(source, target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o700


def special(kind: str, tmp_path: Path) -> Path:
    path = tmp_path / "special"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(str(path))
    elif kind == "link to a fifo":
        os.mkfifo(tmp_path / "fifo")
        path.symlink_to("fifo")
    else:
        path = Path(kind)
    return path


@pytest.mark.parametrize("kind", ["fifo", "link to a fifo", "directory", "socket", "/dev/zero", "/dev/tty"])
def test_what_is_no_file_is_neither_read_nor_replaced(kind: str, tmp_path: Path) -> None:
    path = special(kind, tmp_path)
    before = os.lstat(path)
    if kind != "/dev/tty":
        with pytest.raises(EdgexlError, match=r"directory|regular|No such device"):
            check_output(path)
    timer = threading.Timer(20, os._exit, [99])  # a FIFO that blocks would block for ever
    timer.start()
    with pytest.raises(BadInput) as read:
        open_input(path)
    with pytest.raises(EdgexlError, match=r"directory|regular|No such device") as written:
        write_bytes(path, b"x")
    timer.cancel()
    assert str(path) in str(read.value)
    assert str(path) in str(written.value)
    assert os.path.samestat(before, os.lstat(path))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="none cannot be read: it does not exist"):
        open_input(tmp_path / "none")
    with pytest.raises(BadInput, match="cannot be read: embedded null"):
        open_input("a\0b")
    with pytest.raises(BadInput, match="cannot be read: File name too long"):
        open_input("a" * 300)
    (tmp_path / "large").write_bytes(bytes(100))
    with pytest.raises(BadInput, match="larger than 99 bytes"):
        read_input(tmp_path / "large", 99)
    assert read_input(tmp_path / "large", 100) == bytes(100)


def test_a_file_that_is_a_mount_point_is_refused_as_one(tmp_path: Path, mount) -> None:
    inner, target = tmp_path / "inner", tmp_path / "a"
    inner.write_bytes(b"old")
    target.write_bytes(b"")
    mount("--bind", str(inner), str(target))
    with pytest.raises(BadInput, match="mount point"):
        write_bytes(target, b"new")
    assert target.read_bytes() == b"old"
