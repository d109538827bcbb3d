"""Going on with a bundle: its label set made that of a file, aliases for compiled labels, and what would have to change
for another answer."""

from __future__ import annotations

import csv
import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest

from edgexl.runtime.binding import open_bundle
from tests.command_line import Edgexl
from tests.runtime.tiny_bundle import TinyBundle, build


@pytest.fixture
def made() -> TinyBundle:
    return build(native=True, reasons=False)


@pytest.fixture
def bundle(made: TinyBundle, tmp_path: Path) -> Path:
    return made.write(tmp_path / "tiny.exl")


def write_labels(path: Path, rows: Sequence[tuple[str, ...]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("id", "text", "aliases", "description"), *rows])
    return path


def rows_of(made: TinyBundle) -> list[tuple[str, ...]]:
    return [(f"L{place:04d}", text, "", "") for place, text in enumerate(made.texts)]


def live(bundle: Path) -> dict[str, str]:
    with open_bundle(bundle, engine=False) as handle:
        indices = [index for index in range(handle.labels_info().end) if handle.label_state(index) != "retired"]
        return {handle.label_id(index): handle.label_text(index) for index in indices}


def test_the_set_becomes_that_of_the_file(made: TinyBundle, bundle: Path, tmp_path: Path, edgexl: Edgexl) -> None:
    rows = rows_of(made)
    rows[3] = ("L0003", "quiet orange lamp", "", "")
    rows += [("N1", "golden kettle", "tea pot|old kettle", ""), ("N2", "paper boat", "", "")]
    file = write_labels(tmp_path / "labels.csv", rows[:10] + rows[12:])
    planned = edgexl("labels", "sync", bundle, file, "--dry-run")
    assert "2 would be added: N1, N2" in planned.out
    assert "1 would be replaced: L0003" in planned.out
    assert "2 would be retired: L0010, L0011" in planned.out
    assert not Path(f"{bundle}.labels").exists()
    done = edgexl("labels", "sync", bundle, file)
    assert done.out == f"2 added, 1 replaced, 2 retired, 297 as they were; {bundle} has 300 labels now\n"
    assert live(bundle) == {row[0]: row[1] for row in rows[:10] + rows[12:]}
    assert edgexl("run", bundle, "old kettle", "--json").json["labels"][0]["id"] == "N1"
    again = edgexl("labels", "sync", bundle, file, "--json").json
    assert (again["add"], again["replace"], again["retire"], again["changed"]) == ([], [], [], False)
    # what was added has its aliases in the label file: changes in them are seen
    rows[-2] = ("N1", "golden kettle", "tea pot", "")
    write_labels(file, rows)
    back = edgexl("labels", "sync", bundle, file, "--json").json
    assert (back["add"], back["replace"], back["retire"]) == (["L0010", "L0011"], ["N1"], [])
    assert live(bundle) == {row[0]: row[1] for row in rows}


def test_aliases_of_compiled_labels_are_compared_with_what_they_were(
    made: TinyBundle, bundle: Path, tmp_path: Path, edgexl: Edgexl
) -> None:
    rows = rows_of(made)
    was = write_labels(tmp_path / "was.csv", rows)
    rows[7] = (*rows[7][:2], "zebra crossing", "")
    now = write_labels(tmp_path / "now.csv", rows)
    blind = edgexl("labels", "sync", bundle, now)
    assert "1 labels have aliases, which a bundle does not hold" in blind.out
    assert "0 added, 0 replaced, 0 retired, 300 as they were" in blind.out
    seen = edgexl("labels", "sync", bundle, now, "--was", was, "--json").json
    assert (seen["replace"], seen["notes"]) == (["L0007"], [])
    assert edgexl("run", bundle, "zebra crossing", "--json").json["labels"][0]["id"] == "L0007"


def test_descriptions_that_cannot_be_added_are_said(
    made: TinyBundle, bundle: Path, tmp_path: Path, edgexl: Edgexl
) -> None:
    rows = [*rows_of(made), ("N1", "golden kettle", "", "a thing to boil water in")]
    said = edgexl("labels", "sync", bundle, write_labels(tmp_path / "labels.csv", rows)).out
    assert "1 of the labels that change have descriptions" in said
    assert "1 added" in said


