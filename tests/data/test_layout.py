"""The raw layout: published files are read as they are, wrong ones are refused by file and line."""

from __future__ import annotations

import gzip
import json

import pytest

from edgexl.base.errors import BadInput
from edgexl.data import Query, open_dataset, read_queries, write_dataset, write_queries
from edgexl.data.label_set import LabelSet

LABELS = LabelSet(("l0", "l1", "l2"), ("apple", "pear", "plum"))
QUERIES = [Query("q0", "a red fruit", (0, 2)), Query("q1", "", ()), Query("q2", "naïve \U0001f350", (1,))]


def _gz(path, *records):
    path.write_bytes(gzip.compress("".join(json.dumps(record) + "\n" for record in records).encode()))


@pytest.fixture
def published(tmp_path):
    """Files as the repository publishes them: labels without content, relevances as floats."""
    _gz(tmp_path / "lbl.json.gz", {"uid": "B01", "title": "Red Kettle"}, {"uid": "B02", "title": "Tea Pot"})
    query = {"uid": "B03", "title": "Kettle", "content": "Boils water.", "target_ind": [1, 0], "target_rel": [1.0, 1.0]}
    _gz(tmp_path / "trn.json.gz", query)
    _gz(tmp_path / "tst.json.gz", query | {"uid": "B04", "content": ""}, {"uid": "B05", "title": "", "target_ind": []})
    return tmp_path


def test_published_files_are_read_by_title(published):
    dataset = open_dataset(published)
    assert dataset.labels == LabelSet(("B01", "B02"), ("Red Kettle", "Tea Pot"))
    assert list(dataset.queries("trn")) == [Query("B03", "Kettle", (1, 0))]
    assert list(dataset.queries("tst")) == [Query("B04", "Kettle", (1, 0)), Query("B05", "", ())]


def test_queries_without_text_are_kept_and_can_be_named(published):
    record = {"uid": "B06", "title": " \t", "target_ind": [1], "target_rel": [1.0]}
    _gz(published / "tst.json.gz", record | {"title": "tea"}, record, record | {"title": ""})
    queries = list(open_dataset(published).queries("tst"))
    assert [query.has_text for query in queries] == [True, False, False]
    assert queries[1].name(published / "tst.json.gz") == f"{published / 'tst.json.gz'}, line 2: the query 'B06'"
    assert Query("q", "t", ()).name(published) == "the query 'q'"
    assert [query.has_text for query in open_dataset(published, content=True).queries("tst")] == [True, False, False]


def test_published_files_are_read_with_their_content(published):
    dataset = open_dataset(published, content=True)
    assert [query.text for query in dataset.queries("trn")] == ["Kettle Boils water."]
    assert [query.text for query in dataset.queries("tst")] == ["Kettle", ""]


def test_pairs_that_are_not_judged_are_read_where_published(published):
    dataset = open_dataset(published)
    assert dataset.excluded("tst").shape == (0, 2)
    (published / "filter_labels_test.txt").write_text("0 1\n\n1 0\n")
    assert dataset.excluded("tst").tolist() == [[0, 1], [1, 0]]
    for wrong, complaint in (
        ("0 1\n0 -1\n", "line 2: expected"),
        ("0\n", "line 1: expected"),
        ("0 2", "label 2 is out"),
    ):
        (published / "filter_labels_test.txt").write_text(wrong)
        with pytest.raises(BadInput, match=complaint):
            dataset.excluded("tst")


def test_queries_are_streamed(published):
    good = json.dumps({"uid": "x", "title": "y", "target_ind": [0]}).encode() + b"\n"
    (published / "trn.json.gz").write_bytes(gzip.compress(good * 20_000 + b"broken"))
    stream = open_dataset(published).queries("trn")
    assert next(stream) == Query("x", "y", (0,))
    with pytest.raises(BadInput, match="line 20001: not valid JSON"):
        list(stream)


def test_missing_files_are_all_named(tmp_path):
    write_queries(tmp_path / "trn.json.gz", QUERIES)
    with pytest.raises(BadInput, match=r"lbl\.json\.gz, tst\.json\.gz missing"):
        open_dataset(tmp_path)


