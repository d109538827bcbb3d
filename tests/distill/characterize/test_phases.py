"""What is read off a teacher's two phases, by plain loops: a random BERT's, over 300 labels."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgexl.data import write_dataset
from edgexl.distill.characterize import focus
from edgexl.distill.characterize.bench import Bench
from edgexl.distill.characterize.confusion import find_confused_pairs, mark_near_misses, measure_margins, measure_mass
from edgexl.distill.characterize.focus import _pool, by_length, measure_focus
from edgexl.distill.characterize.interventions import measure_interventions, random_lists, sweep_lengths, with_gold
from edgexl.distill.characterize.measures import probabilities
from edgexl.distill.characterize.study import set_up
from edgexl.distill.teachers import BiEncoderTeacher
from tests.tiny import tiny_labels, tiny_queries

WIDTH = 14


@pytest.fixture
def bench(bert: Path, tmp_path: Path) -> Bench:
    """Whose decision is not its screening's: as if the teacher preferred labels by their number's last digit. Of every
    fifth query another label is right, of every third a second one."""
    labels = tiny_labels()
    queries = []
    for place, query in enumerate(tiny_queries(labels, 80, 2)):
        (label,) = query.targets
        other = (label + 50) % 300
        queries.append(replace(query, targets=(other,) if place % 5 == 0 else (label, other)[: 1 + (place % 3 == 0)]))
    data = write_dataset(tmp_path / "data", labels, queries[:3], queries, "made in code")
    made = set_up(BiEncoderTeacher(str(bert), data.labels), data, queries=60, shortlist=WIDTH, seed=3)
    made.__dict__["decided"] = made.decided * 2 + made.own % 10 * 0.3
    made.temperature["decision"] = 0.8
    return made


def gold_labels(bench: Bench, query: int) -> list[int]:
    return [label for label in bench.sample.gold[query].tolist() if label >= 0]


def test_probability_is_divided_among_right_ones_near_misses_and_others(bench: Bench) -> None:
    told = measure_mass(bench)
    stages = {
        "screening": probabilities(bench.scores[:, :WIDTH], bench.temperature["screening"]),
        "decision": probabilities(bench.decided, 0.8, bench.none),
    }
    held = [q for q in range(60) if set(gold_labels(bench, q)) & set(bench.own[q].tolist())]
    assert 10 < len(held) < 60  # or this shows nothing
    assert told["queries"] == len(held)
    for stage, shares in stages.items():
        sums: dict[str, list[float]] = defaultdict(list)
        for query in held:
            wrong = [place for place in range(WIDTH) if bench.own[query, place] not in gold_labels(bench, query)]
            near = wrong[:10]
            assert np.flatnonzero(mark_near_misses(bench)[query]).tolist() == near
            sums["gold"].append(sum(shares[query, place] for place in range(WIDTH) if place not in wrong))
            sums["near_misses"].append(sum(shares[query, place] for place in near))
            sums["rest"].append(sum(shares[query, place] for place in wrong[10:]))
            sums["none"].append(1 - shares[query].sum())
        for part, values in sums.items():
            assert told[stage][part] == pytest.approx(np.mean(values), abs=1e-8)
            low, high = told[stage]["interval"][part]
            assert low - 1e-9 <= told[stage][part] <= high + 1e-9


def test_margins_are_those_of_right_and_of_wrong_answers(bench: Bench) -> None:
    judged = bench.judge(bench.own, bench.decided)
    told = measure_margins(bench, judged)
    shares = np.sort(probabilities(bench.decided, 0.8, bench.none), axis=1)[:, ::-1]
    ahead = shares[:, 0] - shares[:, 1]
    for name, which in (("right", judged.hit > 0), ("wrong", judged.hit == 0)):
        assert told[name]["queries"] == which.sum() > 0
        assert told[name]["median"] == pytest.approx(np.median(ahead[which]))
        tenths = [np.mean(np.minimum(ahead[which] * 10 // 1, 9) == tenth) for tenth in range(10)]
        assert told[name]["shares"] == pytest.approx(tenths)
    assert told["edges"] == [tenth / 10 for tenth in range(11)]


def test_confused_pairs_come_by_how_often_and_how_surely(bench: Bench) -> None:
    shares = probabilities(bench.decided, 0.8, bench.none)
    found: dict[tuple[int, int], list[float]] = defaultdict(list)
    for query in range(60):
        row, right = bench.own[query].tolist(), gold_labels(bench, query)
        first = min(range(WIDTH), key=lambda place: (-bench.decided[query, place], row[place]))
        there = [place for place in range(WIDTH) if row[place] in right]
        if there and row[first] not in right:
            gold = row[max(there, key=lambda place: shares[query, place])]
            found[gold, row[first]].append(float(shares[query, first]))
    ranked = sorted(found.items(), key=lambda pair: (-len(pair[1]), -np.mean(pair[1]), pair[0]))[:20]
    assert ranked  # or this shows nothing
    told = find_confused_pairs(bench)
    assert [(one["gold"]["id"], one["chosen"]["id"], one["queries"]) for one in told] == [
        (bench.labels.ids[gold], bench.labels.ids[chosen], len(values)) for (gold, chosen), values in ranked
    ]
    assert [one["probability"] for one in told] == pytest.approx([np.mean(values) for _, values in ranked])
    assert told[0]["gold"]["text"] == bench.labels.texts[ranked[0][0][0]]


def test_gold_labels_come_into_view_with_the_length(bench: Bench) -> None:
    rows = by_length(bench)
    assert [row["length"] for row in rows] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]
    like = bench.neighbours.gold_like
    for row in rows:
        gold, near = [], []
        for query in range(60):
            view = set(bench.ranking[query, : row["length"]].tolist())
            gold.append(np.mean([label in view for label in gold_labels(bench, query)]))
            alike = [label for label in like[query].tolist() if label >= 0]
            if alike:
                near.append(np.mean([label in view for label in alike]))
        assert row["gold"] == pytest.approx(100 * np.mean(gold))
        assert row["gold_like"] == pytest.approx(100 * np.mean(near))
        assert row["random"] == pytest.approx(100 * row["length"] / 300)


def test_gold_like_labels_are_counted(bench: Bench) -> None:
    labels, likeness = np.full((60, 3), -1), np.full((60, 3), -np.inf, dtype=np.float32)
    labels[0], likeness[0] = (0, 7, 9), (0.9, 0.7, 0.4)
    labels[1, 0], likeness[1, 0] = 0, 0.5
    labels[2, 0], likeness[2, 0] = 5, 0.4
    bench.neighbours = replace(bench.neighbours, labels=labels, likeness=likeness, threshold=0.5)
    told = measure_focus(bench)
    assert told["gold_like"] == {"measure": "cosine", "threshold": 0.5, "labels_a_query": 3 / 60, "queries": 2}
    assert [row["layer"] for row in told["by_depth"]] == [0, 1, 2, 3]
    assert told["by_trace"] is told["by_reasoning"] is None
    last = told["by_length"][-1]
    assert (last["gold_like"], last["gold_like_interval"]) == (100.0, [100.0, 100.0])
    none = by_length(replace(bench, neighbours=replace(bench.neighbours, threshold=1.0)))[-1]
    assert none["gold_like"] is none["gold_like_interval"] is None


def test_lists_of_interventions(bench: Bench) -> None:
    lists = with_gold(bench, bench.own)
    for query in range(60):
        right = gold_labels(bench, query)
        wrong = [label for label in bench.own[query].tolist() if label not in right]
        assert lists[query].tolist() == (right + wrong)[:WIDTH]
    random = random_lists(bench)
    assert random.shape == (60, WIDTH)
    assert all(len(set(row)) == WIDTH for row in random.tolist())
    assert len(set(random.ravel().tolist())) > 200


def test_rows_of_interventions_and_the_phases_sum(bench: Bench) -> None:
    rows, phases = measure_interventions(bench)
    named = {row["name"]: row for row in rows}
    assert list(named) == [
        "as it is", "reasoner removed", "order shuffled", "gold removed", "oracle shortlist", "near misses only",
        "random labels", "random labels without gold put in",
    ]  # fmt: skip
    judged = bench.judge(bench.own, bench.decided)
    sure = float(np.median(judged.top[judged.hit > 0]))
    assert named["as it is"]["confident_from"] == pytest.approx(sure)
    assert named["as it is"]["confident_share"] == pytest.approx(np.mean(judged.top > sure))
    recall = np.mean([np.isin(gold_labels(bench, query), bench.own[query]).mean() for query in range(60)])
    assert named["as it is"]["R@N"] == pytest.approx(100 * recall)
    first = [bench.own[query, 0] in gold_labels(bench, query) for query in range(60)]
    assert named["reasoner removed"]["P@1"] == pytest.approx(100 * np.mean(first))
    assert named["gold removed"]["R@N"] == 0
    assert phases is not None
    for key in ("P@1", "nDCG@5"):
        arms = [phases[arm][key] for arm in ("together", "phase_one", "phase_two", "neither")]
        assert phases["interaction"][key]["mean"] == pytest.approx(arms[0] - arms[1] - arms[2] + arms[3])
    assert phases["together"]["P@1"] == named["as it is"]["P@1"]
    assert phases["phase_two"]["P@1"] == named["random labels"]["P@1"]
    held = np.array([bool(np.isin(bench.own[query], gold_labels(bench, query)).any()) for query in range(60)])
    assert phases["table"]["in_shortlist_right"] == int((held & (judged.hit > 0)).sum())
    assert phases["table"]["in_shortlist_wrong"] == int((held & (judged.hit == 0)).sum())
    put_in = with_gold(bench, bench.own)
    oracle = bench.judge(put_in, bench.decide(put_in, "")).hit > 0
    assert phases["table"]["missed_right_if_put_in"] == int((~held & oracle).sum())
    assert phases["table"]["missed_wrong_if_put_in"] == int((~held & ~oracle).sum()) > 0
    # the arm of neither: random labels and the right ones, in the order of chance
    lists = with_gold(bench, random_lists(bench))
    chance = np.where(lists >= 0, bench.draw(4).random(lists.shape), -1)
    lucky = [lists[query, chance[query].argmax()] in gold_labels(bench, query) for query in range(60)]
    assert phases["neither"]["P@1"] == pytest.approx(100 * np.mean(lucky))
    hits = [judged.hit, np.array(first), bench.judge(lists, bench.decide(lists, "")).hit, np.array(lucky)]
    gained = 100 * (hits[0] - hits[1] - hits[2] + hits[3])
    assert phases["interaction"]["P@1"]["interval"] == pytest.approx(bench.bootstrap.interval(gained))
    shuffled = np.take_along_axis(bench.own, bench.draw(2).random(bench.own.shape).argsort(axis=1), 1)
    again = bench.judge(shuffled, bench.decide(shuffled, ""))
    assert named["order shuffled"]["same_best_share"] == pytest.approx(np.mean(again.best == judged.best))


def test_the_sweep_is_over_every_length(bench: Bench) -> None:
    rows = sweep_lengths(bench)
    assert sorted(row["length"] for row in rows) == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]
    for row in rows:
        view = bench.ranking[:, : row["length"]]
        recall = np.mean([np.isin(gold_labels(bench, query), view[query]).mean() for query in range(60)])
        assert row["R@N"] == pytest.approx(100 * recall)
    by_length = {row["length"]: row for row in rows}
    first = [bench.ranking[query, 0] in gold_labels(bench, query) for query in range(60)]
    assert by_length[1]["P@1"] == by_length[300]["P@1"] == pytest.approx(100 * np.mean(first))


def test_a_pool_is_the_gold_labels_and_random_others(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    right = sorted({label for query in range(60) for label in gold_labels(bench, query)})
    others = [label for label in range(300) if label not in right]
    assert len(right) + 30 < 200  # or this shows nothing
    for most, company in ((len(right) + 30, 30), (len(right), 0), (len(right) - 1, 0), (8192, len(others))):
        monkeypatch.setattr(focus, "POOL", most)
        drawn = bench.draw(1).permutation(others)[:company].tolist()
        assert _pool(bench).tolist() == sorted(right + drawn)
