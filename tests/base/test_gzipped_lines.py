"""Gzipped JSON lines: the same bytes every time, and one sentence for every way a file can be damaged."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import subprocess
import sys
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgexl.base.errors import BadInput
from edgexl.base.gzipped_lines import encode_line, is_unicode, read_lines, write_lines

RECORDS = [{"uid": "a", "title": "naïve\u2028café \U0001f98a"}, {"uid": "b", "title": "x" * 5000}]


def test_what_is_written_is_read_with_line_numbers(tmp_path):
    path = tmp_path / "lines.json.gz"
    write_lines(path, RECORDS)
    assert list(read_lines(path)) == [(1, RECORDS[0]), (2, RECORDS[1])]


def test_the_same_records_give_the_same_bytes_under_any_name(tmp_path):
    write_lines(tmp_path / "one", RECORDS)
    write_lines(tmp_path / "other", iter(RECORDS))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["one", "other"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "lines.json.gz"
    write_lines(path, RECORDS)

    def broken():
        yield RECORDS[1]
        raise RuntimeError("the source dried up")

    with pytest.raises(RuntimeError, match="dried up"):
        write_lines(path, broken())
    assert [record for _, record in read_lines(path)] == RECORDS
    assert [entry.name for entry in tmp_path.iterdir()] == ["lines.json.gz"]


def test_blank_lines_are_passed_over_and_counted(tmp_path):
    path = tmp_path / "lines.json.gz"
    path.write_bytes(gzip.compress(b'{"a":1}\n\n  \r\n{"a":2}'))
    assert list(read_lines(path)) == [(1, {"a": 1}), (4, {"a": 2})]


LINE = b'{"uid":"a","title":"b"}'


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzipped"])
@pytest.mark.parametrize(
    "content",
    [
        LINE + b"\n",
        LINE,
        codecs.BOM_UTF8 + LINE + b"\r\n",
        b"\n \n" + LINE,
        codecs.BOM_UTF8 + b"\n" + LINE,
    ],
    ids=["a line", "no line end", "byte order mark", "blank lines", "blank line with a mark"],
)
def test_whether_it_is_gzipped_is_seen_in_the_file_not_in_its_name(tmp_path, content, pack):
    for name in ("a.json.gz", "a.jsonl", "labels.json", "a"):
        path = tmp_path / name
        path.write_bytes(pack(content))
        assert [record for _, record in read_lines(path)] == [{"uid": "a", "title": "b"}]


def test_several_members_are_one_file(tmp_path):
    path = tmp_path / "a.json.gz"
    path.write_bytes(gzip.compress(LINE + b"\n") + gzip.compress(LINE + b"\n") + b"\0" * 100)
    assert len(list(read_lines(path))) == 2


TEXT = '{"uid":"a","title":"b"}\n'
ANOTHER = {
    "CSV": (b"uid,title\na,b\n", "CSV"),
    "TSV": (b"uid\ttitle\na\tb\n", "CSV or a like table"),
    "plain text": (b"label one\nlabel two\n", "plain text"),
    "UTF-16": (TEXT.encode("utf-16"), "UTF-16"),
    "UTF-16, the other end first": (codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"), "UTF-16"),
    "UTF-32": (TEXT.encode("utf-32"), "UTF-32"),
    "Latin-1": ("é, ü\n".encode("latin-1"), "text in UTF-8"),
    "a list": (b'[{"uid":"a"}]', "found list"),
    "a list over lines": (b'[\n{"uid":"a"}\n]', "one list over several lines"),
    "an object over lines": (b'{\n"uid":"a"\n}', "one object over several lines"),
    "a number": (b"12\n", "found int"),
    "null": (b"null\n", "found NoneType"),
    "zip": (b"PK\x03\x04" + bytes(50), "zip"),
    "xz": (lzma.compress(TEXT.encode()), "xz"),
    "bzip2": (bz2.compress(TEXT.encode()), "bzip2"),
    "a gzip file without its first byte": (gzip.compress(TEXT.encode())[1:], "not a sound gzip file"),
    "zeros": (bytes(1000), "not a sound gzip file"),
}


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzipped"])
@pytest.mark.parametrize("kind", ANOTHER)
def test_another_format_is_named_and_what_is_read_is_said(tmp_path, kind, pack):
    content, word = ANOTHER[kind]
    path = tmp_path / "labels.json.gz"
    path.write_bytes(pack(content))
    with pytest.raises(BadInput, match=r"line 1: .*JSON lines in UTF-8, an object a line, gzipped or plain") as caught:
        list(read_lines(path))
    assert word in str(caught.value)


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (b'{"a":NaN}', "NaN is not JSON"),
        (b'{"a":-Infinity}', "-Infinity is not JSON"),
        (b'{"a":' + b"9" * 5000 + b"}", "digits"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"a":"\xff"}', "not UTF-8 at byte 6"),
    ],
)
def test_numbers_and_depths_that_are_not_json(tmp_path, line, word):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"{}\n" + line)
    with pytest.raises(BadInput, match=f"line 2: not valid JSON .*{word}") as caught:
        list(read_lines(path))
    assert len(str(caught.value)) < 500


def test_a_line_without_an_end_does_not_fill_the_memory(tmp_path):
    """400 MB in 400 KB, read by a process that may use half as much."""
    path = tmp_path / "bomb.json.gz"
    packer = zlib.compressobj(9, wbits=31)
    with open(path, "wb") as file:
        for _ in range(400):
            file.write(packer.compress(b"x" * 1_000_000))
        file.write(packer.flush())
    program = (
        "import resource, sys; from edgexl.base.gzipped_lines import read_lines\n"
        "from edgexl.base.errors import BadInput\n"
        "resource.setrlimit(resource.RLIMIT_AS, (600_000_000, 600_000_000))\n"
        "try: list(read_lines(sys.argv[1]))\nexcept BadInput as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=False)
    assert "bomb.json.gz, line 1: is longer than 64 MiB" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (gzip.compress(b'{"a":1}\n{"a":'), "line 2: not valid JSON"),
        (gzip.compress(b'{"a":1}\n[1]\n'), "line 2: expected a JSON object, found list"),
        (gzip.compress(b"\xff\xfe\xfd\n"), "line 1: not valid JSON"),
        (gzip.compress(b"[" * 100_000), "line 1: not valid JSON"),
        (gzip.compress(b'{"a":1}\n' * 9999)[:-9], "truncated"),
        (gzip.compress(b'{"a":1}\n')[:-6] + b"\0\0\0\0\0\0", "not a sound gzip file"),
        (gzip.compress(b'{"a":1}\n') + b"garbage", "after line 1: not a sound gzip file"),
    ],
)
def test_damage_is_named_with_file_and_line(tmp_path, content, complaint):
    path = tmp_path / "damaged.json.gz"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=complaint) as caught:
        list(read_lines(path))
    assert "damaged.json.gz" in str(caught.value)


def test_a_missing_file_and_a_directory_are_named(tmp_path):
    with pytest.raises(BadInput, match="does not exist"):
        list(read_lines(tmp_path / "nowhere"))
    with pytest.raises(BadInput, match="cannot be read: Is a directory"):
        list(read_lines(tmp_path))


@given(st.text(st.characters(codec=None)))
def test_is_unicode_tells_what_can_be_encoded(text):
    try:
        text.encode()
    except UnicodeEncodeError:
        assert not is_unicode(text)
    else:
        assert is_unicode(text)
        assert encode_line({"t": text}).count(b"\n") == 1
