"""Saving, loading and refusing students; users' own modules."""

from __future__ import annotations

import dataclasses
import gzip
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from edgexl.base.errors import BadInput
from edgexl.base.shipped import available_students
from edgexl.data import Query
from edgexl.data.label_set import LabelSet
from edgexl.predict.float_student import StudentPredictor
from edgexl.student.contract import Shapes
from edgexl.student.reasoner import ScreeningReasoner
from edgexl.student.student import Student, load_student
from tests.tiny import SHAPES, tiny_labels, tiny_student, tiny_tokenizer


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("student") / "tiny"
    tiny_student().save(directory)
    return directory


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    target = tmp_path / "tiny"
    target.mkdir()
    for path in saved.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


def test_a_student_comes_back_as_it_was(saved: Path) -> None:
    before, after = tiny_student(), load_student(saved)
    assert after.labels == before.labels
    assert after.shapes == before.shapes
    assert (after.calibration, after.evaluation) == (before.calibration, before.evaluation)
    assert after.provenance == before.provenance
    texts = [query.text for query in before.evaluation]
    same = (StudentPredictor(before).rank(texts)[:, 0] == StudentPredictor(after).rank(texts)[:, 0]).mean()
    assert same > 0.9  # int8 rows round the weights
    for name, value in before.screener.state_dict().items():
        # half an int8 step of the row's largest weight
        assert (value - after.screener.state_dict()[name]).abs().max() <= value.abs().max() / 200, name


def test_saving_a_loaded_student_changes_no_byte(saved: Path, tmp_path: Path) -> None:
    load_student(bytes(saved)).save(tmp_path / "again")
    for path in sorted(saved.iterdir()):
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_saved_student_holds_data_alone(saved: Path) -> None:
    names = {path.name for path in saved.iterdir()}
    assert names == {
        "student.json", "model.safetensors", "tokenizer.json",
        "labels.json.gz", "calibration.json.gz", "evaluation.json.gz",
    }  # fmt: skip
    dtypes = {value.dtype for value in load_file(saved / "model.safetensors").values()}
    assert dtypes == {torch.int8, torch.float16}


