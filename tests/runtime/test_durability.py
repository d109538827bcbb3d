"""A disk that does not confirm: what the command line and Python say of a change is what every process then finds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgexl.bundle.label_file import label_file_of, read_label_file
from edgexl.runtime.binding import NewLabel, open_bundle
from tests.runtime.tiny_bundle import build

# Put before the system's by the loader; the call with the number $FAILS fails, counted from 1, and where that is
# negative all from there on.
FSYNC = """
#include <errno.h>
#include <stdlib.h>
int fsync(int file) {
    static int calls;
    int fails = atoi(getenv("FAILS"));
    (void)file;
    calls++;
    if (fails != calls && (fails > 0 || calls < -fails))
        return 0;
    errno = EIO;
    return -1;
}
"""
IN_FORCE = "the change is in force, but the system did not confirm that it is on the disk (Input/output error)"


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("shim")
    (directory / "fsync.c").write_text(FSYNC)
    subprocess.run(["cc", "-shared", "-fPIC", "fsync.c", "-o", "fsync.so"], cwd=directory, check=True)
    return directory / "fsync.so"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = build(native=True).write(tmp_path / "tiny.exl")
    with open_bundle(path) as handle:
        handle.add_labels([NewLabel("N1", "red river horse"), NewLabel("N2", "old king")])
    return path


def python(shim: Path, fails: int, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LD_PRELOAD": str(shim), "FAILS": str(fails)}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


def there(bundle: Path) -> set[str]:
    return {label.id for label in read_label_file(label_file_of(bundle)).added if not label.retired}


@pytest.mark.parametrize(("fails", "in_force"), [(1, False), (2, True), (-1, False), (-2, True)])
@pytest.mark.parametrize(
    ("arguments", "after"),
    [
        (["add", "BUNDLE", "N3", "winter bread"], {"N1", "N2", "N3"}),
        (["retire", "BUNDLE", "N1"], {"N2"}),
        (["compact", "BUNDLE"], {"N1", "N2"}),
    ],
)
def test_the_command_line(
    bundle: Path, shim: Path, fails: int, in_force: bool, arguments: list[str], after: set[str]
) -> None:
    before = label_file_of(bundle).read_bytes()
    given = [str(bundle) if argument == "BUNDLE" else argument for argument in arguments]
    done = python(shim, fails, "-m", "edgexl", "labels", *given, "--json")
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    if in_force:
        report = json.loads(done.stdout)
        assert report["durable"] is False
        assert IN_FORCE in report["warning"]
        assert report["warning"] in done.stderr
        assert there(bundle) == after
    else:
        assert done.stdout == ""
        assert "the label file cannot be written: Input/output error" in done.stderr
        assert there(bundle) == {"N1", "N2"}
        assert label_file_of(bundle).read_bytes()[:256] == before[:256]
    with open_bundle(bundle, engine=False) as handle:
        assert handle.labels_info().labels == 300 + len(after if in_force else {"N1", "N2"})


def test_python(bundle: Path, shim: Path) -> None:
    program = """
import sys
from edgexl.base.errors import DeviceError, NotDurable
from edgexl.runtime.binding import NewLabel, open_bundle
with open_bundle(sys.argv[1]) as handle, open_bundle(sys.argv[1]) as other:
    try:
        handle.add_labels([NewLabel("N3", "winter bread"), NewLabel("N4", "salt")])
    except NotDurable as error:
        assert isinstance(error, DeviceError) and "is in force" in str(error)
        assert error.first == 302 == handle.find_label("N3")
    else:
        raise AssertionError("nothing was said")
    assert handle.predict("winter bread").labels[0].id == "N3"
    other.refresh_labels()
    assert other.labels_info() == handle.labels_info()
"""
    done = python(shim, -2, "-c", program, bundle)
    assert done.returncode == 0, done.stderr
    assert there(bundle) == {"N1", "N2", "N3", "N4"}
