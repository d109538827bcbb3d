"""What other methods reach on the test queries that edgexl's students are judged by: accuracy, bytes, milliseconds.

    python -m benchmarks.distillation.rivals --data wordnet --rival parabel           train, test, record
    python -m benchmarks.distillation.rivals --data mesh --rival all --features words+chars
    python -m benchmarks.distillation.rivals --data wordnet --time                    time all again, in turns
    python -m benchmarks.distillation.rivals --table                                  the records as Markdown

A rival learns from all training queries of the data set (with `--label-texts`, from each label's own text as well, as
one query more), and answers the first 2,000 test queries that have targets. It runs in an environment of its own,
which is made at first use in ~/.cache/edgexl/rivals, so that edgexl's stays as it is; the two meet in files. edgexl's
own students stand beside them in the same way: bundles that `python -m benchmarks.distillation` made, or `--bundle`
names.

Records, in results/rivals.json: metrics in percent, `P@1_unseen` over the queries that have a label without any
training query among theirs; `bytes` of everything that answering needs; milliseconds from text to 100 labels in one
call on one thread (`min_ms`: the quickest round's median, `p50_ms`: the median round's, `processor_p50_ms`: the same of
processor time, which a busy machine lengthens less); minutes of training by the clock and of processor time. A rival
that cannot run is recorded with the reason.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import venv
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.distillation.runs import SIZES
from edgexl.base.errors import BadInput
from edgexl.base.fetch import cache_directory
from edgexl.base.files import write_text
from edgexl.data import BUILDERS, Dataset, Query, build, metrics, open_dataset
from edgexl.data.frequency import train_frequency

RESULTS = Path(__file__).with_name("results") / "rivals.json"
PROGRAMS = Path(__file__).with_name("rival_programs")
HOME = cache_directory() / "rivals"
TEST_QUERIES = 2000
REPORTED = ("P@1", "P@5", "nDCG@5", "R@10", "R@100")
FEATURES = ("words", "words+chars")


@dataclass(frozen=True)
class Environment:
    """A virtual environment: its packages, and those that are installed without what they ask for."""

    name: str
    packages: tuple[str, ...]
    alone: tuple[str, ...] = ()


OMIKUJI = Environment("omikuji", ("omikuji==0.5.2", "scikit-learn==1.9.1"))
# libpecos asks for torch and transformers, which XR-Linear never loads, and for old numpy and scipy, which it does
PECOS = Environment("pecos", ("numpy<2", "scipy<1.14", "scikit-learn<1.8"), alone=("libpecos==1.2.8",))
FASTTEXT = Environment("fasttext", ("fasttext-wheel==0.9.2", "numpy<2"))


@dataclass(frozen=True)
class Rival:
    """A method: how it is called in the table, what runs it and with what settings.

    `source` names the rival whose trained model this one starts from (the minutes of both are recorded apart);
    `environment` None is edgexl's own, and `size` that of an edgexl student.
    """

    title: str
    program: str
    environment: Environment | None
    settings: dict[str, Any] = field(default_factory=dict)
    source: str | None = None
    features: tuple[str, ...] = FEATURES
    size: str | None = None


def _trees(title: str, trees: int, bonsai: bool) -> Rival:
    return Rival(title, "trees", OMIKUJI, {"trees": trees, "bonsai": bonsai, "beam": 10})


# A full softmax over so many labels would take a day. Negative sampling did better than hierarchical softmax in every
# setting tried: WordNet, R@100 over 1,000 test queries, 1.3 to 1.4 for the latter (learning rates .1 to .5, 25 to 100
# epochs), 2.4 for this one, 3.3 for 50 negatives and 50 epochs in five times the time.
_HYPER = {"loss": "ns", "neg": 20, "dim": 128, "lr": 0.5, "epoch": 25, "bucket": 200_000}


def _own(size: str) -> Rival:
    return Rival(f"**edgexl `{size}`**, `balanced`", "bundle", None, features=("texts",), size=size)


RIVALS = {
    **{f"edgexl-{size}": _own(size) for size in SIZES},
    "parabel": _trees("Parabel, 1 tree (omikuji)", 1, bonsai=False),
    "parabel-3": _trees("Parabel, 3 trees (omikuji)", 3, bonsai=False),
    "bonsai": _trees("Bonsai, 1 tree (omikuji)", 1, bonsai=True),
    "bonsai-3": _trees("Bonsai, 3 trees (omikuji)", 3, bonsai=True),
    "xr-linear": Rival("XR-Linear (PECOS)", "xr_linear", PECOS, {"beam": 20, "weight_threshold": 0.1}),
    "fasttext": Rival("fastText", "fasttext_supervised", FASTTEXT, {"hyper": _HYPER}),
    "fasttext-quantized": Rival("fastText, quantized", "fasttext_supervised", FASTTEXT, source="fasttext"),
    "minilm": Rival("MiniLM-L6, zero-shot, exact search", "minilm", None, features=("texts",)),
    "minilm-aliases": Rival(
        "MiniLM-L6 + training queries as aliases, exact search", "minilm", None, source="minilm", features=("texts",)
    ),
}


class Stopped(Exception):
    """A rival's program ended without an answer; the text says why."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help=f"{', '.join(sorted(BUILDERS))}, or a data set's directory")
    parser.add_argument("--rival", choices=[*RIVALS, "all"])
    parser.add_argument("--features", choices=FEATURES, default="words", help="of linear models and fastText")
    parser.add_argument("--label-texts", action="store_true", help="learn from each label's own text as well")
    parser.add_argument("--bundle", type=Path, help="the bundle of an edgexl student that is not in the cache")
    parser.add_argument("--threads", type=int, default=1, help="of training")
    parser.add_argument("--limit-minutes", type=float, default=25.0, help="processor time of one command of a rival")
    parser.add_argument("--time", action="store_true", help="time every rival with a kept model, in turns")
    parser.add_argument("--rounds", type=int, default=7, help="of --time")
    parser.add_argument("--table", action="store_true", help="print the records as Markdown")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.table:
        print(as_table(read_records(options.results)))
        return
    if not options.data or not (options.time or options.rival):
        parser.error("give --data with --rival or --time, or --table")
    try:
        bench = Bench.open(options.data, options.threads, options.limit_minutes * 60, options.bundle)
        if options.time:
            time_in_turns(bench, options.results, options.rounds)
            return
        for name in RIVALS if options.rival == "all" else [options.rival]:
            features = options.features if len(RIVALS[name].features) > 1 else RIVALS[name].features[0]
            record = measure(bench, Entry(bench.name, name, features, options.label_texts))
            write_record(options.results, record)
            print(json.dumps(record), flush=True)
    except BadInput as error:
        raise SystemExit(str(error)) from None