def test_only_students_are_overwritten(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("precious")
    with pytest.raises(BadInput, match="not a student"):
        tiny_student().save(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "precious"


def edit_json(key: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    def apply(directory: Path) -> None:
        about = json.loads((directory / "student.json").read_text())
        about[key] = change(about.get(key))
        (directory / "student.json").write_text(json.dumps(about))

    return apply


def edit_weights(change: Callable[[dict[str, Tensor]], None]) -> Callable[[Path], None]:
    def apply(directory: Path) -> None:
        tensors = load_file(directory / "model.safetensors")
        change(tensors)
        save_file(tensors, directory / "model.safetensors")

    return apply


def relabel(directory: Path) -> None:
    LabelSet(("a", "b"), ("one", "two")).save(directory / "labels.json.gz")


def duplicate_label(directory: Path) -> None:
    lines = gzip.decompress((directory / "labels.json.gz").read_bytes()).splitlines(keepends=True)
    (directory / "labels.json.gz").write_bytes(gzip.compress(b"".join([*lines, lines[0]])))


def poison(tensors: dict[str, Tensor]) -> None:
    tensors["screener.word.weight.scale"][3] = torch.inf


def config(role: str, **sizes: Any) -> Callable[[Path], None]:
    return edit_json(role, lambda entry: {**entry, "config": {**entry["config"], **sizes}})


def edit_text(old: str, new: str) -> Callable[[Path], None]:
    def apply(directory: Path) -> None:
        text = (directory / "student.json").read_text()
        assert old in text
        (directory / "student.json").write_text(text.replace(old, new))

    return apply


def write_header(entries: bytes) -> Callable[[Path], None]:
    """A weight file of this header and a few bytes."""

    def apply(directory: Path) -> None:
        (directory / "model.safetensors").write_bytes(len(entries).to_bytes(8, "little") + entries + bytes(8))

    return apply


def empty_text(split: str) -> Callable[[Path], None]:
    def apply(directory: Path) -> None:
        path = directory / f"{split}.json.gz"
        lines = gzip.decompress(path.read_bytes()).decode().splitlines()
        lines[2] = json.dumps(json.loads(lines[2]) | {"title": "\u200b\t"})
        path.write_bytes(gzip.compress("\n".join(lines).encode()))

    return apply


def edit_tokenizer(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def apply(directory: Path) -> None:
        spec = json.loads((directory / "tokenizer.json").read_text())
        change(spec)
        (directory / "tokenizer.json").write_text(json.dumps(spec))

    return apply


def enlarge(tensors: dict[str, Tensor]) -> None:
    tensors["screener.word.weight"] = tensors.pop("screener.word.weight").float()
    del tensors["screener.word.weight.scale"]
    tensors["screener.word.weight"][7, 5] = 3e38


TWICE = b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
HUGE = b'{"a":{"dtype":"F32","shape":[%d],"data_offsets":[0,8]}}'

REFUSALS: list[tuple[Callable[[Path], None], str]] = [
    (edit_json("version", lambda _: 7), "version 7"),
    (edit_json("format", lambda _: "other"), "format"),
    (edit_json("shapes", lambda shapes: {**shapes, "query_dims": 31}), r"query_vector is \[1, 32\]"),
    (edit_json("shapes", lambda shapes: {**shapes, "shortlist": 0}), "'shortlist' is 0"),
    (edit_json("shapes", lambda shapes: {**shapes, "vocabulary": 50}), "word table has 50 rows"),
    (edit_json("shapes", lambda shapes: {**shapes, "max_tokens": 17}), "failed on"),
    (edit_json("screener", lambda entry: {**entry, "type": "os.system"}), "unknown type 'os.system'"),
    (edit_json("screener", lambda entry: {**entry, "config": {**entry["config"], "headz": 2}}), "'headz'"),
    (edit_json("screener", lambda entry: {**entry, "config": {**entry["config"], "heads": 5}}), "multiple of heads"),
    (edit_json("reasoner", lambda entry: {**entry, "config": {**entry["config"], "dims": 64}}), "student.json's sizes"),
    (edit_json("labels_sha256", lambda _: "0" * 64), "not the label set"),
    (edit_json("surprise", lambda _: 1), "unknown key 'surprise'"),
    (relabel, "not the label set"),
    (duplicate_label, "share the id"),
    (edit_weights(lambda tensors: tensors.pop("reasoner.verdict")), "lacks the tensor 'reasoner.verdict'"),
    (edit_weights(lambda tensors: tensors.update(extra=torch.zeros(2))), "unknown tensor 'extra'"),
    (edit_weights(lambda tensors: tensors.pop("screener.word.weight.scale")), "one scale a row"),
    (edit_weights(poison), "not finite"),
    (lambda directory: (directory / "model.safetensors").unlink(), "cannot be read"),
    (lambda directory: (directory / "model.safetensors").write_bytes(b"\x80\x04pickle"), "not a sound weight file"),
    (lambda directory: (directory / "tokenizer.json").write_text("{}"), "not a Hugging Face tokenizer"),
    (lambda directory: (directory / "student.json").write_text("[1"), "not readable JSON"),
    (lambda directory: (directory / "calibration.json.gz").unlink(), "does not exist"),
    (edit_weights(enlarge), "'screener.word.weight', row 7, holds 3e.38"),
    (config("screener", vocabulary=2**62), "vocabulary is beyond"),
    (config("screener", vocabulary=2**31 - 1), r"it \[2147483647, 32\]"),
    (config("screener", vocabulary=2**31 - 1, word_dims=2**31 - 1), "student.json's sizes|larger than any memory"),
    (config("screener", layers=10**9), "layers is 1000000000, but .* holds"),
    (config("reasoner", layers=10**9), "layers is 1000000000, but .* holds"),
    (config("screener", layers="two"), "layers must be int"),
    (config("screener", layers=10**400), "layers is a number beyond"),
    (config("screener", max_tokens=-1), "sizes must be positive"),
    (config("reasoner", ffn_dims=None), "ffn_dims must be int"),
    (config("screener", eps=float("inf")), "Infinity is not JSON"),
    (config("screener", eps=float("nan")), "NaN is not JSON"),
    (config("screener", eps=10**400), "beyond"),
    (edit_json("shapes", lambda shapes: {**shapes, "max_tokens": 10**400}), "max_tokens is a number beyond"),
    (edit_json("shapes", lambda shapes: {**shapes, "max_tokens": 2**31}), "from 3 to 8192"),
    (edit_json("shapes", lambda shapes: {**shapes, "label_tokens": 65}), "from 1 to 64"),
    (edit_json("version", lambda _: 10**400), "version 1000"),
    (edit_json("products", lambda _: [{"name": "a", "table": "b", "map": "c", "rows": 10**400}]), "rows is a number"),
    (edit_json("products", lambda _: [{"name": "a", "table": "b", "map": "c"}]), "missing or do not fit"),
    (edit_text('"query_dims": 32', f'"query_dims": {"[" * 3000}{"]" * 3000}'), "not readable JSON"),
    (edit_text('"query_dims": 32', '"query_dims": 1' + "0" * 5000), "not readable JSON"),
    (write_header(b"[" * 3000), "not a sound weight file"),
    (write_header(HUGE % 2**62), "not a sound weight file"),
    (write_header(HUGE % 10**400), "not a sound weight file"),
    (write_header(TWICE), "holds two tensors 'a'"),
    (empty_text("calibration"), r"calibration query 'q2' \(line 3\) has a text without a token"),
    (empty_text("evaluation"), r"evaluation query 'q2' \(line 3\) has a text without a token"),
    (edit_tokenizer(lambda spec: spec["added_tokens"][2].update(normalized=True, lstrip=True)), "normalized=true"),
    (edit_tokenizer(lambda spec: spec.update(normalizer={"type": "ByteLevel"})), "is ByteLevel"),
    (edit_tokenizer(lambda spec: spec.update(pre_tokenizer={"type": "Whitespace"})), "is Whitespace"),
    (edit_tokenizer(lambda spec: spec["model"].update(type="BPE", merges=[])), "tokenizer"),
    (lambda directory: (directory / "tokenizer.json").write_bytes(b"\xff\xfe"), "not UTF-8"),
    (lambda directory: (directory / "tokenizer.json").write_text("[" * 3000), "not a Hugging Face tokenizer"),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "sentence"), REFUSALS, ids=[sentence for _, sentence in REFUSALS])
def test_damaged_students_are_refused_in_one_sentence(
    copy: Path, damage: Callable[[Path], None], sentence: str
) -> None:
    damage(copy)
    began = time.process_time()
    with pytest.raises(BadInput, match=sentence) as caught:
        load_student(copy)
    assert time.process_time() - began < 3, "something large was built first"
    assert "\n" not in str(caught.value)
    assert str(copy) in str(caught.value)
    assert len(str(caught.value)) < 600


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    shipped = ", ".join(sorted(available_students()))
    with pytest.raises(BadInput, match=rf"There is no student 'nosuch': .* shipped ones \({shipped}\)\."):
        load_student("nosuch")
    for nothing in (None, 5, "", "a\0b"):
        with pytest.raises(BadInput, match=r"The student .*; give"):
            load_student(nothing)  # type: ignore[arg-type]
    for name, directory in available_students().items():
        assert (directory / "student.json").is_file(), name


class HashScreener(nn.Module):
    """A user's own screener: random vectors of word pieces, averaged."""

    def __init__(self, dims: int = 8, normalise: bool = True) -> None:
        super().__init__()
        self.table = nn.Embedding(SHAPES.vocabulary, dims)
        self.normalise = normalise

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        states = self.table(input_ids)
        vector = (states * attention_mask.unsqueeze(-1)).sum(1)
        return (nn.functional.normalize(vector, dim=-1) if self.normalise else vector * 9), states


class OwnReasoner(nn.Module):
    """A user's own reasoner, with an optional fault."""

    input_names: Any = ("query_vector", "label_vectors")

    def __init__(self, fault: str = "") -> None:
        super().__init__()
        self.fault = fault
        if fault == "unknown input":
            self.input_names = ("query_vector", "label_frequency")
        if fault == "no names":
            self.input_names = None
        if fault == "blind":
            self.input_names = ("query_vector",)

    def forward(self, query_vector: Tensor, label_vectors: Tensor | None = None) -> Tensor:
        if label_vectors is None:
            return query_vector
        logits = (label_vectors @ query_vector.unsqueeze(-1)).squeeze(-1)
        if self.fault == "ordered":
            logits = logits + torch.arange(logits.shape[1])
        if self.fault == "not finite":
            logits = logits / 0.0
        if self.fault == "shape":
            logits = logits.unsqueeze(-1)
        if self.fault == "raises":
            raise RuntimeError("no such luck\nsecond line")
        return logits


def own_student(**changes: Any) -> Student:
    torch.manual_seed(0)
    parts: dict[str, Any] = {
        "screener": HashScreener(),
        "reasoner": OwnReasoner(),
        "tokenizer": tiny_tokenizer(),
        "labels": tiny_labels(),
        "shapes": dataclasses.replace(SHAPES, query_dims=8, state_dims=8),
    }
    return Student.from_modules(**(parts | changes))


def test_a_users_own_modules_make_a_student_that_answers_but_is_not_saved(tmp_path: Path) -> None:
    student = own_student()
    assert StudentPredictor(student).predict(student.labels.texts[5])[0][0] == 5
    with pytest.raises(BadInput, match="cannot be saved, because its screener is the class HashScreener") as caught:
        student.save(tmp_path / "own")
    assert "compile it directly" in str(caught.value)
    assert not (tmp_path / "own").exists()


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("unknown input", "takes 'label_frequency', which no runtime supplies"),
        ("no names", "no tuple 'input_names'"),
        ("blind", "takes nothing about the labels"),
        ("ordered", "permutation equivariant"),
        ("not finite", "not finite"),
        ("shape", r"logits is \[1, 7, 1\] where"),
        ("raises", "The reasoner failed on .*no such luck"),
    ],
)
def test_a_reasoner_that_breaks_the_contract_is_refused(fault: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        own_student(reasoner=OwnReasoner(fault))


def test_a_screener_that_breaks_the_contract_is_refused() -> None:
    with pytest.raises(BadInput, match="must be normalised to 1"):
        own_student(screener=HashScreener(normalise=False))
    with pytest.raises(BadInput, match=r"query_vector is \[1, 9\] where"):
        own_student(screener=HashScreener(9))
    with pytest.raises(BadInput, match="must return the pair"):
        own_student(screener=PairlessScreener())


class PairlessScreener(nn.Module):
    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return input_ids.to(torch.float32)


def test_queries_and_tokenizers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BadInput, match="evaluation query 'q' has no target or one outside the 300 labels"):
        own_student(evaluation=(Query("q", "text", (300,)),))
    shapes = Shapes(max_tokens=16, query_dims=8, state_dims=8, shortlist=16, label_tokens=4, vocabulary=20)
    with pytest.raises(BadInput, match="word table has 20 rows"):
        own_student(shapes=shapes)
    with pytest.raises(BadInput, match="'max_tokens' is 2"):
        dataclasses.replace(shapes, max_tokens=2)


OTHERS = LabelSet(("x", "y", "z"), ("ba be", "bi bo", "bu bar"))


def test_other_labels_bring_their_own_queries_and_leave_what_was_measured_behind() -> None:
    student = dataclasses.replace(tiny_student(), metrics={"evaluation": {"P@1": 90.0}})
    assert student.metrics
    moved = student.with_labels(OTHERS, evaluation=[("q", "be", [0, 2])])
    assert moved.labels == OTHERS
    assert (moved.calibration, moved.evaluation) == ((), (Query("q", "be", (0, 2)),))
    assert moved.metrics == {}
    assert moved.provenance == {"trained_over": student.labels.sha256(), "training": {"note": "random weights"}}
    assert StudentPredictor(moved).predict("bi bo")[0][0] == 1
    again = moved.with_labels(tiny_labels(20))
    assert again.provenance == moved.provenance
    assert not again.evaluation
    with pytest.raises(BadInput, match="evaluation query 'q' has no target or one outside the 3 labels"):
        student.with_labels(OTHERS, evaluation=[("q", "be", [3])])
    with pytest.raises(BadInput, match="calibration query 'q' has a text without a token"):
        student.with_labels(OTHERS, calibration=[("q", " ", [0])])
    with pytest.raises(BadInput, match="give a LabelSet"):
        student.with_labels(5)  # type: ignore[arg-type]


def test_replacing_fields_cannot_make_a_student_that_contradicts_itself() -> None:
    student = dataclasses.replace(tiny_student(), metrics={"evaluation": {"P@1": 90.0}})
    for labels in (OTHERS, tiny_labels(299), LabelSet(student.labels.ids, student.labels.texts[::-1])):
        with pytest.raises(BadInput, match=r"use student\.with_labels"):
            dataclasses.replace(student, labels=labels)
        bare = dataclasses.replace(student, labels=labels, calibration=(), evaluation=())
        assert bare.metrics == {}
        assert bare.provenance["trained_over"] == student.labels.sha256()
    with pytest.raises(BadInput, match="outside the 300 labels"):
        dataclasses.replace(student, evaluation=(Query("q", "be", (300,)),))
    assert dataclasses.replace(student, evaluation=()).metrics == student.metrics


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_modules_of_another_precision_and_mode_are_converted_and_the_given_ones_kept(dtype: torch.dtype) -> None:
    screener, reasoner = HashScreener().to(dtype).train(), OwnReasoner().train()
    student = own_student(screener=screener, reasoner=reasoner)
    assert {value.dtype for value in student.screener.state_dict().values()} == {torch.float32}
    assert screener.table.weight.dtype == dtype
    assert not student.screener.training
    assert not student.reasoner.training
    assert StudentPredictor(student).predict(student.labels.texts[5])[0][0] == 5


def test_a_tokenizer_of_transformers_is_taken_as_the_one_inside_it() -> None:
    from transformers import BertTokenizerFast, PreTrainedTokenizerFast

    names = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
    texts = ["ba de", "fi"]
    for kind in (PreTrainedTokenizerFast, BertTokenizerFast):
        wrapped = kind(tokenizer_object=tiny_tokenizer(), **names)
        student = own_student(tokenizer=wrapped)
        assert [found.ids for found in student.tokenizer.encode_batch(texts)] == wrapped(texts)["input_ids"]


def test_queries_may_be_tuples() -> None:
    given: list[Any] = [("q0", "ba", (3,)), ["q1", "be", np.array([1, 2])], Query("q2", "bi", [4])]  # type: ignore[arg-type]
    student = own_student(evaluation=given)
    assert student.evaluation == (Query("q0", "ba", (3,)), Query("q1", "be", (1, 2)), Query("q2", "bi", (4,)))


class Doubtful(HashScreener):
    """A screener whose outputs are not what they should be."""

    def __init__(self, change: Callable[[Tensor, Tensor], Any]) -> None:
        super().__init__()
        self.change = change

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        return self.change(*super().forward(input_ids, attention_mask))


def spoiled(row: int, value: float) -> HashScreener:
    screener = HashScreener()
    with torch.no_grad():
        screener.table.weight[row, 3] = value
    return screener


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"tokenizer": None}, "The tokenizer is None; give a tokenizers.Tokenizer"),
        ({"tokenizer": "tokenizer.json"}, "The tokenizer is of the type str"),
        ({"labels": 5}, "The labels are of the type int; give a LabelSet"),
        ({"shapes": {"max_tokens": 16}}, "The shapes are of the type dict"),
        ({"screener": None}, "The screener is None"),
        ({"reasoner": lambda **_: None}, "The reasoner is of the type function"),
        ({"reasoner": nn.Identity()}, "no tuple 'input_names'"),
        ({"screener": nn.Module()}, "The screener failed on"),
        ({"screener": HashScreener().to("meta")}, "has no weights"),
        ({"screener": spoiled(9, torch.nan)}, "'screener.table.weight', row 9, holds numbers that are not finite"),
        ({"screener": spoiled(9, -torch.inf)}, "'screener.table.weight', row 9, holds numbers that are not finite"),
        ({"screener": spoiled(9, 3e38)}, "'screener.table.weight', row 9, holds 3e.38"),
        ({"screener": Doubtful(lambda vector, states: (vector.double(), states))}, "query_vector is in torch.float64"),
        ({"screener": Doubtful(lambda vector, states: (vector, states.half()))}, "token_states is in torch.float16"),
        ({"screener": Doubtful(lambda vector, states: (vector, None))}, "token_states is of the type NoneType"),
        ({"screener": Doubtful(lambda vector, states: 1 / 0)}, "failed on .* division by zero"),
        ({"evaluation": "no/file"}, "no/file cannot be read"),
        ({"evaluation": None}, "The evaluation queries are None"),
        ({"calibration": ["text"]}, r"calibration query 0 \('text'\) is none; give pairs"),
        ({"calibration": [("q", "be", (1,)), ("q", None, (1,))]}, "calibration query 1 has a uid or text that is no"),
        ({"calibration": [("q", "be", 1)]}, "has no list of targets"),
        ({"calibration": [("q", "be", (1.5,))]}, "a target that is no whole number"),
        ({"calibration": [("q", "be", (True,))]}, "a target that is no whole number"),
        ({"calibration": [("q", "", (1,))]}, "has a text without a token"),
        ({"provenance": {"a": object()}}, "provenance cannot be written as JSON"),
        ({"metrics": {"a": {1, 2}}}, "metrics cannot be written as JSON"),
    ],
)
def test_arguments_of_another_kind_are_refused_at_once(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        own_student(**changes)


def test_the_float_student_takes_texts_and_numbers_alone() -> None:
    predictor = StudentPredictor(own_student())
    text = predictor.student.labels.texts[5]
    assert predictor.predict(text, np.int64(2)) == predictor.predict(text.encode(), 2)  # type: ignore[arg-type]
    for wrong in (None, 5, [text], b"\xff"):
        with pytest.raises(BadInput, match="Text 0"):
            predictor.predict(wrong)  # type: ignore[arg-type]
    for wrong in (0, -1, 2.0, "2", None, 10**400):
        with pytest.raises(BadInput, match="k is"):
            predictor.predict(text, wrong)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="The texts are of the type str"):
        predictor.rank(text)
    with pytest.raises(BadInput, match="Text 1 is None"):
        predictor.rank([text, None])  # type: ignore[list-item]


