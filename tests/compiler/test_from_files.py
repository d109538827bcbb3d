"""From files to a bundle, by the Python interface that the command line uses."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import polars as pl
import pytest

from edgexl.base.errors import BadInput, SeveralFaults
from edgexl.compiler.from_files import Sources, check_sources, compile_sources
from edgexl.compiler.from_labels import compile_labels
from edgexl.compiler.recipe import IndexRecipe, Recipe
from edgexl.runtime.binding import open_bundle
from edgexl.student.student import Student, is_student
from tests.distill.conftest import write_teacher
from tests.tiny import WORDS, tiny_student


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A sentence-transformers model of random weights, in a directory."""
    return str(write_teacher(tmp_path_factory.mktemp("encoder") / "model", seed=1))


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.csv"
    rows = (f"{n};{WORDS[n]} {WORDS[n + 1]};{WORDS[-n - 1]} {WORDS[n + 2]}" for n in range(60))
    path.write_text("id;name;synonyms\n" + "\n".join(rows))
    return path


def test_an_encoder_serves_labels_without_queries(labels: Path, encoder: str, tmp_path: Path) -> None:
    checked = check_sources(Sources(labels, encoder), tmp_path / "out.exl")
    assert (checked.recipe.name, checked.recipe.calibrate.method) == ("labels", "none")
    report = compile_sources(checked, tmp_path / "out.exl")
    assert report.facts["held_out"] == checked.held_out.about
    assert report.facts["left_out"]["aliases"]["queries"] > 50
    assert [row.name for row in report.ledger][-1] == "verify"
    with open_bundle(tmp_path / "out.exl") as handle:
        assert handle.manifest["held_out"]["made_of"]
        assert handle.predict(f"{WORDS[3]} {WORDS[4]}").labels[0].id == "3"


def test_the_same_files_give_the_same_bytes(labels: Path, encoder: str, tmp_path: Path) -> None:
    for name in ("one.exl", "two.exl"):
        compile_sources(check_sources(Sources(labels, encoder), tmp_path / name), tmp_path / name)
    assert (tmp_path / "one.exl").read_bytes() == (tmp_path / "two.exl").read_bytes()


def test_a_recipe_of_ones_own_is_taken_as_it_is(labels: Path, encoder: str, tmp_path: Path) -> None:
    recipe = Recipe("own", index=IndexRecipe(code_bytes=4))
    checked = check_sources(Sources(labels, encoder), tmp_path / "out.exl", recipe)
    assert checked.recipe.index == recipe.index
    assert checked.recipe.calibrate.method == "none"  # there is nothing to fit on
    past = tmp_path / "past.csv"
    past.write_text("query,label\n" + "\n".join(f"{WORDS[n]},{n}" for n in range(30)))
    checked = check_sources(Sources(labels, encoder, past), tmp_path / "out.exl", recipe)
    assert checked.recipe == recipe


def test_nothing_heavy_is_loaded_to_refuse(labels: Path, tmp_path: Path) -> None:
    import subprocess

    code = (
        "import sys\nfrom pathlib import Path\nfrom edgexl.base.errors import BadInput\n"
        "from edgexl.compiler.from_files import Sources, check_sources\n"
        f"try: check_sources(Sources(Path({str(labels)!r}), 'nothing/at/all'), {str(tmp_path / 'out.exl')!r})\n"
        "except BadInput as error: print(error)\n"
        "assert not {'torch', 'onnx', 'onnxruntime', 'transformers'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "nothing/at/all" in done.stdout


def test_faults_come_together(labels: Path, tmp_path: Path) -> None:
    with pytest.raises(SeveralFaults) as caught:
        check_sources(Sources(labels, "no model", tmp_path / "none.csv"), tmp_path / "out.exl")
    assert len(caught.value.sentences) == 2
    with pytest.raises(BadInput) as alone:
        check_sources(Sources(labels, "no model"), tmp_path / "out.exl")
    assert str(alone.value) == caught.value.sentences[0]


def test_python_has_labels_and_queries_in_hand(labels: Path, encoder: str, tmp_path: Path) -> None:
    """The same bundle as from files."""
    past = tmp_path / "past.csv"
    past.write_text("query,label\n" + "\n".join(f"{WORDS[n]},{n}" for n in range(30)))
    compile_sources(check_sources(Sources(labels, encoder, past), tmp_path / "files.exl"), tmp_path / "files.exl")
    frame = pl.read_csv(labels, separator=";")
    report = compile_labels(frame, encoder, tmp_path / "hand.exl", [(WORDS[n], n) for n in range(30)])
    assert report.facts["held_out"]["calibration"] == 30
    assert (tmp_path / "hand.exl").read_bytes() == (tmp_path / "files.exl").read_bytes()
    with pytest.raises(BadInput, match="item 1: there is no label 'nothing'"):
        compile_labels(frame, encoder, tmp_path / "hand.exl", [("ba", 1), ("ba", "nothing")])
    with pytest.raises(BadInput, match="no label"):  # before a model is looked for
        Student.from_encoder("no/model", frame, calibration=[("ba", "nothing")])


def test_a_student_is_made_of_an_encoder_or_of_a_student(encoder: str, tmp_path: Path) -> None:
    from tests.tiny import tiny_labels, tiny_student

    labels = tiny_labels(20)
    named = dict(zip(labels.ids, labels.texts, strict=True))
    made = Student.from_encoder(encoder, named, evaluation=[(labels.texts[2], labels.ids[2])])
    assert made.evaluation[0].targets == (2,)
    assert made.labels == Student.from_encoder(encoder, list(named.items())).labels == labels
    assert (len(made.labels), made.shapes.shortlist, is_student(encoder)) == (20, 128, False)
    tiny_student().save(tmp_path / "student")
    again = Student.from_encoder(tmp_path / "student", labels)
    assert is_student(tmp_path / "student")
    assert type(again.reasoner).__name__ == "ListwiseReasoner"
    assert again.labels == labels


def test_a_students_own_queries_serve_its_edited_labels(tmp_path: Path) -> None:
    """A file of its labels, of which some were taken out and some came; another set is measured as without queries."""
    student = tiny_student()
    student.save(tmp_path / "student")
    rows = list(zip(student.labels.ids, student.labels.texts, strict=True))
    recipe = Recipe("own", index=IndexRecipe(code_bytes=8, overfetch=64))
    edited = tmp_path / "edited.csv"
    with edited.open("w", newline="") as file:
        csv.writer(file).writerows([("id", "name"), *rows[5:], ("new", "something new")])
    checked = check_sources(Sources(edited, str(tmp_path / "student")), tmp_path / "b.exl", recipe)
    assert checked.held_out.about["measured_on"].startswith("Figures are of")
    assert "that the student holds out, those whose labels are still there" in checked.held_out.about["measured_on"]
    gone = set(range(5))
    kept = [query for query in student.calibration if gone.isdisjoint(query.targets)]
    assert [query.text for query in checked.held_out.calibration] == [query.text for query in kept]
    names = checked.labels.ids
    for query, old in zip(checked.held_out.calibration, kept, strict=True):
        assert [names[target] for target in query.targets] == [student.labels.ids[target] for target in old.targets]
    report = compile_sources(checked, tmp_path / "b.exl")
    assert report.facts["calibration"]["method"] != "none"
    other = tmp_path / "other.csv"
    other.write_text("id,name\n" + "\n".join(f"X{place},{text}" for place, (_, text) in enumerate(rows)))
    foreign = check_sources(Sources(other, str(tmp_path / "student")), tmp_path / "b.exl", recipe)
    assert foreign.held_out.calibration == ()
