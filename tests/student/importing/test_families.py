"""Encoders of every family, made by transformers from small configurations of their real shape with random weights,
against sentence-transformers on 500 texts; static tables against model2vec's rule."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from edgexl.base.errors import BadInput
from edgexl.student.encode import encode_vectors
from edgexl.student.importer import ForeignModel, import_sentence_transformer
from tests.student.importing.conftest import WORDS, make_texts, weights, write_vocabulary
from tests.student.importing.test_variants import expected_vectors

SIZES = {"vocab_size": 180, "initializer_range": 0.3}
USUAL = {
    **SIZES, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
}  # fmt: skip


def make_encoder(family: str, **changes: Any) -> Any:
    """A random encoder of a family's real shape."""
    import transformers as t

    torch.manual_seed(0)
    if family == "distilbert":
        sizes = {**SIZES, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "max_position_embeddings": 80}
        return t.DistilBertModel(t.DistilBertConfig(**(sizes | changes))).eval()
    if family in ("roberta", "xlm-roberta", "camembert"):
        name = {"roberta": "Roberta", "xlm-roberta": "XLMRoberta", "camembert": "Camembert"}[family]
        sizes = {
            **USUAL,
            "max_position_embeddings": 82,
            "type_vocab_size": 1,
            "layer_norm_eps": 1e-5,
            "pad_token_id": 1,
        }
        config = getattr(t, f"{name}Config")(**(sizes | changes))
        return getattr(t, f"{name}Model")(config, add_pooling_layer=False).eval()
    if family == "mpnet":
        sizes = {**USUAL, "max_position_embeddings": 82, "layer_norm_eps": 1e-5}
        model = t.MPNetModel(t.MPNetConfig(**(sizes | changes)), add_pooling_layer=False).eval()
        model.encoder.relative_attention_bias.weight.data.normal_(std=2)
        return model
    if family == "modernbert":
        sizes = {
            **USUAL, "num_hidden_layers": 4, "local_attention": 8, "max_position_embeddings": 80, "pad_token_id": 0,
            "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3,
        }  # fmt: skip
        return t.ModernBertModel(t.ModernBertConfig(**(sizes | changes))).eval()
    assert family == "gemma3"
    sizes = {
        **USUAL, "num_hidden_layers": 3, "num_key_value_heads": 1, "head_dim": 8, "sliding_window": 8,
        "sliding_window_pattern": 3, "max_position_embeddings": 80, "use_bidirectional_attention": True,
        "query_pre_attn_scalar": 16, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3,
    }  # fmt: skip
    model = t.Gemma3TextModel(t.Gemma3TextConfig(**(sizes | changes))).eval()
    for name, value in model.named_parameters():
        if "norm" in name:
            value.data.normal_(std=0.3)
    return model


