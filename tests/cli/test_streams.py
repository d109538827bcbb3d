"""Standard streams in any state, labels and paths of any letters: no traceback, and the status says what happened."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from edgexl.cli.streams import print_line, printable, printable_json
from tests.command_line import Edgexl, Tiny

# An emoji of two characters, one that joins and one that chooses; an accent; a right-to-left word.
SEEN = "🧑‍🚀 ❤️ é שלום"
UNSEEN = "\x1b[31mred\x07 a\nb\r\tc \x7f \x9b2J \u202eevil\u2066 \u2028"
ESCAPED = r"\x1b[31mred\x07 a\nb\r\tc \x7f \x9b2J \u202eevil\u2066 \u2028"


@pytest.fixture
def bundle(tiny: Tiny, tmp_path: Path) -> Path:
    """A copy of the tiny bundle, to which labels may be added."""
    return Path(shutil.copy(tiny.bundle, tmp_path / "b.exl"))


def call(*arguments: str | Path | bytes, shell: str = "", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """`edgexl` as a process, with redirections by the shell."""
    command = ["sh", "-c", f'exec "$@" {shell}', "sh", sys.executable, "-m", "edgexl", *arguments]
    return subprocess.run(command, capture_output=True, env={**os.environ, **environment}, check=False)


def test_what_a_terminal_acts_on_is_escaped() -> None:
    assert printable(SEEN) == SEEN
    assert printable(UNSEEN) == ESCAPED
    assert printable("caf\udce9 \ud800") == r"caf\xe9 \ud800"
    document = json.dumps({"a": UNSEEN + SEEN}, ensure_ascii=False)
    assert json.loads(printable_json(document)) == {"a": UNSEEN + SEEN}
    assert printable(printable_json(document)) == printable_json(document)


def test_what_an_encoding_lacks_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, "latin-1"))
    print_line("é ❤")
    assert raw.getvalue() == b"\xe9 \\u2764\n"


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_every_command_can_print_any_label_and_path(encoding: str, bundle: Path, tmp_path: Path) -> None:
    place = tmp_path / "dir 🦊"
    place.mkdir()
    bundle = bundle.rename(place / "b❤.exl")
    environment = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    words = f"foo {SEEN}"
    added = call("labels", "add", bundle, "❤ id", words, **environment)
    assert added.returncode == 0, added.stderr
    assert b"1 added" in added.stdout
    for arguments in (
        ("labels", "list", bundle),
        ("labels", "list", bundle, "--state", "all", "--json"),
        ("complete", bundle, "foo"),
        ("complete", bundle, "foo", "--json"),
        ("run", bundle, "foo ❤", "--explain", "❤ id"),
        ("run", bundle, "foo ❤", "--json"),
        ("inspect", bundle),
        ("labels", "retire", bundle, "❤ id"),
        ("labels", "compact", bundle),
    ):
        done = call(*arguments, **environment)
        assert (done.returncode, done.stderr) == (0, b""), (arguments, done.stderr)
        if arguments[0] == "complete" and arguments[-1] == "--json":
            assert json.loads(done.stdout.decode(encoding))["labels"] == [{"id": "❤ id", "text": words}]


@pytest.mark.parametrize("name", [b"\xff\xfe.exl", "❤.exl".encode(), b"a\x1b[2Jb", b"two\nlines", b"n" * 300])
def test_an_error_can_name_any_path(name: bytes) -> None:
    for arguments in ([b"inspect", name], [b"run", name, b"x"], [b"recipes", name]):
        done = call(*arguments, PYTHONIOENCODING="latin-1", PYTHONUTF8="0")
        assert done.returncode == 2, done.stderr
        assert done.stderr.count(b"\n") == 1, done.stderr
        assert b"Traceback" not in done.stderr
        assert b"\x1b" not in done.stderr


def test_labels_are_printed_on_one_line_without_their_escapes(bundle: Path, edgexl: Edgexl) -> None:
    assert edgexl("labels", "add", bundle, f"odd {UNSEEN}", f"foo {UNSEEN}", "--alias", f"bar {UNSEEN}").status == 0
    for arguments in (("labels", "list"), ("complete",), ("run",)):
        words = ("foo",) if arguments != ("labels", "list") else ()
        said = edgexl(*arguments, bundle, *words)
        assert said.status == 0
        assert not set(said.out) & set("\x1b\x07\x7f\x9b\u202e\u2066\u2028\r\t"), said.out
        if arguments != ("run",):
            assert said.out.count("\n") == (1 if arguments == ("complete",) else 2)
            assert ESCAPED in said.out
    assert edgexl("complete", bundle, "foo", "--json").json["labels"][0]["text"] == f"foo {UNSEEN}"
    said = edgexl("labels", "add", bundle, f"odd {UNSEEN}", "again")
    said.refuses(2, "odd")
    assert "\x1b" not in said.err
    edgexl("run", bundle, "foo", "--\x1b[31m")
    said = edgexl("labels", "add", bundle, "--\x1b[31m")
    assert said.status == 2
    assert "\x1b" not in said.err


@pytest.mark.parametrize("shell", ["<&-", "2>&-", "<&- 2>&-"])
def test_closed_streams_that_a_command_does_not_need_change_nothing(shell: str, bundle: Path) -> None:
    for arguments in (("targets",), ("run", bundle, "ba")):
        done = call(*arguments, shell=shell)
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout


def test_texts_from_a_closed_standard_input(bundle: Path) -> None:
    done = call("run", bundle, "-", shell="<&-")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == b"edgexl: Standard input is closed; give the text as an argument, or send texts in.\n"


@pytest.mark.parametrize("shell", [">&-", ">/dev/full", "<&- >&-"])
def test_output_that_is_lost_is_said_and_what_was_changed_stays(shell: str, bundle: Path) -> None:
    done = call("labels", "add", bundle, "new", "foo bar", shell=shell)
    assert done.returncode == 3
    assert done.stderr.count(b"\n") == 1
    assert b"standard output" in done.stderr
    assert json.loads(call("labels", "list", bundle, "--json").stdout)["uid"] == "new"
    done = call("labels", "retire", bundle, "none", shell=shell)
    assert done.returncode == 2


@pytest.mark.parametrize("shell", ["2>&-", "2>/dev/full"])
def test_an_error_that_cannot_be_said_keeps_its_status(shell: str, tmp_path: Path) -> None:
    assert call("inspect", tmp_path / "none", shell=shell).returncode == 2


def test_everything_closed(bundle: Path) -> None:
    assert call("labels", "add", bundle, "new", "foo bar", shell="<&- >&- 2>&-").returncode == 3
    assert call("inspect", "none", shell="<&- >&- 2>&-").returncode == 2
    assert json.loads(call("labels", "list", bundle, "--json").stdout)["uid"] == "new"


@pytest.fixture
def bare() -> list[str]:
    """A command that runs another one as a user without a name, a home, and any variable of the environment."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can become a user without a name, by setpriv(1)")
    # with root's right to read, for the interpreter may lie in root's home
    rights = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    user = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", *rights]
    return [*user, "env", "-i", sys.executable, "-m", "edgexl"]


