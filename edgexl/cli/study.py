"""Commands that study teachers: characterize, and its collection of traces."""

from __future__ import annotations

from pathlib import Path

import click

from edgexl.cli.output import json_option, print_json, print_table, progress_bar
from edgexl.cli.streams import print_line

PATH = click.Path(path_type=Path)


class DefaultingGroup(click.Group):
    """A group whose command `default` runs where the first argument names no command of its own."""

    default = "profile"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [self.default, *args]
        return super().parse_args(ctx, args)


@click.group(
    cls=DefaultingGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    subcommand_metavar="TEACHER DATA -o DIR | collect SOURCE DATA -o FILE",
)
def characterize() -> None:
    """Measure a teacher's two phases on a data set, or collect a reasoning model's traces to measure.

    `edgexl characterize TEACHER DATA -o DIR` measures; see `edgexl characterize profile --help` for its options.

    \b
    edgexl characterize all-MiniLM-L6-v2 wordnet -o minilm-on-wordnet
    """


@characterize.command("collect")
@click.argument("source")
@click.argument("data", type=PATH)
@click.option("-o", "--out", required=True, type=PATH, help="The trace file (*.jsonl) to write, or to go on with.")
@click.option("--split", type=click.Choice(["trn", "tst"]), default="trn", show_default=True, help="Whose queries.")
@click.option(
    "--queries", type=click.IntRange(min=1), help="So many queries; a later run may ask for more. All without."
)
@click.option(
    "--shortlist", type=click.IntRange(1, 1000), default=20, show_default=True, help="Labels to list at most."
)
@click.option("--candidates", metavar="STUDENT_OR_ENCODER", help="Screens the labels that a prompt shows.")
@click.option("--shown", type=click.IntRange(1, 10_000), help="How many labels these are.  [default: 100]")
@click.option("--max-tokens", type=click.IntRange(min=1), default=1024, show_default=True, help="Of an answer.")
@click.option("--model", help="The endpoint's name for the model.")
@click.option("--base-url", help="The endpoint, where it is not OpenAI's; the key is in $OPENAI_API_KEY.")
@click.option("--requests-per-minute", type=click.FloatRange(min=0, min_open=True), help="At most, retries included.")
@click.option(
    "--concurrency", type=click.IntRange(1, 256), help="Questions that the endpoint is sent at once.  [default: 4]"
)
@click.option("--price-in", type=click.FloatRange(min=0), help="What a million prompt tokens cost.")
@click.option("--price-out", type=click.FloatRange(min=0), help="What a million tokens of answers cost.")
@click.option("--device", default="cpu", show_default=True, help="Where a local model and the screening run.")
@json_option
def collect(
    source: str,
    data: Path,
    out: Path,
    split: str,
    queries: int | None,
    shortlist: int,
    candidates: str | None,
    shown: int | None,
    max_tokens: int,
    model: str | None,
    base_url: str | None,
    requests_per_minute: float | None,
    concurrency: int | None,
    price_in: float | None,
    price_out: float | None,
    device: str,
    as_json: bool,
) -> None:
    """Let a language model answer DATA's queries, and keep how it got there.

    SOURCE is 'openai' (any endpoint that speaks its protocol), or a causal language model: a directory, a GGUF file, a
    hub id, or SmolLM2-135M-Instruct. The file grows a line an answer; the same command goes on where one ended.

    \b
    edgexl characterize collect SmolLM2-135M-Instruct wordnet-data -o traces.jsonl
    """
    from edgexl.distill.teachers.collect import EndpointOptions, Prices, collect_from

    if (price_in is None) != (price_out is None):
        raise click.UsageError("--price-in and --price-out go together.")
    if shown is not None and not candidates:
        raise click.UsageError("--shown goes with --candidates.")
    prices = Prices(price_in, price_out) if price_in is not None and price_out is not None else None
    with progress_bar(as_json) as progress:
        report = collect_from(
            source,
            data,
            out,
            split="tst" if split == "tst" else "trn",
            queries=queries,
            shortlist=shortlist,
            candidates=candidates,
            shown=shown or 100,
            max_tokens=max_tokens,
            device=device,
            endpoint=EndpointOptions(model, base_url, requests_per_minute, concurrency),
            progress=progress,
            log=lambda line: print_line(line, err=True),
        )
    if as_json:
        print_json({"traces_file": str(out), **report.as_json(prices)})
        return
    for line in report.describe(prices).splitlines():
        print_line(line)
    print_line(f"{out}: {report.traces:,} traces; `edgexl characterize {out} {data} -o DIR` comes next")


@characterize.command("profile")
@click.argument("teacher")
@click.argument("data")
@click.option("-o", "--out", required=True, type=PATH, help="The directory to write profile.json and index.html to.")
@click.option("--queries", type=click.IntRange(min=10), default=1000, show_default=True, help="How many to measure on.")
@click.option("--shortlist", type=click.IntRange(2, 1024), help="N.  [default: a student's own, or 128]")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Draws queries and labels.")
@click.option("--cross-encoder", help="A bi-encoder's second phase: a directory or hub id.")
@click.option("--compare", metavar="STUDENT", multiple=True, help="How closely it goes this way; may be repeated.")
@click.option("--probe", metavar="MODEL", help="Probe this causal language model along the traces' reasoning.")
@click.option("--device", default="cpu", show_default=True, help="Where the teacher runs: cpu, cuda or auto.")
@json_option
def profile(
    teacher: str,
    data: str,
    out: Path,
    queries: int,
    shortlist: int | None,
    seed: int,
    cross_encoder: str | None,
    compare: tuple[str, ...],
    probe: str | None,
    device: str,
    as_json: bool,
) -> None:
    """Measure TEACHER's two phases on DATA: focus, confusion, and what each intervention leaves.

    TEACHER is a student's directory or name, a sentence-transformers model, or a file of traces (*.jsonl); DATA a data
    set's directory, or a built-in one's name (dictionary, mesh, wordnet).

    \b
    edgexl characterize all-MiniLM-L6-v2 wordnet -o minilm-on-wordnet
    """
    from edgexl.data import open_data
    from edgexl.distill.characterize import characterize

    with progress_bar(as_json) as progress:
        measured = characterize(
            teacher, open_data(data, progress), out, queries, shortlist, seed, device, cross_encoder, probe, progress,
            compare,
        )  # fmt: skip
    if as_json:
        print_json(measured)
        return
    columns = ("P@1", "P@5", "nDCG@5", "top_probability", "margin")
    rows = ([row["name"], *(row[column] for column in columns)] for row in measured["interventions"])
    print_table(("", *columns), rows)
    if compared := measured["following"]:
        print_line()
        print_line("How closely they go the teacher's way, in percent:")
        parts = ("follows", "focus", "confusion")
        print_table(("", *parts), ([row["name"], *(row[part] for part in parts)] for row in compared))
    advice = measured["recommendation"]
    settings = {"shortlist": advice["shortlist"]}
    for table in ("screening", "reasoning"):
        settings |= {f"{table}.{key}": value for key, value in advice[table].items()}
    print_line()
    print_line("Recommended to a recipe:")
    print_table(
        ("setting", "value", "because"), ([key, value, advice["reasons"][key]] for key, value in settings.items())
    )
    print_line()
    print_line(f'{out / "index.html"} shows it all; `profile = "{out / "profile.json"}"` in a recipe takes it over.')
