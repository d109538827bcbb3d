"""What two bundles differ in: size by section, accuracy on the same queries, time on this machine; and whether the
second one is worse by more than someone allows, which is what continuous integration wants to know."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from edgexl.base.errors import BadInput
from edgexl.base.progress import Progress, no_progress
from edgexl.bundle.layout import Kind
from edgexl.bundle.read import Bundle, read_bundle
from edgexl.device.device import Device
from edgexl.runtime.binding import open_bundle
from edgexl.use.compare_answers import Answers, compare_answers
from edgexl.use.compare_devices import compare_times_on
from edgexl.use.compare_times import TOTAL, Times, compare_times
from edgexl.use.compare_why import Sources
from edgexl.use.evaluate import read_held_out

MOST_TIMED = 200


@dataclass(frozen=True)
class Limit:
    """How much worse the second bundle may be: a metric of accuracy by so many points; `p50`, `p90` or a stage by so
    many percent; `bytes` by so many, or so many percent."""

    name: str
    most: float
    is_percent: bool

    def __str__(self) -> str:
        return f"{self.name}:{self.most:g}{'%' if self.is_percent else ''}"


@dataclass(frozen=True)
class Comparison:
    """Two bundles' `sizes` by section and in all (`file`), `answers` where there were queries, `times` by stage, and
    `ledgers`: P@1, R@100 after each pass, as the bundles remember them. `identical`: the files are the same."""

    bundles: tuple[str, str]
    sizes: dict[str, tuple[int, int]]
    answers: Answers | None
    times: dict[str, Times]
    ledgers: dict[str, tuple[dict[str, float] | None, dict[str, float] | None]]
    identical: bool = False
    devices: tuple[str, str] = ("host", "host")

    def as_json(self) -> dict[str, Any]:
        """The keys that `edgexl compare --json` promises."""
        return {
            "bundles": list(self.bundles),
            "identical": self.identical,
            "devices": list(self.devices),
            "bytes": {name: list(both) for name, both in self.sizes.items()},
            "answers": self.answers and self.answers.as_json(),
            "times": {stage: times.as_json() for stage, times in self.times.items()},
            "ledgers": {name: list(both) for name, both in self.ledgers.items()},
        }

    def breaches(self, limits: Sequence[Limit]) -> list[str]:
        """A sentence for each limit that the second bundle is beyond, by more than chance where chance is in it."""
        return [sentence for limit in limits if (sentence := self._breach(limit)) is not None]

    def _breach(self, limit: Limit) -> str | None:
        if limit.name == "bytes":
            before, after = self.sizes["file"]
            most = before * (1 + limit.most / 100) if limit.is_percent else before + limit.most
            return f"{limit}: the file has {after:,} bytes, before {before:,}" if after > most else None
        if limit.name in self.times or limit.name in ("p50", "p90"):
            times = self.times[TOTAL if limit.name in ("p50", "p90") else limit.name]
            first, second = times.p90 if limit.name == "p90" else times.p50
            ratio = times.ratio.value if limit.name not in ("p50", "p90") else second / max(first, 1e-9)
            slower = ratio > 1 + limit.most / 100 and times.verdict == "slower"
            return f"{limit}: {second:.3f} ms, before {first:.3f} ({100 * (ratio - 1):+.1f} %)" if slower else None
        assert self.answers is not None
        first, second, by = self.answers.metrics[limit.name]
        worse = -by.value > limit.most and by.excludes(0.0)
        return f"{limit}: {second:.2f}, before {first:.2f} ({by.value:+.2f} points)" if worse else None


def compare(
    first: str | os.PathLike[str],
    second: str | os.PathLike[str],
    data: str | os.PathLike[str] | None = None,
    limit: int | None = None,
    timed: int = MOST_TIMED,
    limits: Sequence[Limit] = (),
    progress: Progress = no_progress,
    devices: tuple[Device, Device] | None = None,
    why: bool = False,
) -> Comparison:
    """Compare two bundles as they were compiled, timed on this machine, or each on its one of `devices`. `data` are
    queries as `evaluate` takes them, over the first one's label set; without any, accuracy is not compared, and the
    goldens of both are timed. `timed` queries at most are. `why` explains each answer that changed. Raises `BadInput`
    where a bundle or `data` is not sound, and for `limits` on what is not compared."""
    if why and data is None:
        raise BadInput("There is no query whose answer could have changed; give some, as DATA or --queries.")
    opened = read_bundle(first), read_bundle(second)
    queries = read_held_out(Path(data), opened[0], limit).queries if data is not None else []
    with open_bundle(first, compiled_only=True) as a, open_bundle(second, compiled_only=True) as b:
        texts = [query.text for query in queries if a.has_tokens(query.text) and b.has_tokens(query.text)]
        if data is None:
            texts = list(dict.fromkeys([*a.golden_texts(), *b.golden_texts()]))
        if len(texts) < 2:
            raise BadInput(f"{data or first} holds fewer than two texts with a word; give more queries.")
        _check_limits(limits, bool(queries), set(a.predict(texts[0]).ms))
        answerable, sources = set(texts), Sources.of(opened) if why else None
        asked = [query for query in queries if query.text in answerable]
        answers = compare_answers((a, b), asked, partial(progress, "answer"), sources) if asked else None
        if devices is None:
            times = compare_times((a, b), texts[:timed], progress=partial(progress, "time"))
    if devices is not None:
        times = compare_times_on(
            devices, (Path(first), Path(second)), texts[:timed], progress=partial(progress, "time")
        )
    sizes = _sizes(opened)
    identical = opened[0].data == opened[1].data
    names = ("host", "host") if devices is None else (devices[0].facts().name, devices[1].facts().name)
    paths = os.fspath(first), os.fspath(second)
    return Comparison(paths, sizes, answers, times, _ledgers(opened), identical, names)


def parse_limits(text: str) -> tuple[Limit, ...]:
    """Limits as a command line gives them: `P@1:0.5,p50:10%,bytes:5%`. Raises `BadInput`."""
    found = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*([\w@]+)\s*:\s*(\d+(?:\.\d+)?)\s*(%?)\s*", part)
        if match is None:
            raise BadInput(
                f"The limit '{part.strip()}' is none; write a name and a number, such as P@1:0.5 or p50:10%."
            )
        found.append(Limit(match[1], float(match[2]), bool(match[3])))
    return tuple(found)


def _check_limits(limits: Sequence[Limit], has_queries: bool, stages: set[str]) -> None:
    accuracy = {f"{prefix}{name}" for prefix in ("", "screening_") for name in ("P@1", "R@10", "R@100", "nDCG@5")}
    times = {"p50", "p90", *stages}
    for limit in limits:
        if limit.name not in accuracy | times | {"bytes"}:
            known = ", ".join(sorted(accuracy | times | {"bytes"}))
            raise BadInput(f"Nothing called '{limit.name}' is compared; these are: {known}.")
        if limit.name in accuracy and not has_queries:
            raise BadInput(f"There is no query to measure {limit.name} on; give some, as DATA or --queries.")
        if limit.name in accuracy and limit.is_percent:
            raise BadInput(f"{limit.name} is in percent already: write {limit.name}:{limit.most:g}, in points.")
        if limit.name in times and not limit.is_percent:
            raise BadInput(f"How much longer {limit.name} may take is a share: write {limit.name}:{limit.most:g}%.")


def _sizes(bundles: tuple[Bundle, Bundle]) -> dict[str, tuple[int, int]]:
    found = {}
    for kind in Kind:
        both = tuple(len(bundle.section(kind)) for bundle in bundles)
        if any(both):
            found[kind.name.lower()] = (both[0], both[1])
    return {**found, "file": (bundles[0].file_bytes, bundles[1].file_bytes)}


def _ledgers(
    bundles: tuple[Bundle, Bundle],
) -> dict[str, tuple[dict[str, float] | None, dict[str, float] | None]]:
    """By pass: what each bundle's compile measured after it; None where it had no such pass."""
    rows = [
        {
            row["pass"]: {key: row[key] for key in ("P@1", "R@100") if row.get(key) is not None}
            for row in bundle.manifest.get("ledger", [])
        }
        for bundle in bundles
    ]
    return {name: (rows[0].get(name), rows[1].get(name)) for name in {**rows[0], **rows[1]}}
