"""What becomes of the file itself: mode, owner, links and neighbours stay; nothing but a regular file is opened."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edgexl.base.errors import BadInput, DeviceError, EdgexlError
from edgexl.bundle.label_file import label_file_of, read_label_file, read_label_file_if_any
from edgexl.bundle.read import read_bundle
from edgexl.runtime.binding import NewLabel, open_bundle
from tests.runtime.forks import in_child
from tests.runtime.tiny_bundle import build

NEW = [NewLabel("N1", "red river horse"), NewLabel("N2", "storm apple")]
NOBODY = 65534
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away and become another user")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return build(native=True).write(tmp_path / "tiny.exl")


def change(bundle: Path, labels: Path | None = None) -> None:
    """A first change, an appended one, and a rewriting one."""
    with open_bundle(bundle, labels_path=labels) as handle:
        handle.add_labels(NEW)
        handle.retire_labels(["N2", "L0007"])
        handle.compact_labels()


def ids(labels: Path) -> list[str]:
    return [label.id for label in read_label_file(labels).added if not label.retired]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_a_new_file_has_the_mode_of_any_new_file(bundle: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        change(bundle)
    finally:
        os.umask(before)
    assert mode(label_file_of(bundle)) == 0o666 & ~umask


@pytest.mark.parametrize("kept", [0o600, 0o640, 0o664, 0o444])
def test_a_rewritten_file_keeps_its_mode_and_owner(bundle: Path, kept: int) -> None:
    labels = label_file_of(bundle)
    change(bundle)
    labels.chmod(kept)
    if os.getuid() == 0:
        os.chown(labels, 1234, 2345)
    elif not kept & 0o200:
        pytest.skip("only root may write to a file that nobody may write to")
    before = labels.stat()
    with open_bundle(bundle) as handle:
        handle.compact_labels()
        handle.add_labels([NewLabel("N3", "bread")])
    after = labels.stat()
    assert after.st_ino != before.st_ino
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert ids(labels) == ["N1", "N3"]


def acl(*entries: tuple[int, int, int]) -> bytes:
    """(tag, rights, id) as Linux keeps a list of them."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def test_a_rewritten_file_keeps_its_access_list_and_takes_no_other(bundle: Path) -> None:
    labels, nobody = label_file_of(bundle), 0xFFFFFFFF
    change(bundle)
    mine = acl((1, 6, nobody), (2, 6, 1234), (4, 0, nobody), (16, 6, nobody), (32, 0, nobody))
    theirs = acl((1, 7, nobody), (2, 7, 4321), (4, 5, nobody), (16, 7, nobody), (32, 5, nobody))
    try:
        os.setxattr(labels, "system.posix_acl_access", mine)
    except OSError as error:
        pytest.skip(f"the file system keeps no access lists: {error}")
    with open_bundle(bundle, engine=False) as handle:
        handle.compact_labels()
        assert os.getxattr(labels, "system.posix_acl_access") == mine
        assert mode(labels) == 0o660
        os.removexattr(labels, "system.posix_acl_access")
        labels.chmod(0o640)
        os.setxattr(bundle.parent, "system.posix_acl_default", theirs)
        handle.compact_labels()
    assert "system.posix_acl_access" not in os.listxattr(labels)
    assert mode(labels) == 0o640


@needs_root
@pytest.mark.parametrize(("old", "new"), [(0o646, 0o644), (0o606, 0o600), (0o666, 0o666), (0o626, 0o622)])
def test_whoever_may_not_give_the_file_away_opens_it_to_nobody_else(tmp_path: Path, old: int, new: int) -> None:
    place = Path("/tmp") / f"edgexl-{os.getpid()}-{old:o}"  # a user of no rights cannot enter pytest's own
    place.mkdir()
    try:
        bundle = build(native=True).write(place / "tiny.exl")
        change(bundle)
        labels = label_file_of(bundle)
        os.chown(labels, 1234, 2345)
        labels.chmod(old)
        place.chmod(0o777)

        def compact() -> None:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            with open_bundle(bundle, engine=False) as handle:
                handle.compact_labels()

        in_child(compact)
        assert (mode(labels), labels.stat().st_uid) == (new, NOBODY)
        assert ids(labels) == ["N1"]
    finally:
        shutil.rmtree(place)


def test_symbolic_links_stay_and_lead_to_the_file(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "second").symlink_to("../real/labels")  # which is not there yet
    first = label_file_of(bundle)
    first.symlink_to(tmp_path / "links" / "second")
    change(bundle)
    assert os.readlink(first) == str(tmp_path / "links" / "second")
    assert os.readlink(tmp_path / "links" / "second") == "../real/labels"
    assert not (tmp_path / "real" / "labels").is_symlink()
    assert ids(tmp_path / "real" / "labels") == ids(first) == ["N1"]
    assert sorted(os.listdir(tmp_path / "real")) == ["labels"]


