"""What the fuzz targets begin with: sound files of every kind, small ones, and the bundles that lie beside the targets.

The same code gives the same bytes, so nothing of it is stored. What was found by fuzzing and is worth keeping lies in
`tests/fuzz/corpus`.
"""

from __future__ import annotations

import hashlib
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from edgexl.bundle.layout import Kind
from edgexl.bundle.read import read_bundle
from edgexl.bundle.signing import secret_key, sign_bundle
from edgexl.bundle.strings import pack_strings
from edgexl.bundle.tokenizer import Prompts, pack_tokenizer
from edgexl.runtime.binding import NewLabel, open_bundle
from edgexl.use.diff import write_patch
from tests.runtime.c_tests import write_overlay
from tests.runtime.tiny_bundle import build, tiny_tokenizer

ROOT = Path(__file__).parents[2]
TEXTS = (
    "red river",
    "The old king's silver bridge.",
    "Ǻ ﬁne\u0301  텍스트 ⁇ \x00 İ",
    "don't we'll 1234 <mask>",
    "storm " * 40,
)
TOGETHER = (
    (Kind.PARAMETERS, Kind.CALIBRATION),
    (Kind.PARAMETERS, Kind.SCREENER_GRAPH, Kind.REASONER_GRAPH),
    (Kind.PARAMETERS, Kind.CODEBOOK, Kind.COARSE_CODES),
    (Kind.LABEL_TEXTS, Kind.LABEL_IDS),
)
REQUESTS = (
    "GET /predict?text=red+river&k=3&threshold=0.1 HTTP/1.1\r\nHost: localhost:8017\r\n\r\n",
    "GET /health HTTP/1.1\r\nHost: [::1]\r\n\r\n",
    "POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\nred river",
)


def write_seeds(directory: Path) -> None:
    """The bundles into `directory`, and a folder of seeds for each target into its `seeds`."""
    directory.mkdir(parents=True, exist_ok=True)
    base = build(aliases=True, native=True, cells=9, windows=5).write(directory / "base.exl")
    lexical = build(aliases=True, native=True, descriptions=100, lexical=True).write(directory / "lexical.exl")
    for name, seeds in SEEDS.items():
        folder = directory / "seeds" / name
        folder.mkdir(parents=True, exist_ok=True)
        for seed in seeds(base, lexical):
            (folder / hashlib.sha1(seed).hexdigest()).write_bytes(seed)


def _bundles(base: Path, lexical: Path) -> Iterator[bytes]:
    """Each section by itself, and a few together: what is not given is the bundle's own."""
    text = b"\xff" + struct.pack("<H", 17) + b"red river, storms"
    for number, path in enumerate((base, lexical)):
        bundle = read_bundle(path)
        records = {
            entry.kind: bytes([entry.kind]) + struct.pack("<H", entry.length) + bytes(bundle.section(entry.kind))
            for entry in bundle.entries
            if entry.length < 1 << 14
        }
        yield bytes([number])
        yield bytes([number]) + b"\0" + struct.pack("<HH", 40, 64) + path.read_bytes()[64:102]
        for record in records.values():
            yield bytes([number]) + record + text
        for kinds in TOGETHER:
            yield bytes([number]) + b"".join(records[kind] for kind in kinds) + text


def _plans(base: Path, lexical: Path) -> Iterator[bytes]:
    stored = sorted(ROOT.glob("tests/fixtures/format-*/*.exl"))
    for path in (base, lexical, *stored):
        content = path.read_bytes()
        for number in range(struct.unpack_from("<I", content, 12)[0]):
            kind, _, offset, length = struct.unpack_from("<IIQQ", content, 64 + 64 * number)
            if kind in (Kind.SCREENER_GRAPH, Kind.REASONER_GRAPH) and content[offset : offset + 4] == b"\1\0\0\0":
                yield bytes([11, 19, 1, 7]) + content[offset : offset + length]


def _tokenizers(base: Path, lexical: Path) -> Iterator[bytes]:
    from benchmarks import tokenizer_kinds as kinds

    words = tuple(f"{text} {text.upper()}" for text in TEXTS) * 4 + kinds.OTHER_SCRIPTS
    kinds.corpus = lambda: words  # type: ignore[assignment]  # small vocabularies
    made: list[Callable[[], str]] = [
        tiny_tokenizer().to_str, kinds.roberta, kinds.modernbert, kinds.whole_words, kinds.gemma, kinds.llama,
        kinds.metaspace_bpe, kinds.nmt_unigram, kinds.fallback_unigram, kinds.static_unigram,
    ]  # fmt: skip
    text = "\n".join(TEXTS).encode()
    for number, make in enumerate(made):
        prompts = Prompts("query: ", "passage: ") if number % 2 else Prompts()
        yield struct.pack("<H", len(text)) + text + pack_tokenizer(make(), prompts)


def _strings(base: Path, lexical: Path) -> Iterator[bytes]:
    for texts in (["a"], [f"L{number:04}" for number in range(70)], ["été", "État", "Ωmega", "x" * 300, *TEXTS]):
        strings = sorted(text.replace("\0", "") for text in texts)
        yield struct.pack("<HB", len(strings), 2) + strings[0].encode()[:2].ljust(2) + pack_strings(strings)
    texts_of = bytes(read_bundle(lexical).section(Kind.LABEL_TEXTS))
    yield struct.pack("<HB", 300, 3) + b"red" + texts_of


def _label_files(base: Path, lexical: Path) -> Iterator[bytes]:
    with tempfile.TemporaryDirectory() as directory:
        labels = Path(directory) / "l.labels"
        with open_bundle(base, labels_path=labels) as bundle:
            bundle.add_labels([NewLabel("N1", "red river horse")])
            yield labels.read_bytes()[128:]
            bundle.add_labels([NewLabel("N2", "old king", ("a", "b c")), NewLabel("N3", "été")])
            bundle.retire_labels(["L0007", "N1"])
            yield labels.read_bytes()[128:]
            bundle.compact_labels()
            yield labels.read_bytes()[128:]


def _overlays(base: Path, lexical: Path) -> Iterator[bytes]:
    write_overlay(lexical, secret_key(b"edgexl 1", bytes([7]) * 32))
    yield lexical.with_suffix(".exlo").read_bytes()


def _patches(base: Path, lexical: Path) -> Iterator[bytes]:
    for to in (build(aliases=True, native=True, windows=5), build(native=True)):
        with tempfile.TemporaryDirectory() as directory:
            new, patch = to.write(Path(directory) / "new.exl"), Path(directory) / "p.exlp"
            write_patch(base, new, patch)
            yield patch.read_bytes()


def _signatures(base: Path, lexical: Path) -> Iterator[bytes]:
    key = secret_key(b"edgexl 1", bytes([7]) * 32)
    other = secret_key(b"edgexl 2", bytes([8]) * 32)
    signature = sign_bundle(base, key, version=3).text.encode()
    for name in (key.public.line, "untrusted comment: a key\n" + key.public.line + "\n", other.public.line):
        yield bytes([len(name)]) + name.encode() + signature


def _requests(base: Path, lexical: Path) -> Iterator[bytes]:
    yield from (request.encode() for request in REQUESTS)


SEEDS: dict[str, Callable[[Path, Path], Iterator[bytes]]] = {
    "bundle": _bundles,
    "plan": _plans,
    "tokenizer": _tokenizers,
    "strings": _strings,
    "labels": _label_files,
    "overlay": _overlays,
    "patch": _patches,
    "signature": _signatures,
    "http": _requests,
}
