"""Saving a student loses nothing: a mount point, a symlink, a full disk and a kill leave the old student or the new."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgexl.base.errors import DeviceError
from edgexl.student.student import Student, load_student
from tests.tiny import tiny_labels, tiny_student

# Saves the student of a seed again and again, until it is killed.
SAVER = """
import sys
from tests.tiny import tiny_labels, tiny_student
students = [tiny_student(tiny_labels(count)) for count in (20, 30)]
print("ready", flush=True)
while True:
    for student in students:
        student.save(sys.argv[1])
"""


@pytest.fixture(scope="module")
def old() -> Student:
    return tiny_student(tiny_labels(20))


@pytest.fixture(scope="module")
def new() -> Student:
    return tiny_student(tiny_labels(30))


def test_a_mount_point_gets_the_new_student(old: Student, new: Student, small_disk: Path) -> None:
    old.save(small_disk)
    new.save(small_disk)
    assert len(load_student(small_disk).labels) == 30
    assert not [name for name in os.listdir(small_disk) if name.startswith(".")]


def test_a_full_mount_point_keeps_the_old_student(old: Student, new: Student, small_disk: Path) -> None:
    old.save(small_disk)
    left = shutil.disk_usage(small_disk).free
    (small_disk / "filler").write_bytes(bytes(left - (30 << 10)))
    with pytest.raises(DeviceError, match="the disk is full"):
        new.save(small_disk)
    assert len(load_student(small_disk).labels) == 20
    assert (small_disk / "filler").exists()


def test_a_symlink_stays_and_other_files_too(old: Student, new: Student, tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    old.save(real)
    (real / "README.md").write_text("mine")
    link.symlink_to(real)
    new.save(link)
    assert link.is_symlink()
    assert len(load_student(real).labels) == len(load_student(link).labels) == 30
    assert (real / "README.md").read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == ["link", "real"]


def test_kills_leave_one_of_the_students(old: Student, tmp_path: Path, small_disk: Path) -> None:
    """At moments of chance, in both ways of writing; `tests/base/test_directories.py` tries every moment."""
    for target in (tmp_path / "student", small_disk):
        old.save(target)
        for delay_ms in (3, 11, 23, 41):
            with subprocess.Popen([sys.executable, "-c", SAVER, target], stdout=subprocess.PIPE) as saver:
                assert saver.stdout is not None
                assert saver.stdout.readline() == b"ready\n"
                time.sleep(delay_ms / 1000)
                saver.send_signal(signal.SIGKILL)
            assert len(load_student(target).labels) in (20, 30)
    old.save(tmp_path / "student")
    assert sorted(os.listdir(tmp_path)) == ["small-disk", "student"]
