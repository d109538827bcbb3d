"""all-MiniLM-L6-v2 without any training: the labels whose texts (or training queries) lie nearest, by exact search.

Runs in edgexl's own environment (`edgexl[compile]`).
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from program import RANKS, Answer, Work, run

from edgexl.student.encode import encode_vectors
from edgexl.student.importer import import_sentence_transformer, locate_model

NAME = "all-MiniLM-L6-v2"
# rows read for one answer: several may speak for one label
ROWS = 1000


def train(work: Work, model: Path, settings: dict[str, Any]) -> None:
    """Encode the labels' texts; or, with `source`, add the training queries to the rows of that directory.

    Rows are kept in fp16 beside the model that made them; an alias row speaks for all labels that are right for it.
    """
    torch.set_num_threads(settings["threads"])
    if settings["source"]:
        shutil.copytree(Path(settings["source"]) / "encoder", model / "encoder")
        texts, owners = work.training(label_texts=False)
        before = np.load(Path(settings["source"]) / "rows.npy")
        owners = [[label] for label in range(len(before))] + owners
    else:
        _copy_encoder(model / "encoder")
        texts = work.labels()
        before, owners = None, [[label] for label in range(len(texts))]
    encoder = import_sentence_transformer(model / "encoder")
    # bf16 stays within about .001 in cosine and takes a third of the time; queries are encoded in fp32
    rows = encode_vectors(encoder.screener, encoder.tokenizer, texts, bfloat16=True).numpy().astype(np.float16)
    np.save(model / "rows.npy", rows if before is None else np.concatenate([before, rows]))
    np.save(model / "starts.npy", np.concatenate([[0], np.cumsum([len(each) for each in owners])]).astype(np.int32))
    np.save(model / "owners.npy", np.array([label for each in owners for label in each], dtype=np.int32))


def _copy_encoder(target: Path) -> None:
    source = locate_model(NAME)
    for name in ("config.json", "model.safetensors", "modules.json", "tokenizer.json", "1_Pooling/config.json"):
        if (source / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / name, target / name)


def load(model: Path, settings: dict[str, Any]) -> Answer:
    torch.set_num_threads(1)
    encoder = import_sentence_transformer(model / "encoder")
    rows = torch.from_numpy(np.load(model / "rows.npy")).to(torch.float32)
    starts, owners = np.load(model / "starts.npy"), np.load(model / "owners.npy")
    depth = ROWS if settings["source"] else RANKS

    def answer(text: str) -> list[int]:
        vector = encode_vectors(encoder.screener, encoder.tokenizer, [text])[0]
        nearest = torch.topk(rows @ vector, min(depth, len(rows))).indices.tolist()
        # a label's score is its best row's, so its first row decides; dict keeps the order
        ranked = dict.fromkeys(label for row in nearest for label in owners[starts[row] : starts[row + 1]].tolist())
        return list(ranked)[:RANKS]

    return answer


if __name__ == "__main__":
    run(train, load, ("torch", "numpy"))
