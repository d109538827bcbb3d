"""SKOS and other RDF thesauri, by rdflib, which is an extra: a concept is a label.

    skos:prefLabel (rdfs:label where there is none)  text
    skos:altLabel, skos:hiddenLabel                   aliases
    skos:definition, skos:scopeNote                   descriptions
    skos:notation, where every concept has its own    id; else the concept's URI

Literals are those of one language: the one that most texts are in, unless another one is given; a literal without a
language counts for each.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from typing import Any
from xml.sax import SAXParseException

from edgexl.base.errors import BadInput, shorten
from edgexl.data.tables.table import Problem, Table

FORMATS = {"turtle": "Turtle", "xml": "RDF/XML", "nt": "N-Triples"}
_COLUMNS = ("id", "text", "aliases", "descriptions")
_LINE = re.compile(r"at line (\d+)")


def read_thesaurus(file: str, text: str, form: str, language: str | None = None) -> Table:
    """A table of the concepts of an RDF document in one of `FORMATS`. `language`: a tag such as "en". Raises `BadInput`
    where rdflib is missing, the document is malformed, or has no concept with a text."""
    try:
        from rdflib import RDF, RDFS, SKOS, Graph, Literal
        from rdflib.exceptions import Error, ParserError
    except ImportError:
        raise BadInput(
            f"{file} is RDF, which rdflib reads, and that is not installed; pip install 'edgexl[tables]', or export "
            "the thesaurus as CSV."
        ) from None
    logging.getLogger("rdflib").setLevel(logging.ERROR)  # it warns of every literal that is no number or date
    graph = Graph()
    try:
        graph.parse(data=text, format=form)
    except SAXParseException as error:
        raise BadInput(
            f"{file}, line {error.getLineNumber()}: is not sound {FORMATS[form]} ({error.getMessage()}); correct it."
        ) from None
    except (Error, ParserError, ValueError, SyntaxError, LookupError, AssertionError) as error:
        raise _refuse(file, form, text, error) from None

    def literals(concept: Any, *kinds: Any) -> list[tuple[str, str]]:
        """(language, text) of each literal, sorted."""
        found = [value for kind in kinds for value in graph.objects(concept, kind) if isinstance(value, Literal)]
        return sorted(((value.language or "").lower(), " ".join(str(value).split())) for value in found)

    concepts = sorted({*graph.subjects(RDF.type, SKOS.Concept), *graph.subjects(SKOS.prefLabel, None)}, key=str)
    named = [SKOS.prefLabel]
    if not concepts:
        concepts, named = sorted(set(graph.subjects(RDFS.label, None)), key=str), [RDFS.label]
    if not concepts:
        raise BadInput(f"{file} holds no skos:Concept and no rdfs:label; give a thesaurus of such.")
    texts = [literals(concept, *named) or literals(concept, RDFS.label) for concept in concepts]
    chosen = _choose_language(file, texts, language)
    ids = _ids(concepts, [list(map(str, graph.objects(concept, SKOS.notation))) for concept in concepts])
    rows, lines, problems, others = [], [], [], 0
    for number, (concept, uid, own) in enumerate(zip(concepts, ids, texts, strict=True), 1):
        fitting = _of_language(own, chosen)
        if not fitting and not own:
            problems.append(Problem(number, f"<{shorten(str(concept))}> has no skos:prefLabel; give it one"))
            continue
        others += not fitting
        name, *more = fitting or [own[0][1]]
        aliases = more + _of_language(literals(concept, SKOS.altLabel, SKOS.hiddenLabel), chosen)
        described = _of_language(literals(concept, SKOS.definition, SKOS.scopeNote), chosen)
        rows.append([uid, name, list(dict.fromkeys(aliases)), described])
        lines.append(number)
    if not rows:
        raise BadInput(f"{file}: no concept has a text; give each a skos:prefLabel.")
    notes = [f"{others:,} concepts have no text in '{chosen}', and keep one in another language"] if others else []
    roles = {"id": ("id",), "text": ("text",), "aliases": ("aliases",), "descriptions": ("descriptions",)}
    details = {"language": chosen or "none"}
    return Table(
        file, f"RDF thesaurus ({FORMATS[form]})", _COLUMNS, rows, lines, "concept", details, tuple(notes),
        tuple(problems), roles,
    )  # fmt: skip


def _refuse(file: str, form: str, text: str, error: Exception) -> BadInput:
    message = " ".join(str(error).split())
    known = _LINE.search(message)
    where = f", line {known[1]}" if known else ""
    if form == "nt":
        # its parser quotes what it could not read, and counts no lines
        rest = str(error).rpartition(": ")[2].strip().strip("'\"")
        lines = [number for number, line in enumerate(text.split("\n"), 1) if rest and rest in line]
        where = f", line {lines[0]}" if lines else ""
    message = re.sub(r"^at line \d+ of <[^>]*>:\s*", "", message).partition(" at ^ in:")[0]
    return BadInput(f"{file}{where}: is not sound {FORMATS[form]} ({shorten(message, 160)}); correct it.")


def _choose_language(file: str, texts: list[list[tuple[str, str]]], wanted: str | None) -> str:
    """The language that most concepts have a text in, of equals English or else the first by its tag; "" for none."""
    counts = Counter(tag for own in texts for tag in {tag for tag, _ in own})
    if wanted is not None:
        tag = wanted.lower()
        if tag not in counts:
            known = ", ".join(f"'{each}'" for each, _ in counts.most_common(12) if each) or "no language"
            raise BadInput(f"{file} has no texts in the language '{shorten(wanted)}'; there are {known}.")
        return tag
    tagged = {tag: count for tag, count in counts.items() if tag}
    return min(tagged, key=lambda tag: (-tagged[tag], tag != "en", tag)) if tagged else ""


def _of_language(literals: list[tuple[str, str]], chosen: str) -> list[str]:
    """The texts in a language, then those in none; empty ones are left out."""
    own = [text for tag, text in literals if tag == chosen and text]
    return own + [text for tag, text in literals if not tag and chosen and text]


def _ids(concepts: list[Any], notations: list[list[str]]) -> list[str]:
    """Each concept's notation where all have one that is theirs alone, else its URI."""
    codes = [own[0] for own in notations if len(own) == 1]
    if len(set(codes)) == len(concepts):
        return codes
    return list(map(str, concepts))
