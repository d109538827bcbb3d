"""Labels with an encoder of each family, the whole way: compiled by the command line, answered by the native engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edgexl.runtime.binding import open_bundle
from edgexl.student.encode import encode_vectors
from edgexl.student.importer import import_sentence_transformer
from tests.command_line import TARGET, Edgexl
from tests.student.importing.conftest import WORDS
from tests.student.importing.test_families import make_encoder, save_encoder, write_static

LABELS = [f"{one} {other}" for one in WORDS for other in WORDS if one != other]


def write_encoder(family: str, folder: Path) -> Path:
    if family == "static":
        torch.manual_seed(0)
        return write_static(folder / "static", {}, embeddings=torch.randn(150, 32))
    return save_encoder(make_encoder(family), folder)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["distilbert", "xlm-roberta", "mpnet", "modernbert", "gemma3", "static"])
def test_labels_are_compiled_and_asked_for(family: str, edgexl: Edgexl, tmp_path: Path) -> None:
    directory = write_encoder(family, tmp_path)
    (tmp_path / "labels.csv").write_text("text\n" + "".join(f"{label}\n" for label in LABELS), encoding="utf-8")
    bundle = tmp_path / "x.exl"
    made = edgexl(
        "compile", tmp_path / "labels.csv", "--encoder", directory, "--target", TARGET, "-o", bundle, "--json"
    )
    assert made.status == 0, made.err
    with open_bundle(bundle) as handle:
        assert handle.info.engine == "native"
    for label in LABELS[:5]:
        asked = edgexl("run", bundle, label, "--json")
        assert asked.json["labels"][0]["text"] == label
    imported = import_sentence_transformer(directory)
    texts = LABELS[::3]
    exact = encode_vectors(imported.screener, imported.tokenizer, texts).numpy()
    wanted = (exact @ encode_vectors(imported.screener, imported.tokenizer, LABELS).numpy().T).argsort(1)[:, ::-1][
        :, :10
    ]
    with open_bundle(bundle) as handle:
        answers = [handle.predict(text, k=10).labels for text in texts]
    found = [[LABELS.index(label.text) for label in labels] for labels in answers]
    shared = np.mean([len({*a} & {*b}) / 10 for a, b in zip(found, wanted.tolist(), strict=True)])
    assert shared > 0.6, shared
