"""The profile as a page: what was measured in the order of the phases, each plot with a sentence on how to read it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from edgexl.report import Bar, BarChart, BarGroup, LineChart, Paragraph, Section, Series, Table, Tile, page
from edgexl.report.page import Part

Row = dict[str, Any]
_PERCENT = (0.0, 100.0)
_SHORT = 80  # characters of a fact about the teacher that the page shows
_ENOUGH = 10  # queries that a curve needs
_ARMS = {
    "neither": "neither phase",
    "phase_one": "phase one alone",
    "phase_two": "phase two alone",
    "together": "together",
}
_TABLE_COLUMNS = ("P@1", "P@5", "nDCG@5", "top_probability", "margin", "R@N", "confident_share", "n")


def profile_page(profile: dict[str, Any]) -> str:
    """The HTML of a profile (see PROFILE.md for its keys)."""
    source = profile["teacher"]["provenance"].get("source", "a teacher")
    sections = [
        _summary(profile),
        _focus(profile["focus"]),
        _confusion(profile["confusion"]),
        _interventions(profile["interventions"], profile["shortlist"]),
        _sweep(profile["sweep"]),
    ]
    if profile["complementarity"] is not None:
        sections.append(_complementarity(profile["complementarity"]))
    if profile["probe"] is not None:
        sections.append(_probe(profile["probe"]))
    if profile.get("following"):
        sections.append(_following(profile["following"]))
    sections.append(_advice(profile["recommendation"]))
    return page(f"Two phases of {source}", sections, "characterization", tiles=_tiles(profile))


def _tiles(profile: dict[str, Any]) -> list[Tile]:
    """What the teacher reaches as it is, and how its phases share that."""
    as_it_is = profile["interventions"][0]
    low, high = as_it_is["interval"]["P@1"]
    tiles = [
        Tile("P@1", f"{as_it_is['P@1']:.1f}%", f"95% interval {low:.1f} to {high:.1f}"),
        Tile("nDCG@5", f"{as_it_is['nDCG@5']:.1f}%"),
        Tile(f"In shortlists of {profile['shortlist']}", f"{as_it_is['R@N']:.1f}%", "of the gold labels"),
    ]
    if (found := profile["complementarity"]) is not None:
        alone = [f"{found[arm]['P@1']:.1f}%" for arm in ("phase_one", "phase_two")]
        tiles.append(Tile("P@1 of a phase alone", " / ".join(alone), "phase one / phase two, given the gold labels"))
    return tiles


def _summary(profile: dict[str, Any]) -> Section:
    data, as_it_is = profile["data"], profile["interventions"][0]
    low, high = as_it_is["interval"]["P@1"]
    said = (
        f"Measured on {data['queries']:,} {data['split']} queries of {data['source']} over {data['labels']:,} labels, "
        f"with shortlists of {profile['shortlist']} labels and the seed {profile['seed']}. As it is, the teacher puts "
        f"a gold label first for {as_it_is['P@1']:.1f}% of the queries (95% interval {low:.1f} to {high:.1f}); its "
        f"shortlists hold {as_it_is['R@N']:.1f}% of the gold labels."
    )
    scale = (
        "Probabilities are softmax shares over the shortlist, at a temperature fitted to the gold labels: "
        f"{profile['temperature']['screening']:.3g} for phase one's scores, "
        f"{profile['temperature']['decision']:.3g} for the decision. Intervals are bootstrapped over queries."
    )
    # the rest of its provenance, recipes and licence texts among it, stands in profile.json
    provenance = profile["teacher"]["provenance"].items()
    facts = [(key, value) for key, value in sorted(provenance) if isinstance(value, str) and len(value) <= _SHORT]
    identity = ("identity (sha256)", profile["teacher"]["identity"])
    return Section(
        "What was measured", (Paragraph(said), Paragraph(scale), Table("Teacher", ("", ""), [*facts, identity]))
    )


def _focus(focus: dict[str, Any]) -> Section:
    rows, like = focus["by_length"], focus["gold_like"]
    unit = "cosine" if like["measure"] == "cosine" else "share of common words"
    series = [_series("gold labels", "length", "gold", rows, "gold_interval")]
    if like["queries"] >= _ENOUGH:
        series.append(_series("gold-like labels", "length", "gold_like", rows, "gold_like_interval"))
    series.append(_series("a random shortlist", "length", "random", rows))
    parts: list[Part] = [
        LineChart(
            "Gold labels in view as the shortlist grows", "labels in the shortlist", "in view (%)",
            series, "log2", limits=_PERCENT,
            note=f"Gold-like: at least {like['threshold']:.2f} {unit} with a gold label, "
            f"{like['labels_a_query']:.1f} a query.",
        )
    ]  # fmt: skip
    if focus["by_depth"]:
        depth = focus["by_depth"]
        parts.append(
            LineChart(
                "Gold labels found after each layer of the encoder", "layers", "R@k (%)",
                [
                    *(_series(f"{key}", "layer", key, depth) for key in ("R@1", "R@10", "R@100")),
                    _series("R@100, labels seen by all layers", "layer", "lens_R@100", depth),
                ],
                limits=_PERCENT,
                note=f"The states after a layer go through the same head; out of {depth[0]['pool']:,} labels.",
            )
        )  # fmt: skip
    if focus["by_trace"]:
        parts.append(
            LineChart(
                "Gold labels in view along the trace", "share of the labels that came up", "in view (%)",
                [_series("gold labels", "share", "gold", focus["by_trace"], "interval")], limits=_PERCENT,
            )
        )  # fmt: skip
    if focus["by_reasoning"]:
        parts.append(
            LineChart(
                "Labels named along the written reasoning", "share of the reasoning", "labels (%)",
                [
                    _series("gold labels named so far", "share", "gold_named", focus["by_reasoning"]),
                    _series("near misses still to be named", "share", "near_misses_still_named", focus["by_reasoning"]),
                ],
                limits=_PERCENT,
                note="Focus: gold labels come up early. Confusion: near misses are dropped late.",
            )
        )  # fmt: skip
    return Section("Phase one: focus", parts)


def _confusion(confusion: dict[str, Any]) -> Section:
    mass = confusion["mass"]
    groups = []
    stages = [stage for stage in ("screening", "decision") if mass[stage] is not None]
    for key, name in (
        ("gold", "gold labels"),
        ("near_misses", "near misses"),
        ("rest", "all others"),
        ("none", "none"),
    ):
        bars = [
            Bar(f"after {stage}", mass[stage][key], *(mass[stage]["interval"][key] or (None, None))) for stage in stages
        ]
        if key != "none" or any(bar.value for bar in bars):  # most teachers have no 'none'
            groups.append(BarGroup(name, bars))
    parts: list[Part] = [
        BarChart(
            "Where the probability is, before and after phase two", "probability", groups,
            note=f"Over the {mass['queries']:,} queries whose shortlist holds a gold label. Near misses: the best "
            f"{confusion['near_misses']} wrong labels of phase one.",
        ),
        _margins(confusion["margins"]),
    ]  # fmt: skip
    if confusion["by_layer"]:
        parts += _layers(confusion["by_layer"])
    pairs = [
        (each["gold"]["text"], each["chosen"]["text"], each["queries"], each["probability"])
        for each in confusion["pairs"]
    ]
    columns = ("gold label", "put first instead", "queries", "its probability")
    parts.append(Table("The most confused pairs", columns, pairs))
    return Section("Phase two: confusion", parts)


def _margins(margins: dict[str, Any]) -> LineChart:
    edges = margins["edges"]
    middles = [(low + high) / 2 for low, high in itertools.pairwise(edges)]
    series = [
        Series(
            f"{name} ({margins[name]['queries']:,} queries)",
            middles,
            [100 * share for share in margins[name]["shares"]],
        )
        for name in ("right", "wrong")
        if margins[name]["shares"] is not None
    ]
    return LineChart(
        "Margin of the best label over the second", "margin (probability)", "queries (%)", series,
        note="A teacher that knows what it knows has its wrong answers to the left.",
    )  # fmt: skip


def _layers(rows: Sequence[Row]) -> list[Part]:
    held = [row for row in rows if row["mass"] is not None]
    mass = [
        Series(name, [row["layer"] for row in held], [row["mass"][key] for row in held])
        for key, name in (("gold", "gold labels"), ("near_misses", "near misses"))
    ]
    return [
        LineChart(
            "The decision read after each layer of the reasoner", "layers", "P@1 and nDCG@5 (%)",
            [_series("P@1", "layer", "P@1", rows), _series("nDCG@5", "layer", "nDCG@5", rows)],
            note="The last norm and verdict read the labels' states after each layer; 0 is before any of them.",
        ),
        LineChart("Probability after each layer of the reasoner", "layers", "probability", mass),
    ]  # fmt: skip


def _interventions(rows: Sequence[Row], shortlist: int) -> Section:
    groups = [
        BarGroup(row["name"], [Bar(key, row[key], *row["interval"][key]) for key in ("P@1", "nDCG@5")]) for row in rows
    ]
    said = (
        f"Each row exchanges one thing and leaves the rest, over {shortlist} labels a query. A row's confident share "
        "is that of the answers more probable than half of the right answers given as it is. Oracle, near misses and "
        "random labels: the gold labels, and beside them phase one's best, those most like them, or random ones."
    )
    return Section(
        "Interventions", (Paragraph(said), BarChart("What each intervention leaves", "%", groups), _rows_table(rows))
    )


def _sweep(rows: Sequence[Row]) -> Section:
    chart = LineChart(
        "The decision over longer shortlists", "labels in the shortlist", "%",
        [
            _series("P@1", "length", "P@1", rows, interval="P@1"),
            _series("nDCG@5", "length", "nDCG@5", rows, interval="nDCG@5"),
            _series("R@N, what the shortlist holds", "length", "R@N", rows),
        ],
        "log2",
    )  # fmt: skip
    return Section("How long a shortlist pays", (chart, _rows_table(rows)))


def _complementarity(found: dict[str, Any]) -> Section:
    groups = [
        BarGroup(name, [Bar(key, found[arm][key], *found[arm]["interval"][key]) for key in ("P@1", "nDCG@5")])
        for arm, name in _ARMS.items()
    ]
    effect, table = found["interaction"]["P@1"], found["table"]
    low, high = effect["interval"]
    said = (
        "Neither phase: random labels and the gold ones, in random order. Phase two alone decides over such a list, "
        "so that its gold labels are given to it; phase one alone keeps its own order. Together they gain "
        f"{effect['mean']:+.1f} points of P@1 ({low:+.1f} to {high:+.1f}) beyond the sum of what each gains alone."
    )
    rows = [
        ("the shortlist holds a gold label", table["in_shortlist_right"], table["in_shortlist_wrong"]),
        (
            "it holds none; decided with the gold ones put in",
            table["missed_right_if_put_in"],
            table["missed_wrong_if_put_in"],
        ),
    ]
    return Section(
        "What each phase gains",
        (
            BarChart("Each phase alone, and both", "%", groups),
            Paragraph(said),
            Table("Queries by where they are lost", ("", "decided right", "decided wrong"), rows),
        ),
    )


def _probe(probe: dict[str, Any]) -> Section:
    rows = probe["by_share"]
    series = [
        _series(name, "share", key, rows, f"{key}_interval")
        for key, name in (("gold", "gold label"), ("near_miss", "near miss"), ("random", "random label"))
    ]
    said = f"{probe['model']}, made to answer after each share of its reasoning, on {probe['queries']:,} traces."
    chart = LineChart("How likely labels are along the reasoning", "share of the reasoning", "ln probability", series)
    return Section("Probing the reasoning", (Paragraph(said), chart))


def _following(rows: Sequence[Row]) -> Section:
    said = (
        "Whatever is right: which labels a student takes into view as its shortlist grows, and which near misses stay "
        "likely over the teacher's own shortlists, as far as both agree."
    )
    parts = ("focus", "confusion", "follows")
    bars = [
        BarGroup(
            f"{row['name']} ({row['method']})" if row["method"] else row["name"],
            [Bar(part, row[part], *(row[f"{part}_interval"] or (None, None))) for part in parts],
        )
        for row in rows
    ]
    return Section(
        "How closely students follow",
        (
            Paragraph(said),
            LineChart(
                "Labels in common with the teacher's shortlist", "labels in the shortlist", "in common (%)",
                [_series(row["name"], "length", "shared", row["by_length"], "interval") for row in rows], "log2",
                limits=_PERCENT,
            ),
            BarChart(
                "Of both phases, and the mean", "in common (%)", bars, limits=_PERCENT,
                note=f"Who found all near misses equally likely would have {rows[0]['flat'] or 0:.0f} % in common.",
            ),
        ),
    )  # fmt: skip


def _advice(advice: dict[str, Any]) -> Section:
    rows: list[tuple[str, Any, str]] = [("shortlist", advice["shortlist"], advice["reasons"]["shortlist"])]
    for table in ("screening", "reasoning"):
        rows += [(f"{table}.{key}", value, advice["reasons"][f"{table}.{key}"]) for key, value in advice[table].items()]
    said = 'A distillation recipe with profile = "profile.json" takes these where it names no value of its own.'
    return Section("Recommendation", (Paragraph(said), Table("", ("setting", "value", "because"), rows)))


def _series(name: str, x: str, y: str, rows: Sequence[Row], ends: str = "", interval: str = "") -> Series:
    """A series of the column `y`; `ends` names the key of its interval, or `interval` that within "interval"."""
    values = [row[y] for row in rows]
    if not ends and not interval:
        return Series(name, [row[x] for row in rows], values)
    pairs = [(row["interval"][interval] if interval else row[ends]) or (None, None) for row in rows]
    return Series(name, [row[x] for row in rows], values, [low for low, _ in pairs], [high for _, high in pairs])


def _rows_table(rows: Sequence[Row]) -> Table:
    columns = [column for column in _TABLE_COLUMNS if any(column in row for row in rows)]
    names = [column.replace("_", " ") for column in columns]
    return Table("", ("", *names), [(row["name"], *(row.get(column) for column in columns)) for row in rows])
