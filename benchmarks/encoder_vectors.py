"""Query vectors of encoders of each family beside sentence-transformers' own: the least and mean cosine over 500 texts,
of the float student and of the native engine's 8-bit graph.

    python -m benchmarks.encoder_vectors                 all of them
    python -m benchmarks.encoder_vectors mpnet gemma3    some
    python -m benchmarks.encoder_vectors --small         small sizes where weights are random: seconds

Weights are real where a package carries them. The others have a published model's settings, random weights and a
tokenizer of the family's kind, trained small (`benchmarks/tokenizer_kinds.py`); "apart" is the mean cosine between
different texts, which tells that their vectors are not all one. Texts are WordNet's glosses.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import tokenizer_kinds
from benchmarks.native import NativeGraph, NativeLibrary
from edgexl.base.shipped import available_students
from edgexl.bundle.parameters import SCREENER_INPUTS, SCREENER_OUTPUTS
from edgexl.bundle.weights import pack_weights
from edgexl.compiler.graphs.schemes import quantize_graph
from edgexl.compiler.graphs.smooth import smooth_products
from edgexl.compiler.lowering import lower_graph
from edgexl.compiler.passes.export import trace
from edgexl.compiler.recipe import GraphRecipe
from edgexl.data import read_queries
from edgexl.data.label_set import LabelSet
from edgexl.student.encode import encode_vectors
from edgexl.student.importer import import_sentence_transformer, locate_model
from edgexl.student.text import encode_texts
from edgexl.target import Int8

TEXTS = 500


@dataclass(frozen=True)
class Random:
    """A random encoder: transformers' classes, its settings at the published and at a small size, the kind of its
    tokenizer and the ids that its configuration names by their pieces."""

    classes: tuple[str, str]
    published: dict[str, Any]
    small: dict[str, Any]
    tokenizer: str
    ids: dict[str, str]
    head: bool = False  # whether the class takes `add_pooling_layer`


def _bert(width: int, ffn: int, heads: int, layers: int, **more: Any) -> dict[str, Any]:
    names = ("hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers")
    return dict(zip(names, (width, ffn, heads, layers), strict=True)) | more


_ROBERTA = {"max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
_GEMMA = {
    "num_key_value_heads": 1, "sliding_window": 512, "use_bidirectional_attention": True, "query_pre_attn_scalar": 256,
    "max_position_embeddings": 2048,
}  # fmt: skip
_MARKS = {"pad_token_id": "<pad>", "bos_token_id": "<s>", "eos_token_id": "</s>"}
PACKAGED = {"bert": "all-MiniLM-L6-v2", "e5": "multilingual-e5-small", "mpnet": "all-mpnet-base-v2"}
RANDOM: dict[str, Random] = {
    "distilbert": Random(
        ("DistilBertConfig", "DistilBertModel"), {"dim": 768, "n_layers": 6, "n_heads": 12, "hidden_dim": 3072},
        {"dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 96}, "wordpiece", {"pad_token_id": "[PAD]"},
    ),
    "roberta": Random(
        ("RobertaConfig", "RobertaModel"), _bert(768, 3072, 12, 12, **_ROBERTA), _bert(64, 96, 4, 2, **_ROBERTA),
        "byte-level bpe: roberta", _MARKS, True,
    ),
    "xlm-roberta": Random(
        ("XLMRobertaConfig", "XLMRobertaModel"), _bert(768, 3072, 12, 12, **_ROBERTA), _bert(64, 96, 4, 2, **_ROBERTA),
        "unigram: nfkc", _MARKS, True,
    ),
    "modernbert": Random(
        ("ModernBertConfig", "ModernBertModel"), _bert(768, 1152, 12, 22),
        _bert(64, 96, 4, 4, local_attention=8, max_position_embeddings=80), "byte-level bpe: modernbert",
        {"pad_token_id": "[PAD]", "cls_token_id": "[CLS]", "bos_token_id": "[CLS]", "sep_token_id": "[SEP]",
         "eos_token_id": "[SEP]"},
    ),
    "gemma3": Random(
        ("Gemma3TextConfig", "Gemma3TextModel"), _bert(768, 1152, 3, 24, head_dim=256, **_GEMMA),
        _bert(64, 96, 4, 3, head_dim=16, sliding_window_pattern=3, **(_GEMMA | {"sliding_window": 8})), "bpe: gemma",
        {"pad_token_id": "<pad>", "bos_token_id": "<bos>", "eos_token_id": "<eos>"},
    ),
}  # fmt: skip
STATIC = "static"
NAMES = (*PACKAGED, *RANDOM, STATIC)


def quiet() -> None:
    """No bars and reports of transformers' own between the rows."""
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def write_random(name: str, folder: Path, small: bool) -> Path:
    """A random encoder as sentence-transformers saves it, with its family's kind of tokenizer."""
    import transformers
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from tokenizers import Tokenizer

    quiet()
    made = RANDOM[name]
    tokenizer = Tokenizer.from_str(tokenizer_kinds.KINDS[made.tokenizer]())
    ids = {key: tokenizer.token_to_id(piece) for key, piece in made.ids.items()}
    sizes = made.small if small else made.published
    width = sizes.get("hidden_size") or sizes["dim"]
    config = getattr(transformers, made.classes[0])(
        **sizes, **ids, vocab_size=tokenizer.get_vocab_size(), initializer_range=1 / width**0.5
    )
    torch.manual_seed(0)
    model = getattr(transformers, made.classes[1])(config, **({"add_pooling_layer": False} if made.head else {}))
    model.eval().save_pretrained(folder / "plain")
    pad = made.ids["pad_token_id"]
    wrapped = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=pad, model_max_length=64)
    wrapped.save_pretrained(folder / "plain")
    modules = [Transformer(str(folder / "plain")), Pooling(width, pooling_mode="mean"), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder / "model"))
    return folder / "model"