def test_queries_survive_a_round_trip(tmp_path):
    write_queries(tmp_path / "queries.json.gz", QUERIES)
    assert list(read_queries(tmp_path / "queries.json.gz", label_count=3)) == QUERIES


_GOOD = {"uid": "q", "title": "t", "target_ind": [0], "target_rel": [1.0]}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"uid": None}, "must be strings"),
        ({"title": 7}, "must be strings"),
        ({"title": "\ud800"}, "surrogate"),
        ({"target_ind": 0}, "list of whole numbers"),
        ({"target_ind": [0.5]}, "list of whole numbers"),
        ({"target_ind": [True]}, "list of whole numbers"),
        ({"target_ind": [3]}, "target 3 is out of range; the data set has 3 labels"),
        ({"target_ind": [-1]}, "target -1 is out of range"),
        ({"target_ind": [10**30]}, "target of 100 bits is out of range"),
        ({"target_rel": [1.0, 1.0]}, "target_rel must be a list as long as target_ind"),
    ],
)
def test_wrong_queries_are_refused_by_file_and_line(tmp_path, change, complaint):
    _gz(tmp_path / "tst.json.gz", _GOOD, _GOOD | change)
    with pytest.raises(BadInput, match=complaint) as caught:
        list(read_queries(tmp_path / "tst.json.gz", label_count=3))
    assert "tst.json.gz, line 2" in str(caught.value)


def test_targets_that_no_label_set_reaches_are_refused_without_one(tmp_path):
    _gz(tmp_path / "q.json.gz", _GOOD | {"target_ind": [2**32 - 1]}, _GOOD | {"target_ind": [10**4000]})
    queries = read_queries(tmp_path / "q.json.gz")
    assert next(queries).targets == (2**32 - 1,)
    with pytest.raises(BadInput, match="line 2: target of 13288 bits is out of range") as caught:
        next(queries)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("key", ["uid", "title", "target_ind"])
def test_missing_keys_are_named(tmp_path, key):
    _gz(tmp_path / "tst.json.gz", {name: value for name, value in _GOOD.items() if name != key})
    with pytest.raises(BadInput, match=f"line 1: the key '{key}' is missing"):
        list(read_queries(tmp_path / "tst.json.gz"))


def test_a_written_data_set_is_complete_readable_and_the_same_each_time(tmp_path):
    steps = []
    for name in ("one", "other"):
        dataset = write_dataset(
            tmp_path / name, LABELS, QUERIES, QUERIES[:1], "where from\n", lambda *step: steps.append(step)
        )
    assert dataset.labels == LABELS
    assert list(dataset.queries("trn")) == QUERIES
    assert list(dataset.queries("tst")) == QUERIES[:1]
    assert steps[-1] == ("write tst.json.gz", 1, 1)
    assert (tmp_path / "one/ABOUT.txt").read_text() == "where from\n"
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "other" / file.name).read_bytes()


def test_an_older_data_set_is_replaced_and_anything_else_is_left_alone(tmp_path):
    target = tmp_path / "set"
    write_dataset(target, LABELS, QUERIES, QUERIES, "old")
    write_dataset(target, LABELS, QUERIES[:1], QUERIES, "new")
    assert list(open_dataset(target).queries("trn")) == QUERIES[:1]
    (target / "notes.txt").write_text("mine")
    with pytest.raises(BadInput, match=r"notes\.txt"):
        write_dataset(target, LABELS, QUERIES, QUERIES, "newer")
    with pytest.raises(BadInput, match="is a file"):
        write_dataset(target / "notes.txt", LABELS, QUERIES, QUERIES, "newer")
    assert (target / "notes.txt").read_text() == "mine"


def test_a_build_that_fails_leaves_nothing_behind(tmp_path):
    def stop(_name, _done, _total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path / "set", LABELS, QUERIES, QUERIES, "", stop)
    assert list(tmp_path.iterdir()) == []
