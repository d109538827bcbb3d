"""`python -m tests.mutants`: draw faults, try them, say which ones no test saw. See the package."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

from edgexl.base.fetch import cache_directory
from tests.mutants import Fault, Outcome, choose_faults

LANGUAGES = ("python", "c")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--language", choices=LANGUAGES, default="python")
    parser.add_argument("--count", type=int, default=30, help="how many faults to draw")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--part", default="1/1", help="K/N: of what is drawn the K-th of N parts, to try them side by side"
    )
    parser.add_argument("--only", default="", help="draw from files whose path contains this")
    parser.add_argument("--list", action="store_true", help="show what is drawn, try nothing")
    parser.add_argument("--again", action="store_true", help="try the faults that no test has seen yet once more")
    parser.add_argument("--as-recorded", action="store_true", help="do not run new tests first, to see what they cover")
    parser.add_argument("--c-tests-only", action="store_true", help="of a C fault: leave out pytest's tests")
    parser.add_argument("--totals", action="store_true", help="show what all samples so far add up to")
    said = parser.parse_args()
    if said.totals:
        show_totals()
        return
    os.nice(10)
    root = Path.cwd()
    language = importlib.import_module(f"tests.mutants.{said.language}_faults")
    possible = [fault for fault in language.find_faults(root) if said.only in fault.path]
    reserve = said.count + int(said.count * getattr(language, "SPARE", 0))
    faults = unseen(said.language, possible) if said.again else choose_faults(possible, reserve, said.seed)
    part, parts = map(int, said.part.split("/"))
    faults = faults[part - 1 :: parts]
    print(f"{len(faults)} of {len(possible)} faults, {said.language}, seed {said.seed}", flush=True)
    if said.list:
        for fault in faults:
            print(describe(fault))
        return
    outcomes: list[Outcome] = []
    more = {"with_pytest": False} if said.c_tests_only else {}
    for outcome in language.try_faults(root, faults, not said.as_recorded, **more):
        keep(said.language, said.seed, outcome)
        outcomes.append(outcome)
        mark = "seen" if outcome.seen else "NOT SEEN"
        by = (
            f"by {outcome.by} {outcome.note[-60:]!r}"
            if outcome.seen
            else f"{outcome.covering} cover it; {outcome.note}"
        )
        print(
            f"{mark:8}  {describe(outcome.fault)}  ({outcome.tests} tests, {outcome.seconds:.0f} s, {by})", flush=True
        )
        if len(outcomes) == said.count and not said.again:
            break
    seen = sum(outcome.seen for outcome in outcomes)
    print(f"seen: {seen} of {len(outcomes)}" + (f" ({100 * seen / len(outcomes):.0f}%)" if outcomes else ""))


def describe(fault: Fault) -> str:
    """The fault in a line."""
    before, after = (" ".join(text.split())[:90] for text in (fault.before, fault.after))
    return f"{fault.path}:{fault.line} {fault.function or 'module'}: {fault.kind}: {before!r} -> {after!r}"


def results() -> Path:
    """Where what became of every fault is kept, a JSON object a line."""
    return cache_directory() / "mutants" / "results.jsonl"


def keep(language: str, seed: int, outcome: Outcome) -> None:
    """Append an outcome to the results."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    fault = outcome.fault
    line = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "commit": commit.stdout.strip(),
        "language": language, "seed": seed, "path": fault.path, "line": fault.line, "function": fault.function,
        "kind": fault.kind, "before": fault.before, "after": fault.after, "seen": outcome.seen, "by": outcome.by,
        "tests": outcome.tests, "covering": outcome.covering, "seconds": round(outcome.seconds, 1),
        "note": outcome.note[-200:],
    }  # fmt: skip
    results().parent.mkdir(parents=True, exist_ok=True)
    with results().open("a") as file:
        file.write(json.dumps(line) + "\n")


def read_results() -> list[dict[str, Any]]:
    """All outcomes so far, oldest first."""
    return [json.loads(line) for line in results().read_text().splitlines()] if results().exists() else []


def unseen(language: str, possible: list[Fault]) -> list[Fault]:
    """The faults that were tried and not seen when they were tried last, where the source still has them."""
    last: dict[tuple[str, ...], bool] = {}
    for line in read_results():
        if line["language"] == language:
            last[line["path"], line["function"], line["before"], line["after"]] = line["seen"]
    found: dict[tuple[str, ...], Fault] = {}
    for fault in possible:
        key = (fault.path, fault.function, fault.before, fault.after)
        if last.get(key) is False:
            found.setdefault(key, fault)
    return list(found.values())


def show_totals() -> None:
    """What every sample came to, and all of them."""
    sums: dict[tuple[str, str, int], list[int]] = {}
    for line in read_results():
        sums.setdefault((line["language"], line["commit"], line["seed"]), []).append(line["seen"])
    for (language, commit, seed), seen in sums.items():
        print(f"{language:8} {commit:10} seed {seed:6}  seen {sum(seen):4} of {len(seen):4}")
    for language in LANGUAGES:
        seen = [one for (name, _, _), ones in sums.items() if name == language for one in ones]
        if seen:
            print(f"{language:8} all{'':18}  seen {sum(seen):4} of {len(seen):4} ({100 * sum(seen) / len(seen):.0f}%)")


if __name__ == "__main__":
    main()
