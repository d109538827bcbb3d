"""Commands that query a bundle: demo, run, complete, eval."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import click

from edgexl.base.errors import BadInput, shorten
from edgexl.cli.output import (
    device_option,
    json_option,
    labels_file_option,
    print_json,
    print_ledger,
    print_table,
    progress_bar,
)
from edgexl.cli.sign import least_version_option, public_keys_option
from edgexl.cli.streams import print_line

if TYPE_CHECKING:
    from edgexl.use.answer import Answer
    from edgexl.use.receipts import Receipting

PATH = click.Path(path_type=Path)


@click.command()
@click.option(
    "-o", "--out", type=PATH, help="The bundle to make, or to use where it is there, instead of a cached one."
)
@click.option("--coder", is_flag=True, help="Compile the medical coder, too (some ten minutes), and ask it.")
@json_option
def demo(out: Path | None, coder: bool, as_json: bool) -> None:
    """Compile the reverse dictionary for this machine (once) and answer ten descriptions by people with it, each with
    the rank of the word that was meant. Once it was compiled, the medical coder answers, too.

    \b
    edgexl demo
    edgexl demo --coder
    edgexl demo -o words.exl
    """
    from edgexl.use.demo import demonstrate

    with progress_bar(as_json) as progress:
        shown = demonstrate(out, progress, coder)
    if as_json:
        answers, named = ([answer.as_json() for answer in some] for some in (shown.answers, shown.coder))
        print_json({"bundle": str(shown.bundle), "answers": answers, "coder": named, "ledger": shown.ledger})
        return
    for answer in shown.answers:
        _print_meant(answer)
    if shown.ranks:
        ranks = ", ".join(map(str, shown.ranks))
        print_line(f"The words that were meant have the ranks {ranks}: median {median(shown.ranks):g}.")
        print_line()
    if shown.coder:
        print_line("The medical coder, over MeSH's 354,068 records and headings:")
        print_line()
    for answer in shown.coder:
        _print_meant(answer)
    print_line("Where accuracy, bytes and seconds went, a row a pass:")
    print_ledger(shown.ledger)
    print_line()
    print_line(f"The bundle is {shown.bundle}; query it with `edgexl run {shown.bundle} TEXT`.")


def _print_meant(answer: Answer) -> None:
    """The best labels, then the way of the one that was meant, and the evidence that found it."""
    from edgexl.use.advise import FOUND_BY_WORDS

    print_line(answer.text)
    for label in answer.prediction.labels:
        print_line(f"  {label.probability:6.1%}  {label.text}")
    if (way := answer.explanation) is not None:
        after = f"reasoning at {way.reasoner_rank}" if way.shortlisted else "it is not on the shortlist"
        print_line(
            f"  meant: {way.text}, found by {FOUND_BY_WORDS[way.found_by]}; screening puts it at rank "
            f"{way.screening_rank:,}, {after}"
        )
        if way.found_by == "description" and answer.description:
            print_line(f"    {shorten(answer.description.splitlines()[0], 76)}")
    print_line(f"  {answer.prediction.ms['total']:.1f} ms")
    print_line()


@click.command()
@click.argument("bundle", type=PATH)
@click.argument("text")
@click.option("-k", type=click.IntRange(min=1), help="How many labels at most.  [default: 5]")
@click.option("--threshold", help="Only labels at least this probable: 0 to 1, or 'own' for the bundle's own.")
@click.option(
    "--coverage",
    type=click.FloatRange(0, 1, min_open=True),
    help="The smallest set that holds a right label this often, 0 to 1, instead of k labels.",
)
@click.option(
    "--windows",
    type=click.IntRange(min=1),
    help="How many a text longer than the bundle takes is read in at most; 1 cuts it.  [default: the bundle's]",
)
@click.option("--explain", metavar="LABEL", help="This label's way through both stages, by its id or text.")
@click.option("--receipts", type=PATH, help="Append a receipt of each answer to this file.")
@click.option("--receipt-key", type=PATH, help="With --receipts: the file of their key, 16 random bytes or more.")
@click.option("--receipt-signer", type=PATH, help="With --receipts: the file of a secret key that signs them.")
@click.option("--threads", type=click.IntRange(1, 256), default=1, show_default=True, help="Of the engine.")
@click.option("--overlay", "overlays", type=PATH, multiple=True, help="Labels over BUNDLE; may be given repeatedly.")
@public_keys_option
@least_version_option
@device_option
@labels_file_option
@json_option
def run(
    bundle: Path,
    text: str,
    k: int | None,
    threshold: str | None,
    coverage: float | None,
    windows: int | None,
    explain: str | None,
    receipts: Path | None,
    receipt_key: Path | None,
    receipt_signer: Path | None,
    threads: int,
    overlays: tuple[Path, ...],
    keys: tuple[str, ...],
    least_version: int,
    device: str,
    labels_file: Path | None,
    as_json: bool,
) -> int:
    """Answer TEXT with BUNDLE; for the TEXT '-', every line of standard input.

    A line that cannot be answered is reported, the others are answered, and the exit status is 2. With --key, BUNDLE
    and overlays must be signed by one of these keys.

    \b
    edgexl run tags.exl "walnut coffee table, 90 cm"
    edgexl run tags.exl "a small table" --explain "coffee table"
    edgexl run tags.exl - --json < queries.txt > answers.jsonl
    edgexl run tags.exl "a small table" --overlay own.exlo
    edgexl run tags.exl "a small table" --device ssh://pi@till
    edgexl run tags.exl - --receipts day.exr --receipt-key receipts.key < day.txt
    """
    from edgexl.bundle.receipt import append_receipts
    from edgexl.use.answer import Refusal, answer, lines, one_text, parse_threshold, standard_input

    texts = lines(standard_input()) if text == "-" else one_text(text)
    status = 0
    wanted, how = parse_threshold(threshold), _receipting(receipts, receipt_key, receipt_signer)
    if device == "local":
        answers = answer(
            bundle,
            texts,
            k,
            wanted,
            explain,
            threads,
            labels_file,
            coverage,
            windows,
            keys,
            least_version,
            how,
            overlays,
        )
    elif coverage is not None or overlays:
        given = "--coverage is" if coverage is not None else "--overlay is"
        raise BadInput(f"{given} answered on this machine alone; leave it out, or --device.")
    else:
        from edgexl.device.open_device import open_device
        from edgexl.use.answer_there import answer_there

        with progress_bar(as_json) as progress, open_device(device, progress) as where:
            found = list(
                answer_there(
                    where, bundle, texts, k, wanted, explain, threads, labels_file, windows, keys, least_version, how
                )
            )
        answers = iter(found)
    for answered in answers:
        if receipts is not None and not isinstance(answered, Refusal):
            append_receipts(receipts, answered.receipt)
        if isinstance(answered, Refusal):
            print_line(f"edgexl: {answered.message}", err=True)
            status = answered.exit_code
            if as_json and text == "-":
                # a line for a line, so that whoever reads both does not lose count
                print_json({"text": answered.text, "error": answered.message})
        elif as_json:
            print_json(answered.as_json())
        else:
            _print_answer(answered, with_text=text == "-")
            if answered.coverage and not answered.prediction.coverage_holds:
                print_line("  the label set has changed since coverage was counted: it is no longer promised")
    return status


def _receipting(receipts: Path | None, key: Path | None, signer: Path | None) -> Receipting | None:
    """How receipts are made; None where none are."""
    from edgexl.cli.sign import ask_password
    from edgexl.use.receipts import Receipting

    if receipts is None:
        if key or signer:
            raise BadInput("A key for receipts was given, and no file for them; give --receipts.")
        return None
    if key is None:
        raise BadInput("Receipts are made under a key; give its file by --receipt-key (`head -c 32 /dev/urandom`).")
    return Receipting.of_files(key, signer, lambda: ask_password(None))


@click.command()
@click.argument("bundle", type=PATH)
@click.argument("text")
@click.argument("label", required=False)
@labels_file_option
@json_option
def explain(bundle: Path, text: str, label: str | None, labels_file: Path | None, as_json: bool) -> None:
    """Show what TEXT makes of a LABEL of BUNDLE, by its id or text (by default the first one), and what would have to
    change for it to be the first.

    \b
    edgexl explain tags.exl "thing to put tea on" "coffee table"
    """
    from edgexl.use.advise import advise

    found = advise(bundle, text, label, labels_file)
    if as_json:
        print_json(found.as_json())
        return
    for line in found.sentences(bundle):
        print_line(line)


@click.command()
@click.argument("bundle", type=PATH)
@click.argument("prefix")
@click.option("-n", "limit", type=click.IntRange(min=1), default=10, show_default=True, help="How many at most.")
@labels_file_option
@json_option
def complete(bundle: Path, prefix: str, limit: int, labels_file: Path | None, as_json: bool) -> None:
    """List the labels of BUNDLE whose text begins with PREFIX, in the label set's order, as an app does while its user
    types. Case does not count, nor how accents are encoded.

    \b
    edgexl complete words.exl "salt"
    """
    from edgexl.runtime.binding import open_bundle

    with open_bundle(bundle, engine=False, labels_path=labels_file) as opened:
        labels = [
            {"id": opened.label_id(label), "text": opened.label_text(label)} for label in opened.complete(prefix, limit)
        ]
    if as_json:
        print_json({"prefix": prefix, "labels": labels})
        return
    for label in labels:
        print_line(f"{label['text']}  ({label['id']})")


@click.command("eval")
@click.argument("bundle", type=PATH)
@click.argument("data", type=PATH, required=False)
@click.option("--queries", type=PATH, help="Instead of DATA: texts whose labels are known (CSV, JSON, ...).")
@click.option("--student", metavar="STUDENT", help="Compare with this float student: a directory or a name.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many queries.")
@click.option(
    "--empty",
    type=click.Choice(["miss", "skip"]),
    default="miss",
    show_default=True,
    help="What a query without a word in it is: a wrong answer, or no query.",
)
@click.option(
    "--labels-file", type=PATH, help="Measure with what this label file adds and retires. [default: as compiled]"
)
@click.option(
    "--coverage",
    type=click.FloatRange(0, 1, min_open=True),
    help="Also how often sets of this coverage hold a right label, and how large they are.",
)
@click.option(
    "--baselines", is_flag=True, help="Compare with TF-IDF, BM25 and the untrained MiniLM over the labels' texts."
)
@json_option
def evaluate(
    bundle: Path,
    data: Path | None,
    queries: Path | None,
    student: str | None,
    limit: int | None,
    empty: str,
    labels_file: Path | None,
    coverage: float | None,
    baselines: bool,
    as_json: bool,
) -> None:
    """Measure BUNDLE on DATA: a data set's directory (its test queries), a student's evaluation.json.gz, or a table of
    queries that names labels by id or text.

    \b
    edgexl eval tags.exl --queries past.csv --baselines
    edgexl eval words.exl wordnet-data --student wordnet --limit 2000
    """
    from edgexl.use.evaluate import evaluate

    held_out = data if queries is None else queries
    if held_out is None or (data is not None and queries is not None):
        raise BadInput("Give queries to measure on: a data set's directory or a file, as DATA or as --queries.")

    with progress_bar(as_json) as progress:
        report = evaluate(
            bundle,
            held_out,
            student=student,
            limit=limit,
            progress=progress,
            empty="skip" if empty == "skip" else "miss",
            labels_file=labels_file,
            baselines=baselines,
            coverage=coverage,
        )
    if as_json:
        print_json(report)
        return
    systems = {name: report[name] for name in ("screening", "bundle", "student", "difference") if name in report}
    systems |= report.get("baselines", {})
    print_line(f"{report['queries']:,} queries of {report['data']} over {report['labels']:,} labels")
    _print_empty(report.get("empty_queries", []), empty)
    known = [metric for metric, value in report["bundle"].items() if value is not None]
    print_table(["", *systems], ([metric, *(of[metric] for of in systems.values())] for metric in known))
    _print_reliability(report["reliability"])
    if "coverage" in report:
        _print_coverage(report["coverage"])
    if "bands" in report:
        _print_bands(report["bands"])


def _print_empty(queries: list[dict[str, Any]], how: str) -> None:
    """Which queries hold no word, the first of them by name."""
    if queries:
        first = queries[0]
        done = "are left out" if how == "skip" else "count as misses"
        what = f"{len(queries):,} queries hold no token and {done}" if len(queries) > 1 else "1 query holds no token"
        where = f"{first['file']}, line {first['line']}, {first['uid']}"
        print_line(f"{what}: {where}" if len(queries) == 1 else f"{what}, first {where}")


def _print_reliability(found: dict[str, Any]) -> None:
    if found["ECE"] is None:
        return
    print_line()
    share = "" if found["accepted_right"] is None else f", of which {found['accepted_right']:.1%} are right"
    print_line(
        f"first labels' probabilities are off by {found['ECE']:.1%} on average; {found['accepted']:,} labels reach the "
        f"bundle's threshold{share}"
    )


def _print_coverage(sets: dict[str, Any]) -> None:
    print_line()
    print_line(
        f"sets of coverage {sets['asked']:g} hold a right label in {sets['reached']:.1%} of queries "
        f"(95%: {sets['low']:.1%} to {sets['high']:.1%}), {sets['mean_labels']:.1f} labels on average"
    )
    if not sets["holds"]:
        print_line("the label set has changed since coverage was counted: it is no longer promised")


def _print_bands(bands: dict[str, Any]) -> None:
    """Head, torso, tail and unseen labels by training frequency: what each adds to P@5, how much of each is found."""
    rows = [
        [system, name, band["labels"], band["positives"], band["P@5"], band["R@100"]]
        for system, of_system in bands.items()
        for name, band in of_system.items()
    ]
    print_line()
    print_line("by training frequency:")
    print_table(["", "band", "labels", "positives", "part of P@5", "found in 100 (%)"], rows)


def _print_answer(answer: Answer, with_text: bool) -> None:
    """Labels with probabilities, then where the time went, in milliseconds."""
    if with_text:
        print_line(answer.text)
    for label in answer.prediction.labels:
        print_line(f"  {label.probability:6.1%}  {label.text}  ({label.id})")
    if not len(answer.prediction.shortlist_labels):
        print_line("  the bundle's label set is empty: all of it is retired")
    elif not answer.prediction.labels:
        print_line("  no label is that probable")
    elif answer.prediction.none_fits:
        print_line("  perhaps none of them: the best one scores as low as where no gold label is on the shortlist")
    stages = "  ".join(f"{stage} {ms:.2f}" for stage, ms in answer.prediction.ms.items())
    print_line(f"  ms: {stages}")
    if answer.prediction.windows > 1:
        print_line(f"  read in {answer.prediction.windows} windows, each of which takes all of screening (--windows)")
    if answer.prediction.truncated:
        first = f"the text's first {answer.prediction.tokens:,} tokens" if answer.prediction.tokens else "what it takes"
        print_line(f"  cut: what is behind {first} was not read")
    if answer.explanation is not None:
        _print_explanation(answer)


def _print_explanation(answer: Answer) -> None:
    from edgexl.use.advise import FOUND_BY_WORDS

    way = answer.explanation
    assert way is not None
    print_line(
        f"  {way.text} ({way.id}): screening put it at rank {way.screening_rank:,} "
        f"by {FOUND_BY_WORDS[way.found_by]} (score {way.screening_score:.4f})"
    )
    for line in answer.description.splitlines():
        print_line(f"    {line}")
    if way.shortlisted:
        print_line(f"  reasoning put it at rank {way.reasoner_rank} (probability {way.probability:.1%})")
    else:
        print_line("  it was lost there: it is not on the shortlist, so the reasoner never saw it")
