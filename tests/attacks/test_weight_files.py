"""Weights come out of sound safetensors alone: no pickle is opened, no header is believed, no name leads out."""

from __future__ import annotations

import json
import pickle
import struct
from pathlib import Path

import pytest

from edgexl.base.errors import BadInput

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from edgexl.student.importing.tensors import read_tensors  # noqa: E402 - needs torch
from edgexl.student.weights import read_safetensors, read_shapes  # noqa: E402


def packed(header: object, data: bytes = bytes(16), length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(dtype: str = "F32", shape: tuple[int, ...] = (4,), offsets: tuple[int, int] = (0, 16)) -> dict[str, object]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 7,
        packed({}, length=1 << 63),
        packed({}, length=(1 << 64) - 1),
        packed({}, length=101_000_000),
        packed(b"[" * 100_000),
        packed(b'{"a":' * 100_000),
        packed(b"\xff\xfe{}"),
        packed({"a": tensor(offsets=(0, 32))}),
        packed({"a": tensor(offsets=(16, 0))}),
        packed({"a": tensor(offsets=(8, 24))}),
        packed({"a": tensor(shape=(1 << 62, 4))}),
        packed({"a": tensor(shape=(1 << 32, 1 << 32))}),
        packed({"a": tensor(shape=(5,))}),
        packed({"a": tensor(dtype="F1024")}),
        packed({"a": tensor(), "b": tensor()}),
        packed({"a": tensor(shape=(2,), offsets=(0, 8))}),
        packed(b'{"a":{"dtype":"F32","shape":[-4],"data_offsets":[0,16]}}'),
        packed(b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[-16,0]}}'),
        packed(b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}'),
    ],
    ids=lambda content: repr(content[:40]),
)  # fmt: skip
def test_headers(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    for read in (read_shapes, read_safetensors):
        with pytest.raises(BadInput) as error:
            read(path)
        assert str(error.value).count("\n") == 0


class Exploit:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('a pickle was opened')",)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.safetensors"])
def test_pickles(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(pickle.dumps(Exploit()))
    with pytest.raises(BadInput):
        read_tensors(tmp_path)


@pytest.mark.parametrize(
    "name", ["../model.safetensors", "/etc/passwd", "a/../../model.safetensors", "pytorch_model.bin", ""]
)
def test_an_index_that_leads_out(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "model.safetensors").write_bytes(packed({"a": tensor()}))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(BadInput):
        read_tensors(folder)
