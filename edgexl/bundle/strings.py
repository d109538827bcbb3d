"""Compressed strings with random access: the label_texts and label_ids sections.

Strings are coded by a static table of up to 255 symbols of 1 to 8 bytes, after FSST (Boncz, Neumann, Leis: "FSST:
Fast Random Access String Compression", VLDB 2020), behind front coding in blocks of 64: each string says how many
bytes it shares with the one before it in its block, so that sorted label sets gain and unsorted ones lose nothing.
The bytes are specified in docs/format.md, "String sections"; edgexl/runtime/src/strings.c reads them.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from edgexl.base.errors import BadInput

BLOCK_STRINGS = 64
LONGEST_BYTES = 65535
ESCAPE = 255
_HEADER = struct.Struct("<4I16x")
_SAMPLE_BYTES = 1 << 20  # symbols are chosen from so many bytes, taken from evenly spread blocks
_GENERATIONS = 8  # of the symbol table; the published method stops at 5, the gain levels off there
_CHUNK_BYTES = 1 << 21  # encoded at a time: bounds the memory at about 100 bytes a byte
_PIECE_BYTES = 512  # of a long string, parsed side by side with others: no symbol goes over two, which costs 2 in 1,000

_Codes = npt.NDArray[np.uint16]
_NONE = np.uint16(65535)  # no code


def find_fault(text: str) -> str | None:
    """Why a bundle or label file cannot hold `text`, as the end of a sentence about it, or None where it can.

    Ids, texts and aliases of labels are held to the same limits, which are those of `exl_new_label` in edgexl.h.
    """
    length = len(text)
    if not text.isascii():
        try:
            length = len(text.encode())
        except UnicodeEncodeError:
            return "holds half of a surrogate pair; correct it"
    if not length:
        return "is empty"
    if length > LONGEST_BYTES:
        return f"has {length:,} bytes of UTF-8, and at most {LONGEST_BYTES:,} fit; shorten it"
    return "holds a NUL character; remove it" if "\0" in text else None


def pack_strings(strings: Sequence[str], symbols: list[bytes] | None = None) -> bytes:
    """The section that holds `strings` in their order; the same strings give the same bytes. `symbols` are what they
    are coded by, by default what serves them best.

    Raises BadInput for no strings, and for one that has a fault (see `find_fault`).
    """
    if not strings:
        raise BadInput("a string section needs at least one string.")
    for i, text in enumerate(strings):
        if text and (fault := find_fault(text)):
            raise BadInput(f"string {i} {fault}.")
    raw = [text.encode() for text in strings]
    longest = max(map(len, raw))
    shared = _count_shared_bytes(raw)
    suffixes = [text[skip:] for text, skip in zip(raw, shared, strict=True)]
    symbols = symbols or _train_symbols(_sample(suffixes))
    data, offsets = bytearray(), [0]
    for i, (skip, codes) in enumerate(zip(shared, _encode(suffixes, symbols), strict=True)):
        data += _head(skip, len(codes))
        data += codes
        if i % BLOCK_STRINGS == BLOCK_STRINGS - 1 or i == len(raw) - 1:
            offsets.append(len(data))
    if len(data) >= 1 << 32:
        raise BadInput("the strings take more than 4 GiB compressed. Split the label set.")
    table = bytes(len(s) for s in symbols).ljust(256, b"\0") + b"".join(s.ljust(8, b"\0") for s in symbols).ljust(
        2048, b"\0"
    )
    header = _HEADER.pack(len(raw), longest, len(symbols), len(data))
    return header + table + np.array(offsets, "<u4").tobytes() + bytes(data)


def unpack_strings(section: bytes | memoryview) -> list[str]:
    """All strings of a section. Raises BadInput where the section is not exactly as docs/format.md says."""
    section = bytes(section)
    fixed = _HEADER.size + 256 + 2048
    if len(section) < fixed:
        raise _malformed("is too short")
    count, longest, symbol_count, data_bytes = _HEADER.unpack_from(section)
    blocks = -(-count // BLOCK_STRINGS)
    if count == 0 or longest > LONGEST_BYTES or symbol_count > ESCAPE or any(section[16 : _HEADER.size]):
        raise _malformed("has a bad header")
    if len(section) != fixed + 4 * (blocks + 1) + data_bytes:
        raise _malformed("has not the length that its header says")
    lengths, entries = section[_HEADER.size : _HEADER.size + 256], section[_HEADER.size + 256 : fixed]
    symbols = [entries[8 * c : 8 * c + lengths[c]] for c in range(symbol_count)]
    sound = all(1 <= lengths[c] <= 8 and 0 not in symbols[c] for c in range(symbol_count))
    padded = b"".join(s.ljust(8, b"\0") for s in symbols).ljust(2048, b"\0") == entries
    if not sound or not padded or any(lengths[symbol_count:]):
        raise _malformed("has a bad symbol table")
    offsets = np.frombuffer(section, "<u4", blocks + 1, fixed).tolist()
    data = section[fixed + 4 * (blocks + 1) :]
    if offsets[0] != 0 or offsets[-1] != data_bytes or any(a > b for a, b in pairwise(offsets)):
        raise _malformed("has bad block offsets")
    strings: list[str] = []
    for block in range(blocks):
        strings += _read_block(
            data[offsets[block] : offsets[block + 1]], min(BLOCK_STRINGS, count - len(strings)), symbols, longest
        )
    return strings


# ---- front coding -----------------------------------------------------------------------------------------


def read_symbols(section: bytes | memoryview) -> list[bytes]:
    """What the strings of a section are coded by; `unpack_strings` checks it."""
    count, table = _HEADER.unpack_from(section)[2], bytes(section[_HEADER.size : _HEADER.size + 256 + 2048])
    return [table[256 + 8 * i : 256 + 8 * i + table[i]] for i in range(count)]


def _count_shared_bytes(raw: list[bytes]) -> list[int]:
    """For each string the length of its common prefix with the string before it in its block."""
    shared = []
    previous = b""
    for i, text in enumerate(raw):
        limit = 0 if i % BLOCK_STRINGS == 0 else min(len(text), len(previous))
        low = 0
        while low < limit and text[low] == previous[low]:
            low += 1
        shared.append(low)
        previous = text
    return shared


def _head(shared: int, codes: int) -> bytes:
    """Both numbers as nibbles of one byte; 15 stands for 15 + a number of 7-bit groups, lowest first."""
    head = bytearray([min(shared, 15) << 4 | min(codes, 15)])
    for number in (shared, codes):
        if number >= 15:
            rest = number - 15
            while rest >= 128:
                head.append(rest & 127 | 128)
                rest >>= 7
            head.append(rest)
    return bytes(head)


def _read_block(block: bytes, count: int, symbols: list[bytes], longest: int) -> list[str]:
    at, previous, strings = 0, b"", []
    for _ in range(count):
        if at == len(block):
            raise _malformed("has a block that ends early")
        head = block[at]
        shared, at = _read_number(block, at + 1, head >> 4)
        codes, at = _read_number(block, at, head & 15)
        if shared > len(previous) or codes > len(block) - at:
            raise _malformed("has a string that reaches beyond its block")
        previous = previous[:shared] + _decode(block[at : at + codes], symbols)
        if len(previous) > longest:
            raise _malformed("has a string longer than it states")
        at += codes
        try:
            strings.append(previous.decode())
        except UnicodeDecodeError:
            raise _malformed("has a string that is not UTF-8") from None
    if at != len(block):
        raise _malformed("has bytes behind a block's last string")
    return strings


def _read_number(block: bytes, at: int, nibble: int) -> tuple[int, int]:
    if nibble < 15:
        return nibble, at
    more = 0
    for shift in (0, 7, 14):
        if at == len(block):
            break
        more |= (block[at] & 127) << shift
        at += 1
        if block[at - 1] < 128:
            return 15 + more, at
    raise _malformed("has a length that does not end")


def _decode(codes: bytes, symbols: list[bytes]) -> bytes:
    parts, escaped = [], False
    for code in codes:
        if escaped:
            if code == 0:
                raise _malformed("has a NUL in a string")
            parts.append(bytes([code]))
            escaped = False
        elif code == ESCAPE:
            escaped = True
        elif code < len(symbols):
            parts.append(symbols[code])
        else:
            raise _malformed("has a code without a symbol")
    if escaped:
        raise _malformed("has a string that ends in an escape")
    return b"".join(parts)


def _malformed(what: str) -> BadInput:
    return BadInput(f"a string section {what}: the bundle is damaged or not one; compile or copy it again.")


# ---- symbols ----------------------------------------------------------------------------------------------


class _Matcher:
    """Finds at every position of a text at once the symbol to go on with. Codes from 256 on are escaped bytes."""

    def __init__(self, symbols: list[bytes]) -> None:
        self.single = np.arange(256, 512, dtype=np.uint16)
        self.pairs = np.zeros(65536, np.uint16)  # 0 = none, else code + 1
        self.longer: list[tuple[int, npt.NDArray[np.uint64], _Codes]] = []
        for length in range(8, 2, -1):
            found = sorted((int.from_bytes(s, "little"), c) for c, s in enumerate(symbols) if len(s) == length)
            if found:
                self.longer.append(
                    (length, np.array([k for k, _ in found], np.uint64), np.array([c for _, c in found], np.uint16))
                )
        for code, symbol in enumerate(symbols):
            if len(symbol) == 1:
                self.single[symbol[0]] = code
            elif len(symbol) == 2:
                self.pairs[int.from_bytes(symbol, "little")] = code + 1

    def best(self, text: npt.NDArray[np.uint8], sizes: npt.NDArray[np.int64]) -> tuple[_Codes, npt.NDArray[np.int64]]:
        """Code and length of the symbol at each byte that leaves its string the fewest bytes, of equals the longest.

        text: strings of `sizes` bytes one after the other. The longest symbol is not always the best one: always
        taking it costs 3 % more.
        """
        codes = self._matches(text)
        ends = np.cumsum(sizes)
        cost = np.zeros(len(text) + 1, np.int32)  # from a byte to its string's end; a string's end is looked up as 0
        chosen = np.zeros(len(text), np.uint16)
        lengths = np.ones(len(text), np.int64)
        order = np.argsort(-sizes, kind="stable")
        tails, left = ends[order], -np.sort(-sizes)
        for distance in range(1, int(sizes.max(initial=0)) + 1):  # all strings from their ends on, a byte at a time
            tails = tails[: np.searchsorted(-left, -distance, side="right")]
            at = tails - distance
            least = np.full(len(at), 1 << 30, np.int32)
            for length, of_length in enumerate(codes[:distance], 1):
                code = of_length[at]
                after = cost[at + length] if length < distance else np.zeros(len(at), np.int32)
                price = np.where(code == _NONE, 1 << 29, after + 1 + (code >= 256)).astype(np.int32)
                better = price <= least
                least = np.where(better, price, least)
                chosen[at[better]], lengths[at[better]] = code[better], length
            cost[at] = least
        return chosen, lengths

    def _matches(self, text: npt.NDArray[np.uint8]) -> list[_Codes]:
        """For each length from 1 to 8 the code of the symbol of so many bytes that begins at each byte, or _NONE."""
        padded = np.concatenate([text, np.zeros(8, np.uint8)])
        words = np.zeros(len(text), np.uint64)
        for i in range(8):
            words |= padded[i : i + len(text)].astype(np.uint64) << np.uint64(8 * i)
        pair = self.pairs[(words & np.uint64(0xFFFF)).astype(np.int64)]
        found = [self.single[text], np.where(pair > 0, pair - np.uint16(1), _NONE)]
        found += [np.full(len(text), _NONE, np.uint16) for _ in range(3, 9)]
        for length, keys, key_codes in self.longer:
            wanted = words & np.uint64((1 << 8 * length) - 1)
            slot = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
            found[length - 1] = np.where(keys[slot] == wanted, key_codes[slot], _NONE)
        return found


def _sample(strings: list[bytes]) -> list[bytes]:
    total = sum(map(len, strings))
    if total <= _SAMPLE_BYTES:
        return strings
    blocks = len(strings) // BLOCK_STRINGS
    step = max(1, total // _SAMPLE_BYTES)
    return [s for b in range(0, blocks, step) for s in strings[b * BLOCK_STRINGS : (b + 1) * BLOCK_STRINGS]]


def _train_symbols(sample: list[bytes]) -> list[bytes]:
    """Symbols by decreasing gain: each generation codes the sample with the last one's symbols, and the next takes the
    symbols and neighbouring pairs that cover the most bytes."""
    symbols: list[bytes] = []
    for _ in range(_GENERATIONS):
        names = [*symbols, *([b""] * (256 - len(symbols))), *(bytes([b]) for b in range(256))]
        codes, firsts = _parse(sample, _Matcher(symbols))
        counts = np.bincount(codes, minlength=512)
        inside = np.ones(len(codes), bool)
        inside[firsts[firsts < len(codes)]] = False
        pairs = codes[:-1].astype(np.int64)[inside[1:]] * 512 + codes[1:][inside[1:]]
        gains: dict[bytes, int] = {}
        for code in np.flatnonzero(counts).tolist():
            symbol = names[code]
            # an escape costs two bytes, so a single byte in the table is worth more than its length
            gains[symbol] = gains.get(symbol, 0) + int(counts[code]) * (len(symbol) if len(symbol) > 1 else 8)
        kinds, times = np.unique(pairs, return_counts=True)
        for pair, often in zip(kinds.tolist(), times.tolist(), strict=True):
            joined = names[pair // 512] + names[pair % 512]
            if often > 1 and len(joined) <= 8:
                gains[joined] = gains.get(joined, 0) + often * len(joined)
        symbols = sorted(gains, key=lambda s: (-gains[s], s))[:ESCAPE]
    return symbols


def _parse(strings: list[bytes], matcher: _Matcher) -> tuple[_Codes, npt.NDArray[np.int64]]:
    """Codes of all strings one after the other, as few bytes as the symbols allow, and where each string's begin."""
    sizes = np.array([len(s) for s in strings], np.int64)
    begins = np.cumsum(sizes) - sizes
    pieces = _cut(sizes)
    codes, lengths = matcher.best(np.frombuffer(b"".join(strings), np.uint8), pieces)
    taken = np.zeros(len(codes), bool)
    stop = np.cumsum(pieces)
    at = stop - pieces
    while len(at):  # all pieces take a step together
        going = at < stop
        at, stop = at[going], stop[going]
        taken[at] = True
        at = at + lengths[at]
    before = np.concatenate([[0], np.cumsum(taken)])
    return codes[taken], before[begins]