def test_links_in_a_circle(bundle: Path) -> None:
    label_file_of(bundle).symlink_to(label_file_of(bundle))
    with pytest.raises(BadInput, match=r"cannot be read: Too many levels"):
        open_bundle(bundle)


def test_a_planted_link_is_not_followed(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    planted = [Path(f"{label_file_of(bundle)}.tmp"), tmp_path / ".tmp"]
    for path in planted:
        path.symlink_to(tmp_path / "precious")
    change(bundle)
    assert (tmp_path / "precious").read_text() == "precious"
    assert all(path.is_symlink() for path in planted)
    assert ids(label_file_of(bundle)) == ["N1"]


def test_a_second_name_keeps_seeing_every_change(bundle: Path, tmp_path: Path) -> None:
    labels = label_file_of(bundle)
    change(bundle)
    os.link(labels, tmp_path / "second")
    with open_bundle(bundle) as handle:
        handle.add_labels([NewLabel("N3", "bread")])
        handle.retire_labels(["N1"])
        before = labels.read_bytes()
        with pytest.raises(DeviceError, match="second name"):
            handle.compact_labels()
        assert handle.labels_info().end == 302
    assert labels.read_bytes() == before
    assert ids(tmp_path / "second") == ["N3"]
    (tmp_path / "second").unlink()
    with open_bundle(bundle) as handle:
        handle.compact_labels()
        assert handle.labels_info().end == 301


@needs_root
def test_a_directory_that_may_not_be_written(tmp_path: Path) -> None:
    place = Path("/tmp") / f"edgexl-{os.getpid()}-closed"
    place.mkdir()
    try:
        bundle = build(native=True).write(place / "tiny.exl")
        labels = label_file_of(bundle)

        def without_rights(work: Callable[[], None]) -> None:
            def run() -> None:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
                work()

            in_child(run)

        def refused() -> None:
            with open_bundle(bundle, engine=False) as handle, pytest.raises(DeviceError, match="Permission denied"):
                handle.retire_labels(["L0001"])

        def begins_in_place() -> None:
            with open_bundle(bundle) as handle:
                handle.add_labels(NEW)
                handle.retire_labels(["L0001", "N2"])
                with pytest.raises(DeviceError, match="directory cannot be written"):
                    handle.compact_labels()
                assert handle.labels_info().labels == 300

        place.chmod(0o755)
        without_rights(refused)
        assert not labels.exists()
        labels.touch()
        os.chown(labels, NOBODY, NOBODY)
        without_rights(begins_in_place)
        assert ids(labels) == ["N1"]
        assert read_label_file(labels).retired_compiled == (1,)
    finally:
        shutil.rmtree(place)


def test_a_refused_first_change_leaves_no_label_file_to_read(bundle: Path) -> None:
    with open_bundle(bundle) as handle, pytest.raises(BadInput, match="label with the id L0003"):
        handle.add_labels([NewLabel("L0003", "red")])
    assert read_label_file_if_any(label_file_of(bundle)) is None
    change(bundle)
    assert read_label_file_if_any(label_file_of(bundle)) is not None


# ---- only regular files -----------------------------------------------------------------------------------------


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as end:
        before = os.getcwd()
        os.chdir(path.parent)  # the name of a socket may have 107 bytes
        try:
            end.bind(path.name)
        finally:
            os.chdir(before)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (make_pipe, "pipe"),
        (make_socket, "socket"),
        (lambda path: path.mkdir(), "directory"),
        (lambda path: path.symlink_to("/dev/zero"), "device"),
        (lambda path: path.symlink_to("/dev/null"), "device"),
    ],
)
def test_what_is_no_regular_file_is_refused_at_once(
    bundle: Path, tmp_path: Path, make: Callable[[Path], None], kind: str
) -> None:
    odd = tmp_path / "odd"
    make(odd)

    def check() -> None:
        def refuses(match: str, work: Callable[[], object]) -> None:
            with pytest.raises(EdgexlError, match=match):
                work()

        refuses(f"odd: the file cannot be read: it is a .*{kind}", lambda: open_bundle(odd))
        refuses(f"odd: the file cannot be read: it is a .*{kind}", lambda: open_bundle(odd, copy=True))
        refuses(f"label file .*odd cannot be read: it is a .*{kind}", lambda: open_bundle(bundle, labels_path=odd))
        refuses("odd", lambda: read_bundle(odd))
        refuses("odd", lambda: read_label_file(odd))
        refuses("odd", lambda: read_label_file_if_any(odd))
        ort = build().write(tmp_path / "ort.exl")
        refuses(f"cannot be loaded from .*odd .*{kind}", lambda: open_bundle(ort, engine_library=odd))
        with open_bundle(bundle, labels_path=tmp_path / "labels", engine=False) as handle:
            odd.rename(tmp_path / "labels")
            refuses(f"label file .* cannot be written: it is a .*{kind}", lambda: handle.retire_labels(["L0001"]))
            refuses(f"label file .* cannot be read: it is a .*{kind}", handle.refresh_labels)

    in_child(check)  # which is killed where it waits


