"""Every command on a real, tiny bundle: exit status, the promised JSON keys, and something for people to read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from edgexl.bundle.layout import Kind
from edgexl.bundle.strings import unpack_strings
from edgexl.data import Query, open_dataset, read_queries, write_dataset
from edgexl.data.label_set import LabelSet
from tests.command_line import Edgexl, Tiny
from tests.runtime.tiny_bundle import build

STAGES = ["tokenize", "encode", "scan", "match", "rescore", "gather", "reason", "calibrate", "total"]
ACCURACY = {"P@1", "R@100", "nDCG@5"}
LEDGER_KEYS = {"pass", "seconds", "bytes", *ACCURACY, *(f"screening_{name}" for name in ACCURACY)}
GATE_KEYS = {"name", "value", "margin", "threshold", "passed"}
METRICS = {"P@1", "P@5", "nDCG@5", "R@10", "R@100", "R@1000", "F1_micro"}


def test_compile_reports_ledger_gates_and_bytes(tiny: Tiny) -> None:
    report = tiny.report
    assert report["bytes"]["total"] == tiny.bundle.stat().st_size
    assert [set(row) for row in report["ledger"]] == [LEDGER_KEYS] * len(report["ledger"])
    assert all(row["seconds"] >= 0 for row in report["ledger"])
    assert all(set(gate) == GATE_KEYS and gate["passed"] for gate in report["gates"])


def test_a_failed_gate_exits_1_and_writes_no_bundle(tiny: Tiny, tmp_path: Path, edgexl: Edgexl) -> None:
    strict = tmp_path / "strict.toml"
    strict.write_text(tiny.recipe.read_text() + "max_bundle_bytes = 1000\n")
    out = tmp_path / "out.exl"
    said = edgexl("compile", tiny.student, "--recipe", strict, "--target", "host", "-o", out)
    said.refuses(1, "max_bundle_bytes", "1000")
    assert sorted(tmp_path.iterdir()) == [strict]


def test_run_answers_one_text_with_the_promised_keys(tiny: Tiny, edgexl: Edgexl) -> None:
    query = next(iter(read_queries(tiny.student / "evaluation.json.gz")))
    record = edgexl("run", tiny.bundle, query.text, "--json", "-k", "3").json
    assert list(record) == ["text", "labels", "none_fits", "tokens", "windows", "truncated", "ms"]
    assert record["text"] == query.text
    assert [list(label) for label in record["labels"]] == [["id", "text", "probability"]] * 3
    assert list(record["ms"]) == STAGES
    probabilities = [label["probability"] for label in record["labels"]]
    assert probabilities == sorted(probabilities, reverse=True)
    shown = edgexl("run", tiny.bundle, query.text)
    assert shown.status == 0
    assert record["labels"][0]["text"] in shown.out


def test_run_answers_every_line_and_reports_the_unusable_ones(tiny: Tiny, edgexl: Edgexl) -> None:
    first, second = tiny.texts(2)
    said = edgexl("run", tiny.bundle, "-", "--json", stdin=f"{first}\r\n\n{second}".encode() + b"\n\xff\xfe\n")
    assert said.status == 2
    assert [record["text"] for record in said.lines if "labels" in record] == [first, second]
    assert [line.split(":")[1] for line in said.err.splitlines()] == [" line 2", " line 4"]


def test_complete_lists_labels_that_begin_so(tiny: Tiny, edgexl: Edgexl) -> None:
    labels = LabelSet.load(tiny.student / "labels.json.gz")
    prefix = labels.texts[7][:2]
    wanted = [
        {"id": label, "text": text}
        for label, text in zip(labels.ids, labels.texts, strict=True)
        if text.lower().startswith(prefix.lower())
    ]
    assert edgexl("complete", tiny.bundle, prefix.upper(), "-n", "1000", "--json").json == {
        "prefix": prefix.upper(), "labels": wanted
    }  # fmt: skip
    assert edgexl("complete", tiny.bundle, prefix, "-n", "1").out == f"{wanted[0]['text']}  ({wanted[0]['id']})\n"
    assert edgexl("complete", tiny.bundle, "no label begins so").out == ""


def test_run_keeps_only_labels_above_the_threshold(tiny: Tiny, edgexl: Edgexl) -> None:
    text = tiny.texts(1)[0]
    everything = edgexl("run", tiny.bundle, text, "--json", "-k", "10").json["labels"]
    middle = (everything[1]["probability"] + everything[2]["probability"]) / 2
    kept = edgexl("run", tiny.bundle, text, "--json", "-k", "10", "--threshold", str(middle)).json["labels"]
    assert kept == [label for label in everything if label["probability"] >= middle]
    assert 0 < len(kept) < 10
    own = edgexl("run", tiny.bundle, text, "--json", "-k", "10", "--threshold", "own")
    assert own.status == 0
    edgexl("run", tiny.bundle, text, "--threshold", "1.5").refuses(2, "1.5", "0 to 1")


def test_run_explains_a_label_by_id_and_by_text(tiny: Tiny, edgexl: Edgexl) -> None:
    query = next(iter(read_queries(tiny.student / "evaluation.json.gz")))
    best = edgexl("run", tiny.bundle, query.text, "--json").json["labels"][0]
    by_id = edgexl("run", tiny.bundle, query.text, "--json", "--explain", best["id"]).json["explanation"]
    by_text = edgexl("run", tiny.bundle, query.text, "--json", "--explain", best["text"]).json["explanation"]
    assert by_id == by_text
    assert (by_id["id"], by_id["reasoner_rank"], by_id["shortlisted"]) == (best["id"], 1, True)
    assert by_id["probability"] == pytest.approx(best["probability"], abs=1e-6)
    assert "reasoning put it at rank 1" in edgexl("run", tiny.bundle, query.text, "--explain", best["id"]).out
    edgexl("run", tiny.bundle, query.text, "--explain", "no such label").refuses(2, "no such label")


def test_run_shows_how_a_label_was_found_and_what_describes_it(tmp_path: Path, edgexl: Edgexl) -> None:
    described = build(True, native=True, descriptions=150)
    path = described.write(tmp_path / "described.exl")
    text, label = next(
        (text, label) for label, text in enumerate(unpack_strings(described.sections[Kind.LABEL_DESCRIPTIONS])) if text
    )
    uid = f"L{label:04d}"
    said = edgexl("run", path, text, "--json", "--explain", uid).json
    assert said["description"] == text
    assert said["explanation"]["found_by"] == "description"
    assert said["explanation"]["description_score"] == said["explanation"]["screening_score"]
    shown = edgexl("run", path, text, "--explain", uid).out
    assert "by a description (score" in shown
    assert f"    {text}\n" in shown


def test_eval_measures_bundle_screening_and_student(tiny: Tiny, edgexl: Edgexl) -> None:
    queries = tiny.student / "evaluation.json.gz"
    report = edgexl("eval", tiny.bundle, queries, "--student", tiny.student, "--limit", "60", "--json").json
    assert set(report) == {"data", "queries", "labels", "bundle", "screening", "student", "difference", "reliability"}
    assert (report["queries"], report["labels"]) == (60, 300)
    for system in ("bundle", "screening", "student"):
        assert set(report[system]) >= METRICS
        assert 0 <= report[system]["P@1"] <= report[system]["R@100"] <= 100
    assert report["bundle"]["F1_micro"] > 0
    assert abs(report["difference"]["R@10"]) < 10
    assert report["difference"]["P@1"] == report["bundle"]["P@1"] - report["student"]["P@1"]
    shown = edgexl("eval", tiny.bundle, queries, "--limit", "20")
    assert "nDCG@5" in shown.out


def test_eval_finds_labels_by_id_in_a_data_set_of_another_order(tiny: Tiny, edgexl: Edgexl, tmp_path: Path) -> None:
    """The same queries over reversed labels: the same numbers, and PSP from the training split."""
    labels = LabelSet.load(tiny.student / "labels.json.gz")
    last = len(labels) - 1
    turned = LabelSet(labels.ids[::-1], labels.texts[::-1], labels.aliases[::-1])
    queries = list(read_queries(tiny.student / "evaluation.json.gz"))
    test = [Query(query.uid, query.text, tuple(last - target for target in query.targets)) for query in queries]
    train = list(read_queries(tiny.student / "calibration.json.gz"))
    write_dataset(tmp_path / "data", turned, train, test, "for a test")
    by_data = edgexl("eval", tiny.bundle, tmp_path / "data", "--json").json
    by_file = edgexl("eval", tiny.bundle, tiny.student / "evaluation.json.gz", "--json").json
    assert by_data["bundle"]["P@1"] == by_file["bundle"]["P@1"] > 50
    assert by_data["bundle"]["PSP@1"] is not None
    assert by_file["bundle"]["PSP@1"] is None


def test_eval_refuses_another_label_set(tiny: Tiny, edgexl: Edgexl, tmp_path: Path) -> None:
    labels = LabelSet(("x",), ("one label",), ((),))
    write_dataset(tmp_path / "data", labels, [Query("q", "one", (0,))], [Query("r", "two", (0,))], "for a test")
    edgexl("eval", tiny.bundle, tmp_path / "data").refuses(2, "label set", "'x'")


def test_inspect_lists_the_rules_that_a_students_graphs_are_lowered_by(tiny: Tiny, edgexl: Edgexl) -> None:
    rules = edgexl("inspect", tiny.student, "--rules", "--json").json
    assert all(list(row) == ["rule", "screener", "reasoner", "pattern"] and row["pattern"] for row in rules)
    found = {row["rule"]: (row["screener"], row["reasoner"]) for row in rules}
    assert found["attention"] == (1, 3)
    assert found["int8 product by tensor"] == (0, 0)
    assert "softmax(q k^T" in edgexl("inspect", tiny.student, "--rules").out


def test_inspect_shows_what_the_bundle_holds(tiny: Tiny, edgexl: Edgexl) -> None:
    report = edgexl("inspect", tiny.bundle, "--json", "--self-test").json
    wanted = {"format", "bytes", "labels", "shapes", "engine", "recipe", "target", "ledger", "gates", "blend"}
    wanted |= {"self_test", "votes", "lexical", "calibration"}
    assert set(report) == wanted
    assert report["bytes"]["total"] == tiny.bundle.stat().st_size > sum(report["bytes"].values()) / 2
    assert report["labels"] == 300
    assert [set(row) for row in report["ledger"]] == [LEDGER_KEYS] * len(report["ledger"])
    assert all(set(gate) == GATE_KEYS for gate in report["gates"])
    assert report["self_test"]["goldens"] > 0 == report["self_test"]["failed"]
    shown = edgexl("inspect", tiny.bundle)
    assert shown.status == 0
    assert "fine_codes" in shown.out


def test_profile_times_every_stage(tiny: Tiny, edgexl: Edgexl, tmp_path: Path) -> None:
    queries = tmp_path / "queries.txt"
    queries.write_text("\n".join(tiny.texts(5)))
    report = edgexl("profile", tiny.bundle, queries, "--runs", "20", "--json").json
    wanted = {"device", "timed", "engine", "threads", "runs", "stages", "total", "load_ms", "first_ms"}
    assert set(report) >= {*wanted, "peak_resident_bytes", "mapped_bytes"}
    assert (report["device"], report["engine"], report["threads"], report["runs"]) == ("host", "native", 1, 20)
    assert list(report["stages"]) == STAGES[:-1]
    for times in [*report["stages"].values(), report["total"]]:
        assert 0 <= times["min_ms"] <= times["p50_ms"] <= times["p90_ms"] <= times["p99_ms"]
    assert report["peak_resident_bytes"] > 1 << 20
    assert "encode" in edgexl("profile", tiny.bundle, "--runs", "5").out


def test_targets_and_recipes_are_listed_and_shown(edgexl: Edgexl) -> None:
    assert "raspberry-pi-5" in [target["name"] for target in edgexl("targets", "--json").json]
    assert edgexl("targets", "raspberry-pi-5", "--json").json["emulator"]["cpu"] == "cortex-a76"
    assert {"accurate", "balanced", "tiny"} <= {recipe["name"] for recipe in edgexl("recipes", "--json").json}
    assert edgexl("recipes", "tiny", "--json").json["index"]["code_bytes"] == 16
    assert "balanced" in edgexl("recipes").out
    assert "overfetch" in edgexl("recipes", "balanced").out
    kinds = {recipe["name"]: recipe["kind"] for recipe in edgexl("recipes", "--json").json}
    assert (kinds["balanced"], kinds["wordnet-micro"]) == ("compile", "distill")
    listed = [" ".join(line.split()) for line in edgexl("recipes").out.splitlines()]
    assert "wordnet-micro distill A student without attention for WordNet" in listed
    assert "teacher             wordnet-teacher" in edgexl("recipes", "wordnet-micro").out
    edgexl("targets", "raspberry-pi-6").refuses(2, "did you mean 'raspberry-pi-5'")


def test_data_show_counts_and_samples(tiny: Tiny, edgexl: Edgexl, tmp_path: Path) -> None:
    labels = LabelSet.load(tiny.student / "labels.json.gz")
    queries = list(read_queries(tiny.student / "evaluation.json.gz"))
    write_dataset(tmp_path / "data", labels, queries[:30], queries[30:40], "for a test")
    report = edgexl("data", "show", tmp_path / "data", "--json").json
    assert (report["labels"], report["trn"]["queries"], report["tst"]["queries"]) == (300, 30, 10)
    assert report["labels_sha256"] == open_dataset(tmp_path / "data").labels.sha256()
    assert queries[30].text in edgexl("data", "show", tmp_path / "data").out
    edgexl("data", "show", tmp_path / "nothing").refuses(2, "lbl.json.gz")
    edgexl("data", "build", "wikipedia", tmp_path / "new").refuses(2, "wordnet")


def test_runtime_path_names_files_that_are_there(edgexl: Edgexl) -> None:
    paths = edgexl("runtime", "path", "--json").json
    assert all(Path(path).exists() for path in paths.values())
    assert json.dumps(paths["header"]).endswith('edgexl.h"')


def test_demo_answers_ten_descriptions_with_a_bundle_that_is_there(tiny: Tiny, edgexl: Edgexl) -> None:
    report = edgexl("demo", "-o", tiny.bundle, "--json").json
    assert report["bundle"] == str(tiny.bundle)
    assert len(report["answers"]) == 10
    assert report["coder"] == []
    assert all(list(answer["ms"]) == STAGES and len(answer["labels"]) == 5 for answer in report["answers"])
    assert report["ledger"] == edgexl("inspect", tiny.bundle, "--json").json["ledger"]
    assert "a woman whose husband has died" in edgexl("demo", "-o", tiny.bundle).out


def test_demo_says_where_the_word_that_was_meant_is(tiny: Tiny, tmp_path: Path, edgexl: Edgexl) -> None:
    bundle = shutil.copy(tiny.bundle, tmp_path / "words.exl")
    edgexl("labels", "add", bundle, "widow", "a woman whose husband has died")
    way = edgexl("run", bundle, "a woman whose husband has died", "--explain", "widow", "--json").json["explanation"]
    said = edgexl("demo", "-o", bundle).out
    rank = way["reasoner_rank"] if way["shortlisted"] else way["screening_rank"]
    assert f"found by its text; screening puts it at rank {way['screening_rank']:,}, " in said
    assert f"have the ranks {rank}: median {rank}." in said


def test_the_demos_bundle_is_named_after_what_it_is_made_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed recipe must not be answered by a bundle that an older one made."""
    from edgexl.use import demo

    monkeypatch.setattr(demo, "RECIPE", "tiny")
    tiny_inputs = demo._inputs_sha256("wordnet")
    monkeypatch.setattr(demo, "RECIPE", "balanced")
    assert demo._inputs_sha256("wordnet") not in ("", tiny_inputs)
    assert demo._inputs_sha256("wordnet") == demo._inputs_sha256("wordnet")


def test_run_and_serve_take_keys(tiny: Tiny, tmp_path: Path, edgexl: Edgexl) -> None:
    key, signed = tmp_path / "shop.key", tmp_path / "signed.exl"
    edgexl("keys", "new", key, "--no-password")
    edgexl("sign", tiny.bundle, "--key", key, "--version", "2", "-o", signed)
    trust = ("--key", tmp_path / "shop.pub", "--least-version")
    assert edgexl("run", signed, "old king", *trust, "2").status == 0
    edgexl("run", signed, "old king", *trust, "3").refuses(2, "3 is the least accepted")
    edgexl("run", tiny.bundle, "old king", *trust, "0").refuses(2, "holds no signature")
    edgexl("serve", signed, "--port", "0", *trust, "3").refuses(2, "3 is the least accepted")