@dataclass(frozen=True, order=True)
class Entry:
    """What a record is of: its key in the results, and the name of its model."""

    data: str
    rival: str
    features: str
    label_texts: bool

    @classmethod
    def of(cls, record: dict[str, Any]) -> Entry:
        return cls(record["data"], record["rival"], record["features"], record["label_texts"])

    @property
    def model(self) -> Path:
        name = f"{self.rival}.{self.features}" + (".label-texts" if self.label_texts else "")
        return HOME / "models" / self.data / name


@dataclass(frozen=True)
class Bench:
    """A data set ready for rivals: its test queries, which labels no training query has, and its files for programs."""

    name: str
    dataset: Dataset
    queries: list[Query]
    unseen: np.ndarray[Any, np.dtype[np.bool_]]
    work: Path
    threads: int
    limit_seconds: float
    bundle: Path | None

    @classmethod
    def open(cls, source: str, threads: int, limit_seconds: float, bundle: Path | None = None) -> Bench:
        """Open (or build, into the cache) the data set, and write its files for the programs where they are not yet.

        Raises `BadInput` where there is no such data set.
        """
        dataset = _open(source)
        queries = list(islice((query for query in dataset.queries("tst") if query.targets), TEST_QUERIES))
        if not queries:
            raise BadInput(f"{source} has no test query with targets; there is nothing to measure.")
        name = source if source in BUILDERS else Path(source).resolve().name
        digest = hashlib.sha256()
        for part in ("lbl", "trn", "tst"):
            digest.update((dataset.directory / f"{part}.json.gz").read_bytes())
        work = HOME / "work" / f"{name}-{digest.hexdigest()[:12]}"
        if not work.is_dir():
            _write_work(dataset, queries, work)
        unseen = train_frequency(dataset).counts == 0
        return cls(name, dataset, queries, unseen, work, threads, limit_seconds, bundle)

    def bundle_of(self, size: str) -> Path:
        """Where an edgexl student's bundle is. Raises `Stopped` where there is none."""
        folder = cache_directory() / "distillation"
        found = sorted(folder.glob(f"{self.name}-{size}-mechanistic-*.exl")) if self.bundle is None else [self.bundle]
        if not found or not found[0].is_file():
            command = f"python -m benchmarks.distillation --data {self.name} --size {size} --method mechanistic"
            raise Stopped(f"its bundle is not there; {command} makes it")
        return found[0]

    def judge(self, rankings: list[list[int]]) -> dict[str, Any]:
        """Metrics of the test queries' rankings, and P@1 of those with unseen labels."""
        ranked = np.full((len(rankings), 100), -1, dtype=np.int64)
        for row, labels in zip(ranked, rankings, strict=True):
            row[: len(labels)] = labels
        targets = [query.targets for query in self.queries]
        judged = metrics.evaluate(ranked, targets, (1, 5, 10, 100))
        report: dict[str, Any] = {key: round(judged[key], 2) for key in REPORTED}
        places = [at for at, labels in enumerate(targets) if self.unseen[list(labels)].any()]
        report |= {"queries": len(targets), "queries_unseen": len(places)}
        if places:
            unseen = metrics.evaluate(ranked[places], [targets[at] for at in places], (1,))
            report["P@1_unseen"] = round(unseen["P@1"], 2)
        return report


