"""Packed strings come back, from Python and from C, and no damage to a section is worse than a refusal."""

import struct
import subprocess
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgexl.base.errors import BadInput
from edgexl.bundle.strings import pack_strings, unpack_strings

RUNTIME = Path(__file__).parents[2] / "edgexl" / "runtime"

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
words = st.lists(st.sampled_from(["mark", "marker", "market", "er", "s", " of ", "日本", "é", ""]), max_size=12).map(
    "".join
)


@settings(max_examples=150, deadline=None)
@given(strings=st.lists(texts | words, min_size=1, max_size=70), in_order=st.booleans())
def test_strings_come_back(kernels, strings, in_order):
    strings = sorted(strings) if in_order else strings
    section = pack_strings(strings)
    assert unpack_strings(section) == strings
    assert pack_strings(strings) == section
    view = kernels.open_strings(section, len(strings))
    assert view.longest_bytes == max(len(s.encode()) for s in strings)
    for i, text in enumerate(strings):
        raw = text.encode()
        assert view.get(i, view.longest_bytes) == (0, raw, len(raw))
        for capacity in {0, 1, len(raw) // 2, max(0, len(raw) - 1)}:
            status = 0 if len(raw) <= capacity else 2
            assert view.get(i, capacity) == (status, raw[:capacity], len(raw))


def test_long_strings_and_long_shared_prefixes(kernels):
    rng = np.random.default_rng(0)
    noise = "".join(chr(c) for c in rng.integers(33, 2000, 30000))[:20000]
    strings = [noise, noise + "a", noise + "b", "x" * 65535, noise[:3000]]
    section = pack_strings(strings)
    assert unpack_strings(section) == strings
    view = kernels.open_strings(section, 5)
    for i, text in enumerate(strings):
        assert view.get(i, 65535)[1] == text.encode()


def test_sorted_phrases_shrink_to_less_than_half():
    nouns = ["river", "mountain", "engine", "university", "protein", "language", "theory", "instrument"]
    kinds = ["american", "ancient", "artificial", "british", "chemical", "electrical", "general", "japanese", "modern"]
    places = ["of the north", "of the south", "in medicine", "in music", "of government", "with wings"]
    strings = sorted(f"{kind} {noun} {place}" for kind in kinds for noun in nouns for place in places)
    section = pack_strings(strings)
    assert len(section) - 2336 < 0.25 * sum(map(len, strings))
    shuffled = list(np.random.default_rng(0).permutation(strings))
    assert len(pack_strings(shuffled)) - 2336 < 0.4 * sum(map(len, strings))


@pytest.mark.parametrize(
    ("strings", "message"),
    [([], "at least one"), (["a", "b\0"], "string 1 holds a NUL"), (["a" * 65536], "65,536 bytes")],
)
def test_packing_refuses(strings, message):
    with pytest.raises(BadInput, match=message):
        pack_strings(strings)


@pytest.mark.parametrize(
    ("at", "value"),
    [(0, 4), (4, 2), (8, 256), (8, 0), (12, 1), (16, 1), (32, 9), (288 + 7, 0x01000000), (2336, 1), (2340, 2**31)],
)
def test_both_readers_refuse_a_changed_number(kernels, at, value):
    strings = ["mark", "marker", "markers"]
    section = bytearray(pack_strings(strings))
    struct.pack_into("<I", section, at, value)
    with pytest.raises(BadInput, match="string section"):
        unpack_strings(bytes(section))
    view = kernels.open_strings(bytes(section), 3)
    assert view is None or view.get(2, 7)[0] == 1


def read_or_refusal(section: bytes) -> tuple[list[str] | None, str]:
    try:
        return unpack_strings(section), ""
    except BadInput as refused:
        return None, str(refused)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_both_readers_agree_on_damaged_sections(kernels, data):
    """Where Python reads all of a changed section, C reads the same; where Python refuses, C refuses something."""
    strings = ["mark", "marker", "markers of the X", "", "日本", *["er" * n for n in range(15)]]
    section = bytearray(pack_strings(strings))
    for _ in range(data.draw(st.integers(1, 3))):
        where = st.integers(0, 300) | st.integers(2336, len(section) - 1)
        section[data.draw(where)] = data.draw(st.integers(0, 255))
    read, refusal = read_or_refusal(bytes(section))
    view = kernels.open_strings(bytes(section), len(strings))
    if view is None:
        assert read is None or len(read) != len(strings)
        return
    got = [view.get(i, view.longest_bytes) for i in range(len(strings))]
    if read is not None:
        assert [raw for _, raw, _ in got] == [text.encode() for text in read]
    else:  # C leaves UTF-8 to whoever reads the string
        assert "UTF-8" in refusal or any(status == 1 for status, _, _ in got)


def test_decoder_under_the_address_sanitizer(tmp_path):
    """runtime/tests/test_strings.c with a section of real size in its hands."""
    rng = np.random.default_rng(0)
    strings = sorted("".join(chr(c) for c in rng.integers(97, 103, rng.integers(0, 30))) for _ in range(100))
    (tmp_path / "section").write_bytes(pack_strings([*strings, "日本語", "x" * 300]))
    program = tmp_path / "test_strings"
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover"]
    sources = [RUNTIME / "tests" / "test_strings.c", RUNTIME / "src" / "strings.c", RUNTIME / "src" / "fold.c"]
    subprocess.run(["gcc", *flags, *map(str, sources), "-o", str(program)], check=True)
    done = subprocess.run([program, tmp_path / "section"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_sections_are_the_bytes_that_they_always_were(monkeypatch):
    """The choice of symbols changes no string, only bytes: whoever changes it on purpose changes these hashes."""
    rng = np.random.default_rng(7)
    parts = ["hydro", "thermo", "graph", "ology", "itis", " of the ", "-", " ", "Ä", "日本", "er", "s", "mark", "et"]
    some = ["".join(parts[part] for part in rng.integers(0, 14, rng.integers(0, 9))) for _ in range(700)]

    def digest(strings):
        return sha256(pack_strings(strings)).hexdigest()[:32]

    assert digest(some) == "b03190130665b49fe4638dab9b8f8616"
    assert digest(sorted(some)) == "4a7998114426a5435e45fb6d4ca6fce7"
    monkeypatch.setattr("edgexl.bundle.strings._CHUNK_BYTES", 500)  # encoded in many pieces: the same
    assert digest(some) == "b03190130665b49fe4638dab9b8f8616"
    monkeypatch.setattr("edgexl.bundle.strings._SAMPLE_BYTES", 3000)  # symbols chosen from a part of the strings
    assert digest(some) == "b37af7fbb5bbb54e056876622cead904"
    monkeypatch.setattr("edgexl.bundle.strings._SAMPLE_BYTES", 8000)  # of nearly all: every whole block
    assert digest(some) == "7a32ebfa2fb589beb20fc99ca1168c09"
