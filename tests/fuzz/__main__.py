"""Fuzzes the C library: `python -m tests.fuzz [TARGET ...] [--seconds N]`, or `make fuzz`.

Corpora grow in the user's cache and are minimised after each run. Prints executions and edges of each target, and ends
with 1 where one has failed; the input lies in the cache then.
"""

from __future__ import annotations

import argparse
import sys

from tests.fuzz.run import TARGETS, build, kept_corpus, minimise, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)} (default: all)")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default: 60)")
    asked = parser.parse_args()
    unknown = [target for target in asked.targets if target not in TARGETS]
    if unknown:
        parser.error(f"there is no target {unknown[0]}: {', '.join(TARGETS)}")
    directory = build()
    failed = False
    print(f"{'target':12}{'executions':>12}{'a second':>10}{'edges':>8}{'of':>8}{'inputs':>8}")
    for target in asked.targets or TARGETS:
        corpus = kept_corpus(target)
        done = run(target, asked.seconds, corpus, directory)
        rate = done.executions // max(1, done.seconds)
        print(f"{target:12}{done.executions:12}{rate:10}{done.edges:8}{done.all_edges:8}{done.inputs:8}", flush=True)
        if done.fault:
            failed = True
            print(done.fault)
        else:
            minimise(target, corpus, directory)
    return failed


if __name__ == "__main__":
    sys.exit(main())
