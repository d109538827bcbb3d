"""A whole profile of a real two-stage teacher, of a bi-encoder through the command line, and of traces."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgexl.data import Dataset, metrics
from edgexl.distill.characterize import characterize
from edgexl.distill.characterize.bench import Bench
from edgexl.distill.characterize.interventions import measure_interventions, random_lists, with_gold, without_gold
from edgexl.distill.characterize.measures import judge, order_of
from edgexl.distill.characterize.pages import profile_page
from edgexl.distill.characterize.study import set_up
from edgexl.distill.teachers import BiEncoderTeacher
from tests.command_line import Edgexl
from tests.distill.characterize.conftest import QUERIES
from tests.report.look import look

Profile = dict[str, Any]


def named(profile: Profile, name: str) -> dict[str, Any]:
    """The intervention called so."""
    (row,) = (row for row in profile["interventions"] if row["name"] == name)
    return row


def targets(bench: Bench) -> list[list[int]]:
    return [[label for label in row if label >= 0] for row in bench.sample.gold.tolist()]


def test_what_is_measured_as_it_is_agrees_with_the_metrics(profile: Profile, bench: Bench) -> None:
    order = order_of(bench.own, bench.decided)
    judged = metrics.evaluate(np.take_along_axis(bench.own, order, 1), targets(bench), ks=(1, 5))
    row = named(profile, "as it is")
    for key in ("P@1", "P@5", "nDCG@5"):
        assert row[key] == pytest.approx(judged[key])
        low, high = row["interval"][key]
        assert low <= row[key] <= high
    screened = metrics.evaluate(bench.ranking, targets(bench), ks=(1, 4, 32))
    for at in profile["focus"]["by_length"]:
        if at["length"] in (1, 4, 32):
            assert at["gold"] == pytest.approx(screened[f"R@{at['length']}"])
    assert named(profile, "reasoner removed")["P@1"] == pytest.approx(screened["P@1"])


def test_an_oracle_shortlist_holds_every_gold_label(profile: Profile, bench: Bench) -> None:
    for name in ("oracle shortlist", "near misses only", "random labels"):
        assert named(profile, name)["R@N"] == 100.0
    lists = with_gold(bench, bench.own)
    assert all(len(set(row)) == 32 for row in lists.tolist())
    # random company is easier than near misses
    assert named(profile, "random labels")["P@1"] > named(profile, "near misses only")["P@1"]


def test_without_the_gold_labels_nothing_is_right(profile: Profile, bench: Bench) -> None:
    row = named(profile, "gold removed")
    assert (row["P@1"], row["nDCG@5"], row["R@N"]) == (0.0, 0.0, 0.0)
    assert 0.0 <= row["confident_share"] < 0.9
    lists = without_gold(bench)
    assert (lists >= 0).all()
    # what stays keeps phase one's order
    kept = [[label for label in ranked if label not in gold][:32] for ranked, gold in zip(
        bench.ranking.tolist(), targets(bench), strict=True)]  # fmt: skip
    assert lists.tolist() == kept


def test_the_order_of_a_shortlist_changes_nothing(profile: Profile) -> None:
    row, as_it_is = named(profile, "order shuffled"), named(profile, "as it is")
    assert row["same_best_share"] == 1.0
    assert row["P@1"] == as_it_is["P@1"]
    assert row["margin"] == pytest.approx(as_it_is["margin"], abs=2e-3)


def test_gold_labels_come_into_view_and_random_shortlists_hold_few(profile: Profile) -> None:
    rows = profile["focus"]["by_length"]
    assert [row["length"] for row in rows] == [2**power for power in range(11)]
    gold = [row["gold"] for row in rows]
    assert gold == sorted(gold)
    assert all(row["gold"] > row["random"] for row in rows)
    assert rows[5]["gold"] > 10 * rows[5]["random"]
    # about half of the gold labels have three labels as near as that
    like = profile["focus"]["gold_like"]
    assert like["measure"] == "cosine"
    assert 0.2 < like["threshold"] < 0.99
    assert QUERIES / 3 < like["queries"] <= QUERIES
    assert rows[-1]["gold_like"] > rows[3]["gold_like"] > 10 * rows[3]["random"]


def test_the_last_layer_is_the_whole_model(profile: Profile, bench: Bench) -> None:
    depth = profile["focus"]["by_depth"]
    assert [row["layer"] for row in depth] == [0, 1, 2]
    assert depth[-1]["pool"] == len(bench.labels)
    whole = metrics.evaluate(bench.ranking, targets(bench), ks=(10, 100))
    for k in (10, 100):
        assert depth[-1][f"R@{k}"] == depth[-1][f"lens_R@{k}"] == pytest.approx(whole[f"R@{k}"], abs=2.0)
    assert depth[-1]["R@10"] > depth[0]["R@10"]
    layers = profile["confusion"]["by_layer"]
    assert [row["layer"] for row in layers] == [0, 1, 2]
    as_it_is = named(profile, "as it is")
    assert layers[-1]["P@1"] == as_it_is["P@1"]
    assert layers[-1]["margin"] == pytest.approx(as_it_is["margin"], abs=1e-6)
    assert layers[0]["margin"] != pytest.approx(layers[-1]["margin"], abs=1e-3)


def test_probability_is_divided_whole(profile: Profile) -> None:
    mass = profile["confusion"]["mass"]
    for stage in ("screening", "decision"):
        parts = [mass[stage][key] for key in ("gold", "near_misses", "rest", "none")]
        assert sum(parts) == pytest.approx(1.0)
        assert all(0 <= part <= 1 for part in parts)
    assert mass["screening"]["none"] == pytest.approx(0.0, abs=1e-6)
    assert mass["decision"]["none"] > 0.01  # the reference student's reasoner knows absence
    margins = profile["confusion"]["margins"]
    assert margins["right"]["queries"] + margins["wrong"]["queries"] == QUERIES
    assert sum(margins["right"]["shares"]) == pytest.approx(1.0)
    assert margins["right"]["median"] > margins["wrong"]["median"]


def test_the_phases_add_up(profile: Profile) -> None:
    found = profile["complementarity"]
    assert sum(found["table"].values()) == QUERIES
    gains = [found[arm]["P@1"] for arm in ("together", "phase_one", "phase_two", "neither")]
    assert found["interaction"]["P@1"]["mean"] == pytest.approx(gains[0] - gains[1] - gains[2] + gains[3])
    assert found["neither"]["P@1"] < min(found["phase_one"]["P@1"], found["phase_two"]["P@1"])
    assert found["table"]["in_shortlist_right"] == round(named(profile, "as it is")["P@1"] * QUERIES / 100)
    for pair in profile["confusion"]["pairs"]:
        assert pair["gold"]["id"] != pair["chosen"]["id"]
    confused = sum(pair["queries"] for pair in profile["confusion"]["pairs"])
    assert 0 < confused <= found["table"]["in_shortlist_wrong"]


def test_the_page_shows_it_and_needs_nothing_else(profile: Profile) -> None:
    text = profile_page(profile)
    assert "://" not in text
    assert "<script" not in text
    assert "src=" not in text
    for words in ("Phase one: focus", "Phase two: confusion", "gold removed", "Recommendation", "each layer"):
        assert words in text
    assert text.count("<figure>") == text.count("<details>") >= 8


def test_the_page_can_be_read_by_everybody(profile: Profile, chromium: str, axe: str, tmp_path: Path) -> None:
    text = look(chromium, axe, profile_page(profile), tmp_path)
    as_it_is = named(profile, "as it is")
    for words in ("characterization", f"{as_it_is['P@1']:.1f}%", "P@1 of a phase alone", "The most confused pairs"):
        assert words in text


def test_a_bi_encoder_by_the_command_line(edgexl: Edgexl, bert: Path, tiny_data: Dataset, tmp_path: Path) -> None:
    call = (
        "characterize",
        bert,
        tiny_data.directory,
        "-o",
        tmp_path / "profile",
        "--shortlist",
        "20",
        "--queries",
        "50",
    )
    said = edgexl(*call, "--json")
    assert said.status == 0, said.err
    written = json.loads((tmp_path / "profile" / "profile.json").read_text())
    assert written == said.json
    assert (written["format"], written["version"], written["shortlist"]) == ("edgexl profile", 1, 20)
    assert written["data"]["queries"] == 50
    assert [row["layer"] for row in written["focus"]["by_depth"]] == [0, 1, 2, 3]
    assert written["confusion"]["by_layer"] is None
    # its decision is its cosine, so that nothing is gained by it
    assert named(written, "as it is")["P@1"] == named(written, "reasoner removed")["P@1"] > 20
    first = (tmp_path / "profile" / "profile.json").read_bytes(), (tmp_path / "profile" / "index.html").read_bytes()
    told = edgexl(*call)
    assert "Recommended to a recipe" in told.out
    assert first == tuple((tmp_path / "profile" / name).read_bytes() for name in ("profile.json", "index.html"))


def test_a_teacher_of_single_labels_is_asked_about_each_once(
    bert: Path, tiny_data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = BiEncoderTeacher(str(bert), tiny_data.labels)
    bench = set_up(teacher, tiny_data, queries=30, shortlist=8)
    lists = random_lists(bench)
    lists[::3, 5:] = -1
    queried: list[int] = []
    decide = teacher.decide
    monkeypatch.setattr(
        teacher, "decide", lambda texts, rows: (queried.append((rows >= 0).sum()), decide(texts, rows))[1]
    )
    straight = decide(bench.sample.texts, lists).numpy()
    assert np.allclose(bench.decide(lists, "first"), straight, atol=1e-6)
    known = bench.ranking[:, :8]
    fresh = sum(len(set(row) - {-1} - set(own)) for row, own in zip(lists.tolist(), known.tolist(), strict=True))
    assert sum(queried) == fresh
    assert np.array_equal(bench.decide(lists, "again"), bench.decide(lists, "again"))
    assert sum(queried) == fresh


def test_traces_are_read_along_their_length(traces: tuple[Path, Dataset], tmp_path: Path) -> None:
    path, data = traces
    profile = characterize(str(path), data, tmp_path / "profile", shortlist=4)
    assert profile["data"]["split"] == "traced"
    assert profile["data"]["queries"] == 3
    seen = {row["share"]: row["gold"] for row in profile["focus"]["by_trace"]}
    # of four labels, the first fifth is one; "it keeps sheep" has one of its two gold labels at its second place
    assert seen[0.0] == 0.0
    assert seen[0.2] == pytest.approx(100 / 3)
    assert seen[0.5] == pytest.approx(100 / 3)
    assert seen[0.6] == pytest.approx((100 + 100 + 50) / 3)
    said = profile["focus"]["by_reasoning"]
    assert said[1]["gold_named"] == 50.0
    assert said[-1]["gold_named"] == 100.0
    # of the wrong labels, wolf and cat are written, "wolf" until late
    assert [row["near_misses_still_named"] for row in (said[0], said[5], said[-1])] == [100.0, 50.0, 0.0]
    assert named(profile, "as it is")["P@1"] == pytest.approx(200 / 3)
    assert named(profile, "reasoner removed")["P@1"] == pytest.approx(100 / 3)
    assert [row["name"] for row in profile["interventions"]] == ["as it is", "reasoner removed", "order shuffled"]
    assert profile["complementarity"] is None
    (pair,) = profile["confusion"]["pairs"]
    assert (pair["gold"]["text"], pair["chosen"]["text"]) == ("dog", "wolf")
    assert profile["focus"]["gold_like"]["measure"] == "words"
    assert profile["recommendation"]["screening"]["teacher_weight"] == 0.0
    assert "written reasoning" in (tmp_path / "profile" / "index.html").read_text()


def test_the_same_seed_draws_the_same_lists(bench: Bench) -> None:
    assert np.array_equal(random_lists(bench), random_lists(bench))
    assert not np.array_equal(bench.draw(3).random(5), bench.draw(4).random(5))


def test_what_cannot_be_measured_is_refused(
    edgexl: Edgexl, traces: tuple[Path, Dataset], tiny_data: Dataset, bert: Path, tmp_path: Path
) -> None:
    path, data = traces
    other = tmp_path / "other.jsonl"
    other.write_text('{"text": "nobody asked", "shortlist": [], "labels": []}\n')
    edgexl("characterize", other, data.directory, "-o", tmp_path / "p").refuses(2, "no query", "trace")
    edgexl("characterize", path, tiny_data.directory, "-o", tmp_path / "p").refuses(2, "id-dog", "does not know")
    edgexl("characterize", path, data.directory, "-o", data.directory).refuses(2, "not a profile's")
    call = ("characterize", bert, tiny_data.directory, "-o", tmp_path / "p", "--probe", bert)
    edgexl(*call).refuses(2, "only traces can be probed")
    assert not (tmp_path / "p").exists()


def test_ties_and_labels_without_opinion(bench: Bench) -> None:
    lists = bench.own[:, :4].copy()
    logits = np.tile([1.0, 1.0, -np.inf, 0.0], (QUERIES, 1))
    judged = judge(bench.sample, lists, logits, 1.0)
    assert np.array_equal(judged.best, lists[:, :2].min(1))
    assert (judged.margin == 0).all()
    nothing = judge(bench.sample, lists, np.full(lists.shape, -np.inf), 1.0)
    assert not nothing.hit.any()
    assert (nothing.best == -1).all()
    assert (nothing.top == 0).all()


def test_progress_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    told: set[str] = set()
    monkeypatch.setattr(bench, "progress", lambda what, done, total: told.add(what))
    measure_interventions(bench)
    assert any("gold removed" in what for what in told)
