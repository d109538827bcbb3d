"""A student that ships without its labels: by name, they are built from the package, checked, and kept."""

from __future__ import annotations

import gzip
import hashlib
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from edgexl.base import shipped
from edgexl.base.errors import BadInput
from edgexl.base.fetch import Package, cache_directory
from edgexl.data import built_labels, mesh, write_dataset
from edgexl.data.built_labels import BuiltSet
from edgexl.data.label_set import LabelSet
from edgexl.data.mesh import mesh_labels
from edgexl.distill.shipping import ship_student
from edgexl.student.student import Student, load_student
from tests.command_line import RECIPE, TARGET, Edgexl
from tests.tiny import tiny_labels, tiny_queries, tiny_student

ROOT = Path(__file__).parents[2]
HEADINGS = 30  # of 120 records; the others are supplementary, each mapped to a heading


def synonym_of(record: int, word: int) -> str:
    """A record's name without one of its three words."""
    words = tiny_labels(120).texts[record].split()
    return " ".join(words[:word] + words[word + 1 :])


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package that MeSH is read from, with few records, put into the cache by hand."""
    names = tiny_labels(120).texts
    rows = [[f"D{i:03}", names[i], "|".join(synonym_of(i, word) for word in (0, 2)), ""] for i in range(HEADINGS)]
    more = [
        [f"C{i:03}", names[i], "|".join(synonym_of(i, word) for word in (0, 1)), f"D{i % HEADINGS:03}"]
        for i in range(HEADINGS, 120)
    ]
    path = tmp_path / "cache/edgexl/records.whl"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as wheel:
        for name, some in zip(mesh._TABLES, (rows, more), strict=True):
            wheel.writestr(name, "".join("\t".join(row) + "\n" for row in some))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(mesh, "PACKAGE", Package("pip", "records-of-a-test", "1.0", path.name, digest))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return path


@pytest.fixture
def trained(package: Path, tmp_path: Path) -> Path:
    """A student as training leaves it: over the package's labels, with some synonyms alone as aliases."""
    every = mesh_labels(())
    labels = replace(every, aliases=tuple(aliases[:1] for aliases in every.aliases))
    held_out = tiny_queries(labels, 60, 0)  # the labels' texts are the tiny ones, in their order
    student = tiny_student().with_labels(labels, held_out[:30], held_out[30:])
    student.save(tmp_path / "trained")
    return tmp_path / "trained"


