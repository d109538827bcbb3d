"""`edgexl labels`: its JSON, what it tells people, its exit statuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from edgexl.data.label_set import LabelSet
from tests.command_line import Edgexl, Tiny
from tests.runtime.tiny_bundle import build


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return build(native=True).write(tmp_path / "tiny.exl")


def test_one_label_comes_is_changed_and_goes(bundle: Path, edgexl: Edgexl) -> None:
    report = edgexl("labels", "add", bundle, "N1", "red river horse", "--alias", "old king", "--json").json
    assert report.pop("ms") > 0
    assert report == {
        "bundle": str(bundle),
        "labels_file": f"{bundle}.labels",
        "labels": 301,
        "generation": 1,
        "file_bytes": Path(f"{bundle}.labels").stat().st_size,
        "added": 1,
        "retired": 0,
        "first_index": 300,
    }
    assert edgexl("run", bundle, "red river horse", "--json").json["labels"][0]["id"] == "N1"
    assert edgexl("labels", "replace", bundle, "N1", "silver song").out.startswith("1 replaced in ")
    shown = edgexl("labels", "list", bundle)
    assert "silver song" in shown.out
    assert "red river" not in shown.out
    gone = edgexl("labels", "retire", bundle, "N1", "L0004", "--json").json
    assert (gone["retired"], gone["labels"]) == (2, 299)
    assert [line["uid"] for line in edgexl("labels", "list", bundle, "--state", "retired", "--json").lines] == [
        "L0004",
        "N1",
        "N1",
    ]
    assert len(edgexl("labels", "list", bundle, "--state", "all", "--json").lines) == 302
    assert "2 dropped" in edgexl("labels", "compact", bundle).out
    compacted = edgexl("labels", "compact", bundle, "--json").json
    assert (compacted["dropped"], compacted["labels"]) == (0, 299)
    assert compacted["file_bytes"] == compacted["file_bytes_before"]


def test_files_of_labels_and_a_list_to_add_again(bundle: Path, tmp_path: Path, edgexl: Edgexl) -> None:
    LabelSet(("N1", "N2"), ("red river", "dark forest"), ((), ("silver song",))).save(tmp_path / "new.json.gz")
    assert edgexl("labels", "add", bundle, "--file", tmp_path / "new.json.gz", "--json").json["added"] == 2
    listed = edgexl("labels", "list", bundle, "--json")
    assert listed.lines[1] == {
        "uid": "N2",
        "title": "dark forest",
        "index": 301,
        "aliases": ["silver song"],
        "state": "added",
    }
    # the bundle is compiled anew: its label file does not fit any more, but tells what to add again
    build(native=True, labels=280).write(bundle)
    edgexl("run", bundle, "red river").refuses(2, "made for another bundle")
    (tmp_path / "again.jsonl").write_text(edgexl("labels", "list", bundle, "--json").out)
    Path(f"{bundle}.labels").unlink()
    assert edgexl("labels", "add", bundle, "--file", tmp_path / "again.jsonl", "--json").json["labels"] == 282
    retired = edgexl("labels", "retire", bundle, "--file", tmp_path / "again.jsonl", "--json").json
    assert (retired["retired"], retired["labels"]) == (2, 280)


def test_a_label_file_elsewhere(bundle: Path, tmp_path: Path, edgexl: Edgexl) -> None:
    mine = tmp_path / "mine"
    assert edgexl("labels", "retire", bundle, "L0001", "--labels-file", mine).status == 0
    assert mine.is_file()
    listed = edgexl("labels", "list", bundle, "--state", "retired", "--labels-file", mine, "--json")
    assert [line["uid"] for line in listed.lines] == ["L0001"]
    assert edgexl("labels", "list", bundle, "--state", "retired", "--json").out == ""
    assert edgexl("labels", "replace", bundle, "L0002", "red river", "--labels-file", mine).status == 0
    assert edgexl("labels", "compact", bundle, "--labels-file", mine, "--json").json["labels"] == 299
    assert not Path(f"{bundle}.labels").exists()


def test_what_cannot_be_done(bundle: Path, tmp_path: Path, edgexl: Edgexl) -> None:
    edgexl("labels", "add", bundle).refuses(2, "Give an id and a text, or a file")
    edgexl("labels", "add", bundle, "N1").refuses(2, "Give an id and a text")
    edgexl("labels", "add", bundle, "N1", "red", "--file", tmp_path / "x.jsonl").refuses(2, "not both")
    edgexl("labels", "add", bundle, "L0001", "red").refuses(2, "a label with the id L0001", "replace it")
    edgexl("labels", "add", bundle, "N1", " ").refuses(2, "holds no token")
    edgexl("labels", "replace", bundle, "N1", "red").refuses(2, "no label with the id N1")
    edgexl("labels", "retire", bundle).refuses(2, "Give the ids")
    edgexl("labels", "retire", bundle, "N1").refuses(2, "no label with the id N1")
    (tmp_path / "bad.jsonl").write_text(json.dumps({"title": "red"}))
    edgexl("labels", "retire", bundle, "--file", tmp_path / "bad.jsonl").refuses(2, "line 1", "uid")
    Path(f"{bundle}.labels").write_bytes(b"not a label file")
    edgexl("labels", "list", bundle).refuses(2, "not a label file")
    edgexl("run", bundle, "red").refuses(2, "label file")


@pytest.mark.parametrize("command", ["add", "replace", "retire"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"uid,title\na,b\n", ["line 1", "CSV", "JSON lines"]),
        (b'[{"uid":"a","title":"b"}]', ["line 1", "found list", "JSON lines"]),
        ('{"uid":"a","title":"b"}'.encode("utf-16"), ["line 1", "UTF-16", "JSON lines"]),
        (b'{"uid":12,"title":"b"}', ["line 1", "'uid' is 12"]),
        (b'{"title":"b"}', ["line 1", "there is no 'uid'"]),
        (b'{"uid":"fine","title":"b"}\n{"uid":null,"title":"b"}', ["line 2", "'uid' is null"]),
        (b'{"uid":["a"],"title":"b"}', ["line 1", "'uid' is a list"]),
        (b'{"uid":' + b"1" * 4000 + b',"title":"b"}', ["line 1", "'uid' is 111"]),
    ],
)
def test_files_of_another_kind_are_named_and_nothing_changes(
    command: str, content: bytes, words: list[str], tiny: Tiny, tmp_path: Path, edgexl: Edgexl
) -> None:
    bundle, file = Path(shutil.copy(tiny.bundle, tmp_path / "b.exl")), tmp_path / "labels.any"
    file.write_bytes(content)
    edgexl("labels", command, bundle, "--file", file).refuses(2, str(file), *words)
    assert edgexl("labels", "list", bundle, "--json").out == ""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"uid":"a","title":null}', ["line 1", "'title' is null"]),
        (b'{"uid":"a"}', ["line 1", "there is no 'title'"]),
        (b'{"uid":"a","title":{"text":"b"}}', ["line 1", "'title' is {"]),
        (b'{"uid":"a","title":"b","aliases":"c"}', ["line 1", "aliases"]),
        (b'{"uid":"a","title":"b","content":"c"}', ["'a' has a description", "compile the label set"]),
    ],
)
def test_titles_that_are_no_strings(
    content: bytes, words: list[str], tiny: Tiny, tmp_path: Path, edgexl: Edgexl
) -> None:
    file = tmp_path / "labels.any"
    file.write_bytes(content)
    edgexl("labels", "add", tiny.bundle, "--file", file).refuses(2, str(file), *words)


@pytest.mark.parametrize("name", ["labels.json", "labels.jsonl", "labels.json.gz"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
def test_plain_lines_are_read_by_any_name(name: str, mark: bytes, tiny: Tiny, tmp_path: Path, edgexl: Edgexl) -> None:
    bundle, file = Path(shutil.copy(tiny.bundle, tmp_path / "b.exl")), tmp_path / name
    file.write_bytes(mark + b'{"uid":"a","title":"b"}\r\n{"uid":"c","title":"d"}')
    assert edgexl("labels", "add", bundle, "--file", file).status == 0
    assert [label["uid"] for label in edgexl("labels", "list", bundle, "--json").lines] == ["a", "c"]
    assert edgexl("labels", "retire", bundle, "--file", file).status == 0
