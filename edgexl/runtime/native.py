"""The native engine by itself, without a bundle: plans run one by one, on kernels of choice. For tests and benchmarks.

libedgexl exports none of it. `build_native` compiles the engine's sources into a library of their own with the
release's flags; `NativeGraph` is one plan in it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgexl.base.arrays import Array
from edgexl.bundle.parameters import GRAPH_INPUTS
from edgexl.bundle.plan import Place, Plan, Type
from edgexl.bundle.weights import unpack_weights
from edgexl.runtime.kernels import run_compiler

KERNELS = ("scalar", "avx2", "avx2-vnni", "avx512-vnni", "neon", "neon-dot", "neon-i8mm")
_SOURCES = ("engine_native", "native_run", "native_walk", "native_scalar", "native_x86", "native_neon", "plan",
            "plan_rules")  # fmt: skip
_FLAGS = ("-std=c11", "-O3", "-ffp-contract=off", "-fPIC", "-shared")
_DTYPES: dict[Type, type[np.generic]] = {Type.F32: np.float32, Type.I64: np.int64}


class _Tensor(ctypes.Structure):
    """exl__tensor."""

    _fields_ = (
        ("name", ctypes.c_char_p), ("data", ctypes.c_void_p), ("data_bytes", ctypes.c_uint64),
        ("number", ctypes.c_uint32), ("type", ctypes.c_uint32), ("rank", ctypes.c_uint32), ("dims", ctypes.c_int64 * 4),
    )  # fmt: skip


class _Port(ctypes.Structure):
    """exl__port."""

    _fields_ = (
        ("name", ctypes.c_char_p), ("type", ctypes.c_uint32), ("rank", ctypes.c_uint32), ("number", ctypes.c_uint32),
        ("elements", ctypes.c_uint32),
    )  # fmt: skip


class _Source(ctypes.Structure):
    """exl__graph_source."""

    _fields_ = (
        ("role", ctypes.c_char_p), ("bytes", ctypes.c_char_p), ("length", ctypes.c_size_t),
        ("weights", ctypes.POINTER(_Tensor)), ("weight_count", ctypes.c_size_t), ("inputs", _Port * 7),
        ("outputs", _Port * 2), ("input_count", ctypes.c_size_t), ("output_count", ctypes.c_size_t),
        ("max_tokens", ctypes.c_uint32), ("max_labels", ctypes.c_uint32),
    )  # fmt: skip


_OPEN = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint32, ctypes.c_int, ctypes.POINTER(ctypes.c_void_p),
    ctypes.c_char_p,
)  # fmt: skip
_OPEN_GRAPH = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(_Source), ctypes.POINTER(ctypes.c_void_p), ctypes.c_char_p
)
_RUN = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(_Tensor), ctypes.c_size_t, ctypes.POINTER(_Tensor), ctypes.c_size_t,
    ctypes.c_void_p, ctypes.c_char_p,
)  # fmt: skip


class _Engine(ctypes.Structure):
    """exl__engine."""

    _fields_ = (
        ("name", ctypes.c_char_p), ("open", _OPEN), ("close", ctypes.CFUNCTYPE(None, ctypes.c_void_p)),
        ("open_graph", _OPEN_GRAPH), ("close_graph", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)),
        ("scratch_bytes", ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p)), ("run", _RUN),
        ("kernels", ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_void_p)),
    )  # fmt: skip


class NativeLibrary:
    """A library that `build_native` made. `kernels` are the sets that this CPU can run."""

    def __init__(self, path: Path) -> None:
        self._c = ctypes.CDLL(str(path))
        self.engine = _Engine.in_dll(self._c, "exl__engine_native")
        self._c.exl__kernels_named.restype = ctypes.c_void_p
        self._c.exl__native_cleared_bytes.restype = ctypes.c_uint64
        self.kernels = tuple(name for name in KERNELS if self._c.exl__kernels_named(name.encode()))
        self.allocator = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.in_dll(self._c, "exl__default_allocator")))

    def cleared_bytes(self, graph: ctypes.c_void_p) -> int:
        """0 where an opened plan reads and gives nothing that the same run has not written."""
        return int(self._c.exl__native_cleared_bytes(graph))

    def choose(self, state: ctypes.c_void_p, kernels: str) -> bool:
        """Have an engine use a set of kernels; False where this CPU cannot."""
        return bool(self._c.exl__native_choose(state, kernels.encode()))


class NativeGraph:
    """A plan with its weights, run as `edgexl.compiler.graphs.graph.Session` runs a model.

    `kernels` is one of `KERNELS`, by default the fastest. Raises `ValueError` with the engine's sentence where it
    refuses the plan or the run.
    """

    def __init__(self, library: NativeLibrary, plan: bytes, weights: bytes, kernels: str | None = None) -> None:
        self._library, self._plan, self._section = library, plan, weights
        self._error = ctypes.create_string_buffer(512)
        self._state, self._graph = ctypes.c_void_p(), ctypes.c_void_p()
        self._engine = library.engine
        self._engine.open(library.allocator, None, 1, 0, ctypes.byref(self._state), self._error)
        if kernels is not None and not library.choose(self._state, kernels):
            raise ValueError(f"this CPU has no {kernels}")
        self.kernels: str = self._engine.kernels(self._state).decode()
        self._keep = [np.frombuffer(content, np.uint8) for _, _, content in unpack_weights(weights).values()]
        # at 64 bytes, as in a bundle
        self._keep = [_aligned(array) for array in self._keep]
        source = self._source(Plan.unpack(plan))
        if self._engine.open_graph(self._state, ctypes.byref(source), ctypes.byref(self._graph), self._error):
            self._engine.close(self._state)
            raise ValueError(self._error.value.decode())
        self.cleared_bytes = library.cleared_bytes(self._graph)
        self._scratch = _aligned(np.zeros(self._engine.scratch_bytes(self._graph) + 64, np.uint8))

    def _source(self, plan: Plan) -> _Source:
        self._buffers = plan.buffers
        source = _Source(b"plan", self._plan, len(self._plan))
        kinds = [kind for kind, _, _ in unpack_weights(self._section).values()]
        tensors = (_Tensor * len(kinds))()
        for tensor, kind, array in zip(tensors, kinds, self._keep, strict=True):
            tensor.data, tensor.data_bytes, tensor.type = array.ctypes.data, array.nbytes, kind
        source.weights, source.weight_count = tensors, len(tensors)
        self._inputs = [buffer for buffer in plan.buffers if buffer.place == Place.INPUT]
        outputs = {buffer.index: buffer for buffer in plan.buffers if buffer.place == Place.OUTPUT}
        self._outputs = [outputs[place] for place in sorted(outputs)]
        for port, buffer in zip(source.inputs, self._inputs, strict=False):
            port.type, port.number, port.elements = buffer.type, buffer.index, buffer.elements.pack()
        for port, buffer in zip(source.outputs, self._outputs, strict=False):
            port.type, port.elements = buffer.type, buffer.elements.pack()
        source.input_count, source.output_count = len(self._inputs), len(self._outputs)
        source.max_tokens, source.max_labels = plan.max_tokens, plan.max_labels
        self._most = plan.max_tokens, plan.max_labels
        self._tensors = tensors
        return source

    def bind(self, feeds: dict[str, Array]) -> tuple[Any, Any, list[Array]]:
        """Inputs and outputs for `call`, and the arrays that the outputs go to."""
        tokens = labels = 1
        for buffer in self._inputs:
            count = feeds[GRAPH_INPUTS[buffer.index]].size // buffer.elements.coefficient
            tokens, labels = (count if buffer.elements.t else tokens), (count if buffer.elements.n else labels)
        inputs, outputs = (_Tensor * len(self._inputs))(), (_Tensor * len(self._outputs))()
        arrays, self._held = [], []
        for tensor, buffer in zip(inputs, self._inputs, strict=True):
            given = np.ascontiguousarray(feeds[GRAPH_INPUTS[buffer.index]], _DTYPES[buffer.type]).reshape(-1)
            room = np.zeros(buffer.elements.at(*self._most), given.dtype)
            room[: given.size] = given
            self._held.append(room)
            tensor.data, tensor.data_bytes = room.ctypes.data, given.nbytes
            tensor.number, tensor.type = buffer.index, buffer.type
        for tensor, buffer in zip(outputs, self._outputs, strict=True):
            room = np.zeros(buffer.elements.at(*self._most), np.float32)
            array = room[: buffer.elements.at(tokens, labels)]
            self._held.append(room)
            tensor.data, tensor.data_bytes, tensor.type = array.ctypes.data, array.nbytes, buffer.type
            rows = tokens if buffer.elements.t else labels if buffer.elements.n else 1
            shape = (1, rows, buffer.elements.coefficient) if buffer.elements.t else (1, -1)
            arrays.append(array.reshape(shape))
        return inputs, outputs, arrays

    def call(self, inputs: Any, outputs: Any) -> None:
        """One run on what `bind` gave."""
        arguments = (self._graph, inputs, len(inputs), outputs, len(outputs), self._scratch.ctypes.data, self._error)
        if self._engine.run(*arguments):
            raise ValueError(self._error.value.decode())

    def run(self, feeds: dict[str, Array]) -> list[Array]:
        """Outputs in order; `feeds` may hold more than the plan takes."""
        inputs, outputs, arrays = self.bind(feeds)
        self.call(inputs, outputs)
        return arrays

    def __del__(self) -> None:
        if self._graph:
            self._engine.close_graph(self._state, self._graph)
            self._engine.close(self._state)


def _aligned(array: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The same bytes at an address that is a multiple of 64."""
    room = np.empty(array.size + 64, np.uint8)
    start = -room.ctypes.data % 64
    room[start : start + array.size] = array
    return room[start : start + array.size]


def build_native(directory: Path, flags: Sequence[str] = ()) -> NativeLibrary:
    """Compile into `directory` with `flags` besides the release's. Raises DeviceError where gcc does not do it."""
    runtime = Path(__file__).parent
    library = directory / "libnative.so"
    sources = [str(runtime / "src" / f"{name}.c") for name in (*_SOURCES, "memory", "status")]
    command = ["gcc", *_FLAGS, *flags, f"-I{runtime / 'include'}", *sources, "-o", str(library), "-lm"]
    run_compiler(command, "the engine")
    return NativeLibrary(library)
