"""Which extensions of an instruction set compiled code uses: AArch64's read here, word by word; x86-64's from a
disassembler's listing.

Names are those that compilers use ("dotprod", "sve", "avx512f"), coarse where nothing hangs on the difference. What
every processor of the architecture runs has no name: Armv8.0-A with floats and vectors, x86-64 with SSE2.
"""

from __future__ import annotations

import re

import numpy as np

# (extension, mask, value) of 32-bit words, after the Arm Architecture Reference Manual, C4.1, "A64 instruction set
# encoding". In hint space, where branch protection lives, old processors do nothing: no extension.
_A64 = tuple(
    (name, np.uint32(mask), np.uint32(value))
    for name, mask, value in (
        ("sve", 0x1E000000, 0x04000000),
        ("sme", 0x9E000000, 0x80000000),
        ("lse", 0x3F200C00, 0x38200000),  # atomic read-modify-write, LDAPR among them
        ("lse", 0x3FA07C00, 0x08A07C00),  # compare and swap
        ("lse", 0xBFA07C00, 0x08207C00),  # pairs
        ("rcpc", 0x3F200C00, 0x19000000),
        ("rdm", 0xBF20F400, 0x2E008400),
        ("rdm", 0xFF20F400, 0x7E008400),
        ("rdm", 0xBF00D400, 0x2F00D000),
        ("crc", 0x7FE0E000, 0x1AC04000),
        ("crypto", 0xFFFE0C00, 0x4E280800),  # AES
        ("crypto", 0xFFE08C00, 0x5E000000),  # SHA-1, SHA-256
        ("crypto", 0xFFFE0C00, 0x5E280800),
        ("crypto", 0xBFE0FC00, 0x0EE0E000),  # 64-bit polynomials
        ("sha3", 0xFF000000, 0xCE000000),
        ("dotprod", 0x9FE0FC00, 0x0E809400),
        ("dotprod", 0x9FC0F400, 0x0F80E000),
        ("i8mm", 0xDFE0F400, 0x4E80A400),
        ("i8mm", 0xBFE0FC00, 0x0E809C00),
        ("i8mm", 0xBFC0F400, 0x0F00F000),
        ("i8mm", 0xBFC0F400, 0x0F80F000),
        ("bf16", 0xBFE0FC00, 0x2E40FC00),
        ("bf16", 0xFFE0FC00, 0x6E40EC00),
        ("bf16", 0xFFFFFC00, 0x1E634000),
        ("bf16", 0xBFFFFC00, 0x0EA16800),
        ("fcma", 0xBF20E400, 0x2E00C400),
        ("fcma", 0xBF20EC00, 0x2E00E400),
        ("fp16", 0x9F60C400, 0x0E400400),
        ("fp16", 0x9F7E0C00, 0x0E780800),
        ("fp16", 0xFFE00C00, 0x1EE00800),  # two sources
        ("fp16", 0xFFE00C00, 0x1EE00C00),  # selection
        ("fp16", 0xFFC00000, 0x1FC00000),  # three sources
        ("fp16fml", 0xBF60FC00, 0x0E20EC00),
        ("fp16fml", 0xBF60FC00, 0x2E20CC00),
        ("jscvt", 0xFFFFFC00, 0x1E7E0000),
        ("pauth", 0xFFFF0000, 0xDAC10000),
        ("pauth", 0xFE9FF800, 0xD61F0800),
        ("memtag", 0xFFE0FC00, 0x9AC01000),
        ("mops", 0x3B200C00, 0x19000400),
    )
)
# What a listing of objdump's says of an instruction: the extension of the first pattern that matches its text. EVEX
# (a first byte of 62) is AVX-512; VEX (c4, c5) is AVX and what goes with it.
_EVEX = (
    ("avx512vnni", r"vpdp(?:bu|ws)sds?\b"),
    ("avx512vbmi", r"vperm[it]2b|vpermb|vpmultishiftqb|vpcompress[bw]|vpexpand[bw]|vpsh[lr]d"),
    ("avx512fp16", r"v\w+(?:ph|sh)\b"),
    ("avx512bf16", r"v\w*bf16"),
    ("avx512ifma", r"vpmadd52"),
    ("avx512bitalg", r"vpopcnt|vpshufbitqmb"),
    ("gfni", r"vgf2p8|vpclmul|vaes"),
    ("avx512", r""),
)
_VEX = (
    ("avx512", r"k(?:mov|and|or|xor|xnor|not|shift|test|unpck|add)\w*\b"),
    ("avxvnni", r"(?:\{vex\} )?vpdp\w+"),
    ("amx", r"t(?:dp|ile|dpb)\w+"),
    ("gfni", r"vgf2p8|vaes|vpclmul"),
    ("avx2", r""),
)
_LEGACY = (
    ("sha", r"sha(?:1|256)"),
    ("crypto", r"aes\w+|pclmul"),
    ("apx", r".*%r(?:1[6-9]|2\d|3[01])\b"),
)
# pairs of bytes in an objdump line, then the text
_LISTED = re.compile(r"^\s*[0-9a-f]+:\s*((?:[0-9a-f]{2} )+)\s*(.*)$", re.M)
_PREFIXES = frozenset({"66", "67", "f2", "f3", "2e", "36", "3e", "26", "64", "65", "f0"})


def a64_extensions(code: bytes) -> frozenset[str]:
    """Extensions that AArch64 `code` uses: whole words of instructions, no data among them."""
    words = np.unique(np.frombuffer(code[: len(code) // 4 * 4], "<u4"))
    return frozenset(name for name, mask, value in _A64 if bool(np.any((words & mask) == value)))


def x86_extensions(listing: str) -> frozenset[str]:
    """Extensions beyond SSE4.2 in what `objdump -d` says of x86-64 code, in AT&T's syntax."""
    found = set()
    for raw, text in set(_LISTED.findall(listing)):
        first = next((byte for byte in raw.split() if byte not in _PREFIXES), "")
        table = {"62": _EVEX, "c4": _VEX, "c5": _VEX}.get(first, _LEGACY)
        found.add(next((name for name, pattern in table if re.match(pattern, text)), ""))
    return frozenset(found - {""})