def _open(source: str) -> Dataset:
    if source not in BUILDERS:
        return open_dataset(source)
    directory = cache_directory() / "data" / source
    return open_dataset(directory) if directory.is_dir() else build(source, directory)


def _write_work(dataset: Dataset, test: list[Query], work: Path) -> None:
    work.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=work.parent) as scratch:
        staging = Path(scratch) / "staging"
        staging.mkdir()
        parts = {
            "trn": ({"text": query.text, "labels": query.targets} for query in dataset.queries("trn") if query.targets),
            "tst": ({"text": query.text, "labels": query.targets} for query in test),
            "lbl": ({"text": text} for text in dataset.labels.texts),
        }
        for name, records in parts.items():
            with open(staging / f"{name}.jsonl", "w", encoding="utf-8") as out:
                out.writelines(json.dumps(record) + "\n" for record in records)
        os.replace(staging, work)


def measure(bench: Bench, entry: Entry) -> dict[str, Any]:
    """Train a rival anew, rank the test queries, time it: its record, or the record of why there is none."""
    rival = RIVALS[entry.rival]
    record: dict[str, Any] = asdict(entry) | {"settings": rival.settings, "load_at_start": os.getloadavg()[0]}
    shutil.rmtree(entry.model, ignore_errors=True)
    try:
        training = _run(bench, entry, "train")
        answering = _run(bench, entry, "rank")
    except Stopped as reason:
        shutil.rmtree(entry.model, ignore_errors=True)  # half a model must not be taken for a trained one
        return record | {"stopped": str(reason)}
    rankings = entry.model.with_name(entry.model.name + ".rankings.json")
    record |= bench.judge(json.loads(rankings.read_text(encoding="utf-8")))
    record["bytes"] = sum(path.stat().st_size for path in entry.model.rglob("*") if path.is_file())
    record["versions"] = training.pop("versions")
    if rival.size:
        minutes = bench.bundle_of(rival.size).with_suffix("") / "minutes.json"
        known = json.loads(minutes.read_text(encoding="utf-8")) if minutes.is_file() else {}
        training = {f"{name}_minutes": value for name, value in known.items()}
    record["training"] = {key: round(value, 2) for key, value in training.items()} | {"threads": bench.threads}
    # until --time measures it in turns with the others
    record["single_query"] = _times([answering]) | {"in_turns": False}
    return record


def time_in_turns(bench: Bench, results: Path, rounds: int, queries: int = 100) -> None:
    """Time all rivals of this data set whose models are kept, in turns, so that a busy machine is busy for all."""
    records = [record for record in read_records(results) if record["data"] == bench.name and "stopped" not in record]
    entries = [Entry.of(record) for record in records if Entry.of(record).model.is_dir()]
    taken: dict[Entry, list[dict[str, float]]] = {entry: [] for entry in entries}
    for number in range(rounds):
        for entry in entries:
            taken[entry].append(_run(bench, entry, "time", {"queries": queries}))
        for record in records:
            if Entry.of(record) in taken:
                record["single_query"] = _times(taken[Entry.of(record)]) | {"in_turns": True}
                write_record(results, record)
        print(f"round {number + 1} of {rounds} done", flush=True)


def _times(rounds: list[dict[str, float]]) -> dict[str, Any]:
    """The quickest and the median round, ms a query; and how busy the machine was."""
    return {
        "min_ms": round(min(each["p50_ms"] for each in rounds), 3),
        "p50_ms": round(statistics.median(each["p50_ms"] for each in rounds), 3),
        "processor_p50_ms": round(statistics.median(each["processor_p50_ms"] for each in rounds), 3),
        "rounds": len(rounds),
        "load": round(os.getloadavg()[0], 2),
    }


