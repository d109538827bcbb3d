"""Gzipped JSON lines: the same bytes every time, and one sentence for every way a file can be damaged."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgexl.errors import BadInput
from edgexl.gzlines import encode_line, is_unicode, read_lines, write_lines

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


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (gzip.compress(b'{"a":1}\n{"a":'), "line 2: not valid JSON"),
        (gzip.compress(b'{"a":1}\n[1]\n'), "line 2: expected a JSON object, found list"),
        (gzip.compress(b"\xff\xfe\xfd\n"), "line 1: not valid JSON"),
        (gzip.compress(b"[" * 100_000), "line 1: not valid JSON"),
        (b'{"a":1}\n', "not a sound gzip file"),
        (gzip.compress(b'{"a":1}\n' * 9999)[:-9], "truncated"),
        (gzip.compress(b'{"a":1}\n')[:-6] + b"\0\0\0\0\0\0", "not a sound gzip file"),
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
