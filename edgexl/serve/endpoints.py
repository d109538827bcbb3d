"""The API's table of contents: each path with what it takes and what it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from edgexl.serve.requests import (
    AddAliases,
    AddLabels,
    CompleteLabels,
    Explain,
    ListLabels,
    Nothing,
    Predict,
    RetireLabels,
)
from edgexl.serve.service import Service


@dataclass(frozen=True)
class Endpoint:
    """A path of the API: what it takes, and the method of `Service` that answers. `changes`: not where read-only."""

    method: Literal["GET", "POST"]
    path: str
    takes: type
    does: Callable[[Service, Any], dict[str, Any]]
    summary: str
    changes: bool = False


ENDPOINTS = (
    Endpoint("POST", "/api/predict", Predict, Service.predict, "Answer a text, or several, with labels"),
    Endpoint("POST", "/api/explain", Explain, Service.explain, "Labels' ways through both stages"),
    Endpoint("GET", "/api/labels", ListLabels, Service.list_labels, "List labels, a page at a time"),
    Endpoint("GET", "/api/labels/complete", CompleteLabels, Service.complete, "Labels whose text begins so"),
    Endpoint("POST", "/api/labels/add", AddLabels, Service.add_labels, "Add or replace labels", True),
    Endpoint("POST", "/api/labels/alias", AddAliases, Service.add_aliases, "Give a label more aliases", True),
    Endpoint("POST", "/api/labels/retire", RetireLabels, Service.retire_labels, "Retire labels", True),
    Endpoint("GET", "/api/bundle", Nothing, Service.tell, "What the bundle is"),
    Endpoint("GET", "/api/health", Nothing, Service.health, "Whether the server answers"),
)
