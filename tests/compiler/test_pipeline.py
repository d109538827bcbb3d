"""A whole compile: what comes out, that it is the same twice, and that nothing is left of one that fails."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import edgexl
from edgexl.base.errors import BadInput, GateFailed
from edgexl.bundle.layout import Kind
from edgexl.bundle.read import read_bundle
from edgexl.bundle.strings import unpack_strings
from edgexl.compiler import CompileReport, compile
from edgexl.compiler.measure.reference import ReferencePipeline
from edgexl.compiler.recipe import (
    CalibrateRecipe,
    GateRecipe,
    GraphRecipe,
    IndexRecipe,
    ReasonerRecipe,
    Recipe,
    ShortlistRecipe,
)
from edgexl.predict.float_student import StudentPredictor
from edgexl.student.student import Student
from edgexl.target import load_target
from tests.compiler.conftest import TINY_RECIPE
from tests.steps import StageProgress
from tests.tiny import tiny_described, tiny_labels, tiny_student

PASSES = [
    "export", "encode", "build_index", "index_words", "quantize", "read_windows", "blend", "calibrate", "lower", "pack",
    "verify",
]  # fmt: skip


def test_the_bundle_holds_the_student(compiled: CompileReport, student: Student) -> None:
    bundle = read_bundle(compiled.path)
    assert bundle.file_bytes == compiled.bytes == compiled.path.stat().st_size
    assert unpack_strings(bundle.section(Kind.LABEL_TEXTS)) == list(student.labels.texts)
    assert unpack_strings(bundle.section(Kind.LABEL_IDS)) == list(student.labels.ids)
    assert bundle.parameters.label_set_sha256.hex() == student.labels.sha256()
    assert bundle.manifest["provenance"] == {"note": "random weights"}
    assert bundle.manifest["target"]["isa"] != "host"


def test_every_pass_has_its_row_and_the_last_is_the_file(compiled: CompileReport) -> None:
    assert [row.name for row in compiled.ledger] == PASSES
    assert compiled.ledger[-1].bytes == compiled.bytes
    assert all(row.accuracy.p_at_1 is not None for row in compiled.ledger)
    manifest = read_bundle(compiled.path).manifest
    assert [row["pass"] for row in manifest["ledger"]] == PASSES
    assert [row["P@1"] for row in manifest["ledger"]] == [row.accuracy.p_at_1 for row in compiled.ledger]
    assert {row["seconds"] for row in manifest["ledger"]} == {None}
    assert manifest["ledger"][-1]["bytes"] == compiled.bytes
    assert [gate["name"] for gate in manifest["gates"]] == [verdict.name for verdict in compiled.gates]


def test_the_last_row_is_what_the_bundle_reaches(compiled: CompileReport, student: Student) -> None:
    pipeline = ReferencePipeline.from_bundle(compiled.path, student.tokenizer)
    first = [pipeline.predict(query.text, 1)[0][0] for query in student.evaluation]
    hits = [label in query.targets for label, query in zip(first, student.evaluation, strict=True)]
    assert 100 * np.mean(hits) == pytest.approx(compiled.ledger[-1].accuracy.p_at_1)
    assert np.mean(hits) > 0.7


def test_the_last_row_is_what_the_device_reaches(compiled: CompileReport, student: Student) -> None:
    """Queried through the C runtime; and that is what the accuracy gates judge."""
    with edgexl.open_bundle(compiled.path) as handle:
        assert handle.info.engine == "native"
        first = [handle.predict(query.text, k=1).labels[0].index for query in student.evaluation]
    hits = [label in query.targets for label, query in zip(first, student.evaluation, strict=True)]
    before, after = compiled.ledger[0].accuracy, compiled.ledger[-1].accuracy
    assert after.p_at_1 == pytest.approx(100 * np.mean(hits))
    assert np.mean(hits) > 0.7
    kept = {verdict.name: verdict.value for verdict in compiled.gates}
    assert before.p_at_1 is not None
    assert kept["p_at_1_kept"] == pytest.approx(100 * 100 * np.mean(hits) / before.p_at_1, abs=0.01)


def test_two_compiles_are_the_same_bytes(
    compiled: CompileReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is remembered, and however many cores there are."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    host = load_target("host")
    monkeypatch.setattr("os.cpu_count", lambda: 5)
    again = compile(tiny_student(), TINY_RECIPE, host, tmp_path / "again.exl")
    assert again.path.read_bytes() == compiled.path.read_bytes()


def test_vectors_are_remembered(compiled: CompileReport, student: Student, own_cache: Path, tmp_path: Path) -> None:
    known = set((own_cache / "edgexl" / "rows").glob("*.npy"))
    recipe = dataclasses.replace(
        TINY_RECIPE, index=IndexRecipe(code_bytes=4, coarse="sign", overfetch=64, lexical="none")
    )
    compile(student, recipe, "host", tmp_path / "other.exl")
    new = set((own_cache / "edgexl" / "rows").glob("*.npy")) - known
    assert known
    # what other codes and graphs reach is new, and vectors are none of it
    assert all(isinstance(json.loads(np.load(path).tobytes()), dict) for path in new)


@pytest.mark.parametrize("coarse_rotation", [("pq", "random"), ("sign", "pca")])
@pytest.mark.parametrize("labels_from", ["float", "quantized"])
def test_other_indexes(student: Student, tmp_path: Path, coarse_rotation: tuple[str, str], labels_from: str) -> None:
    coarse, rotation = coarse_rotation
    index = IndexRecipe(
        rotation=rotation,
        coarse=coarse,
        code_bytes=4,
        overfetch=64,
        fine_bits=8,
        labels_from=labels_from,  # type: ignore[arg-type]
    )
    report = compile(student, dataclasses.replace(TINY_RECIPE, index=index), "x86-64-v3", tmp_path / "out.exl")
    before, after = report.ledger[0].accuracy.p_at_1, report.ledger[-1].accuracy.p_at_1
    assert before is not None
    assert after is not None
    assert after > 0.95 * before


def test_codes_that_are_measured(student: Student, tmp_path: Path) -> None:
    index = IndexRecipe(rotation="pca", coarse="auto", coarse_dims=16, code_bytes=4, overfetch=64, lexical="none")
    recipe = dataclasses.replace(TINY_RECIPE, index=index)
    once, again = (compile(student, recipe, "x86-64-v3", tmp_path / name) for name in ("once.exl", "again.exl"))
    assert once.path.read_bytes() == again.path.read_bytes()
    bundle = read_bundle(once.path)
    tried, sizes = bundle.manifest["coarse"], bundle.parameters
    assert {code["coarse"] for code in tried} == {"pq", "sign"}
    assert sizes.subspaces * sizes.subspace_dims == 16 < sizes.dims
    with edgexl.open_bundle(once.path) as handle:
        pipeline = ReferencePipeline.from_bundle(bundle, student.tokenizer)
        for query in student.evaluation[:20]:
            found = handle.predict(query.text).shortlist_labels.tolist()
            assert found == pipeline.answer(query.text).labels.tolist()


@pytest.mark.slow
def test_cells_are_probed_as_far_as_the_recall_asks(tmp_path: Path) -> None:
    student = tiny_student(tiny_labels(450, aliases=True))
    index = dataclasses.replace(TINY_RECIPE.index, cells=12, cell_recall=0.95, rotation="pca")
    recipe = dataclasses.replace(TINY_RECIPE, index=index)
    once, again = (compile(student, recipe, "x86-64-v3", tmp_path / name) for name in ("once.exl", "again.exl"))
    assert once.path.read_bytes() == again.path.read_bytes()
    bundle = read_bundle(once.path)
    told, sizes = bundle.manifest["cells"], bundle.parameters
    assert told["cells"] == sizes.cells == 12
    assert told["probes"] == sizes.probes < 12
    assert told["recall_fitted"] >= 0.95
    assert told["first_10_kept"] > 0.9
    pipeline = ReferencePipeline.from_bundle(bundle, student.tokenizer)
    with edgexl.open_bundle(once.path) as handle:
        for query in student.evaluation[:50]:
            found = handle.predict(query.text).shortlist_labels.tolist()
            assert found == pipeline.answer(query.text).labels.tolist()


def test_aliases_are_rows_that_answer(tmp_path: Path) -> None:
    student = tiny_student(tiny_labels(120, aliases=True))
    report = compile(student, TINY_RECIPE, "host", tmp_path / "aliases.exl")
    bundle = read_bundle(report.path)
    assert bundle.parameters.rows > bundle.parameters.labels
    pipeline = ReferencePipeline.from_bundle(bundle, student.tokenizer)
    for label, aliases in enumerate(student.labels.aliases[:60]):
        if aliases:
            answer = pipeline.answer(aliases[0])
            place = int(np.flatnonzero(answer.labels == label)[0])
            own, alias = answer.scores[place]
            assert alias > 0.9 > own  # found by its alias, which is the query itself
    plain = dataclasses.replace(TINY_RECIPE, index=dataclasses.replace(TINY_RECIPE.index, aliases=False))
    without = read_bundle(compile(student, plain, "host", tmp_path / "plain.exl").path)
    assert without.parameters.rows == without.parameters.labels


@pytest.mark.parametrize("keep", [False, True])
def test_descriptions_are_rows_that_answer(tmp_path: Path, keep: bool) -> None:
    """The bundle, its reference and the float student find the same labels by their descriptions."""
    labels = tiny_described(tiny_labels(120, aliases=True))
    student = tiny_student(labels)
    recipe = dataclasses.replace(
        TINY_RECIPE, index=dataclasses.replace(TINY_RECIPE.index, descriptions="joined", keep_descriptions=keep)
    )
    report = compile(student, recipe, "host", tmp_path / "described.exl")
    bundle = read_bundle(report.path)
    assert bundle.parameters.descriptions == 120
    assert bundle.parameters.rows > 240
    assert (Kind.LABEL_DESCRIPTIONS in [entry.kind for entry in bundle.entries]) == keep
    pipeline = ReferencePipeline.from_bundle(bundle, student.tokenizer)
    predictor = StudentPredictor(student)
    asked = [texts[0] for texts in labels.descriptions[:60]]
    screened = predictor.rank_by_stage(asked)[0][:, 0]
    assert np.mean(screened == np.arange(60)) > 0.5  # by their texts, hardly any
    same, found_by = 0, []
    with edgexl.open_bundle(report.path) as handle:
        for label, (text, float_best) in enumerate(zip(asked, screened, strict=True)):
            answer, prediction = pipeline.answer(text), handle.predict(text)
            np.testing.assert_array_equal(prediction.shortlist_labels, answer.labels)
            same += int(answer.labels[0] == float_best)
            way = handle.explain(text, label)
            assert way.screening_score == max(way.text_score, way.alias_score or -1, way.description_score or -1)
            found_by.append(way.found_by)
            assert handle.label_description(label) == (text if keep else "")
    assert same > 50
    assert found_by.count("description") > 40


@pytest.mark.parametrize("engine", ["native", "ort"])
def test_a_failed_gate_blames_a_stage_and_writes_nothing(student: Student, tmp_path: Path, engine: str) -> None:
    """Of a native bundle the gates judge twice, what was measured and what the device answers; of any other, once."""
    recipe = dataclasses.replace(
        TINY_RECIPE,
        engine=engine,  # type: ignore[arg-type]
        index=IndexRecipe(code_bytes=1, overfetch=16, fine_dims=2, lexical="none"),
        gates=GateRecipe(reasoner_gain=-100, r_at_100_kept=99),
    )
    with pytest.raises(GateFailed, match=r"r_at_100_kept failed: .* The stage to blame is build_index"):
        compile(student, recipe, "host", tmp_path / "out.exl")
    assert list(tmp_path.iterdir()) == []


def test_gates_that_pass_are_told_whatever_the_engine(student: Student, tmp_path: Path) -> None:
    gates = GateRecipe(reasoner_gain=-100, p_at_1_kept=50, r_at_100_kept=60)
    recipe = dataclasses.replace(TINY_RECIPE, engine="ort", gates=gates)
    report = compile(student, recipe, "host", tmp_path / "out.exl")
    before, after = report.ledger[0].accuracy, report.ledger[-1].accuracy
    told = {verdict.name: (verdict.value, verdict.threshold) for verdict in report.gates}
    assert before.p_at_1 is not None
    assert before.r_at_100 is not None
    assert after.p_at_1 is not None
    assert after.r_at_100 is not None
    assert told["p_at_1_kept"] == (pytest.approx(100 * after.p_at_1 / before.p_at_1, abs=1e-3), 50)
    assert told["r_at_100_kept"] == (pytest.approx(100 * after.r_at_100 / before.r_at_100, abs=1e-3), 60)


def test_a_gate_allows_for_chance_where_the_recipe_says_so(student: Student, tmp_path: Path) -> None:
    index = IndexRecipe(code_bytes=2, overfetch=64, fine_dims=8, lexical="none")
    free = compile(student, dataclasses.replace(TINY_RECIPE, index=index), "host", tmp_path / "free.exl").ledger
    before, after = free[0].accuracy, free[-1].accuracy  # which is judged last
    kept = 100 * after.r_at_100 / before.r_at_100
    assert kept < 99  # something is lost, or this shows nothing
    gates = GateRecipe(reasoner_gain=-100, r_at_100_kept=round(kept + 0.1, 3))
    recipe = dataclasses.replace(TINY_RECIPE, index=index, gates=gates)
    with pytest.raises(GateFailed, match="r_at_100_kept failed"):
        compile(student, recipe, "host", tmp_path / "out.exl")
    recipe = dataclasses.replace(recipe, gates=dataclasses.replace(gates, confidence=0.95))
    (verdict,) = [
        found for found in compile(student, recipe, "host", tmp_path / "out.exl").gates if "100_kept" in found.name
    ]
    assert verdict.value < verdict.threshold < verdict.value + verdict.margin
    recipe = dataclasses.replace(recipe, gates=GateRecipe(reasoner_gain=-100, r_at_100_kept=100, confidence=0.95))
    with pytest.raises(GateFailed, match=r"by more than the [\d.]+ that chance explains"):
        compile(student, recipe, "host", tmp_path / "none.exl")


def test_a_bundle_over_the_limit_is_not_written(student: Student, tmp_path: Path) -> None:
    recipe = dataclasses.replace(TINY_RECIPE, gates=GateRecipe(reasoner_gain=-100, max_bundle_bytes=100_000))
    with pytest.raises(GateFailed, match=r"max_bundle_bytes failed: .* blame is (quantize|build_index|pack)"):
        compile(student, recipe, "host", tmp_path / "out.exl")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_compile_leaves_the_old_bundle(student: Student, tmp_path: Path) -> None:
    out = tmp_path / "out.exl"
    out.write_bytes(b"the old one")

    def interrupt(stage: str, done: int, total: int) -> None:
        if stage == "calibrate" and done > 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compile(student, TINY_RECIPE, "host", out, interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["out.exl"]
    assert out.read_bytes() == b"the old one"


def test_progress_is_told_of_every_stage(student: Student, tmp_path: Path) -> None:
    steps = StageProgress()
    compile(student, TINY_RECIPE, "host", tmp_path / "out.exl", steps)
    steps.assert_whole()
    assert set(PASSES) <= set(steps.told)
    assert steps.told["calibrate"][-1] == (len(student.calibration), len(student.calibration))
    assert steps.told["measure build_index"][-1] == (len(student.evaluation), len(student.evaluation))


def test_a_student_without_queries(student: Student, tmp_path: Path) -> None:
    bare = dataclasses.replace(student, calibration=(), evaluation=())
    with pytest.raises(BadInput, match="no calibration queries"):
        compile(bare, TINY_RECIPE, "host", tmp_path / "out.exl")
    with pytest.raises(BadInput, match="no evaluation queries"):
        compile(
            bare,
            dataclasses.replace(TINY_RECIPE, gates=GateRecipe(reasoner_gain=-100, p_at_1_kept=50)),
            "host",
            tmp_path / "out.exl",
        )
    recipe = dataclasses.replace(TINY_RECIPE, calibrate=CalibrateRecipe(method="none"))
    report = compile(bare, recipe, "host", tmp_path / "out.exl")
    assert report.ledger[-1].accuracy.p_at_1 is None
    pipeline = ReferencePipeline.from_bundle(report.path, bare.tokenizer)
    shares = [share for _, share in pipeline.predict(bare.labels.texts[0], 16)]
    assert sum(shares) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("scheme", ["fp32", "int8-token", "int8-weights", "int4-weights"])
def test_every_scheme_compiles(student: Student, tmp_path: Path, scheme: str) -> None:
    graph = GraphRecipe(scheme=scheme, embeddings="fp32" if scheme == "fp32" else "int8")  # type: ignore[arg-type]
    index = dataclasses.replace(TINY_RECIPE.index, rotation="pca")
    reasoner = ReasonerRecipe(**vars(graph), blend="none")
    recipe = dataclasses.replace(
        TINY_RECIPE, screener=graph, reasoner=reasoner, index=index, calibrate=CalibrateRecipe("platt")
    )
    report = compile(student, recipe, "host", tmp_path / "out.exl")
    _, _, before, after = (row.accuracy.p_at_1 for row in report.ledger[:4])
    assert before is not None
    assert after is not None
    assert after >= before - (0 if scheme == "fp32" else 8 if scheme == "int4-weights" else 3)


@pytest.mark.parametrize(
    ("recipe", "sentence"),
    [
        (Recipe("x", index=IndexRecipe(code_bytes=7)), "code_bytes"),
        (Recipe("x", screener=GraphRecipe(keep_fp32=("nowhere",))), "keep_fp32 = 'nowhere'"),
    ],
)
def test_a_recipe_that_does_not_fit_the_student(
    student: Student, tmp_path: Path, recipe: Recipe, sentence: str
) -> None:
    with pytest.raises(BadInput, match=sentence):
        compile(student, recipe, "host", tmp_path / "out.exl")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_none(student: Student, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="directory that exists"):
        compile(student, TINY_RECIPE, "host", tmp_path / "missing" / "out.exl")


def test_a_shortlist_longer_than_the_label_set(tmp_path: Path) -> None:
    student = tiny_student(tiny_labels(9))
    recipe = dataclasses.replace(TINY_RECIPE, shortlist=ShortlistRecipe(n=64))
    bundle = read_bundle(compile(student, recipe, "host", tmp_path / "out.exl").path)
    assert bundle.parameters.shortlist == 64
    assert ReferencePipeline.from_bundle(bundle, student.tokenizer).predict(student.labels.texts[3], 9)
