"""The native engine without a bundle: plans run one by one, on kernels of choice. For tests and benchmarks."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgexl.base.arrays import Array
from edgexl.bundle.parameters import GRAPH_INPUTS
from edgexl.bundle.plan import Place, Plan, Type
from edgexl.runtime.private_library import PrivateLibrary

KERNELS = ("scalar", "avx2", "avx2-vnni", "avx512-vnni", "neon", "neon-dot", "neon-i8mm")
_DTYPES: dict[Type, type[np.generic]] = {Type.F32: np.float32, Type.I64: np.int64}
# Arguments of `NativeGraph.call`: pointers and sizes of inputs, then of outputs.
Bound = tuple[Any, Any, Any, Any]


class NativeLibrary(PrivateLibrary):
    """A private library, by default the installed one. `kernels` are the sets that this CPU can run."""

    def __init__(self, path: Path | None = None) -> None:
        super().__init__(path)
        named = self.function("exl__kernels_named", ctypes.c_void_p)
        self.kernels = tuple(name for name in KERNELS if named(name.encode()))


class NativeGraph:
    """A plan with its weights, run as `edgexl.compiler.graphs.graph.Session` runs a model.

    `kernels` is one of `KERNELS`, by default the fastest. Raises `ValueError` with the engine's sentence where it
    refuses the plan or the run.
    """

    def __init__(self, library: NativeLibrary, plan: bytes, weights: bytes, kernels: str | None = None) -> None:
        self._plan, self._weights = plan, _align(np.frombuffer(weights, np.uint8))  # as in a bundle
        self._close = library.function("private_graph_close", None)
        self._run = library.function("private_graph_run", ctypes.c_char_p)
        error, sizes = ctypes.create_string_buffer(512), (ctypes.c_size_t(len(plan)), ctypes.c_size_t(len(weights)))
        section, name = ctypes.c_void_p(self._weights.ctypes.data), kernels.encode() if kernels else None
        opened = library.function("private_graph_open", ctypes.c_void_p)(plan, sizes[0], section, sizes[1], name, error)
        if not opened:
            raise ValueError(error.value.decode())
        self._graph = ctypes.c_void_p(opened)
        self.kernels: str = library.function("private_graph_kernels", ctypes.c_char_p)(self._graph).decode()
        # 0 where the plan reads and gives nothing that the same run has not written
        self.cleared_bytes: int = library.function("private_graph_cleared_bytes", ctypes.c_uint64)(self._graph)
        read = Plan.unpack(plan)
        self._most = read.max_tokens, read.max_labels
        self._inputs = [buffer for buffer in read.buffers if buffer.place == Place.INPUT]
        outputs = {buffer.index: buffer for buffer in read.buffers if buffer.place == Place.OUTPUT}
        self._outputs = [outputs[place] for place in sorted(outputs)]

    def bind(self, feeds: dict[str, Array]) -> tuple[Bound, list[Array]]:
        """What `call` takes, and the arrays that the outputs go to. Behind each lies memory for the longest text."""
        tokens = labels = 1
        given, arrays = [], []
        self._held: list[Array] = []
        for buffer in self._inputs:
            array = np.ascontiguousarray(feeds[GRAPH_INPUTS[buffer.index]], _DTYPES[buffer.type]).reshape(-1)
            count = array.size // buffer.elements.coefficient
            tokens, labels = (count if buffer.elements.t else tokens), (count if buffer.elements.n else labels)
            room = np.zeros(buffer.elements.at(*self._most), array.dtype)
            room[: array.size] = array
            self._held.append(room)
            given.append(room[: array.size])
        for buffer in self._outputs:
            room = np.zeros(buffer.elements.at(*self._most), np.float32)
            self._held.append(room)
            shape = (1, tokens, buffer.elements.coefficient) if buffer.elements.t else (1, -1)
            arrays.append(room[: buffer.elements.at(tokens, labels)].reshape(shape))
        return (*_pointers(given), *_pointers(arrays)), arrays

    def call(self, bound: Bound) -> None:
        """One run on what `bind` gave."""
        if refusal := self._run(self._graph, *bound):
            raise ValueError(refusal.decode())

    def run(self, feeds: dict[str, Array]) -> list[Array]:
        """Outputs in order; `feeds` may hold more than the plan takes."""
        bound, arrays = self.bind(feeds)
        self.call(bound)
        return arrays

    def __del__(self) -> None:
        if hasattr(self, "_graph"):
            self._close(self._graph)


def _pointers(arrays: list[Array]) -> tuple[Any, Any]:
    """Where arrays are, and their bytes, as C takes lists of them."""
    places, sizes = (ctypes.c_void_p * len(arrays))(), (ctypes.c_uint64 * len(arrays))()
    for place, array in enumerate(arrays):
        places[place], sizes[place] = array.ctypes.data, array.nbytes
    return places, sizes


def _align(array: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The same bytes at an address that is a multiple of 64."""
    room = np.empty(array.size + 64, np.uint8)
    start = -room.ctypes.data % 64
    room[start : start + array.size] = array
    return room[start : start + array.size]
