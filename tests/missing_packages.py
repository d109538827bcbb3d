"""The line at a test run's end that says for want of which packages tests were skipped, out of their reasons."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

_MISSING = re.compile(r"((?:[\w+-]+(?:, | and | or ))*[\w+-]+) (?:is|are) not installed")


def name_missing_packages(reasons: Iterable[str]) -> str:
    """One line, a package with its tests; empty where none was skipped for want of one."""
    counts: Counter[str] = Counter()
    for reason in reasons:
        for found in _MISSING.findall(reason):
            counts.update({package_of(name) for name in re.split(", | and | or ", found)} - {"which"})
    if not counts:
        return ""
    packages = ", ".join(f"{package} ({count})" for package, count in sorted(counts.items()))
    return f"tests skipped for want of packages (`.ci/packages test-all` installs them): {packages}"


def package_of(command: str) -> str:
    """The package that brings a command, by Debian's names; a package's own name stays."""
    if command.startswith("qemu-") and not command.startswith("qemu-system-"):
        return "qemu-user"
    return re.sub(r"^(\S+)-(gcc|g\+\+)$", r"\2-\1", command)