def test_another_sets_file_is_refused(made: TinyBundle, bundle: Path, tmp_path: Path, edgexl: Edgexl) -> None:
    other = write_labels(tmp_path / "other.csv", [(f"X{place}", f"thing {place}", "", "") for place in range(40)])
    edgexl("labels", "sync", bundle, other).refuses(2, "lacks 300 of the 300 labels", "--force")
    assert not Path(f"{bundle}.labels").exists()
    assert edgexl("labels", "sync", bundle, other, "--force").status == 0
    assert len(live(bundle)) == 40
    edgexl("labels", "sync", bundle, tmp_path / "none.csv").refuses(2, "none.csv")
    edgexl("labels", "sync", tmp_path / "none.exl", other).refuses(2, "none.exl")
    (tmp_path / "bad.csv").write_text("id,text\nA,one\nA,two\n")
    edgexl("labels", "sync", bundle, tmp_path / "bad.csv").refuses(2, "bad.csv", "line 3")


def test_a_compiled_label_gets_an_alias(made: TinyBundle, bundle: Path, edgexl: Edgexl) -> None:
    text = made.texts[20]
    assert edgexl("labels", "add", bundle, text, "--alias", "zebra crossing").out.startswith(f"{text} has 1 more alias")
    assert edgexl("run", bundle, "zebra crossing", "--json").json["labels"][0]["id"] == "L0020"
    assert edgexl("run", bundle, text, "--json").json["labels"][0]["id"] == "L0020"
    edgexl("labels", "add", bundle, "L0020", "--alias", "zebra line", "--alias", "zebra path")
    [listed] = edgexl("labels", "list", bundle, "--json").lines
    assert listed["aliases"] == ["zebra crossing", "zebra line", "zebra path"]
    edgexl("labels", "add", bundle, "no such label", "--alias", "x").refuses(2, "no such label")


def test_aliases_that_were_compiled_are_not_forgotten_in_silence(tmp_path: Path, edgexl: Edgexl) -> None:
    made = build(aliases=True, native=True)
    bundle = made.write(tmp_path / "tiny.exl")
    with open_bundle(bundle) as handle:
        named = next(place for place in range(300) if handle.explain(made.texts[place], place).alias_score is not None)
    edgexl("labels", "add", bundle, f"L{named:04d}", "--alias", "zebra").refuses(2, "compiled with aliases", "--forget")
    assert not Path(f"{bundle}.labels").exists()
    assert edgexl("labels", "add", bundle, f"L{named:04d}", "--alias", "zebra", "--forget-compiled").status == 0


def test_what_would_change_an_answer_does_so(made: TinyBundle, bundle: Path, edgexl: Edgexl) -> None:
    text, right = "zebra crossing", "L0042"
    before = edgexl("run", bundle, text, "--json").json["labels"][0]["id"]
    assert before != right
    shown = edgexl("explain", bundle, text, right)
    assert f"The first label is {made.texts[int(before[1:])]} ({before})" in shown.out
    assert "With the alias 'zebra crossing' it would be the first" in shown.out
    assert not Path(f"{bundle}.labels").exists()  # it was tried elsewhere
    command = next(line for line in shown.out.splitlines() if line.startswith("To do so now: edgexl "))
    edgexl(*shlex.split(command.removeprefix("To do so now: edgexl ")))
    told = edgexl("run", bundle, text, "--json").json["labels"][0]
    assert told["id"] == right
    found = edgexl("explain", bundle, text, right, "--json").json
    assert (found["first"]["id"], found["trial"]) == (right, None)
    assert edgexl("explain", bundle, text).out.startswith(f"{made.texts[42]} (L0042) is the first label")


def test_a_label_that_is_lost_at_screening_is_explained(made: TinyBundle, bundle: Path, edgexl: Edgexl) -> None:
    with open_bundle(bundle) as handle:
        lost = next(place for place in range(300) if not handle.explain("red river", place).shortlisted)
    shown = edgexl("explain", bundle, "red river", f"L{lost:04d}", "--json").json
    assert shown["label"]["shortlisted"] is False
    assert shown["trial"]["rank"] >= 1
    said = edgexl("explain", bundle, "red river", f"L{lost:04d}").out
    assert "It is lost there: 20 labels are handed on, of which the last scores" in said
    taken = edgexl("explain", bundle, made.texts[5], f"L{lost:04d}", "--json").json
    assert taken["first"]["id"] == "L0005"  # whose own text this is: an alias of another one's competes with it
    edgexl("explain", bundle, "red river", "nothing").refuses(2, "nothing")
    edgexl("explain", bundle, " ", "L0001").refuses(2, "no token")


def test_a_long_text_is_no_alias(bundle: Path, edgexl: Edgexl) -> None:
    said = edgexl("explain", bundle, "red river and the silver bridge " * 20, "L0001").out
    assert "too long to be an alias" in said
