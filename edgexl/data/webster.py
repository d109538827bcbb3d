"""Definitions of Webster's dictionary of 1913, out of the GNU version of the Collaborative International Dictionary of
English (GCIDE) as Debian packages it.

The text of 1913 is in the public domain; what volunteers added since is not, and stands between it, each part with its
source behind it in brackets. Only what is marked as of 1913, or of its supplement of that year, is taken. A dictionary
for the dict protocol is one text and an index of headwords:

    headword TAB place TAB length    both in base 64, of the text unpacked
"""

from __future__ import annotations

import gzip
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgexl.base.archives import open_deb
from edgexl.base.fetch import Package, fetch
from edgexl.base.progress import Progress, no_progress, track

PACKAGE = Package(
    client="apt",
    name="dict-gcide",
    version="0.48.5+nmu2",
    file_name="dict-gcide_0.48.5+nmu2_all.deb",
    sha256="7b0af5cfde3cbdef5e9d6e78f92ec335ced7c2790f37a40f49bebc6f7347ac0f",
)
_OF_1913 = frozenset({"1913 Webster", "Webster 1913 Suppl."})
_DIGITS = {digit: place for place, digit in enumerate(string.ascii_uppercase + string.ascii_lowercase + "0123456789+/")}
# A source stands in brackets at a paragraph's end; so do notes on usage.
_IN_BRACKETS = re.compile(r"\s*\[([^\[\]]*)\]\s*$")
_SOURCE = re.compile(r"\d{4}|WordNet|PJC|Webster|Century|\bAS\b|RDH|JDB|Stormonth")
_OUT_OF_USE = re.compile(r"\b(?:Obs|Archaic|R|Rare)\b")
_SENSE = re.compile(r"^\d+\.\s+")
_PARTS = re.compile(r"(?:^|\s)\([a-z]\)\s")
_COMPOUND = re.compile(r"^\{([^{}]+)\}(?:,? (?:or|and) \{[^{}]+\})*\s*(?:\([^()]*\))?,\s+(.*)$")
_PRONOUNCED = re.compile(r"^[^\\]*(?:\\[^\\]*\\[^\\]*)*\\[^\\]*\\")
_PART_OF_SPEECH = re.compile(
    r"^[\s,;&]*(?:\([^()]*\)[\s,;&]*)*(?:(?:adv|prep|conj|interj|pron|sing|imp|pl|pr|n|a|v|p|t|i)\.[\s,;&]*)+"
)
_FIELD = re.compile(r"^(?:\([A-Z][^()]*\)\s*)+")
# From here on a definition is done: examples, other names, who said so.
_REST = re.compile(r"[;,]?\s*(?:;\s*as\b|--|\bas in the phrase\b|\bCalled also\b|\bAlso called\b|\bSee (?:also )?\{|"
                   r"\bCf\. |\bAlso used\b|\bHence[,:]|\bNote:).*$", re.DOTALL)  # fmt: skip
_POINTER = re.compile(r"^(?:see|same as|alt\. of|imp\.|p\. p\.|pl\. of|obs\.|a variant|var\. of|of \w+$)", re.I)
_FEWEST_WORDS, _MOST_WORDS = 2, 60


@dataclass(frozen=True)
class Definition:
    """What a word, or words, mean."""

    word: str
    text: str


def read_webster(progress: Progress = no_progress) -> list[Definition]:
    """All definitions of 1913 that are more than a pointer to another word, in the dictionary's order. Raises
    `BadInput` where the package cannot be fetched."""
    progress(f"fetch {PACKAGE}", 0, 1)
    archive = fetch(PACKAGE)
    progress(f"fetch {PACKAGE}", 1, 1)
    text, index = _unpack(archive)
    places: set[tuple[int, int]] = set()
    for line in index.splitlines():
        word, *numbers = line.split("\t")
        if not word.startswith("00-database"):
            first, count = map(_number, numbers)
            places.add((first, count))
    found: dict[Definition, None] = {}
    for begin, length in track(sorted(places), "read Webster's dictionary", progress, every=1000):
        entry = text[begin : begin + length].decode("utf-8", "replace")
        found |= dict.fromkeys(read_entry(entry))
    return list(found)


