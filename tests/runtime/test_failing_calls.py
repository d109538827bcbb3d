"""Every system call on a user's files fails in turn, or does a part of its work, or the process is killed at it: what
there was is there, or what was to be; the error is one sentence; nothing is left beside it after the next change."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgexl.bundle.signing import secret_key, sign_bundle
from edgexl.runtime.binding import NewLabel, open_bundle
from edgexl.use.diff import write_patch
from tests.runtime.tiny_bundle import build

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the loader of other systems takes no library first")

HERE = Path(__file__).parent
CALLS = ("open", "read", "write", "rename", "fsync", "ftruncate64", "flock", "fchmod", "mmap", "unlink")
CHANGES = (
    "add",
    "sign",
    *(pytest.param(change, marks=pytest.mark.slow) for change in ("open", "retire", "compact", "update", "write")),
)

# Runs in one process, with the faults before the system's calls: a fresh copy of the files for each fault.
PROGRAM = """
import ctypes, errno, itertools, json, os, shutil, sys
from pathlib import Path
from edgexl.base.errors import EdgexlError
from edgexl.bundle.read import read_bundle
from edgexl.bundle.signing import read_signature, store_signature
from edgexl.bundle.write import write_bundle
from edgexl.runtime.binding import NewLabel, open_bundle
from edgexl.runtime.patches import update_bundle

sound, work, change, calls = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4].split(",")
faults = ctypes.CDLL(None)
bundle = work / "b.exl"

def fresh():
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(sound, work)
    if change == "write":  # the labels are the old bundle's
        (work / "b.exl.labels").unlink()

def state():
    with open_bundle(bundle) as handle:
        handle.self_test()
        info = handle.labels_info()
        added = change != "write" and handle.find_label("N2")
        return info.labels, info.retired_compiled, added, bundle.read_bytes()[:64].hex()

def do():
    if change == "update":
        return update_bundle(bundle, work / "p.exlp")
    if change == "sign":
        return store_signature(bundle, read_signature(work / "b.minisig"))
    if change == "write":
        return write_bundle(bundle, {entry.kind: bytes(read_bundle(work / "new.exl").section(entry.kind))
                                     for entry in read_bundle(work / "new.exl").entries})
    with open_bundle(bundle) as handle:
        if change == "add":
            handle.add_labels([NewLabel("N9", "winter bread")])
        elif change == "retire":
            handle.retire_labels(["L0007"])
        elif change == "compact":
            handle.compact_labels()
        else:
            handle.predict("red river")

def fail(call, number, reason):
    # Do it with that fault; what came of it, or None where there are fewer such calls.
    faults.faults_arm(call.encode(), number, reason, str(work).encode())
    try:
        do()
        outcome = "passed"
    except EdgexlError as error:
        outcome = "failed"
        assert str(error).count("\\n") == 0, str(error)
    return outcome if faults.faults_end() >= number else None

def kill(call, number):
    # The same in a child that is killed at that call.
    child = os.fork()
    if child == 0:
        fail(call, number, -1)
        os._exit(0)
    return "killed" if os.WIFSIGNALED(os.waitpid(child, 0)[1]) else None

fresh()
before = state()
do()
after = state()
left = sorted(os.listdir(work))
done = {"failed": 0, "passed": 0, "killed": 0, "old": 0, "new": 0}
for call in calls:
    for reason in (errno.EIO, errno.ENOSPC, errno.EINTR, 0, -1):
        for number in itertools.count(1):
            where = (call, number, reason)
            fresh()
            outcome = kill(call, number) if reason < 0 else fail(call, number, reason)
            if outcome is None:
                break
            found = state()
            assert found in (before, after), (*where, before, after, found)
            assert outcome != "passed" or found == after, (*where, "it said that all was well")
            done[outcome] += 1
            done["new" if found == after else "old"] += 1
            if found == before or change != "update":
                try:
                    do()
                except EdgexlError as error:
                    assert found == after, (*where, str(error))
                stray = [name for name in os.listdir(work) if name not in left]
                assert not stray, (*where, stray)
print(json.dumps(done))
"""


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("faults") / "faults.so"
    flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["cc", *flags, str(HERE / "failing_calls.c"), "-o", str(library), "-ldl"], check=True)
    return library


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with a label file that can be compacted, a patch, a signature, and another bundle."""
    directory = tmp_path_factory.mktemp("sound")
    bundle = build(native=True).write(directory / "b.exl")
    other = build(native=True, windows=5).write(directory / "new.exl")
    write_patch(bundle, other, directory / "p.exlp")
    signature = sign_bundle(bundle, secret_key(b"edgexl 1", bytes([7]) * 32), version=3)
    (directory / "b.minisig").write_text(signature.text)
    with open_bundle(bundle) as handle:
        handle.add_labels([NewLabel("N1", "red river horse"), NewLabel("N2", "old king")])
        handle.retire_labels(["N1"])
    return directory


@pytest.mark.parametrize("change", CHANGES)
def test_every_call_in_turn(change: str, faults: Path, sound: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "LD_PRELOAD": str(faults)}
    command = [sys.executable, "-c", PROGRAM, sound, tmp_path / "work", change, ",".join(CALLS)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    counts = json.loads(done.stdout)
    print(f"{change}: {counts}")
    assert counts["failed"] > 4
    assert counts["killed"] > 1
