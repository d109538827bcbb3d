"""Public benchmarks: what files are taken for, how ranks are judged, and that each rival finds what it must."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.public.__main__ import as_table, main, run
from benchmarks.public.systems import bm25, exact_string, rows_of, tfidf
from benchmarks.public.tasks import Task, entity_linking, reverse_dictionary
from edgexl.base.errors import BadInput
from edgexl.data import Query, write_dataset
from edgexl.data.label_set import LabelSet
from tests.command_line import Tiny

LABELS = LabelSet(
    ("D1", "D2", "D3", "D4"),
    ("Heart attack", "Broken arm", "Common cold", "Measles"),
    aliases=(("myocardial infarction",), ("fracture of the humerus",), ("coryza", "rhinitis"), ()),
    descriptions=((), (), ("a running nose that goes away",), ()),
)
MENTIONS = (Query("1", "myocardial  Infarction", (0,)), Query("2", "measels", (3,)), Query("3", "arm, broken", (1, 2)))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write_dataset(tmp_path / "diseases", LABELS, [Query("0", "heart stroke", (0,))], MENTIONS, "made up")
    return tmp_path / "diseases"


def test_a_directory_is_mentions_over_names(directory: Path) -> None:
    task = entity_linking(directory)
    assert (task.texts, task.gold) == (tuple(each.text for each in MENTIONS), ((0,), (3,), (1, 2)))
    assert task.labels.aliases[0] == ("myocardial infarction",)
    assert entity_linking(directory, with_training=True).labels.aliases[0] == ("myocardial infarction", "heart stroke")
    texts, labels = rows_of(task)
    assert list(zip(texts, labels.tolist(), strict=True))[4:8] == [
        ("Common cold", 2), ("coryza", 2), ("rhinitis", 2), ("Common cold: a running nose that goes away", 2),
    ]  # fmt: skip


def test_rivals_find_what_their_kind_can(directory: Path) -> None:
    task = entity_linking(directory)
    assert [row.tolist() for row in exact_string(task)] == [[0], [], []]
    assert [row[0] for row in tfidf(task)] == [0, 3, 1]
    words = bm25(task)
    assert (words[0][0], words[2][0], words[1].tolist()) == (0, 1, [])  # which no spelling but the right one finds


def test_bm25_is_the_formula(directory: Path) -> None:
    """By hand: a word of one row of eight, whose rows have 14 words in all."""
    task = entity_linking(directory)
    texts, _ = rows_of(task)
    lengths = [len(text.replace(":", "").split()) for text in texts]
    alone = Task("", task.labels, ("measles", "broken"), ((3,), (1,)))
    scores = {}
    for word, row in (("measles", "Measles"), ("broken", "Broken arm")):
        found = sum(word in text.lower().split() for text in texts)
        rare = np.log(1 + (len(texts) - found + 0.5) / (found + 0.5))
        scores[word] = rare * 2.2 / (1 + 1.2 * (0.25 + 0.75 * len(row.split()) / np.mean(lengths)))
    assert scores["measles"] > scores["broken"]  # the shorter row
    assert [row[0] for row in bm25(alone)] == [3, 1]


def test_ranks_count_from_nought_and_among_candidates_alone() -> None:
    task = Task("", LABELS, ("a", "b", "c"), ((0,), (1, 2), (3,)))
    ranked = [np.array([1, 0]), np.array([0, 3, 2, 1]), np.array([0, 1])]
    assert task.judge(ranked) == {"median": 2.0, "acc@1": 0.0, "acc@10": 0.6667, "acc@100": 0.6667}
    listed = Task("", LABELS, ("a", "b", "c"), ((0,), (1, 2), (3,)), candidates=frozenset({0, 2, 3}))
    assert listed.judge(ranked)["acc@1"] == 0.3333


def test_lines_that_are_none_are_named(tmp_path: Path, directory: Path) -> None:
    words = tmp_path / "words.tsv"
    words.write_text("word\tdescription\nbakery a place for bread\n", encoding="utf-8")
    with pytest.raises(BadInput, match="line 2: expected a word and its description"):
        reverse_dictionary(words)
    with pytest.raises(BadInput, match="cannot be read"):
        reverse_dictionary(tmp_path / "none.tsv")
    write_dataset(tmp_path / "empty", LABELS, [], [], "")
    with pytest.raises(BadInput, match="no test query with targets"):
        entity_linking(tmp_path / "empty")


@pytest.mark.slow
def test_words_are_those_of_wordnet_or_of_a_list(tmp_path: Path) -> None:
    words, only = tmp_path / "words.tsv", tmp_path / "list"
    words.write_text("word\tdescription\nBakery\twhere bread is sold\nxyzzy\tno word\nbridge\ta way over water\n")
    task = reverse_dictionary(words)
    assert [task.labels.texts[gold] for (gold,) in task.gold] == ["bakery", "bridge"]
    [gloss] = task.labels.descriptions[task.gold[0][0]]
    assert gloss.startswith("a workplace where baked goods")
    only.write_text("bakery\ncat\n")
    listed = reverse_dictionary(words, only)
    assert (listed.texts, len(listed.candidates or ())) == (("where bread is sold",), 2)


def test_a_median_beyond_all_ranks_is_null_in_json(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["public", "linking", str(directory), "--rivals", "exact", "--json"])
    main()

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    [row] = json.loads(capsys.readouterr().out, parse_constant=refuse)["systems"]
    assert (row["median"], row["acc@1"]) == (None, 0.3333)


def test_a_bundle_and_rivals_stand_in_one_table(tiny: Tiny, tmp_path: Path) -> None:
    """The tiny student's own labels are the dictionary."""
    from edgexl.student.student import load_student

    student = load_student(tiny.student)
    write_dataset(tmp_path / "ncbi-disease", student.labels, [], student.evaluation, "")
    options = argparse.Namespace(
        task="linking", directory=tmp_path / "ncbi-disease", with_training=False, bundle=[tiny.bundle], student=None,
        recipe="balanced", rivals=["exact", "tfidf"],
    )  # fmt: skip
    report = run(options)
    ours, screening, exact, characters = report["systems"]
    assert ours["bytes"] == tiny.bundle.stat().st_size
    assert ours["acc@100"] == screening["acc@100"] > characters["acc@1"] >= exact["acc@1"]
    table = as_table(report)
    assert "BioSyn (BERT)" in table
    assert "published" in table
    assert max(map(len, table.splitlines()[:7])) <= 100