def save_encoder(encoder: Any, folder: Path, pooling: str = "mean") -> Path:
    """As sentence-transformers saves it with pooling and normalisation, and BERT's tokenizer."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import BertTokenizerFast

    encoder.save_pretrained(folder / "plain")
    vocabulary = write_vocabulary(folder)
    pieces = vocabulary.read_text(encoding="utf-8").splitlines()
    pieces[1] = "[unused]"  # where RoBERTa and MPNet have padding, which takes no position
    vocabulary.write_text("".join(f"{piece}\n" for piece in [*pieces, "[UNK]"]), encoding="utf-8")
    tokenizer = BertTokenizerFast(str(vocabulary), do_lower_case=False, model_max_length=80)
    tokenizer.save_pretrained(folder / "plain")
    width = encoder.config.hidden_size
    modules = [Transformer(str(folder / "plain")), Pooling(width, pooling_mode=pooling), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder / "model"))
    return folder / "model"


FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "DistilBERT": ("distilbert", {}),
    "RoBERTa": ("roberta", {}),
    "XLM-R": ("xlm-roberta", {"pad_token_id": 170, "max_position_embeddings": 252}),
    "CamemBERT": ("camembert", {}),
    "MPNet": ("mpnet", {}),
    "ModernBERT": ("modernbert", {}),
    "ModernBERT with biases": ("modernbert", {"attention_bias": True, "norm_bias": True}),
    "ModernBERT with other bases": ("modernbert", {"rope_parameters": {
        "full_attention": {"rope_type": "default", "rope_theta": 500.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 50.0},
    }}),
    "Gemma 3": ("gemma3", {}),
}  # fmt: skip


def texts_500() -> list[str]:
    texts = make_texts()
    return [*texts, *(" ".join(pair) for pair in zip(texts[:100], texts[100:], strict=True)), *(t[::-1] for t in texts)]


@pytest.mark.parametrize(("family", "changes"), FAMILIES.values(), ids=FAMILIES.keys())
def test_a_family_gives_what_sentence_transformers_gives(family: str, changes: dict[str, Any], tmp_path: Path) -> None:
    directory = save_encoder(make_encoder(family, **changes), tmp_path)
    imported = import_sentence_transformer(directory)
    texts = texts_500()
    ours = encode_vectors(imported.screener, imported.tokenizer, texts).numpy().astype(np.float64)
    assert len(texts) == 500
    assert (ours * expected_vectors(directory, texts)).sum(1).min() >= 1 - 1e-5
    assert np.linalg.matrix_rank(ours, tol=0.1) > 4  # the texts' vectors are not all one


@pytest.mark.parametrize(
    ("family", "part", "change"),
    [
        ("mpnet", "encoder.relative_attention_bias.weight", lambda value: value * 0),
        ("roberta", "embeddings.position_embeddings.weight", lambda value: value.roll(1, 0)),
        ("modernbert", "layers.1.attn.Wqkv.weight", lambda value: value.roll(32, 0)),
        ("modernbert", "layers.1.mlp.Wi.weight", lambda value: value.roll(48, 0)),
        ("gemma3", "layers.1.self_attn.q_norm.weight", lambda value: value + 1),
    ],
)
def test_the_texts_tell_whether_a_part_is_read(
    family: str, part: str, change: Callable[[torch.Tensor], torch.Tensor], tmp_path: Path
) -> None:
    directory = save_encoder(make_encoder(family), tmp_path)
    wanted = expected_vectors(directory, texts_500())
    weights(lambda tensors: tensors | {part: change(tensors[part]).contiguous()})(directory)
    imported = import_sentence_transformer(directory)
    assert (encode_vectors(imported.screener, imported.tokenizer, texts_500()).numpy() * wanted).sum(1).min() < 0.999


def test_half_precision_and_a_head_and_its_prefix(tmp_path: Path) -> None:
    from transformers import ModernBertForMaskedLM

    encoder = make_encoder("modernbert")
    directory = save_encoder(encoder, tmp_path)
    model = ModernBertForMaskedLM(encoder.config)
    model.model = encoder
    model.to(torch.bfloat16).save_pretrained(directory)
    imported = import_sentence_transformer(directory)
    ours = encode_vectors(imported.screener, imported.tokenizer, make_texts()).numpy()
    assert (ours * expected_vectors(directory, make_texts())).sum(1).min() >= 1 - 1e-5


def write_static(folder: Path, config: dict[str, Any] | None, **tensors: torch.Tensor) -> Path:
    from transformers import BertTokenizerFast

    folder.mkdir(exist_ok=True)
    tokenizer = BertTokenizerFast(str(write_vocabulary(folder)), do_lower_case=False).backend_tokenizer
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "vocab.txt").unlink()
    save_file(tensors, folder / "model.safetensors")
    if config is not None:
        (folder / "config.json").write_text(json.dumps({"model_type": "model2vec", "normalize": True, **config}))
    return folder


def model2vec_vectors(folder: Path, texts: list[str]) -> np.ndarray:
    """What model2vec computes: the mean of the weighted rows of the known pieces."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tensors = {name: value.float().numpy() for name, value in load_file(folder / "model.safetensors").items()}
    found = []
    for text in texts:
        ids = [i for i in tokenizer.encode(text, add_special_tokens=False).ids if i != tokenizer.token_to_id("[UNK]")]
        rows = tensors["embeddings"][tensors["mapping"][ids].astype(int) if "mapping" in tensors else ids]
        if "weights" in tensors:
            rows = rows * tensors["weights"][ids][:, None]
        mean = rows.mean(0) if ids else np.zeros(tensors["embeddings"].shape[1])
        found.append(mean / max(np.linalg.norm(mean), 1e-30))
    return np.array(found)