def read_entry(entry: str) -> Iterator[Definition]:
    """The definitions of 1913 in one entry: of its headword and of the compounds under it."""
    head, *paragraphs = _paragraphs(entry)
    word, first = _split_head(head.lines)
    for paragraph in ([first] if first else []) + [each.text for each in paragraphs if each.is_definition]:
        of, text = word, paragraph
        if compound := _COMPOUND.match(paragraph):
            of, text = compound.group(1), compound.group(2)
        elif paragraph.startswith("{"):
            continue
        for part in _PARTS.split(_SENSE.sub("", text)):
            if meaning := _clean(part):
                yield Definition(of, meaning)


@dataclass(frozen=True)
class _Paragraph:
    """Its lines, without the source, where that is of 1913; else without any."""

    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        return " ".join(line.strip() for line in self.lines)

    @property
    def is_definition(self) -> bool:
        """A sense or a compound: what stands further in is a quotation."""
        if not self.lines:
            return False
        indent = len(self.lines[0]) - len(self.lines[0].lstrip())
        text = self.text
        return (indent <= 3 or bool(_PARTS.match(text))) and not text.startswith(("Note:", "Syn:", "Usage:", "[", "--"))


def _paragraphs(entry: str) -> list[_Paragraph]:
    """All of an entry; of 1913 is a paragraph whose source says so, or the next source behind it."""
    found: list[list[str]] = [[]]
    for line in entry.splitlines():
        if line.strip():
            found[-1].append(line.rstrip())
        elif found[-1]:
            found.append([])
    source = ""
    made: list[_Paragraph] = []
    for lines in reversed([each for each in found if each]):
        noted = _IN_BRACKETS.search(lines[-1])
        if noted and _SOURCE.search(noted.group(1)):
            source = noted.group(1).strip()
            lines = [*lines[:-1], rest] if (rest := lines[-1][: noted.start()].rstrip()) else lines[:-1]
        made.append(_Paragraph(tuple(lines) if source in _OF_1913 else ()))
    return made[::-1] or [_Paragraph(())]


def _split_head(lines: tuple[str, ...]) -> tuple[str, str]:
    """The headword, and the definition that stands in its paragraph, if there is one."""
    if not lines:
        return "", ""
    word = lines[0].split("\\")[0].strip(" ,")
    for at, line in enumerate(lines):
        if _SENSE.match(line.strip()):
            return word, " ".join(each.strip() for each in lines[at:])
    text = _PRONOUNCED.sub("", " ".join(line.strip() for line in lines))
    text = _PART_OF_SPEECH.sub("", text).lstrip()
    while text.startswith("["):
        text = _behind_brackets(text).lstrip(" .,;")
    return word, text if "\\" not in text else ""


def _behind_brackets(text: str) -> str:
    """What stands behind the bracket that the text begins with; nothing where that does not close."""
    depth = 0
    for at, letter in enumerate(text):
        depth += (letter == "[") - (letter == "]")
        if depth == 0:
            return text[at + 1 :]
    return ""


def _clean(text: str) -> str:
    """A meaning alone; nothing where it is out of use, points to another word, or is no more than one."""
    text = _FIELD.sub("", text.strip())
    for note in re.findall(r"\[([^\[\]]*)\]", text):
        if _OUT_OF_USE.search(note):
            return ""
    text = re.sub(r"\[[^\[\]]*\]", "", text)
    text = _REST.sub("", text)
    text = re.sub(r"[{}]", "", re.sub(r'\s*"[^"]*"\s*$', "", text))
    text = re.sub(r"\s+", " ", text).strip(" .,;:")
    words = text.split()
    if _POINTER.match(text) or not len(words) >= _FEWEST_WORDS or not text.isascii():
        return ""
    return " ".join(words[:_MOST_WORDS])


def _unpack(archive: Path) -> tuple[bytes, str]:
    """The text and the index in Debian's package."""
    with open_deb(archive) as tar:
        text, index = (tar.extractfile(f"./usr/share/dictd/gcide.{kind}") for kind in ("dict.dz", "index"))
        assert text is not None  # the archive is the one whose hash is known
        assert index is not None
        return gzip.decompress(text.read()), index.read().decode("utf-8", "replace")


def _number(digits: str) -> int:
    number = 0
    for digit in digits:
        number = 64 * number + _DIGITS[digit]
    return number
