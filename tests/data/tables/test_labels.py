"""Label files as people have them, in every format and encoding, and which column is taken for what."""

from __future__ import annotations

import gzip
import io
import json
import sys
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from edgexl.base.errors import BadInput
from edgexl.data import write_dataset
from edgexl.data.label_set import LabelSet
from edgexl.data.tables.labels import LabelTable, read_labels
from edgexl.data.tables.roles import Wanted

# The same three labels, in every format.
WANTED = LabelSet(
    ids=("4011", "7544", "K-1"),
    texts=("banana", "Käse, Brie", 'umbrella 42"'),
    aliases=((), ("cheese", "fromage"), ("brolly",)),
    descriptions=(("A long; yellow fruit",), (), ()),
)
CSV = '''SKU,Product name,Synonyms,Details,Price
4011,banana,,A long; yellow fruit,1.20
7544,"Käse, Brie",cheese|fromage,,3
K-1,"umbrella 42""",brolly,,9
'''
RECORDS = [
    {"sku": 4011, "name": "banana", "definition": "A long; yellow fruit"},
    {"sku": "7544", "name": "Käse, Brie", "synonyms": ["cheese", "fromage"], "definition": None},
    {"sku": "K-1", "name": 'umbrella 42"', "synonyms": "brolly"},
]
TURTLE = """@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
@prefix : <http://x/> .
:1 a skos:Concept ; skos:notation "4011" ; skos:prefLabel "banana"@en, "Banane"@de ;
   skos:definition "A long; yellow fruit"@en , "Eine Frucht"@de .
:2 skos:notation "7544" ; skos:prefLabel "Käse, Brie"@en ; skos:altLabel "cheese"@en ; skos:hiddenLabel "fromage"@en .
:3 skos:notation "K-1" ; skos:prefLabel "umbrella 42\\""@en ; skos:altLabel "brolly"@en , "Regenschirm"@de .
"""


# As Excel writes it where commas are decimal.
EXCEL = "\r\n".join(
    (
        "sep=;",
        "SKU;Product name;Synonyms;Details;;",
        '4011;banana;;"A long; yellow fruit";;',
        "7544;Käse, Brie;cheese|fromage;;;",
        '"K-1";"umbrella 42\\"\\"";brolly;;;;',
    )
).replace("\\", "")


def as_parquet() -> bytes:
    stream = io.BytesIO()
    columns = {
        "sku": ["4011", "7544", "K-1"],
        "title": ["banana", "Käse, Brie", 'umbrella 42"'],
        "aliases": [[], ["cheese", "fromage"], ["brolly"]],
        "description": ["A long; yellow fruit", None, None],
    }
    parquet.write_table(pyarrow.table(columns), stream)
    return stream.getvalue()


def as_graph(form: str) -> str:
    from rdflib import Graph

    return Graph().parse(data=TURTLE, format="turtle").serialize(format=form)


def tabbed() -> str:
    return "id\tname\taltLabel\tnote\n4011\tbanana\t\tA long; yellow fruit\n7544\tKäse, Brie\tcheese; fromage\t\n" + (
        'K-1\tumbrella 42"\tbrolly\t\n'
    )


FORMATS: dict[str, str | bytes] = {
    "labels.csv": CSV,
    "labels.CSV": CSV,
    "crlf.csv": CSV.replace("\n", "\r\n"),
    "marked.csv": CSV.encode("utf-8-sig"),
    "utf-16.csv": CSV.encode("utf-16"),
    "utf-16-be-unmarked.csv": CSV.encode("utf-16-be"),
    "utf-32.csv": CSV.encode("utf-32"),
    "latin-1.csv": CSV.encode("latin-1"),
    "bars.csv": CSV.replace("|", "\n").replace("cheese\nfromage", '"cheese\nfromage"'),
    "excel.csv": EXCEL,
    "excel-1252.csv": EXCEL.encode("cp1252"),
    "labels.tsv": tabbed(),
    "labels": tabbed(),
    "labels.csv.gz": gzip.compress(CSV.encode()),
    "labels.json": json.dumps(RECORDS, indent=1),
    "nested.json": json.dumps({"version": 1, "products": RECORDS}),
    "lines.json": "\n".join(map(json.dumps, RECORDS)),
    "labels.jsonl": "\n".join(json.dumps(each, ensure_ascii=False) for each in RECORDS) + "\n\n",
    "labels.jsonl.gz": gzip.compress("\n".join(map(json.dumps, RECORDS)).encode()),
    "labels.parquet": as_parquet(),
    "labels.ttl": TURTLE,
    "labels.rdf": as_graph("xml"),
    "labels.nt": as_graph("nt"),
    "thesaurus": TURTLE,
    "thesaurus.xml": as_graph("xml"),
}