@pytest.fixture
def by_name(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Student:
    """The student as edgexl ships it, under the name mesh."""
    ship_student(trained, tmp_path / "edgexl/students/mesh", "mesh")
    for folder in ("recipes", "targets"):
        (tmp_path / "edgexl" / folder).symlink_to(ROOT / folder)
    monkeypatch.setattr(shipped, "_PACKAGE", tmp_path / "edgexl")
    return load_student("mesh")


def test_its_labels_have_all_synonyms_but_those_it_is_measured_by(by_name: Student, tmp_path: Path) -> None:
    assert not (tmp_path / "edgexl/students/mesh/labels.json.gz").exists()
    held_out = {query.text for query in (*by_name.calibration, *by_name.evaluation)}
    place = {uid: label for label, uid in enumerate(by_name.labels.ids)}
    assert len(by_name.calibration) == len(by_name.evaluation) == 30
    for record in range(120):
        uid = f"{'D' if record < HEADINGS else 'C'}{record:03}"
        for word in (0, 2) if record < HEADINGS else (0, 1):
            synonym = synonym_of(record, word)
            for of in (uid, f"D{record % HEADINGS:03}"):  # a record's synonyms name its heading, too
                named = synonym in by_name.labels.aliases[place[of]]
                assert named is (synonym not in held_out), (of, synonym)
    assert by_name.metrics["evaluation"]["queries"] == 30


def test_it_compiles_by_name(by_name: Student, tmp_path: Path, edgexl: Edgexl) -> None:
    recipe, out = tmp_path / "recipe.toml", tmp_path / "coder.exl"
    recipe.write_text(RECIPE)
    said = edgexl("compile", "mesh", "--recipe", recipe, "--target", TARGET, "-o", out)
    assert said.status == 0, said
    query = next(query for query in by_name.evaluation if len(query.targets) == 1)
    answer = edgexl("run", out, by_name.labels.texts[query.targets[0]], "-k", "1", "--json").json
    assert answer["labels"][0]["id"] in by_name.labels.ids


def test_what_is_kept_is_checked_and_built_again(by_name: Student) -> None:
    [kept] = (cache_directory() / "labels").iterdir()
    sound = kept.read_bytes()
    kept.write_bytes(sound[:-20])
    assert load_student("mesh").labels == by_name.labels
    assert LabelSet.load(kept) == by_name.labels
    LabelSet(("D000",), ("another",)).save(kept)
    assert load_student("mesh").labels == by_name.labels


def test_without_the_package_a_sentence_says_what_to_do(
    by_name: Student, package: Path, tmp_path: Path, edgexl: Edgexl, monkeypatch: pytest.MonkeyPatch
) -> None:
    edgexl("compile", "mesh", "-o", tmp_path / "nowhere/out.exl").refuses(2, "nowhere")  # before anything is built
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    package.unlink()
    assert load_student("mesh").labels == by_name.labels  # out of the cache
    [kept] = (cache_directory() / "labels").iterdir()
    kept.unlink()
    edgexl("compile", "mesh", "-o", tmp_path / "out.exl").refuses(
        2, "labels", "built on first use", "records-of-a-test 1.0 (PyPI) could not be fetched", "by hand"
    )


def test_labels_that_are_others_are_refused(by_name: Student, trained: Path, tmp_path: Path) -> None:
    """Such as those of an edgexl that reads another version of the package."""
    about = tmp_path / "edgexl/students/mesh/student.json"
    table = json.loads(about.read_text())
    about.write_text(json.dumps(table | {"labels_sha256": "0" * 64}))
    with pytest.raises(BadInput, match=r"have the hash .*, not 0000000000000000\.\.\.: the student is of another"):
        load_student("mesh")
    about.write_text(json.dumps(table | {"labels_from": "mesch"}))
    with pytest.raises(BadInput, match="no label set 'mesch' to build; did you mean 'mesh'"):
        load_student("mesh")
    labels = LabelSet(("D000",), ("another",))
    load_student(trained).with_labels(labels, (), [("another", "D000")]).save(tmp_path / "other")
    with pytest.raises(BadInput, match="was trained over 1 labels, which are not the 120 of 'mesh'"):
        ship_student(tmp_path / "other", tmp_path / "ships", "mesh")
    load_student(trained).with_labels(load_student(trained).labels).save(tmp_path / "unmeasured")
    with pytest.raises(BadInput, match="has no evaluation queries"):
        ship_student(tmp_path / "unmeasured", tmp_path / "ships", "mesh")


def test_texts_that_edgexl_does_not_carry_come_from_their_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = tiny_labels(120)
    queries = tiny_queries(labels, 60, 0)
    described = replace(
        labels, descriptions=tuple((query.text,) if n else () for n, query in enumerate(queries)) + ((),) * 60
    )
    write_dataset(tmp_path / "data", labels, queries[:40], queries[40:], "of a test")
    words = BuiltSet(lambda withheld, progress: described, texts_from=str(tmp_path / "data"))
    monkeypatch.setitem(built_labels.LABEL_SETS, "words", words)
    bare = replace(described, descriptions=((),) * len(labels))
    tiny_student().with_labels(bare, queries[:1], (*queries[:1], queries[50])).save(tmp_path / "trained")
    shipped_one = ship_student(tmp_path / "trained", tmp_path / "words", "words")
    # queries[50] describes a label of the set that ships, where nothing could be measured on it
    assert [query.text for query in shipped_one.evaluation] == [queries[0].text]
    assert shipped_one.calibration[0].targets == queries[0].targets
    assert shipped_one.labels == described
    for name in ("calibration", "evaluation"):
        held = gzip.decompress((tmp_path / f"words/{name}.json.gz").read_bytes()).decode()
        assert queries[0].text not in held
    write_dataset(tmp_path / "data", labels, queries[1:40], queries[40:], "of a test")
    with pytest.raises(BadInput, match="lacks the text of 1 held-out queries: the student is of another edgexl"):
        load_student(tmp_path / "words")
