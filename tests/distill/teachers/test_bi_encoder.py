"""Bi-encoders and cross-encoders as teachers, against the models themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForSequenceClassification, DistilBertConfig, DistilBertModel

from edgexl.base.errors import BadInput
from edgexl.base.fetch import cache_directory
from edgexl.base.sealed import write_sealed
from edgexl.data.label_set import LabelSet
from edgexl.distill.teachers import BiEncoderTeacher, Teacher, TraceTeacher, TwoStageTeacher, open_teacher
from edgexl.distill.teachers.bi_encoder import COSINE_SCALE
from edgexl.student.encode import encode_vectors
from edgexl.student.importer import import_sentence_transformer
from edgexl.student.tokens import bf16
from tests.tiny import tiny_queries, tiny_student, tiny_tokenizer


def write_cross_encoder(directory: Path, outputs: int = 1) -> Path:
    """A random BERT that judges pairs, as `save_pretrained` leaves it."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=1026, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=24, num_labels=outputs, initializer_range=0.5,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(directory)
    tiny_tokenizer().save(str(directory / "tokenizer.json"))
    return directory


def damage(weights: Path, name: str) -> None:
    """Write NaN into one tensor of a model."""
    tensors = load_file(weights)
    tensors[name].fill_(torch.nan)
    save_file(tensors, weights, metadata={"format": "pt"})


def test_both_phases_are_the_models_cosines(bert: Path, labels: LabelSet) -> None:
    teacher: Teacher = open_teacher(str(bert), labels)
    assert isinstance(teacher, BiEncoderTeacher)
    texts = [query.text for query in tiny_queries(labels, 40, 1)]
    imported = import_sentence_transformer(bert)
    rows = [*labels.texts, *(alias for aliases in labels.aliases for alias in aliases)]
    queries, vectors = (encode_vectors(imported.screener, imported.tokenizer, part) for part in (texts, rows))
    of = [*range(len(labels)), *(i for i, aliases in enumerate(labels.aliases) for _ in aliases)]
    best = torch.full((40, len(labels)), -1.0)
    best.scatter_reduce_(1, torch.tensor(of).expand(40, -1), queries @ vectors.T, "amax")

    found, scores = teacher.screen(texts, depth=10)
    np.testing.assert_allclose(scores, np.take_along_axis(best.numpy(), found, 1), atol=0.01)
    assert (scores[:, 0] >= best.amax(1).numpy() - 0.01).all()
    own = teacher.vectors(texts)
    assert own is not None
    assert own.dtype == torch.float16
    np.testing.assert_allclose(own.float() @ queries.T, queries @ queries.T, atol=0.02)
    shortlists = found.copy()
    shortlists[:, 3] = -1
    decided = teacher.decide(texts, shortlists)
    assert decided[:, 3].isneginf().all()
    np.testing.assert_allclose(decided[:, [0, 9]] / COSINE_SCALE, scores[:, [0, 9]], atol=1e-4)


def test_a_cross_encoder_decides(bert: Path, labels: LabelSet, tmp_path: Path) -> None:
    judge = write_cross_encoder(tmp_path / "judge")
    teacher = BiEncoderTeacher(str(bert), labels, cross_encoder=str(judge))
    texts = [query.text for query in tiny_queries(labels, 5, 1)]
    shortlists = teacher.screen(texts, depth=6)[0]
    shortlists[2, 1] = -1
    decided = teacher.decide(texts, shortlists)

    model, tokenizer = BertForSequenceClassification.from_pretrained(judge), tiny_tokenizer()
    for row, column in np.ndindex(*shortlists.shape):
        if (label := int(shortlists[row, column])) < 0:
            assert decided[row, column].isneginf()
            continue
        pair = tokenizer.encode(texts[row], labels.texts[label])
        # in bf16 too, where this CPU knows it: it moves these logits by a tenth
        with torch.inference_mode(), bf16(torch.device("cpu")):
            expected = model(
                input_ids=torch.tensor([pair.ids]), token_type_ids=torch.tensor([pair.type_ids])
            ).logits.item()  # fmt: skip
        assert decided[row, column].item() == pytest.approx(expected, abs=0.02)
    assert decided[0].std() > 0.2, "logits are too alike for this test to see a mistake"
    assert teacher.identity != BiEncoderTeacher(str(bert), labels).identity