@pytest.mark.parametrize("value", [16.0, "16", None, True, 2**31, -1, 10**400])
def test_shapes_are_whole_numbers_within_a_bundles_limits(value: Any) -> None:
    for name in ("max_tokens", "query_dims", "state_dims", "shortlist", "label_tokens", "vocabulary"):
        with pytest.raises(BadInput, match=f"shape '{name}' is .* whole number from"):
            dataclasses.replace(SHAPES, **{name: value})
    assert dataclasses.replace(SHAPES, max_tokens=np.int64(20)) == dataclasses.replace(SHAPES, max_tokens=20)


def test_equal_scores_go_to_the_lower_label() -> None:
    student = tiny_student()
    alike = torch.zeros(300, 32)
    alike[torch.arange(300), torch.arange(300) % 7 % 4] = 1.0
    screened = StudentPredictor(student, alike).screen(torch.tensor([[0.5, 0.1, 0.7, 0.3] + [0.0] * 28]), 300)
    assert screened.labels[0].tolist() == sorted(range(300), key=lambda label: (2, 0, 3, 1).index(label % 7 % 4))


def test_a_student_without_a_reasoner_keeps_screenings_order(tmp_path: Path) -> None:
    dataclasses.replace(tiny_student(), reasoner=ScreeningReasoner()).save(tmp_path / "one stage")
    student = load_student(tmp_path / "one stage")
    screened, reasoned = StudentPredictor(student).rank_by_stage(["ba", "be bi"])
    assert (screened == reasoned).all()


def test_aliases_raise_their_labels_screening_scores() -> None:
    plain, aliased = tiny_student(), tiny_student(tiny_labels(aliases=True))
    label = next(place for place, aliases in enumerate(aliased.labels.aliases) if aliases)
    text = aliased.labels.aliases[label][0]
    for student, found in ((plain, False), (aliased, True)):
        predictor = StudentPredictor(student)
        screened = predictor.screen(predictor.encode([text]).query_vector, 16)
        assert (int(screened.labels[0, 0]) == label) is found
        own, other = screened.scores[0, 0].tolist()
        assert other == pytest.approx(1.0, abs=1e-4) if found else own == other
