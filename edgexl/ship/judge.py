"""Judges what was shipped: the doctor looks into each package, and each answers its goldens where it can run here."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgexl.base.progress import Progress, no_progress
from edgexl.ship.accept import Proof
from edgexl.ship.check import Checked, check_package
from edgexl.ship.ship import Shipped
from edgexl.ship.trial import Trial, try_packages
from edgexl.ship.unpack import ENDS


@dataclass(frozen=True)
class Judged:
    """A file that was shipped; None where it is no package, and for `trial` where none was asked for. `proofs`: what
    owners of other machines brought back."""

    shipped: Shipped
    checked: Checked | None
    trial: Trial | None
    proofs: tuple[Proof, ...] = ()

    @property
    def faults(self) -> list[str]:
        """What stands in its way, a sentence each."""
        found = [each.sentence for each in self.checked.findings if each.kind == "fault"] if self.checked else []
        failed = [f"it does not answer: {self.trial.why}"] if self.trial and self.trial.outcome == "failed" else []
        return found + failed

    def as_json(self) -> dict[str, Any]:
        """The file as `ship --json` tells it."""
        checked = self.checked
        return {
            **self.shipped.as_json(),
            "beside_bytes": checked and checked.beside_bytes,
            "parts_bytes": checked and dict(checked.parts),
            "trial": self.trial and self.trial.as_json(),
            "proofs": [proof.as_json() for proof in self.proofs],
            "findings": [finding.as_json() for finding in checked.findings] if checked else [],
        }


def judge(
    shipped: Sequence[Shipped],
    trying: bool = True,
    progress: Progress = no_progress,
    proofs: Mapping[Path, Sequence[Proof]] | None = None,
) -> list[Judged]:
    """Each file that was shipped, in order; `proofs`: of `assign_proofs`.

    Raises `BadInput` where one has changed since, and is no package now.
    """
    platforms = list(dict.fromkeys(each.platform for each in shipped))
    trials = {}

    def try_platform(name: str) -> dict[Path, Trial]:
        return try_packages(name, [each.path for each in shipped if each.platform == name])

    asked = platforms if trying else []
    with ThreadPoolExecutor(os.cpu_count()) as workers:  # compilers take most of it
        for done, (name, found) in enumerate(zip(asked, workers.map(try_platform, asked), strict=True), start=1):
            trials.update({(name, path): trial for path, trial in found.items()})
            progress("try", done, len(asked))
    packages = {each.path for each in shipped if each.path.name.endswith(ENDS)}
    checked = {path: check_package(path) for path in packages}
    return [
        Judged(
            each,
            checked.get(each.path),
            trials.get((each.platform, each.path)),
            tuple((proofs or {}).get(each.path, ())),
        )
        for each in shipped
    ]
