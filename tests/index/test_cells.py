"""Cells: every row is in one, what a query scans is the same in numpy and C, and probes keep the recall asked for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgexl.base.errors import BadInput
from edgexl.base.progress import no_stage_progress
from edgexl.bundle.cells import Cells, unpack_cells
from edgexl.index import (
    LabelIndex,
    encode_coarse,
    encode_fine,
    fit_probes,
    make_cells,
    scan,
    scan_tables,
    train_codebook,
)
from edgexl.index.cells import _assign, _balance, _sample, cell_count
from edgexl.index.search import cell_scores, choose_cells, list_places

ROWS, DIMS = 6000, 32


@pytest.fixture(scope="module")
def clustered():
    """6,000 unit vectors around 60 centres, a third of them around one alone, and 200 queries near some."""
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((60, DIMS))
    of = np.where(rng.random(ROWS) < 1 / 3, 0, rng.integers(0, 60, ROWS))
    vectors = centres[of] + 0.6 * rng.standard_normal((ROWS, DIMS))
    queries = vectors[rng.integers(0, ROWS, 200)] + 0.4 * rng.standard_normal((200, DIMS))
    normal = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (vectors, queries)]
    return normal[0].astype(np.float32), normal[1].astype(np.float32)


@pytest.fixture(scope="module")
def cells(clustered):
    return make_cells(clustered[0], 32, DIMS - 4, seed=1)


def index_of(vectors, cells):
    codebook = train_codebook(vectors, "pq", 8, seed=0)
    order = np.arange(len(vectors)) if cells is None else cells.rows
    return LabelIndex(
        codebook=codebook, coarse=encode_coarse(vectors[order], codebook), fine=encode_fine(vectors, DIMS - 4, 8),
        labels=len(vectors), dims=DIMS, fine_dims=DIMS - 4, fine_bits=8, overfetch=400, shortlist=20,
        row_starts=np.zeros(1, np.uint32), row_labels=np.zeros(0, np.uint32), cells=cells,
    )  # fmt: skip


def test_every_row_is_in_one_cell_and_none_is_crowded(clustered, cells):
    assert np.sort(cells.rows).tolist() == list(range(ROWS))
    sizes = np.diff(cells.starts)
    assert sizes.min() > 0
    assert sizes.max() <= 2.5 * ROWS / 32  # its neighbours are full too
    for cell in range(cells.count):
        assert (np.diff(cells.rows[cells.starts[cell] : cells.starts[cell + 1]].astype(int)) > 0).all()
    again = make_cells(clustered[0], 32, DIMS - 4, seed=1)
    assert again.pack() == cells.pack()


def test_rows_lie_in_near_cells(clustered):
    vectors, _ = clustered
    centroids = vectors[:50]
    chosen = _assign(vectors, centroids, 2, no_stage_progress)
    closeness = vectors @ centroids.T
    rank = (closeness > closeness[np.arange(ROWS), chosen][:, None]).sum(axis=1)
    assert (rank < 4).all()
    assert (rank == 0).mean() > 0.6


def test_a_crowded_cell_sends_away_what_loses_least():
    cells = np.array([[0, 1], [0, 1], [0, 1], [0, 2], [1, 0]], np.int32)
    losses = np.array([[0, 0.5], [0, 0.1], [0, 0.3], [0, 0.2], [0, 9]], np.float32)
    assert _balance(cells, losses, 2, 3).tolist() == [0, 1, 0, 2, 1]
    assert _balance(cells, losses, 5, 3).tolist() == cells[:, 0].tolist()


def test_the_section_comes_back(cells):
    starts, rows, centroids = unpack_cells(cells.pack(), cells.count, ROWS, cells.dims)
    np.testing.assert_array_equal(starts, cells.starts)
    np.testing.assert_array_equal(rows, cells.rows)
    assert centroids == cells.centroids
    for broken, count in ((cells.pack()[:-1], 32), (cells.pack() + b"\0", 32), (cells.pack(), 31)):
        with pytest.raises(BadInput):
            unpack_cells(broken, count, ROWS, cells.dims)
    for place, value in ((0, 1), (1, 0), (32, ROWS - 1), (33 + 7, ROWS)):
        words = np.frombuffer(cells.pack()[: 4 * (33 + ROWS)], "<u4").copy()
        words[place] = value
        with pytest.raises(BadInput):
            unpack_cells(words.tobytes() + cells.centroids, 32, ROWS, cells.dims)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.sampled_from([1, 2, 255, 256, 257, 5000]) | st.integers(1, 20000),
    count=st.integers(1, 300),
    share=st.floats(0, 1),
    margin=st.sampled_from([0.0, 0.3, 1e9]),
    code_bytes=st.sampled_from([1, 4]),
    keep=st.sampled_from([1, 256, 4000]),
    levels=st.sampled_from([2, 63]),
)
def test_c_scans_what_numpy_scans(kernels, seed, rows, count, share, margin, code_bytes, keep, levels):
    rng = np.random.default_rng(seed)
    count, dims = min(count, rows), 6
    cuts = np.sort(rng.choice(np.arange(1, rows), count - 1, replace=False)) if count > 1 else []
    starts = np.array([0, *cuts, rows], np.uint32)
    centroids = rng.integers(-2, 3, (count, dims)).astype(np.float32)  # few different ones: many ties
    cells = Cells(
        starts, rng.permutation(rows).astype(np.uint32), encode_fine(centroids, dims, 8), dims,
        probes=max(1, round(share * count)), margin=margin,
    )  # fmt: skip
    query = rng.standard_normal(dims).astype(np.float32)
    codes = rng.integers(0, 256, -(-rows // 256) * code_bytes * 256, np.uint8)
    tables = rng.integers(0, levels, (2 * code_bytes, 16)).astype(np.uint8)
    places = list_places(cells, query)
    ends = np.append(np.flatnonzero(np.diff(places) != 1), len(places) - 1)
    expected = np.stack([places[np.concatenate([[0], ends[:-1] + 1])], places[ends] + 1], axis=1)
    blocks = codes.reshape(-1, code_bytes, 256).transpose(1, 0, 2).reshape(code_bytes, -1)[:, :rows]
    best, best_scores = scan(np.ascontiguousarray(blocks[:, places]), len(places), tables, keep)
    for isa in kernels.isas:
        ranges = kernels.probe(isa, cells, query)
        np.testing.assert_array_equal(ranges, expected, isa)
        found, scores = kernels.scan(isa, codes, rows, tables, keep, ranges)
        np.testing.assert_array_equal(found, places[best], isa)
        np.testing.assert_array_equal(scores, best_scores, isa)


def test_all_probes_find_what_the_flat_scan_finds(clustered, cells):
    vectors, queries = clustered
    flat, probing = index_of(vectors, None), index_of(vectors, cells)
    for query in queries[:20]:
        assert len(list_places(cells, query)) == ROWS
        tables = scan_tables(query, flat.codebook)
        rows, scores = scan(flat.coarse, ROWS, tables, 400)
        places, same = scan(probing.coarse, ROWS, tables, 400)
        np.testing.assert_array_equal(same, scores)
        surely = scores > scores[-1]  # of equal ones the lower row comes first here, and the lower place there
        assert set(rows[surely]) == set(cells.rows[places[surely]])
        assert len(np.intersect1d(flat.search(query).labels, probing.search(query).labels)) >= 19


@pytest.mark.parametrize("goal", [0.8, 0.98])
def test_probes_keep_the_recall_on_other_queries(clustered, cells, goal):
    vectors, queries = clustered
    flat = index_of(vectors, None)
    wanted = [flat.search(query).labels[:10] for query in queries]
    fitted = fit_probes(cells, queries[:100], wanted[:100], goal)
    assert goal <= fitted.recall <= goal + 0.03
    assert fitted.scanned < 0.7
    probing = index_of(vectors, fitted.cells)
    found = [np.isin(rows, probing.search(query).labels).mean() for query, rows in zip(queries, wanted, strict=True)]
    assert np.mean(found[:100]) >= goal  # the neighbours in shared blocks come for nothing
    assert np.mean(found[100:]) >= goal - 0.05
    most = max(len(choose_cells(fitted.cells, query)) for query in queries)
    assert most <= fitted.cells.probes < cells.count


def test_a_margin_scans_less_than_probes_alone(clustered, cells):
    """Where some queries lie in the midst of a cell and others between cells."""
    vectors, queries = clustered
    wanted = [np.argsort(-(vectors @ query))[:10] for query in queries]
    fitted = fit_probes(cells, queries, wanted, 0.98).cells
    counts = [len(choose_cells(fitted, query)) for query in queries]
    assert min(counts) < max(counts)


def test_how_many_cells_are_made():
    assert [cell_count(wanted, 10_000) for wanted in (0, 1, 64, "auto")] == [0, 0, 64, 0]
    assert cell_count("auto", 10_000_000) in (4096, 8192)
    assert cell_count("auto", 2_000_000_000) == 16384


def test_more_cells_than_rows(clustered):
    few = make_cells(clustered[0][:5], 32, 8, seed=0)
    assert np.diff(few.starts).sum() == 5
    assert sorted(few.rows.tolist()) == [0, 1, 2, 3, 4]


def test_numbers_of_cells_by_themselves():
    """From three million rows on, twice the root of their number, to the nearest power of two."""
    assert [cell_count("auto", rows) for rows in (2_999_999, 3_000_000, 10_000_000)] == [0, 4096, 8192]
    assert [cell_count("auto", rows) for rows in (33_000_000, 34_000_000)] == [8192, 16384]  # 11,489 and 11,662
    assert cell_count(2, 10) == 2


@pytest.mark.parametrize("goal", [0.6, 0.9, 1.0])
def test_no_other_probes_and_margin_scan_less(goal):
    """All of them, tried one by one, over eight cells of unequal size."""
    rng = np.random.default_rng(11)
    vectors = rng.standard_normal((900, 8)) + 1.5 * rng.standard_normal((8, 8))[rng.integers(0, 8, 900) // 2]
    cells = make_cells(vectors.astype(np.float32), 8, 8, seed=0)
    queries = (vectors[rng.integers(0, 900, 40)] + rng.standard_normal((40, 8))).astype(np.float32)
    wanted = [np.argsort(-(vectors @ query))[: 3 + place % 5] for place, query in enumerate(queries)]
    wanted[7] = np.empty(0, np.int64)  # nothing to find: it is scanned for all the same
    cell_of = np.empty(900, int)
    for cell in range(8):
        cell_of[cells.rows[cells.starts[cell] : cells.starts[cell + 1]]] = cell
    sizes = np.diff(cells.starts)
    scores = np.stack([cell_scores(cells, query) for query in queries])
    lag = scores.max(axis=1, keepdims=True) - scores
    order = np.argsort(-scores, axis=1, kind="stable")
    cheapest = (np.inf, 0.0)
    for probes in range(1, 9):
        for margin in np.unique(lag):
            recalls, costs = [], []
            for place, rows in enumerate(wanted):
                probed = {cell for cell in order[place, :probes] if lag[place, cell] <= margin}
                costs.append(sum(sizes[cell] for cell in probed) / 900)
                if len(rows):
                    recalls.append(np.mean([cell_of[row] in probed for row in rows]))
            if np.mean(recalls) >= goal - 1e-9:
                cheapest = min(cheapest, (np.mean(costs), -np.mean(recalls)))
    fitted = fit_probes(cells, queries, wanted, goal)
    assert fitted.scanned == pytest.approx(cheapest[0])
    assert fitted.recall == pytest.approx(-cheapest[1])
    again = [choose_cells(fitted.cells, query) for query in queries]
    assert np.mean([sizes[probed].sum() / 900 for probed in again]) == pytest.approx(fitted.scanned)


def test_the_sample_is_of_every_slice_alike():
    rows = np.arange(20_000, dtype=np.float32)
    vectors = np.stack([rows, -rows, np.zeros_like(rows)], axis=1)
    some = _sample(vectors, 2_000, 2, seed=3)
    assert some.shape == (2000 + 0, 2)
    assert [int(((some[:, 0] >= at) & (some[:, 0] < at + 8192)).sum()) for at in (0, 8192, 16384)] == [819, 819, 362]
    assert (np.diff(some[:, 0]) > 0).all()
    np.testing.assert_array_equal(some[:, 1], -some[:, 0])
    np.testing.assert_array_equal(_sample(vectors, 40_000, 3, seed=3), vectors)


def test_new_cells_are_all_probed(clustered, cells):
    assert (cells.probes, cells.margin) == (cells.count, np.finfo(np.float32).max)
    assert choose_cells(cells, clustered[1][0]).tolist() == list(range(cells.count))


def test_equal_losses_leave_in_the_order_of_their_rows():
    cells = np.array([[0, 1], [0, 1], [0, 1], [2, 0]], np.int32)
    even = np.zeros((4, 2), np.float32)
    assert _balance(cells, even, 2, 3).tolist() == [1, 0, 0, 2]
    assert _balance(cells, even, 1, 3).tolist() == [1, 0, 0, 2]  # the next cell takes one; then it is full


def test_a_third_choice_is_taken_where_the_second_is_full():
    cells = np.array([[0, 1, 2], [0, 1, 2], [1, 0, 2], [2, 1, 0]], np.int32)
    losses = np.array([[0, 1, 5], [0, 2, 3], [0, 9, 9], [0, 9, 9]], np.float32)
    assert _balance(cells, losses, 1, 3).tolist() == [0, 0, 1, 2]
    assert _balance(cells[:3], losses[:3], 1, 3).tolist() in ([2, 0, 1], [0, 2, 1])
    assert _balance(cells[:3], losses[:3], 1, 3).tolist() == [0, 2, 1]  # of both, the one that loses 3


def test_cells_do_not_depend_on_the_chunk_or_the_threads(clustered, cells, monkeypatch):
    whole = _assign(clustered[0], clustered[0][:40], 1, no_stage_progress)
    told = []
    monkeypatch.setattr("edgexl.index.cells._CHUNK_ROWS", 700)
    np.testing.assert_array_equal(_assign(clustered[0], clustered[0][:40], 3, lambda *done: told.append(done)), whole)
    assert told == [(min(ROWS, 700 * (part + 1)), ROWS) for part in range(9)]