def read(folder: Path, content: str | bytes, name: str = "labels.csv", **columns: object) -> LabelTable:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_labels(path, Wanted(**columns))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_labels(tmp_path: Path, name: str) -> None:
    found = read(tmp_path, FORMATS[name], name)
    labels = found.label_set()
    order = sorted(range(3), key=labels.ids.__getitem__)
    assert [(labels.ids[at], labels.texts[at], labels.aliases[at], labels.descriptions[at]) for at in order] == list(
        zip(WANTED.ids, WANTED.texts, WANTED.aliases, WANTED.descriptions, strict=True)
    )


@pytest.mark.parametrize(
    ("name", "format", "details"),
    [
        ("labels.csv", "CSV", {"encoding": "UTF-8", "delimiter": "comma"}),
        ("excel-1252.csv", "CSV", {"encoding": "Windows-1252", "delimiter": ";"}),
        ("utf-16.csv", "CSV", {"encoding": "UTF-16", "delimiter": "comma"}),
        ("labels.csv.gz", "CSV", {"encoding": "UTF-8", "compression": "gzip", "delimiter": "comma"}),
        ("labels.tsv", "TSV", {"encoding": "UTF-8", "delimiter": "tab"}),
        ("nested.json", "JSON", {"encoding": "UTF-8"}),
        ("labels.ttl", "RDF thesaurus (Turtle)", {"encoding": "UTF-8", "language": "en"}),
    ],
)
def test_what_a_file_is_is_said(tmp_path: Path, name: str, format: str, details: dict[str, str]) -> None:
    table = read(tmp_path, FORMATS[name], name).table
    assert (table.format, {key: value.replace("semicolon", ";") for key, value in table.details.items()}) == (
        format, details
    )  # fmt: skip


def test_another_encoding_than_utf_8_is_said_with_the_line(tmp_path: Path) -> None:
    notes = read(tmp_path, FORMATS["latin-1.csv"]).notes
    assert any("line 3" in note and "Windows-1252" in note for note in notes)


def test_columns_are_guessed_and_said(tmp_path: Path) -> None:
    said = read(tmp_path, CSV).columns.sentence()
    assert said == (
        "id = SKU; text = Product name; aliases = Synonyms (parted at |); descriptions = Details; passed over: Price"
    )


def test_columns_that_are_named_are_taken(tmp_path: Path) -> None:
    content = "a,b,c,d\n1,x,y;z,w\n2,p,q,r\n"
    labels = read(tmp_path, content, id="a", text="c", aliases=("b", "d")).label_set()
    assert labels == LabelSet(("1", "2"), ("y;z", "q"), (("x", "w"), ("p", "r")))


def test_a_named_column_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no column 'nmae', but one named 'name'"):
        read(tmp_path, "id,name\n1,a\n", text="nmae")
    with pytest.raises(BadInput, match="'id' is named for two roles"):
        read(tmp_path, "id,name\n1,a\n", text="id", id="id")


def test_the_only_column_of_words_is_the_text(tmp_path: Path) -> None:
    assert read(tmp_path, "foo,bar\nalpha beta,3\ngamma,4\n").columns.text == "foo"
    assert read(tmp_path, "sku,description\n1,alpha beta\n2,gamma\n").columns.text == "description"


@pytest.mark.parametrize(
    ("names", "uid", "text"),
    [
        ("ISBN;Book-Title;Book-Author;Year", "ISBN", "Book-Title"),
        ("employee_code;bookTitle;author;x", "employee_code", "bookTitle"),
        ("OccupationCode;occupationLabel;group;x", "OccupationCode", "occupationLabel"),
        ("id;first_name;last_name;text", "id", "text"),
    ],
)
def test_names_are_known_by_their_last_word(tmp_path: Path, names: str, uid: str, text: str) -> None:
    columns = read(tmp_path, f"{names}\nA1;alpha beta;gamma delta;epsilon\nA2;zeta;eta;theta\n").columns
    assert (columns.id, columns.text) == (uid, text)


def test_a_first_column_of_codes_is_the_id(tmp_path: Path) -> None:
    assert read(tmp_path, "foo,name\nA-1,alpha beta\nA-2,gamma\n").columns.id == "foo"
    assert read(tmp_path, "foo,name\n1.50,alpha beta\n2.99,gamma\n").columns.id is None
    assert read(tmp_path, "foo,name\n7,alpha beta\n7,gamma\n").columns.id is None


def test_plain_text_is_a_label_a_line_and_repeated_lines_are_one(tmp_path: Path) -> None:
    found = read(tmp_path, "banana\r\n\r\numbrella, small\nbanana\n", "labels.txt")
    assert found.label_set() == LabelSet(("banana", "umbrella, small"), ("banana", "umbrella, small"))
    assert found.lines == [1, 3]
    assert any("(1)" in note for note in found.notes)