def test_a_model_that_is_not_bert_runs_in_sentence_transformers(labels: LabelSet, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import PreTrainedTokenizerFast

    torch.manual_seed(0)
    config = DistilBertConfig(vocab_size=1026, dim=32, n_layers=1, n_heads=2, hidden_dim=32, max_position_embeddings=24)
    DistilBertModel(config).save_pretrained(tmp_path / "plain")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tiny_tokenizer(), pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip
    tokenizer.save_pretrained(tmp_path / "plain")
    theirs = SentenceTransformer(modules=[Transformer(str(tmp_path / "plain")), Pooling(32)], device="cpu")
    theirs.save(str(tmp_path / "distil"))

    teacher = open_teacher(str(tmp_path / "distil"), labels)
    own = teacher.vectors(labels.texts)
    assert own is not None
    expected = torch.from_numpy(theirs.encode(list(labels.texts), normalize_embeddings=True))
    np.testing.assert_allclose(own.float(), expected, atol=0.02)
    assert teacher.tokenizer is not None, "its word pieces serve students too"


def test_long_lists_are_kept_on_disk(bert: Path, labels: LabelSet, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgexl.distill.teachers import vectors

    monkeypatch.setattr(vectors, "SMALLEST_KEPT", 100)
    first = BiEncoderTeacher(str(bert), labels).vectors(labels.texts)
    (file,) = (cache_directory() / "teacher").glob("*.npy")
    assert first is not None

    # what lies in the cache is what comes back, in whole and in part, until it is damaged
    file.unlink()  # not written over: `first` is a map of it
    with write_sealed(file) as stream:
        np.save(stream, -first.numpy())
    teacher = BiEncoderTeacher(str(bert), labels)
    kept = teacher.vectors(labels.texts)
    assert torch.equal(kept, -first)
    assert torch.equal(teacher._vectors(labels.texts[7:20]), kept[7:20])
    whole = file.read_bytes()
    file.unlink()
    file.write_bytes(whole[:-100])
    assert torch.equal(BiEncoderTeacher(str(bert), labels).vectors(labels.texts), first)
    BiEncoderTeacher(str(bert), labels).vectors(labels.texts[:99])
    assert len(list((cache_directory() / "teacher").iterdir())) == 1


def test_output_that_is_not_finite_is_refused(bert: Path, labels: LabelSet, tmp_path: Path) -> None:
    judge = write_cross_encoder(tmp_path / "judge")
    damage(judge / "model.safetensors", "classifier.bias")
    teacher = BiEncoderTeacher(str(bert), labels, cross_encoder=str(judge))
    with pytest.raises(BadInput, match="teacher judge gives a logit that is not finite"):
        teacher.decide(["ba"], np.array([[1, 2]]))
    damage(bert / "model.safetensors", "embeddings.LayerNorm.bias")
    with pytest.raises(BadInput, match=r"'embeddings\.LayerNorm\.bias' holds numbers that are not finite"):
        BiEncoderTeacher(str(bert), labels)


def test_a_source_is_opened_as_what_it_is(bert: Path, labels: LabelSet, tmp_path: Path) -> None:
    tiny_student(labels).save(tmp_path / "student")
    (tmp_path / "t.jsonl").write_text('{"text": "a", "shortlist": [], "labels": []}\n')
    assert isinstance(open_teacher(str(tmp_path / "student"), labels), TwoStageTeacher)
    assert isinstance(open_teacher(str(tmp_path / "t.jsonl"), labels), TraceTeacher)
    with pytest.raises(BadInput, match="decides by itself"):
        open_teacher(str(tmp_path / "student"), labels, cross_encoder=str(bert))
    with pytest.raises(BadInput, match="gives 2 numbers a pair"):
        open_teacher(str(bert), labels, cross_encoder=str(write_cross_encoder(tmp_path / "two", 2)))
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match=r"cross-encoder .* cannot be opened"):
        open_teacher(str(bert), labels, cross_encoder=str(tmp_path / "empty"))
    with pytest.raises(BadInput, match=r"config\.json"):
        open_teacher(str(tmp_path / "empty"), labels)
