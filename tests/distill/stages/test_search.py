"""Rows, aliases and the search over them in training, against plain loops and against the float student."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from edgexl.base.progress import no_progress
from edgexl.data import Query
from edgexl.data.label_set import LabelSet
from edgexl.distill.corpus.rows import RowTable, with_query_aliases
from edgexl.distill.stages.compute import release_memory
from edgexl.distill.stages.search import RowSearch, encode_table, top
from edgexl.student.text import encode_texts
from edgexl.student.tokens import TokenTable
from tests.tiny import WORDS, tiny_labels, tiny_student, tiny_tokenizer

CPU = torch.device("cpu")


def aliased_labels() -> LabelSet:
    """60 labels; each query of two words stands for one to three of them."""
    labels = tiny_labels(60)
    queries = [Query(str(i), f"{WORDS[i]} {WORDS[-i - 1]}", tuple({i % 60, (7 * i) % 60, 3})) for i in range(40)]
    return with_query_aliases(labels, queries)


def test_a_text_that_stands_for_several_labels_is_one_row() -> None:
    labels = aliased_labels()
    rows = RowTable.make(labels, tiny_tokenizer(), 16, CPU)
    assert rows.texts[:60] == list(labels.texts)
    assert len(rows) == 60 + 40
    for row in range(60, 100):
        _, standing = rows.of.pairs(np.array([row]))
        assert standing.tolist() == [label for label in range(60) if rows.texts[row] in labels.aliases[label]]
    asked = (
        Query("a", rows.texts[77], (0,)),
        Query("b", "nothing of the kind", (0,)),
        Query("c", labels.texts[5], (5,)),
    )
    assert rows.rows_of_queries(asked).tolist() == [77, -1, -1]


def test_training_has_the_rows_that_the_device_will_hold() -> None:
    labels = LabelSet(("a", "b"), ("ba be", "bi"), (("BA  be", "fa", "Fa"), ("fa",)))
    rows = RowTable.make(labels, tiny_tokenizer(), 16, CPU)
    assert rows.texts == ["ba be", "bi", "fa"]
    assert rows.of.tolist() == [[0], [1], [0, 1]]
    asked = [Query(text, text, (0,)) for text in ("FA", "fa", "ba be", "BA  be", "fe")]
    assert rows.rows_of_queries(asked).tolist() == [2, 2, -1, -1, -1]
    assert rows.sample(np.array([2])).batch(np.array([0]))[0].tolist() == rows.tokens.batch(np.array([2]))[0].tolist()


@pytest.mark.parametrize("rough", [False, True])
def test_shortlists_hold_each_labels_best_row_but_never_the_query_itself(rough: bool) -> None:
    labels = aliased_labels()
    rows = RowTable.make(labels, tiny_tokenizer(), 16, CPU)
    draw = torch.Generator().manual_seed(3)
    vectors = torch.nn.functional.normalize(torch.randn(len(rows), 16, generator=draw), dim=1)
    queries = torch.nn.functional.normalize(torch.randn(9, 16, generator=draw), dim=1)
    banned = np.array([-1, 60, 61, 99, -1, 70, -1, 64, 65])
    found = RowSearch(rows.rows, vectors, rough).shortlists(queries, 60, banned, no_progress)
    assert found.aliases is not None
    for place in range(9):
        scores = vectors @ queries[place]
        own, best = scores[:60].clone(), torch.full((60,), -torch.inf)
        for row in range(60, len(rows)):
            if row != banned[place]:
                for label in rows.of.pairs(np.array([row]))[1]:
                    best[label] = max(best[label], scores[row])
        total = torch.maximum(own, best)
        assert found.labels[place].tolist() == total.argsort(descending=True, stable=True).tolist()
        alias = torch.where(best.isinf(), own, best)[found.labels[place].long()]
        assert torch.allclose(found.aliases[place].float(), alias, atol=1e-3)


def test_equal_scores_go_to_the_lower_label() -> None:
    """Of many labels that share their best rows."""
    labels = tiny_labels(60)
    labels = with_query_aliases(labels, [Query(str(i), f"x{'abc'[i]}", tuple(range(i, 60, 3))) for i in range(3)])
    rows = RowTable.make(labels, tiny_tokenizer(), 16, CPU)
    vectors = torch.cat([torch.zeros(60, 4), torch.eye(3, 4)])
    query = torch.tensor([[0.5, 0.25, 0.75, 0.0]])
    found = RowSearch(rows.rows, vectors).shortlists(query, 60, np.array([-1]), no_progress)
    assert found.labels[0].tolist() == [*range(2, 60, 3), *range(0, 60, 3), *range(1, 60, 3)]
    assert found.aliases is not None
    assert found.aliases[0].tolist() == [0.75] * 20 + [0.5] * 20 + [0.25] * 20


def test_a_rough_search_scores_fp16_rows_in_fp32() -> None:
    rows = RowTable.make(aliased_labels(), tiny_tokenizer(), 16, CPU)
    draw = torch.Generator().manual_seed(4)
    half = torch.nn.functional.normalize(torch.randn(len(rows), 16, generator=draw), dim=1).half()
    queries = torch.nn.functional.normalize(torch.randn(5, 16, generator=draw), dim=1)
    nobody = np.full(5, -1)
    for search in (RowSearch(rows.rows, half, rough=True), RowSearch(rows.rows, half.float(), rough=True)):
        scores, found = search.best_rows(queries, 40, nobody)
        assert scores.dtype == torch.float32
        wanted = torch.einsum("nd,nkd->nk", queries, half.float()[found])
        torch.testing.assert_close(scores, wanted, rtol=0, atol=1e-6)  # a CPU without bf16 searches in one product
        assert (scores.diff(dim=1) <= 0).all()


@pytest.mark.skipif(sys.platform != "linux", reason="/proc and malloc_trim are Linux's")
def test_released_memory_goes_back_to_the_system() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    class Cycle:
        def __init__(self) -> None:
            self.own, self.blocks = self, [torch.ones(1 << 16) for _ in range(800)]  # 200 MB in blocks of 256 KB

    release_memory()
    before = resident()
    kept = [Cycle(), torch.ones(1 << 16)]
    assert resident() - before > 150e6
    del kept[0]
    release_memory()
    assert resident() - before < 50e6


def test_encoding_a_table_is_encoding_each_text() -> None:
    student = tiny_student()
    table = TokenTable.of(encode_texts(student.tokenizer, student.labels.texts, 16), CPU)
    told: list[tuple[str, int, int]] = []
    vectors = encode_table(student.screener, table, "encode", lambda *line: told.append(line), half=False)
    assert told[-1] == ("encode", 300, 300)
    with torch.inference_mode():
        for label in (0, 17, 299):
            alone = student.screener(*table.batch(np.array([label])))[0][0]
            assert torch.allclose(vectors[label], alone, atol=1e-5)


@pytest.mark.parametrize("rows", [64, 1000, 4097])
@pytest.mark.parametrize("count", [1, 7, 40])
def test_the_best_of_many_scores_are_those_of_all(rows: int, count: int) -> None:
    """Also those in the last block, which is shorter, and where nearly all are barred."""
    draw = torch.Generator().manual_seed(rows + count)
    scores = torch.randn(5, rows, generator=draw)
    scores[0, -1] = 100.0
    scores[1, 3:] = -torch.inf
    scores[2] = scores[2].sort().values
    values, places = top(scores, count)
    wanted = scores.topk(count, dim=1)
    assert torch.equal(values, wanted.values)
    finite = values.isfinite()
    assert torch.equal(places[finite], wanted.indices[finite])
    assert int(places.max()) < rows