@pytest.mark.parametrize("copy", [False, True])
def test_files_that_are_nothing_or_not_what_they_say(tmp_path: Path, copy: bool) -> None:
    (tmp_path / "empty.exl").touch()
    with pytest.raises(BadInput, match="file is empty"):
        open_bundle(tmp_path / "empty.exl", copy=copy)
    with pytest.raises(BadInput, match="file is empty"):
        open_bundle("/proc/self/maps", copy=copy)
    sized = Path("/sys/kernel/mm/transparent_hugepage/enabled")  # says 4096 bytes and has fewer
    if sized.exists():
        with pytest.raises(EdgexlError, match="cannot be mapped" if not copy else "shorter while it was read"):
            open_bundle(sized, copy=copy)


def test_no_more_is_read_than_the_commits_promise(bundle: Path, tmp_path: Path) -> None:
    """Files of 64 GiB that take no room on the disk: what is no label file, and one with much behind its end."""
    labels, other = label_file_of(bundle), tmp_path / "other"
    change(bundle)
    other.write_bytes(b"something else")
    for path in (labels, other):
        os.truncate(path, 64 << 30)
    began = time.monotonic()
    with pytest.raises(BadInput, match="does not begin as one does"):
        open_bundle(bundle, labels_path=other)
    with pytest.raises(BadInput, match="not a label file"):
        read_label_file(other)
    assert ids(labels) == ["N1"]
    with open_bundle(bundle) as handle:
        handle.add_labels([NewLabel("N3", "bread")])
        handle.compact_labels()
    assert time.monotonic() - began < 10
    assert ids(labels) == ["N1", "N3"]
    assert labels.stat().st_size < 10_000


@pytest.mark.parametrize("native", [True, False])
def test_a_copy_outlives_its_file(tmp_path: Path, native: bool) -> None:
    bundle = build(native=native).write(tmp_path / "tiny.exl")
    change(bundle)
    with open_bundle(bundle) as mapped, open_bundle(bundle, copy=True) as copied:
        assert (mapped.info.copied, copied.info.copied) == (False, True)
        assert mapped.info.file_bytes == copied.info.file_bytes
        before = mapped.predict("red river horse")
        mapped.close()
        with bundle.open("r+b") as stream:
            stream.truncate(5)
        after = copied.predict("red river horse")
        assert [(label.id, label.logit) for label in after.labels] == [
            (label.id, label.logit) for label in before.labels
        ]
        assert copied.self_test()["failed"] == 0
        copied.add_labels([NewLabel("N4", "winter bread")])
        assert copied.predict("winter bread").labels[0].id == "N4"
        assert copied.label_id(3) == "L0003"


def test_a_damaged_file_is_found_in_a_copy_as_well(bundle: Path) -> None:
    content = bytearray(bundle.read_bytes())
    content[-1] ^= 1
    bundle.write_bytes(content)
    with pytest.raises(BadInput, match=r"hash|damaged"):
        open_bundle(bundle, copy=True)


# ---- 32 bits ----------------------------------------------------------------------------------------------------

ARM, QEMU = "arm-linux-gnueabihf-gcc", "qemu-arm"


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which(ARM) and shutil.which(QEMU)), reason=f"{ARM} or {QEMU} is not installed")
def test_large_files_where_pointers_have_32_bits(bundle: Path, tmp_path: Path) -> None:
    runtime = Path(__file__).parents[2] / "edgexl" / "runtime"
    flags = ["-std=c11", "-O0", "-static", "-ffp-contract=off", f"-I{runtime / 'include'}"]
    sources = [*map(str, sorted((runtime / "src").glob("*.c"))), str(runtime / "tools" / "exl_run.c")]
    program = tmp_path / "exl-run"
    command = [ARM, *flags, *sources, "-o", str(program), "-lm", "-ldl", "-lpthread"]
    subprocess.run(command, check=True, stderr=subprocess.PIPE)  # static programs that load libraries are warned of

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [QEMU, str(program), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)

    done = run(bundle, "red river")
    assert done.returncode == 0, done.stderr
    with open_bundle(bundle) as handle:
        assert handle.predict("red river").labels[0].id in done.stdout
    with open(tmp_path / "large.exl", "wb") as stream:
        stream.truncate(3 << 30)
    done = run(tmp_path / "large.exl", "red river")
    assert done.returncode == 3
    assert "has 3221225472 bytes, which do not fit into this device's 32-bit address space" in done.stderr
    names = subprocess.run([ARM.replace("gcc", "nm"), program], capture_output=True, text=True, check=True).stdout
    wanted = {line.split()[-1] for line in names.splitlines()}
    assert {"open64", "pread64", "pwrite64", "mmap64"} <= wanted
    assert any("fstat64" in name or "fstat_time64" in name for name in wanted)
