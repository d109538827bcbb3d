"""Documents of strangers: an ordinary value, or one reason."""

from __future__ import annotations

import pytest

from edgexl.base.strict_json import parse, parse_line, parse_object


def test_ordinary_documents_are_read() -> None:
    document = '{"a": [1, -2.5e3, null, true, "é"], "b": 18446744073709551615, "c": -9223372036854775808}'
    wanted = {"a": [1, -2500.0, None, True, "é"], "b": (1 << 64) - 1, "c": -(1 << 63)}
    assert parse(document.encode()) == parse(b"\xef\xbb\xbf" + document.encode()) == wanted
    assert parse_line(document.encode()) == parse_object(document.encode()) == wanted


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Expecting value"),
        (b"{", "Expecting property name"),
        (b"\xff", "not UTF-8 at byte 0"),
        ("{}".encode("utf-16"), "not UTF-8 at byte 0"),
        (b"[NaN]", "NaN is not JSON"),
        (b"[Infinity]", "Infinity is not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[1e999]", "the number 1e999 is too large"),
        (b"[18446744073709551616]", "the number 18446744073709551616 is beyond 64 bits"),
        (b"[-9223372036854775809]", "is beyond 64 bits"),
        (b"[1" + b"0" * 10_000 + b"]", r"the number 10+\.\.\. is beyond 64 bits"),
    ],
)
def test_what_is_not_plain_json_has_one_reason(content: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        parse(content)
    assert len(str(caught.value)) < 120


def test_an_object_is_an_object() -> None:
    with pytest.raises(ValueError, match="it is a list, not a JSON object"):
        parse_object(b"[]")