def _cut(sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The sizes of the pieces of strings, those of each in order."""
    counts = -(-sizes // _PIECE_BYTES)
    pieces = np.full(int(counts.sum()), _PIECE_BYTES, np.int64)
    has = counts > 0
    pieces[np.cumsum(counts)[has] - 1] = (sizes - (counts - 1) * _PIECE_BYTES)[has]
    return pieces


def _encode(strings: list[bytes], symbols: list[bytes]) -> list[bytes]:
    """The code bytes of each string, escapes written out."""
    matcher, coded = _Matcher(symbols), []
    begin = 0
    while begin < len(strings):
        end, size = begin, 0
        while end < len(strings) and (end == begin or size + len(strings[end]) <= _CHUNK_BYTES):
            size += len(strings[end])
            end += 1
        codes, firsts = _parse(strings[begin:end], matcher)
        escaped = codes >= 256
        width = 1 + escaped.astype(np.int64)
        places = np.concatenate([[0], np.cumsum(width)])
        out = np.empty(int(places[-1]), np.uint8)
        out[places[:-1]] = np.where(escaped, ESCAPE, codes)
        out[places[:-1][escaped] + 1] = codes[escaped] - 256
        flat, bounds = out.tobytes(), [*places[firsts].tolist(), len(out)]
        coded += [flat[a:b] for a, b in pairwise(bounds)]
        begin = end
    return coded