@pytest.mark.parametrize("kind", ["plain", "weights", "shared rows", "fp16", "int8"])
def test_model2vec_tables(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    table = torch.randn(150, 24)
    tensors = {"embeddings": table}
    if kind == "weights":
        tensors["weights"] = torch.rand(150)
    elif kind == "shared rows":
        tensors = {"embeddings": table[:40].clone(), "mapping": torch.arange(150) % 40, "weights": torch.rand(150)}
    elif kind == "fp16":
        tensors = {"embeddings": table.half()}
    elif kind == "int8":
        tensors = {"embeddings": (table * 40).clamp(-127, 127).to(torch.int8)}
    directory = write_static(tmp_path / "static", {}, **tensors)
    imported = import_sentence_transformer(directory)
    texts = [*(text for text in texts_500() if any(word in text for word in WORDS)), "ba ☃ be", ""]
    ours = encode_vectors(imported.screener, imported.tokenizer, texts).numpy()
    wanted = model2vec_vectors(directory, texts)
    lengths = [len(imported.tokenizer.encode(text).ids) for text in texts]
    short = [i for i, text in enumerate(texts) if text and lengths[i] <= 128]
    assert len(short) > 250
    assert (ours[short] * wanted[short]).sum(1).min() >= 1 - 1e-5
    assert not ours[-1].any()
    assert imported.screener.config.layers == 0


def test_a_table_of_unigram_pieces_whose_first_is_one_of_texts(tmp_path: Path) -> None:
    """Id 0 pads label tokens, so a special token takes it, in the tokenizer and in the table."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    pieces = ["\u2581ba", "<unk>", "\u2581", *"abdeiou", "\u2581be", "\u2581bi"]
    tokenizer = Tokenizer(models.Unigram([(piece, -float(place)) for place, piece in enumerate(pieces)], unk_id=1))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens(["<unk>"])
    torch.manual_seed(0)
    directory = write_static(tmp_path / "static", {}, embeddings=torch.randn(len(pieces), 8))
    tokenizer.save(str(directory / "tokenizer.json"))
    imported = import_sentence_transformer(directory)
    texts = ["ba", "ba be", "bi bo ba", "do ba ba bi"]
    tensors = load_file(directory / "model.safetensors")
    ours = encode_vectors(imported.screener, imported.tokenizer, texts)
    for text, vector in zip(texts, ours, strict=True):
        ids = tokenizer.encode(text).ids
        assert 0 in ids
        mean = tensors["embeddings"][[place for place in ids if place != 1]].mean(0)
        torch.testing.assert_close(vector, mean / mean.norm(), rtol=1e-5, atol=1e-5)


def test_static_embeddings_of_sentence_transformers(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, StaticEmbedding
    from transformers import BertTokenizerFast

    torch.manual_seed(0)
    tokenizer = BertTokenizerFast(str(write_vocabulary(tmp_path)), do_lower_case=False)
    static = StaticEmbedding(tokenizer, embedding_weights=torch.randn(len(tokenizer), 24))
    dense = Dense(24, 16, bias=False, activation_function=torch.nn.Identity())
    SentenceTransformer(modules=[static, dense], device="cpu").save(str(tmp_path / "model"))
    texts = [text for text in make_texts() if len(text) < 300]
    imported = import_sentence_transformer(tmp_path / "model")
    ours = encode_vectors(imported.screener, imported.tokenizer, texts).numpy()
    assert (ours * expected_vectors(tmp_path / "model", texts)).sum(1).min() >= 1 - 1e-5
    SentenceTransformer(modules=[static, Dense(24, 16)], device="cpu").save(str(tmp_path / "other"))
    with pytest.raises(ForeignModel, match="a bias or an activation behind a static table"):
        import_sentence_transformer(tmp_path / "other")


def test_damaged_static_tables_are_refused(tmp_path: Path) -> None:
    table = torch.randn(150, 24)
    for name, tensors, sentence in (
        ("none", {"other": table}, "lacks the tensor 'embeddings'"),
        ("short", {"embeddings": table[:90].clone()}, "the tokenizer has 148 pieces, but the model has 90"),
        ("mapping", {"embeddings": table, "mapping": torch.full((150,), 150)}, "'mapping' does not name a row"),
        ("axes", {"embeddings": table[0].clone()}, "'embeddings' has 1 axes"),
        ("weights", {"embeddings": table, "weights": torch.ones(3)}, r"'weights' is \[3\]"),
    ):
        with pytest.raises(BadInput, match=sentence):
            import_sentence_transformer(write_static(tmp_path / name, {}, **tensors))


def test_matryoshka_models_are_cut_at_their_own_sizes(tmp_path: Path) -> None:
    directory = save_encoder(make_encoder("roberta"), tmp_path)
    texts = make_texts()
    wanted = expected_vectors(directory, texts)[:, :16]
    wanted = wanted / np.linalg.norm(wanted, axis=1, keepdims=True)
    with pytest.raises(BadInput, match="Shortening to 16 dimensions needs labels"):
        import_sentence_transformer(directory, dims=16)
    card = '```json\n{"loss": "x", "matryoshka_dims": [\n 32,\n 16\n ]}\n```'
    for write in (
        lambda: (directory / "README.md").write_text(card),
        lambda: (directory / "config.json").write_text(
            json.dumps(json.loads((directory / "config.json").read_text()) | {"matryoshka_dimensions": [16, 32]})
        ),
    ):
        write()
        imported = import_sentence_transformer(directory, dims=16)
        ours = encode_vectors(imported.screener, imported.tokenizer, texts).numpy()
        assert (ours * wanted).sum(1).min() >= 1 - 1e-5
        (directory / "README.md").unlink(missing_ok=True)
