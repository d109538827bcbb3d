"""Faults that change no answer: what a test cannot see and need not see, each kind with its reason."""

from __future__ import annotations

from fnmatch import fnmatch

from tests.mutants import Fault

_HAIR = "a margin one step of an f32 smaller still lies above every score that was fitted"
_PIECES = "so many at a time, whatever it is, give the same"
# The sizes of such pieces, where they are a module's constants.
_SIZES = (
    ("distill/characterize/bench", "256"),
    ("distill/teachers/teaching", "1024"), ("distill/teachers/teaching", "128"),
    ("distill/teachers/two_stage", "64"), ("distill/teachers/two_stage", "16"),
    ("distill/stages/search", "128"), ("distill/stages/search", "4_194_304"), ("distill/stages/mining", "64"),
    ("predict/float_student", "64"), ("student/vocabulary", "10_000"),
    ("index/rotation", "65536"), ("index/search", "65536"), ("index/rows", "32_768"), ("index/coarse", "64"),
    ("index/fine", "1024"), ("index/choice", "64"), ("bundle/write", "20"),
    ("bundle/strings", "1 << 21"), ("bundle/strings", "21"), ("compiler/measure/reference", "256"),
    *(("index/exact_search", number) for number in ("32", "16384", "64")),
)  # fmt: skip
# (path, function, text before, text after, why); path, function and the text after are patterns of `fnmatch`
_EQUIVALENT: tuple[tuple[str, str, str, str, str], ...] = (
    (
        "edgexl/index/cells.py", "_least_margin",
        "np.nextafter(np.float32(lag[order][at]) * np.float32(1.0001), np.float32(np.inf))", "*", _HAIR,
    ),
    ("edgexl/bundle/tokenizer.py", "check_tokenizer_json", "2", "3", "the slow way is taken earlier, to the same end"),
    (
        "edgexl/compiler/lowering/interpret.py", "_Run.__init__", "np.zeros(count, _DTYPES[buffer.type])", "*",
        "all of it is written",
    ),
    *((f"edgexl/{path}.py", "", number, "*", _PIECES) for path, number in _SIZES),
    *(
        ("edgexl/index/exact_search.py", "_best", before, "*", "what a sample leaves out is looked at later")
        for before in ("2", "32", "count // _SAMPLE_STEP", "2 * (count // _SAMPLE_STEP)", "::_SAMPLE_STEP")
    ),
    ("edgexl/distill/characterize/focus.py", "_nearest", "256", "*", _PIECES),
    (
        "edgexl/bundle/tokenizer.py", "_added_tokens", "sorted(decoder.items())", "*",
        "they are sorted in the end; it says which of several refusals comes first",
    ),
    ("edgexl/runtime/src/cells.c", "sort_ascending", ">", ">=", "the numbers that are sorted are all different"),
    (
        "edgexl/runtime/src/rescore_x86.c", "exl__dot*_avx2", "<=", "<",
        "what a whole step leaves is added code by code, to the same sum",
    ),
    ("edgexl/runtime/src/bundle.c", "forget", "kind", "*", "which pages the system may drop changes no answer"),
    (
        "edgexl/runtime/src/native_float.h", "tanh", "7.90531110763549805f", "*",
        "the function keeps its stated error up to there, and further",
    ),
    (
        "edgexl/compiler/graphs/graph.py",
        "*",
        "options.log_severity_level = 3",
        "*",
        "what ONNX Runtime prints is no answer",
    ),
)  # fmt: skip


def is_equivalent(fault: Fault) -> bool:
    """Whether the fault is known to change no answer."""
    return any(
        fnmatch(fault.path, path)
        and fnmatch(fault.function, function)
        and fault.before == before
        and fnmatch(fault.after, after)
        for path, function, before, after, _ in _EQUIVALENT
    )