def _run(bench: Bench, entry: Entry, command: str, more: dict[str, Any] | None = None) -> dict[str, Any]:
    """One command of a rival's program, one thread unless it trains. Raises `Stopped` where it gives no result."""
    rival = RIVALS[entry.rival]
    python = Path(sys.executable) if rival.environment is None else prepare(rival.environment)
    settings = rival.settings | {"features": entry.features, "label_texts": entry.label_texts}
    settings |= {"threads": bench.threads, "source": None} | (more or {})
    if rival.source:
        source = Entry(entry.data, rival.source, entry.features, entry.label_texts).model
        if not source.is_dir():
            raise Stopped(f"it starts from {rival.source}, which has not been trained")
        settings["source"] = str(source)
    if rival.size and command == "train":
        settings["bundle"] = str(bench.bundle_of(rival.size))
    threads = str(bench.threads if command == "train" else 1)
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, threads), "PYTHONHASHSEED": "0"}
    if rival.environment is not None:
        environment.pop("PYTHONPATH", None)
    arguments = [
        str(PROGRAMS / f"{rival.program}.py"),
        command,
        str(bench.work),
        str(entry.model),
        json.dumps(settings),
    ]
    # processor time: how busy its neighbours are must not decide whether a rival comes through
    limit = round(bench.limit_seconds)
    done = subprocess.run(
        [str(python), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (limit, limit)),
    )
    if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        raise Stopped(f"{command} was stopped by the system after at most {limit / 60:g} minutes of processor time")
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise Stopped(f"{command} failed: {lines[-1] if lines else f'exit status {done.returncode}'}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def prepare(environment: Environment) -> Path:
    """The Python of a rival's environment, which is made (or, where its packages changed, made again) first.

    Raises `Stopped` with pip's last words where the packages cannot be installed.
    """
    directory = HOME / environment.name
    python, made_of = directory / "bin" / "python", directory / "made-of.json"
    wanted = json.dumps(asdict(environment))
    if made_of.is_file() and made_of.read_text(encoding="utf-8") == wanted:
        return python
    venv.create(directory, clear=True, with_pip=True)
    for packages, options in ((environment.packages, ()), (environment.alone, ("--no-deps",))):
        if not packages:
            continue
        command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *options, *packages]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            raise Stopped(f"pip could not install {' '.join(packages)}: {(lines or ['no reason given'])[-1]}")
    made_of.write_text(wanted, encoding="utf-8")
    return python


def read_records(path: Path) -> list[dict[str, Any]]:
    """The records so far; none where there is no such file."""
    if not path.is_file():
        return []
    records: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return records


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Put a record in place of the older one of its entry; the file is replaced in one step."""
    records = [other for other in read_records(path) if Entry.of(other) != Entry.of(record)] + [record]
    records.sort(key=Entry.of)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(records, indent=1, sort_keys=True) + "\n")


def as_table(records: list[dict[str, Any]]) -> str:
    """Markdown: a table a data set, a row a rival (of its features, those with the better nDCG@5)."""
    blocks = []
    for data in sorted({record["data"] for record in records}):
        own = [record for record in records if record["data"] == data]
        columns = ("features", *REPORTED, "P@1 unseen", "MB", "ms (processor)", "training min (processor)")
        rows = [f"**{data}**\n", "| rival | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
        for name in RIVALS:
            for label_texts in (False, True):
                tried = [each for each in own if (each["rival"], each["label_texts"]) == (name, label_texts)]
                if tried:
                    rows.append(_row(max(tried, key=lambda record: record.get("nDCG@5", -1.0)), len(columns)))
        blocks.append("\n".join(rows))
    return "\n\n".join(blocks)


def _row(record: dict[str, Any], columns: int) -> str:
    title = RIVALS[record["rival"]].title + (" + label texts" if record["label_texts"] else "")
    if "stopped" in record:
        return f"| {title} | {record['features']} | {record['stopped']} |" + " |" * (columns - 2)
    cells = [record["features"], *(f"{record[name]:.1f}" for name in REPORTED)]
    cells.append(f"{record['P@1_unseen']:.1f}" if "P@1_unseen" in record else "-")
    cells.append(f"{record['bytes'] / 1e6:,.1f}")
    query, training = record["single_query"], record["training"]
    cells.append(f"{query['min_ms']:.2f} ({query['processor_p50_ms']:.2f})")
    told = "wall_minutes" in training
    cells.append(f"{training['wall_minutes']:.1f} ({training['processor_minutes']:.1f})" if told else "-")
    return "| " + " | ".join([title, *cells]) + " |"


if __name__ == "__main__":
    main()
