"""Two bundles side by side: what differs is found, what does not is not, and limits decide the exit status."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t

from edgexl.base.errors import BadInput
from edgexl.data import metrics
from edgexl.runtime.binding import open_bundle
from edgexl.use.compare import Limit, compare, parse_limits
from edgexl.use.compare_times import Times
from edgexl.use.intervals import Interval, mean_interval, student_t
from tests.command_line import Edgexl
from tests.runtime.tiny_bundle import WORDS, TinyBundle, build


@pytest.fixture(scope="module")
def reasoned() -> TinyBundle:
    return build(native=True, labels=300)


@pytest.fixture(scope="module")
def screened() -> TinyBundle:
    """The same without its reasoner: it answers sooner, and worse."""
    return build(native=True, labels=300, reasons=False)


@pytest.fixture(scope="module")
def files(
    tmp_path_factory: pytest.TempPathFactory, reasoned: TinyBundle, screened: TinyBundle
) -> tuple[Path, Path, Path]:
    """Both bundles, and queries: labels' own texts with a word more."""
    folder = tmp_path_factory.mktemp("compare")
    draw = np.random.default_rng(0)
    asked = [(f"{text} {draw.choice(WORDS)}", f"L{place:04d}") for place, text in enumerate(reasoned.texts[:120])]
    with (folder / "queries.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("query", "label"), *asked])
    return screened.write(folder / "a.exl"), reasoned.write(folder / "b.exl"), folder / "queries.csv"


def test_what_one_answers_and_the_other_does_not_is_told_with_its_stage(files: tuple[Path, Path, Path]) -> None:
    first, second, queries = files
    found = compare(first, second, queries, timed=20)
    assert found.answers is not None
    a, b, by = found.answers.metrics["P@1"]
    assert b > a + 20
    assert by.value == pytest.approx(b - a)
    assert by.low > 0
    # by hand: of each query, whether the first label is right
    with open_bundle(first) as one, open_bundle(second) as other:
        rows = list(csv.DictReader(queries.open()))
        hits = [[handle.predict(row["query"]).labels[0].id == row["label"] for row in rows] for handle in (one, other)]
        gained = [not before and after for before, after in zip(*hits, strict=True)]
        lost = [before and not after for before, after in zip(*hits, strict=True)]
        assert (a, b) == (pytest.approx(100 * np.mean(hits[0])), pytest.approx(100 * np.mean(hits[1])))
        assert sum(found.answers.gained.values()) == sum(gained)
        assert sum(found.answers.lost.values()) == sum(lost)
        change = found.answers.gains[0]
        row = rows[gained.index(True)]
        assert (change.text, change.right) == (row["query"], one.label_text(one.find_label(row["label"])))
        ranked = one.predict(row["query"], k=20).labels
        assert change.instead == ranked[0].text
        assert [label.id for label in ranked].index(row["label"]) + 1 == change.rank
        assert change.stage == "reasoning"
    # both screen alike: the reasoner alone loses them
    assert found.answers.metrics["screening_P@1"][2] == Interval(0.0, 0.0, 0.0)
    assert found.answers.gained["screening"] == 0
    assert found.sizes["reasoner_weights"][0] == 0 < found.sizes["reasoner_weights"][1]
    assert found.sizes["file"] == (first.stat().st_size, second.stat().st_size)
    assert not found.identical


def test_why_names_the_pass_that_moved_an_answer(
    files: tuple[Path, Path, Path], tmp_path: Path, edgexl: Edgexl
) -> None:
    first, second, queries = files
    answers = compare(first, second, queries, timed=20, why=True).answers
    assert answers is not None
    assert answers.gained_by == {"reasoning: blend": answers.gained["reasoning"]}  # the first has no reasoner
    assert len(answers.gains) == answers.gained["reasoning"]
    assert all(change.why is not None for change in (*answers.gains, *answers.losses))
    coarse = build(native=True, labels=300, reasons=False, fine_bits=2, coarse_dims=8).write(tmp_path / "c.exl")
    found = compare(first, coarse, queries, timed=20, why=True).answers
    assert found is not None
    assert found.lost_by == {"screening: build_index": sum(found.lost.values())}
    lost = next(change for change in found.losses if change.stage == "screening")
    assert lost.why is not None
    assert f"{lost.right} is lost at rank " in lost.why.sentence
    said = edgexl("compare", first, second, "--queries", queries, "--timed", "20", "--why").out
    assert "blend: the evidence stands as it did; the second decides for " in said
    assert compare(first, second, queries, timed=20).answers.as_json().keys() >= {"gains", "lost"}  # type: ignore[union-attr]
    edgexl("compare", first, second, "--why").refuses(2, "no query whose answer could have changed", "--queries")


def test_why_names_labels_that_one_bundle_alone_has(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    more = build(native=True, labels=400, reasons=False).write(tmp_path / "more.exl")
    found = compare(files[0], more, files[2], timed=20, why=True).answers
    assert found is not None
    assert found.lost_by is not None
    assert found.lost_by["labels: labels that only the second has"] > 0
    sentences = [change.why.sentence for change in found.losses if change.why is not None]
    assert any(sentence.endswith(" is a label of the second alone") for sentence in sentences)


def test_labels_lost_at_screening_are_told_so(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    coarse = build(native=True, labels=300, reasons=False, fine_bits=2, coarse_dims=8).write(tmp_path / "c.exl")
    found = compare(files[0], coarse, files[2], timed=20)
    assert found.answers is not None
    assert found.answers.lost["reasoning"] + found.answers.lost["screening"] > 0
    for change in found.answers.losses:
        assert (change.stage == "screening") == (change.rank == 0)


def test_a_bundle_is_like_itself(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy.exl"
    copy.write_bytes(files[0].read_bytes())
    found = compare(files[0], copy, files[2], timed=40)
    assert found.identical
    assert found.answers is not None
    assert all(by == Interval(0.0, 0.0, 0.0) for _, _, by in found.answers.metrics.values())
    assert (sum(found.answers.gained.values()), sum(found.answers.lost.values())) == (0, 0)
    assert found.breaches(parse_limits("P@1:0,R@100:0,bytes:0")) == []
    assert 0.5 < found.times["total"].ratio.value < 2


def test_other_labels_leave_queries_out(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    fewer = build(native=True, labels=100, reasons=False).write(tmp_path / "few.exl")
    found = compare(files[0], fewer, files[2], timed=10)
    assert found.answers is not None
    assert (found.answers.queries, found.answers.left_out) == (100, 20)


def test_without_queries_goldens_are_timed(files: tuple[Path, Path, Path]) -> None:
    found = compare(*files[:2])
    assert found.answers is None
    assert {"encode", "scan", "reason", "total"} <= set(found.times)
    for times in found.times.values():
        assert times.ratio.low <= times.ratio.value <= times.ratio.high
    with pytest.raises(BadInput, match="no query to measure P@1 on"):
        compare(*files[:2], limits=parse_limits("P@1:1"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("P@1", "is none; write"), ("", "is none; write"), ("P@1:0.5;p50:3%", "is none; write"),
        ("P@1:-1", "is none; write"),
        ("P@2:1", "Nothing called 'P@2'"), ("p50:10", "write p50:10%"), ("P@1:5%", "write P@1:5, in points"),
    ],
)  # fmt: skip
def test_limits_that_mean_nothing(files: tuple[Path, Path, Path], text: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        compare(*files, timed=10, limits=parse_limits(text))


def test_limits_are_parsed() -> None:
    assert parse_limits("P@1:0.5, p50:10%,bytes:3%") == (
        Limit("P@1", 0.5, False), Limit("p50", 10, True), Limit("bytes", 3, True),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("ratio", "verdict"),
    [
        (Interval(1.08, 1.06, 1.1), "slower"), (Interval(0.9, 0.88, 0.92), "faster"),
        (Interval(1.08, 0.98, 1.2), "no difference"), (Interval(1.005, 1.002, 1.008), "no difference"),
    ],
)  # fmt: skip
def test_times_differ_where_it_is_more_than_chance_and_a_hundredth(ratio: Interval, verdict: str) -> None:
    assert Times((1.0, ratio.value), (1.0, ratio.value), ratio).verdict == verdict


def test_the_exit_status_is_for_continuous_integration(files: tuple[Path, Path, Path], edgexl: Edgexl) -> None:
    worse, better, queries = files
    asked = ("--queries", queries, "--timed", "10", "--fail-if-worse")
    edgexl("compare", better, worse, *asked, "P@1:0.5").refuses(1, "is worse than", "P@1:0.5:", "points")
    said = edgexl("compare", better, worse, *asked, "P@1:0.5,R@100:5", "--json")
    assert said.status == 1
    assert len(said.json["breaches"]) == 1
    assert said.json["answers"]["metrics"]["P@1"]["verdict"] == "worse"
    edgexl("compare", worse, better, "--fail-if-worse", "bytes:1%").refuses(1, "bytes:1%: the file has")
    fine = edgexl("compare", worse, better, *asked, "P@1:0.5")
    assert fine.status == 0
    assert max(map(len, fine.out.splitlines()[1:])) <= 100  # the first names files
    assert "first answers gained by the second" in fine.out
    edgexl("compare", worse, better, queries, "--queries", queries).refuses(2, "not as both")
    edgexl("compare", worse, queries).refuses(2, "queries.csv")


def test_intervals_are_students() -> None:
    for freedom in (1, 2, 3, 4, 7, 20, 300):
        for confidence in (0.9, 0.95, 0.98):
            assert student_t(freedom, confidence) == pytest.approx(t.ppf(0.5 + confidence / 2, freedom), rel=0.01)
    draw = np.random.default_rng(0)
    inside = [not mean_interval(draw.normal(2, 3, 12)).excludes(2) for _ in range(2000)]
    assert 0.935 < np.mean(inside) < 0.965
    assert mean_interval(np.array([3.0])) == Interval(3.0, -np.inf, np.inf)


def test_ndcg_of_each_query_is_that_of_all() -> None:
    draw = np.random.default_rng(1)
    ranked = np.array([draw.permutation(30)[:10] for _ in range(50)])
    targets = [tuple(draw.integers(0, 30, 3).tolist()) for _ in range(50)]
    each = metrics.ndcgs(ranked, targets, 5)
    assert 100 * each.mean() == pytest.approx(metrics.evaluate(ranked, targets, (5,))["nDCG@5"])
