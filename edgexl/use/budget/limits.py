"""What a bundle may cost, and how good it must be at least."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace

from edgexl.base.errors import BadInput
from edgexl.report.table import format_bytes
from edgexl.target import Target
from edgexl.use.budget.figures import Figures

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}
_BYTES = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Limits:
    """None where nothing is asked. `ms`: the median of a query; `memory_bytes`: peak resident of exl-bench;
    `size_bytes`: of the file; `recall`: the least R@100, in percent."""

    ms: float | None = None
    memory_bytes: int | None = None
    size_bytes: int | None = None
    recall: float | None = None

    def __post_init__(self) -> None:
        for name, flag in (("ms", "--max-ms"), ("memory_bytes", "--max-memory"), ("size_bytes", "--max-size")):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise BadInput(f"{flag} is {value}; give a number above 0, or leave it out.")
        if self.recall is not None and not 0 <= self.recall <= 100:
            raise BadInput(f"--min-recall is {self.recall}; give a percentage, 0 to 100.")

    def or_usual(self, target: Target) -> Limits:
        """These, and for costs that nothing is said of what is usually asked of the target."""
        usual = target.budget
        return replace(
            self,
            ms=self.ms or usual.ms or None,
            memory_bytes=self.memory_bytes or usual.memory_bytes or None,
            size_bytes=self.size_bytes or usual.size_bytes or None,
        )

    def are_met(self, figures: Figures) -> bool:
        return not self.missed(figures)

    def missed(self, figures: Figures) -> tuple[str, ...]:
        """The names of the limits that the figures do not keep."""
        missed = [name for name in COSTS if _is_over(getattr(figures, name), getattr(self, name))]
        if self.recall is not None and (figures.recall is None or figures.recall < self.recall):
            missed.append("recall")
        return tuple(missed)

    def sentence(self) -> str:
        """What is asked, for people."""
        said = [f"at most {say(name, getattr(self, name))}" for name in COSTS if getattr(self, name) is not None]
        if self.recall is not None:
            said.append(f"R@100 at least {self.recall:g}")
        return ", ".join(said) or "no limits"

    def as_json(self) -> dict[str, float | int | None]:
        return {each.name: getattr(self, each.name) for each in fields(self)}


# The costs, by their names in `Limits` and in `Figures`, and the options that limit them.
COSTS = {"ms": "--max-ms", "memory_bytes": "--max-memory", "size_bytes": "--max-size"}


def say(cost: str, value: float) -> str:
    """A cost with its unit, and which it is where the unit does not tell."""
    if cost == "ms":
        return f"{value:.3g} ms"
    return f"{format_bytes(int(value))} {'of memory' if cost == 'memory_bytes' else 'of file'}"


def read_bytes(text: str, option: str) -> int:
    """A number of bytes such as 30MB, 25_000_000 or 1.5 GiB. Raises `BadInput` naming the `option`."""
    found = _BYTES.fullmatch(text.replace("_", "").replace(",", ""))
    if found is None or found[2].lower() not in _UNITS:
        raise BadInput(f"{option} is '{text}'; give a number of bytes with a unit, such as 30MB or 512KiB.")
    return int(float(found[1]) * _UNITS[found[2].lower()])


def _is_over(value: float, most: float | None) -> bool:
    return most is not None and value > most
