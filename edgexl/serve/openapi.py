"""The OpenAPI document of the API: requests from their dataclasses, answers as they are said here."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterable
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from edgexl import __version__
from edgexl.serve.endpoints import Endpoint

_STRING, _NUMBER, _INTEGER, _BOOLEAN = ({"type": kind} for kind in ("string", "number", "integer", "boolean"))
_OPTIONAL_NUMBER = {"type": ["number", "null"]}


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": required | (optional or {})}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


_ERROR = _object({"error": _STRING})
_NAMED = {"id": _STRING, "text": _STRING}
_LABEL = _object(
    _NAMED
    | {
        "probability": _NUMBER,
        "logit": _NUMBER,
        "shortlist_rank": _INTEGER | {"description": "Its place after screening."},
        "screening_score": _NUMBER,
    }
)
_SCREENED = _object(_NAMED | {"screening_score": _NUMBER, "reasoner_rank": _INTEGER})
_REFUSED = _object({"text": _STRING, "error": _STRING})
_ANSWER = _object(
    {
        "text": _STRING,
        "labels": _list(_LABEL),
        "none_fits": _BOOLEAN | {"description": "The first label is likely to be wrong."},
        "tokens": _INTEGER,
        "windows": _INTEGER | {"description": "How many a long text was read in; 1: it fits, or was cut."},
        "truncated": _BOOLEAN | {"description": "The text is longer than what was read of it."},
        "ms": {"type": "object", "additionalProperties": _NUMBER, "description": "Milliseconds a stage, and `total`."},
        "shortlist": _INTEGER | {"description": "How many labels reasoning saw."},
    },
    {
        "screening": _list(_SCREENED),
        "coverage_holds": _BOOLEAN | {"description": "The label set is the one that coverage was counted on."},
    },
)
_EXPLANATION = _object(
    _NAMED
    | {
        "index": _INTEGER,
        "state": {"enum": ["compiled", "added", "retired"]},
        "description": _STRING,
        "screening_rank": _INTEGER | {"description": "By its vector, over the whole label set, from 1."},
        "screening_score": _NUMBER,
        "shortlisted": _BOOLEAN | {"description": "False: the label was lost at screening."},
        "reasoner_rank": _INTEGER | {"description": "0 where it was lost."},
        "logit": _NUMBER,
        "probability": _NUMBER,
        "found_by": {"enum": ["text", "alias", "description"]},
        "text_score": _NUMBER,
        "alias_score": _OPTIONAL_NUMBER,
        "description_score": _OPTIONAL_NUMBER,
        "votes_score": _NUMBER,
        "words_score": _NUMBER,
    }
)
_LISTED = _object(
    _NAMED | {"index": _INTEGER, "aliases": _list(_STRING), "state": {"enum": ["compiled", "added", "retired"]}}
)
_CHANGE = _object(
    {"labels": _INTEGER | {"description": "In the set now."}, "generation": _INTEGER, "file_bytes": _INTEGER},
    {
        "added": _INTEGER, "retired": _INTEGER, "first_index": {"type": ["integer", "null"]}, "ms": _NUMBER,
        "durable": _BOOLEAN, "warning": _STRING,
    },
)  # fmt: skip
_BUNDLE = _object(
    {
        "name": _STRING, "edgexl": _STRING, "writable": _BOOLEAN, "labels": _INTEGER, "rows": _INTEGER,
        "dims": _INTEGER, "shortlist": _INTEGER, "max_tokens": _INTEGER, "windows": _INTEGER, "format": _STRING,
        "file_bytes": _INTEGER, "threshold": _NUMBER, "presence": _OPTIONAL_NUMBER, "engine": _STRING,
        "kernel": _STRING, "goldens": _INTEGER, "copied": _BOOLEAN, "recipe": {"type": ["string", "null"]},
        "target": {"type": ["string", "null"]}, "label_set": {"type": "object"}, "measured": {"type": "object"},
        "examples": _list(_STRING), "signed_by": {"type": ["integer", "null"]}, "signed_version": _INTEGER,
        "overlays": _list({"type": "object"}), "calibrated_by": {"type": ["integer", "null"]},
        "calibration": {"type": ["object", "null"]}, "held_out": {"type": ["object", "null"]},
        "label_tower": {"type": ["object", "null"]},
    }
)  # fmt: skip
# What each path answers with.
_ANSWERS: dict[str, dict[str, Any]] = {
    "/api/predict": {"anyOf": [_ANSWER, _object({"answers": _list({"anyOf": [_ANSWER, _REFUSED]})})]},
    "/api/explain": _object({"text": _STRING, "explanations": _list(_EXPLANATION)}),
    "/api/labels": _object({"labels": _list(_LISTED), "next": {"type": ["integer", "null"]}}),
    "/api/labels/complete": _object({"prefix": _STRING, "labels": _list(_object(_NAMED))}),
    "/api/labels/add": _CHANGE,
    "/api/labels/alias": _CHANGE,
    "/api/labels/retire": _CHANGE,
    "/api/bundle": _BUNDLE,
    "/api/health": _object({"status": {"const": "ok"}, "generation": _INTEGER}),
}


def describe(endpoints: Iterable[Endpoint], name: str) -> dict[str, Any]:
    """The document, in OpenAPI 3.1, of a server of the bundle called `name`."""
    paths: dict[str, Any] = {}
    for one in endpoints:
        operation: dict[str, Any] = {
            "operationId": one.does.__name__,
            "summary": one.summary,
            "responses": {
                "200": {"description": "Done.", "content": _json(_ANSWERS[one.path])},
                "default": {"description": "One sentence that says what is wrong.", "content": _json(_ERROR)},
            },
        }
        if one.method == "POST":
            operation["requestBody"] = {"required": True, "content": _json(_schema(one.takes))}
        else:
            operation["parameters"] = _parameters(one.takes)
        paths.setdefault(one.path, {})[one.method.lower()] = operation
    about = "Labels for texts, from one bundle. Labels may be changed where /api/bundle says `writable`."
    info = {"title": f"edgexl: {name}", "version": __version__, "description": about}
    return {"openapi": "3.1.0", "info": info, "paths": paths}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _parameters(cls: type) -> list[dict[str, Any]]:
    schema = _schema(cls)
    return [
        {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": field}
        for name, field in schema["properties"].items()
    ]


def _schema(hint: Any) -> dict[str, Any]:
    """The JSON schema of what `edgexl.base.toml` takes for an annotation."""
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _schema_of_fields(hint)
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        choices = [_schema(arg) for arg in args if arg is not type(None)]
        return choices[0] if len(choices) == 1 else {"anyOf": choices}
    if origin is Literal:
        return {"enum": list(args)}
    if origin is tuple:
        return _list(_schema(args[0]))
    return dict({str: _STRING, float: _NUMBER, int: _INTEGER, bool: _BOOLEAN}[hint])


def _schema_of_fields(cls: type) -> dict[str, Any]:
    hints, properties, required = get_type_hints(cls), {}, []
    for field in dataclasses.fields(cls):
        schema = _schema(hints[field.name])
        schema |= {key: value for key, value in field.metadata.items() if value is not None}
        if field.default is dataclasses.MISSING:
            required.append(field.name)
        elif field.default is not None:
            schema["default"] = field.default
        properties[field.name] = schema
    made: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return made | ({"required": required} if required else {})
