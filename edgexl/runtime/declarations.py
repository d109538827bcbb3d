"""`edgexl.h` for ctypes: its structs, field for field, and its functions' types. `binding` is what to use."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_char_p, c_double, c_float, c_int, c_int32, c_size_t, c_uint32, c_uint64, c_void_p


class OpenOptions(ctypes.Structure):
    """exl_open_options."""

    _fields_ = (
        ("struct_size", c_size_t),
        ("flags", c_uint32),
        ("threads", c_uint32),
        ("engine_library", c_char_p),
        ("allocator", c_void_p),
        ("error", c_void_p),
        ("error_bytes", c_size_t),
        ("labels_path", c_char_p),
    )


class BundleInfo(ctypes.Structure):
    """exl_bundle_info."""

    _fields_ = (
        ("struct_size", c_size_t),
        ("labels", c_uint32),
        ("rows", c_uint32),
        ("dims", c_uint32),
        ("shortlist", c_uint32),
        ("max_tokens", c_uint32),
        ("format_major", c_uint32),
        ("format_minor", c_uint32),
        ("file_bytes", c_uint64),
        ("threshold", c_float),
        ("engine", c_char_p),
        ("kernel", c_char_p),
        ("manifest", c_void_p),
        ("manifest_bytes", c_size_t),
        ("goldens", c_uint32),
        ("presence", c_float),
        ("copied", c_uint32),
    )


class SessionOptions(ctypes.Structure):
    """exl_session_options."""

    _fields_ = (("struct_size", c_size_t), ("scan_threads", c_uint32))


class PredictOptions(ctypes.Structure):
    """exl_predict_options."""

    _fields_ = (("struct_size", c_size_t), ("k", c_uint32), ("use_threshold", c_uint32), ("threshold", c_float))


class LabelPrediction(ctypes.Structure):
    """exl_prediction."""

    _fields_ = (
        ("label", c_uint32),
        ("probability", c_float),
        ("logit", c_float),
        ("id", c_char_p),
        ("text", c_char_p),
    )


class StageMs(ctypes.Structure):
    """exl_stage_ms."""

    _fields_ = (
        ("tokenize", c_double),
        ("encode", c_double),
        ("scan", c_double),
        ("rescore", c_double),
        ("gather", c_double),
        ("reason", c_double),
        ("calibrate", c_double),
        ("total", c_double),
    )


class Result(ctypes.Structure):
    """exl_result."""

    _fields_ = (
        ("count", c_size_t),
        ("predictions", POINTER(LabelPrediction)),
        ("shortlist", c_size_t),
        ("shortlist_labels", POINTER(c_uint32)),
        ("shortlist_scores", POINTER(c_float)),
        ("shortlist_logits", POINTER(c_float)),
        ("query_vector", POINTER(c_float)),
        ("tokens", c_uint32),
        ("truncated", c_uint32),
        ("ms", StageMs),
        ("none_fits", c_uint32),
    )


class Explanation(ctypes.Structure):
    """exl_explanation."""

    _fields_ = (
        ("struct_size", c_size_t),
        ("label", c_uint32),
        ("screening_rank", c_uint32),
        ("screening_score", c_float),
        ("shortlisted", c_uint32),
        ("reasoner_rank", c_uint32),
        ("logit", c_float),
        ("probability", c_float),
    )


class SelfTestReport(ctypes.Structure):
    """exl_self_test_report."""

    _fields_ = (
        ("struct_size", c_size_t),
        ("goldens", c_uint32),
        ("failed", c_uint32),
        ("largest_probability_difference", c_float),
    )


class NewLabel(ctypes.Structure):
    """exl_new_label."""

    _fields_ = (
        ("struct_size", c_size_t),
        ("id", c_char_p),
        ("id_bytes", c_size_t),
        ("text", c_char_p),
        ("text_bytes", c_size_t),
        ("aliases", POINTER(c_char_p)),
        ("alias_bytes", POINTER(c_size_t)),
        ("alias_count", c_size_t),
    )


# exl_add_options.progress
AddProgress = ctypes.CFUNCTYPE(None, c_void_p, c_size_t, c_size_t)


class AddOptions(ctypes.Structure):
    """exl_add_options."""

    _fields_ = (
        ("struct_size", c_size_t),
        ("replace", c_uint32),
        ("progress", AddProgress),
        ("context", c_void_p),
    )


class LabelsInfo(ctypes.Structure):
    """exl_labels_info."""

    _fields_ = (
        ("struct_size", c_size_t),
        ("labels", c_uint32),
        ("end", c_uint32),
        ("added", c_uint32),
        ("retired_compiled", c_uint32),
        ("retired_added", c_uint32),
        ("generation", c_uint64),
        ("file_bytes", c_uint64),
    )


# Name -> (result, arguments). A text is c_char_p with its length beside it, so that it may hold NUL bytes.
_FUNCTIONS = {
    "exl_version": (c_char_p, ()),
    "exl_status_text": (c_char_p, (c_int,)),
    "exl_bundle_open": (c_int, (c_char_p, POINTER(OpenOptions), POINTER(c_void_p))),
    "exl_bundle_close": (None, (c_void_p,)),
    "exl_bundle_get_info": (c_int, (c_void_p, POINTER(BundleInfo))),
    "exl_label": (c_int, (c_void_p, c_uint32, c_int, c_char_p, c_size_t, POINTER(c_size_t))),
    "exl_label_find": (c_int, (c_void_p, c_char_p, c_size_t, POINTER(c_uint32))),
    "exl_label_prefix": (
        c_int,
        (c_void_p, c_char_p, c_size_t, c_uint32, POINTER(c_uint32), c_uint32, POINTER(c_uint32)),
    ),
    "exl_tokenize": (c_int, (c_void_p, c_char_p, c_size_t, POINTER(c_int32), c_size_t, POINTER(c_size_t))),
    "exl_golden": (c_int, (c_void_p, c_uint32, POINTER(c_void_p), POINTER(c_size_t))),
    "exl_session_open": (c_int, (c_void_p, POINTER(c_void_p))),
    "exl_session_open_with": (c_int, (c_void_p, POINTER(SessionOptions), POINTER(c_void_p))),
    "exl_session_close": (None, (c_void_p,)),
    "exl_session_error": (c_char_p, (c_void_p,)),
    "exl_predict": (c_int, (c_void_p, c_char_p, c_size_t, POINTER(PredictOptions), POINTER(POINTER(Result)))),
    "exl_explain": (c_int, (c_void_p, c_char_p, c_size_t, c_uint32, POINTER(Explanation))),
    "exl_self_test": (c_int, (c_void_p, POINTER(SelfTestReport))),
    "exl_labels_add": (c_int, (c_void_p, POINTER(NewLabel), c_size_t, POINTER(AddOptions), POINTER(c_uint32))),
    "exl_labels_retire": (c_int, (c_void_p, POINTER(c_char_p), POINTER(c_size_t), c_size_t, c_void_p, c_size_t)),
    "exl_labels_refresh": (c_int, (c_void_p, c_void_p, c_size_t)),
    "exl_labels_compact": (c_int, (c_void_p, c_void_p, c_size_t)),
    "exl_labels_get_info": (c_int, (c_void_p, POINTER(LabelsInfo))),
    "exl_label_get_state": (c_int, (c_void_p, c_uint32, POINTER(c_int))),
}


def declare(library: ctypes.CDLL) -> ctypes.CDLL:
    """Give the library's functions their types. Raises AttributeError where one is missing: it is another library."""
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