@pytest.mark.slow
def test_a_user_without_home_and_name(bare: list[str], tiny: Tiny) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        place.chmod(0o777)
        bundle, student, recipe = place / "b.exl", place / "student", place / "tiny.toml"
        shutil.copy(tiny.bundle, bundle)
        shutil.copytree(tiny.student, student)
        shutil.copy(tiny.recipe, recipe)
        subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
        for arguments in (
            ["targets"],
            ["run", bundle, "ba"],
            ["inspect", bundle, "--self-test"],
            ["profile", bundle, "--runs", "3"],
            ["labels", "add", bundle, "new", "foo bar"],
            ["eval", bundle, student / "evaluation.json.gz", "--limit", "5"],
            ["compile", student, "--recipe", recipe, "--target", "host", "-o", place / "out.exl"],
        ):
            done = subprocess.run([*bare, *arguments], capture_output=True, text=True, cwd="/", check=False)
            assert done.returncode == 0, (arguments, done.stderr)
        for arguments in (["data", "build", "wordnet", place / "data"], ["demo"]):
            done = subprocess.run([*bare, *arguments], capture_output=True, text=True, cwd="/", check=False)
            assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
            assert "no home directory" in done.stderr
            assert "XDG_CACHE_HOME" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("place", ["/proc/none", "/dev/null"])
def test_a_cache_and_a_scratch_directory_that_cannot_be_written(place: str, tiny: Tiny, tmp_path: Path) -> None:
    where = ("--recipe", tiny.recipe, "--target", "host", "-o", tmp_path / "out.exl")
    done = call("compile", tiny.student, *where, XDG_CACHE_HOME=place, TMPDIR=place)
    assert done.returncode == 0, done.stderr
    done = call("demo", XDG_CACHE_HOME=place)
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1), done.stderr


def test_a_scratch_directory_that_is_full(tiny: Tiny, tmp_path: Path, small_disk: Path) -> None:
    (small_disk / "filler").write_bytes(bytes(1020 << 10))
    where = ("--recipe", tiny.recipe, "--target", "host", "-o", tmp_path / "out.exl")
    done = call("compile", tiny.student, *where, TMPDIR=str(small_disk), XDG_CACHE_HOME=str(small_disk))
    assert done.returncode in (0, 3), done.stderr
    assert b"Traceback" not in done.stderr
    if done.returncode:
        assert done.stderr.count(b"\n") == 1


def test_a_fault_of_edgexl_is_no_failed_gate(monkeypatch: pytest.MonkeyPatch, edgexl: Edgexl) -> None:
    def fail(*_: object) -> None:
        raise KeyError("odd\nkey")

    monkeypatch.setattr("edgexl.target.load_target", fail)
    edgexl("targets", "host").refuses(3, "KeyError", "EDGEXL_DEBUG=1")
    monkeypatch.setenv("EDGEXL_DEBUG", "1")
    said = edgexl("targets", "host")
    assert said.status == 3
    assert "Traceback" in said.err
