"""Files that are wrong: the compile refuses each in one sentence that names the file, the line where there is one, and
what is wrong, before it loads a model."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from tests.command_line import Edgexl

HEAD = "id,text,aliases\n"
TURTLE = "@prefix skos: <http://www.w3.org/2004/02/skos/core#> .\n@prefix x: <http://x/> .\n"
RDF = "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' xmlns:s='http://www.w3.org/2004/02/skos/core#'>"
# What a query file is over.
LABELS = "id,text\n4011,banana\n7544,umbrella\n7545,Red wine\n7546,Red wine\n"


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return stream.getvalue()


def parquet_of(**columns: list[object]) -> bytes:
    stream = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), stream)
    return stream.getvalue()


def zip_text(text: str) -> bytes:
    return gzip.compress(text.encode(), mtime=0)


# name of the file, its content, the line that is named (0: none), words of the sentence
WRONG_LABELS: list[tuple[str, str | bytes, int, tuple[str, ...]]] = [
    # no table at all
    ("empty.csv", "", 0, ("is empty",)),
    ("blank.csv", "  \n\n \n", 0, ("white space",)),
    ("empty.csv.gz", zip_text(""), 0, ("is empty",)),
    ("empty.json", "[]", 0, ("empty list",)),
    ("object.json", "{}", 0, ("no list of objects",)),
    ("number.json", "42", 0, ("no list of objects",)),
    ("empty.parquet", parquet_of(id=[], text=[]), 0, ("no row",)),
    # another format
    ("sheet.csv", zipped(), 0, ("spreadsheet", "save it as csv")),
    ("sheet.xlsx", zipped(), 0, ("spreadsheet", "save it as csv")),
    ("old.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(64), 0, ("old excel",)),
    ("page.csv", "<!DOCTYPE html>\n<html><body>404</body></html>", 0, ("html", "download")),
    ("paper.pdf", b"%PDF-1.7\n", 0, ("a pdf",)),
    ("labels.db", b"SQLite format 3\0" + bytes(84), 0, ("database", "export")),
    ("picture.csv", b"\x89PNG\r\n\x1a\n" + bytes(20), 0, ("a picture",)),
    ("labels.csv.xz", b"\xfd7zXZ\0" + bytes(20), 0, ("xz", "unpack")),
    ("labels.csv.bz2", b"BZh91AY&SY" + bytes(20), 0, ("bzip2",)),
    ("labels.csv.zst", b"\x28\xb5\x2f\xfd" + bytes(20), 0, ("zstd",)),
    ("labels.feather", b"ARROW1\0\0" + bytes(20), 0, ("feather", "parquet")),
    ("bundle.csv", b"EDGEXL\0\0" + bytes(60), 0, ("a bundle",)),
    ("notes.txt", "{\\rtf1\\ansi hello}", 0, ("rich text",)),
    ("config.xml", "<?xml version='1.0'?>\n<config/>", 0, ("no rdf",)),
    # damaged
    ("cut.csv.gz", zip_text(HEAD + "1,a,\n" * 500)[:-20], 0, ("truncated",)),
    ("torn.csv.gz", b"\x1f\x8b\x08\0nothing of the kind", 0, ("not a sound gzip",)),
    ("twice.csv.gz", gzip.compress(zip_text(HEAD)), 0, ("gzipped twice",)),
    ("cut.parquet", parquet_of(id=["1"], text=["a"])[:-8], 0, ("not a sound parquet",)),
    ("head.parquet", b"PAR1", 0, ("not a sound parquet",)),
    ("not.parquet", HEAD + "1,a,\n", 0, ("no parquet",)),
    ("random.csv", bytes(range(256)) * 8, 2, ("is not text",)),
    ("nul.csv", HEAD + "1,a,\n2,b\0c,\n", 3, ("a nul",)),
    ("cut-utf-16.csv", "id,text\n1,a\n".encode("utf-16") + b"\0", 3, ("not utf-16",)),
    # names of columns
    ("headless.csv", "4011,banana\n7544,umbrella\n", 1, ("columns' names", "4011,banana")),
    ("only-names.csv", HEAD, 1, ("no row follows",)),
    ("caret.csv", "sku^name\n1^a\n", 1, ("'^'", "commas, semicolons, tabs or bars")),
    ("colons.csv", "sku::name\n1::a\n", 1, ("'::'",)),
    ("twice-named.csv", "id,text,text\n1,a,b\n", 1, ("two columns", "'text'")),
    ("unnamed.csv", "id,text,\n1,a,\n2,b,c\n", 3, ("column 3", "'c'", "no name")),
    ("unknown.csv", "foo,bar,id\nalpha,beta,1\n", 0, ("'foo', 'bar', 'id'", "--text")),
    ("unknown.jsonl", '{"foo": "a b", "bar": "c d"}\n', 0, ("'foo', 'bar'", "--text")),
    ("unknown.parquet", parquet_of(foo=["a b"], bar=["c d"]), 0, ("'foo', 'bar'", "--text")),
    # rows
    ("ragged.csv", HEAD + "1,a,\n2,b,c,d\n", 3, ("4 fields", "3 columns", "quotes")),
    ("short.csv", HEAD + "1,a,\n2,b\n", 3, ("2 fields", "3 columns")),
    ("semicolon.csv", "id;text\n1;a\n2;b;c\n", 3, ("3 fields", "semicolon")),
    ("ragged.tsv", "id\ttext\n1\ta\n2\n", 3, ("1 field,", "2 columns")),
    ("open-quote.csv", HEAD + '1,"a,\n2,b,\n3,c,\n', 2, ("quote", "close")),
    ("quote-inside.csv", HEAD + '1,"a "b" c",\n', 2, ("quote", "write it twice")),
    ("no-id.csv", HEAD + "1,a,\n,b,\n", 3, ("'id'", "is empty")),
    ("no-text.csv", HEAD + "1,a,\n\n2, ,\n", 4, ("'text'", "is empty")),
    ("same-id.csv", HEAD + "1,a,\n2,b,\n1,c,\n", 4, ("'1'", "line 2", "unique")),
    ("long-id.csv", HEAD + f"{'x' * 70_000},a,\n", 2, ("the id", "70,000 bytes", "65,535")),
    ("long-text.csv", HEAD + f"1,{'x' * 70_000},\n", 2, ("the text", "70,000 bytes")),
    ("long-alias.csv", HEAD + f"1,a,{'x' * 70_000}\n", 2, ("the alias", "70,000 bytes")),
    ("many-aliases.jsonl", json.dumps({"text": "a", "aliases": list(map(str, range(70_000)))}), 1, ("70,000 aliases",)),
    ("long-description.csv", f"id,text,description\n1,a,{'x' * 1_000_001}\n", 2, ("1,000,001 bytes",)),
    ("one-description.csv", "id,text,description\n" + "".join(f"{n},t{n},same\n" for n in range(1002)), 1002,
     ("'same'", "1,000 labels")),
    # JSON
    ("broken.json", '[{"id": "1", "text": "a"},\n{"id": "2" "text": "b"}]', 2, ("not valid json",)),
    ("cut.json", '[{"id": "1", "text": "a"},\n{"id": "2"', 2, ("not valid json",)),
    ("more.json", '[{"id": "1", "text": "a"}]\n[]', 2, ("not valid json",)),
    ("nan.json", '[{"id": 1, "text": NaN}]', 0, ("nan",)),
    ("deep.json", "[" * 100_000, 0, ("deep",)),
    ("mixed.json", '[{"id": "1", "text": "a"},\n"b"]', 2, ("expected an object", "a string")),
    ("broken.jsonl", '{"id": "1", "text": "a"}\n{"id": "2", text: "b"}\n', 2, ("not valid json",)),
    ("list.jsonl", '{"id": "1", "text": "a"}\n["2", "b"]\n', 2, ("a list",)),
    ("text-list.jsonl", '{"id": "1", "text": ["a", "b"]}\n', 1, ("'text'", "a list")),
    ("text-object.jsonl", '{"id": "1", "text": {"en": "a"}}\n', 1, ("'text'", "an object")),
    ("text-null.jsonl", '{"id": "1", "text": "a"}\n{"id": "2", "text": null}\n', 2, ("is empty",)),
    ("text-truth.jsonl", '{"id": "1", "text": true}\n', 1, ("a truth value",)),
    ("alias-object.jsonl", '{"id": "1", "text": "a", "aliases": [{"en": "b"}]}\n', 1, ("'aliases'", "an object")),
    ("surrogate.jsonl", '{"id": "1", "text": "a\\ud800"}\n', 1, ("surrogate",)),
    ("nul.jsonl", '{"id": "1", "text": "a\\u0000b"}\n', 1, ("nul",)),
    # Parquet
    ("null.parquet", parquet_of(id=["1", None], text=["a", "b"]), 2, ("is empty",)),
    ("bytes.parquet", parquet_of(id=["1"], text=[b"a"]), 1, ("bytes",)),
    # thesauri
    ("broken.ttl", f"{TURTLE}x:1 skos:prefLabel 'a'@en\nx:2 skos:prefLabel 'b'@en .\n", 4, ("not sound turtle",)),
    ("prefix.ttl", "x:1 skos:prefLabel 'a' .\n", 1, ("not sound turtle",)),
    ("nothing.ttl", f"{TURTLE}x:1 x:2 x:3 .\n", 0, ("no skos:concept",)),
    ("unnamed.ttl", f"{TURTLE}x:1 a skos:Concept . x:2 skos:prefLabel 'b'@en .\n", 1, ("http://x/1", "preflabel")),
    ("broken.rdf", f"{RDF}\n<s:Concept>\n</rdf:RDF>", 3, ("not sound rdf/xml",)),
    ("broken.nt", "<http://x/1> <http://www.w3.org/2004/02/skos/core#prefLabel> 'a' .\n", 1, ("not sound n-triples",)),
]  # fmt: skip

WRONG_QUERIES: list[tuple[str, str | bytes, int, tuple[str, ...]]] = [
    ("empty.csv", "", 0, ("is empty",)),
    ("sheet.csv", zipped(), 0, ("spreadsheet",)),
    ("one-column.csv", "query\nyellow fruit\n", 0, ("one column", "labels that are right")),
    ("texts.txt", "yellow fruit\nkeeps the rain off\n", 0, ("one column",)),
    ("headless.csv", "yellow fruit,banana\n", 1, ("columns' names",)),
    ("no-labels.csv", "query,clicks\nyellow fruit,3\n", 0, ("'query', 'clicks'", "--query-labels")),
    ("no-text.csv", "label,foo,bar\nbanana,a b,c d\n", 0, ("'foo', 'bar'", "--query-text")),
    ("unknown.csv", "query,label\nyellow,banana\nrain,umbrela\n", 3, ("'umbrela'", "did you mean 'umbrella'")),
    ("unknown-id.csv", "query,label\nyellow,4011\nrain,9999\n", 3, ("no label '9999'",)),
    ("unclear.csv", "query,label\nyellow,banana\nfor a party,red wine\n", 3, ("several labels", "by its id")),
    ("none.csv", "query,label\nyellow,banana\nrain,\n", 3, ("names no label",)),
    ("blank.csv", "query,label\nyellow,banana\n ,umbrella\n", 3, ("'query'", "is empty")),
    ("several.csv", "query,label\nyellow,banana|umbrella\nred,banana|wine\n", 3, ("no label 'wine'",)),
    ("ragged.csv", "query,label\nyellow, long,banana\nrain,umbrella\n", 2, ("3 fields", "2 columns")),
    ("object.jsonl", '{"query": "yellow", "label": {"id": "4011"}}\n', 1, ("'label'", "an object")),
    ("broken.jsonl", '{"query": "yellow", "label": "4011"}\nrain\n', 2, ("not valid json",)),
    (
        "places.jsonl",
        '{"title": "yellow", "target_ind": [0]}\n{"title": "rain", "target_ind": [4]}\n',
        2,
        ("'4'", "4 are"),
    ),
    ("null.parquet", parquet_of(query=["yellow", None], label=["4011", "7544"]), 2, ("is empty",)),
]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_there_are_many() -> None:
    assert len(WRONG_LABELS) + len(WRONG_QUERIES) >= 60


@pytest.mark.parametrize(("file", "content", "line", "words"), WRONG_LABELS, ids=[each[0] for each in WRONG_LABELS])
def test_wrong_labels(
    edgexl: Edgexl, tmp_path: Path, file: str, content: str | bytes, line: int, words: tuple[str, ...]
) -> None:
    path = write(tmp_path / file, content)
    said = edgexl("compile", path, "--encoder", "all-MiniLM-L6-v2", "-o", tmp_path / "out.exl")
    unit = {"parquet": "row", "ttl": "concept"}.get(path.suffix[1:], "line") if "not sound" not in words[0] else "line"
    said.refuses(2, f"edgexl: {path}{f', {unit} {line}' if line else ''}", *words)
    assert not (tmp_path / "out.exl").exists()


@pytest.mark.parametrize(("file", "content", "line", "words"), WRONG_QUERIES, ids=[each[0] for each in WRONG_QUERIES])
def test_wrong_queries(
    edgexl: Edgexl, tmp_path: Path, file: str, content: str | bytes, line: int, words: tuple[str, ...]
) -> None:
    labels = write(tmp_path / "labels.csv", LABELS)
    folder = tmp_path / "queries"
    folder.mkdir()
    path = write(folder / file, content)
    arguments = ("--encoder", "all-MiniLM-L6-v2", "--queries", path, "-o", tmp_path / "out.exl")
    unit = "row" if path.suffix == ".parquet" else "line"
    edgexl("compile", labels, *arguments).refuses(2, f"edgexl: {path}{f', {unit} {line}' if line else ''}", *words)