def write_static(folder: Path) -> Path:
    """A static table of random rows behind the student's WordPiece."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(tokenizer_kinds.KINDS["wordpiece"]())
    torch.manual_seed(0)
    table = StaticEmbedding(tokenizer, embedding_weights=torch.randn(tokenizer.get_vocab_size(), 256))
    SentenceTransformer(modules=[table, Normalize()], device="cpu").save(str(folder / "model"))
    return folder / "model"


def read_texts() -> list[str]:
    """Glosses that WordNet's student is evaluated on."""
    student = available_students()["wordnet"]
    queries = read_queries(student / "evaluation.json.gz", len(LabelSet.load(student / "labels.json.gz").ids))
    return [query.text for query in itertools.islice(queries, TEXTS)]


def compare(folder: Path, texts: list[str], library: NativeLibrary) -> dict[str, float]:
    """Least and mean cosine to sentence-transformers of the float student ("fp32") and of 8 bits on the native engine,
    and how far the texts lie apart."""
    from sentence_transformers import SentenceTransformer

    quiet()
    peer = SentenceTransformer(str(folder), device="cpu")
    imported = import_sentence_transformer(folder)
    screener, prompt = imported.screener, imported.prompts.query
    wanted = peer.encode(texts, normalize_embeddings=True, prompt=prompt or None).astype(np.float64)
    ours = encode_vectors(screener, imported.tokenizer, texts, prompt=prompt).numpy().astype(np.float64)
    rows = encode_texts(imported.tokenizer, texts, screener.config.max_tokens, prompt)
    sample = {"input_ids": torch.tensor(rows[:1]), "attention_mask": torch.ones(1, len(rows[0]), dtype=torch.int64)}
    model = trace(screener, SCREENER_INPUTS, SCREENER_OUTPUTS, sample)
    sampled = [{"input_ids": np.array([row]), "attention_mask": np.ones((1, len(row)), np.int64)} for row in rows[::8]]
    graph = quantize_graph(smooth_products(model, sampled), GraphRecipe("int8-token"), Int8("avx2", "int8"))
    lowered = lower_graph(graph, screener.config.max_tokens, 1)
    native = NativeGraph(library, lowered.plan.pack(), pack_weights(lowered.weights))
    feeds = [{"input_ids": np.array([row]), "attention_mask": np.ones((1, len(row)), np.int64)} for row in rows]
    bytewise = np.stack([native.run(feed)[0].reshape(-1) for feed in feeds]).astype(np.float64)
    bytewise /= np.linalg.norm(bytewise, axis=1, keepdims=True)
    close, rounded = (ours * wanted).sum(1), (bytewise * wanted).sum(1)
    return {
        "fp32": float(close.min()), "int8": float(rounded.min()), "int8_mean": float(rounded.mean()),
        "apart": float((wanted[1:] * wanted[:-1]).sum(1).mean()),
    }  # fmt: skip


def open_encoder(name: str, folder: Path, small: bool) -> Path:
    """A directory with the encoder; packaged ones are unpacked into the cache, others are written below `folder`."""
    if name in PACKAGED:
        return locate_model(PACKAGED[name])
    writers: dict[str, Callable[[], Path]] = {STATIC: lambda: write_static(folder)}
    return writers.get(name, lambda: write_random(name, folder, small))()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoders", nargs="*", choices=[[], *NAMES], default=[])
    parser.add_argument("--small", action="store_true", help="small sizes where weights are random")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    texts, library, found = read_texts(), NativeLibrary(), {}
    for name in given.encoders or NAMES:
        with tempfile.TemporaryDirectory() as scratch:
            found[name] = compare(open_encoder(name, Path(scratch), given.small), texts, library)
        if not given.json:
            weights = PACKAGED.get(name, "random weights")
            row = "fp32 1 - {:.1e}  int8 {:.5f}, mean {:.5f}  apart {:.2f}".format(
                1 - found[name]["fp32"], *(found[name][key] for key in ("int8", "int8_mean", "apart"))
            )
            print(f"{name:12} {weights:24} {row}", flush=True)
    if given.json:
        print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