def test_rows_of_one_text_without_ids_are_one_label(tmp_path: Path) -> None:
    found = read(tmp_path, "text,alias\nbanana,plantain\nkiwi,\nbanana,yellow fruit\n").label_set()
    assert found.aliases == (("plantain", "yellow fruit"), ())


@pytest.mark.parametrize(
    ("content", "wanted"),
    [('{"4011": "banana", "7544": "umbrella"}', ("4011", "7544")), ('["banana", "umbrella"]', ("banana", "umbrella"))],
)
def test_json_without_objects(tmp_path: Path, content: str, wanted: tuple[str, str]) -> None:
    assert read(tmp_path, content, "labels.json").label_set() == LabelSet(wanted, ("banana", "umbrella"))


def test_numbered_columns_of_aliases_are_all_taken(tmp_path: Path) -> None:
    found = read(tmp_path, "id,name,alias1,alias 2\n1,a,b,c\n2,d,,e\n").label_set()
    assert found.aliases == (("b", "c"), ("e",))


def test_tables_of_tabs_may_hold_quotes_as_letters(tmp_path: Path) -> None:
    found = read(tmp_path, 'id\tname\n1\t"tall" vase\n2\t5" nail\n', "labels.tsv")
    assert found.texts == ['"tall" vase', '5" nail']


def test_lines_of_records_that_span_several_are_where_they_begin(tmp_path: Path) -> None:
    found = read(tmp_path, 'id,name\n1,"a\nb\nc"\n2,d\n\n3,e\n')
    assert found.lines == [2, 5, 7]


def test_a_thesaurus_is_read_in_the_language_that_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "labels.ttl"
    path.write_text(TURTLE)
    found = read_labels(path, language="de")
    assert (found.texts[0], found.descriptions[0]) == ("Banane", ("Eine Frucht",))
    assert any("2 concepts have no text in 'de'" in note for note in found.notes)
    with pytest.raises(BadInput, match="'fr'; there are 'en', 'de'"):
        read_labels(path, language="fr")


def test_concepts_without_a_notation_each_are_known_by_their_uri(tmp_path: Path) -> None:
    found = read(tmp_path, TURTLE.replace('skos:notation "4011" ;', ""), "labels.ttl")
    assert found.ids == ["http://x/1", "http://x/2", "http://x/3"]


def test_a_data_sets_directory_gives_its_labels(tmp_path: Path) -> None:
    write_dataset(tmp_path / "data", WANTED, [], [], "for a test")
    assert read_labels(tmp_path / "data").label_set().sha256() == WANTED.sha256()


def test_all_problems_are_found_and_one_is_told(tmp_path: Path) -> None:
    found = read(tmp_path, "id,text\n1,a\n1,b\n2,c,d\n3,\n4,e\n")
    assert [problem.line for problem in sorted(found.problems, key=lambda problem: problem.line)] == [3, 4, 5]
    assert found.ids == ["1", "4"]
    with pytest.raises(BadInput, match=r"line 3: has the id '1' of line 2.*2 more lines are wrong"):
        found.label_set()


def test_delimiters_inside_names_do_not_decide(tmp_path: Path) -> None:
    found = read(tmp_path, "id;text, name, or title\n1;alpha\n2;beta, gamma\n", text="text, name, or title")
    assert found.texts == ["alpha", "beta, gamma"]


def test_utf_16_is_known_without_its_mark(tmp_path: Path) -> None:
    found = read(tmp_path, CSV.encode("utf-16-le"))
    assert (found.table.details["encoding"], found.texts[1]) == ("UTF-16", "Käse, Brie")


def test_bytes_that_windows_leaves_open_are_latin_1(tmp_path: Path) -> None:
    assert read(tmp_path, b"id,text\n1,a\x81\xe9\n2,b\n").texts == ["a\x81é", "b"]


def test_an_alias_that_is_the_text_itself_is_none(tmp_path: Path) -> None:
    assert read(tmp_path, "id,text,alias\n1,a,b|a|b\n").aliases == [("b",)]


def test_lines_of_a_json_document_are_where_objects_begin(tmp_path: Path) -> None:
    found = read(tmp_path, json.dumps([{"id": n, "text": f"t{n}"} for n in range(4)], indent=1), "labels.json")
    assert found.lines == [2, 6, 10, 14]


@pytest.mark.parametrize(("name", "package"), [("labels.parquet", "pyarrow"), ("labels.ttl", "rdflib")])
def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(BadInput, match=rf"{package} reads.*edgexl\[tables\]"):
        read(tmp_path, FORMATS[name], name)
