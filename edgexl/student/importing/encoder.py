"""An encoder by whatever names it: a model of sentence-transformers or its ONNX file, read as its own files say, or as
someone wants it otherwise."""

from __future__ import annotations

import os

from edgexl.data.label_set import LabelSet
from edgexl.student.importer import ImportedScreener, import_sentence_transformer
from edgexl.student.importing.onnx_file import ImportedOnnx, find_onnx, import_onnx
from edgexl.student.reading import EncoderReading


def open_encoder(
    source: str | bytes | os.PathLike[str], labels: LabelSet, reading: EncoderReading
) -> ImportedScreener | ImportedOnnx:
    """The screener of a model: what `import_sentence_transformer` takes, or an ONNX file. `labels` settle which
    directions a shortened vector keeps. Raises `BadInput` as the two do."""
    graph = find_onnx(source)
    if graph is not None:
        return import_onnx(graph, reading.pooling, dims=reading.dims)
    return import_sentence_transformer(source, reading.dims, labels, pooling=reading.pooling)
