"""Which column is what: told by whoever gives the file, or guessed from the columns' names and what they hold."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from edgexl.base.errors import BadInput, shorten
from edgexl.data.tables.delimited import normalise
from edgexl.data.tables.table import Table

# Names without case, blanks and punctuation, the surest first; English, German, French and Spanish.
IDS = (
    "uid", "id", "sku", "labelid", "code", "key", "identifier", "conceptid", "productid", "itemid", "articleid",
    "topicid", "categoryid", "classid", "tagid", "toolid", "answerid", "docid", "ean", "gtin", "upc", "asin", "isbn",
    "notation", "uri", "url", "articlenumber", "itemnumber", "itemno", "productnumber", "partnumber", "partno", "plu",
    "artikelnummer", "artikelnr", "artnr", "nummer", "number", "nr", "no", "referencia", "reference", "ref", "codigo",
)  # fmt: skip
TEXTS = (
    "title", "text", "label", "name", "preflabel", "preferredlabel", "preferredterm", "term", "heading", "labeltext",
    "labelname", "productname", "producttitle", "product", "itemname", "item", "articlename", "article", "topic",
    "topicname", "category", "categoryname", "classname", "class", "tag", "tool", "toolname", "answer", "intent",
    "skill", "occupation", "species", "word", "desc", "bezeichnung", "titel", "produkt", "begriff", "nom", "titre",
    "produit", "libelle", "nombre", "titulo", "producto", "etiqueta",
)  # fmt: skip
ALIASES = (
    "aliases", "alias", "synonyms", "synonym", "altlabels", "altlabel", "hiddenlabel", "hiddenlabels",
    "alternativelabel", "alternativelabels", "alternatives", "alternativenames", "altnames", "othernames", "aka",
    "alsoknownas", "keywords", "keyword", "searchterms", "searchkeywords", "variants", "abbreviation", "abbreviations",
    "acronym", "acronyms", "synonyme", "synonymes", "suchbegriffe", "schlagworte", "sinonimos",
)  # fmt: skip
DESCRIPTIONS = (
    "descriptions", "description", "definition", "definitions", "details", "content", "gloss", "note", "notes",
    "scopenote", "summary", "abstract", "body", "longdescription", "shortdescription", "productdescription", "about",
    "comment", "explanation", "beschreibung", "definicion", "descripcion", "erlauterung",
)  # fmt: skip
QUERY_TEXTS = (
    "query", "queries", "querytext", "searchquery", "searchterm", "search", "question", "utterance", "phrase", "q",
    "request", "usertext", "userquery", "text", "title", "input", "sentence", "message", "content", "description",
    "anfrage", "suche", "suchbegriff", "frage", "recherche", "requete", "consulta", "pregunta",
)  # fmt: skip
QUERY_LABELS = (
    "labels", "label", "labelids", "labelid", "target", "targets", "targetid", "gold", "goldlabel", "answers", "answer",
    "answerid", "category", "categories", "class", "classid", "code", "codes", "sku", "skus", "product", "productid",
    "products", "item", "itemid", "clicked", "clickedid", "bought", "relevant", "intent", "tag", "tags", "topic",
    "topics", "tool", "output", "concept", "conceptid", "id", "artikelnummer", "kategorie", "etikett", "y",
)  # fmt: skip
_KNOWN = frozenset((*IDS, *TEXTS, *ALIASES, *DESCRIPTIONS, *QUERY_TEXTS, *QUERY_LABELS))
# What other names end in: "Book-Title", "employee_code".
_ID_ENDS, _TEXT_ENDS = ("id", "code", "sku", "number"), ("title", "name", "label", "term")
# What parts several texts in one cell, the surest first.
SEPARATORS = ("|", "\n", ";")
_LAST_WORD = re.compile(r"[\s_.-]+|(?<=[a-z])(?=[A-Z])")
_CODE = re.compile(r"(?=\D*\d)[^\s.,;|]{1,64}")
_SEPARATOR_NAMES = {"|": "|", "\n": "line ends", ";": ";"}


@dataclass(frozen=True)
class Wanted:
    """Which column is what, as someone said; what is left out is guessed."""

    id: str | None = None
    text: str | None = None
    aliases: tuple[str, ...] = ()
    descriptions: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelColumns:
    """The columns of a table of labels. Without an `id`, a label's text is its id. `separators`: what parts several
    aliases in a cell, by column; `unused` are passed over."""

    id: str | None
    text: str
    aliases: tuple[str, ...] = ()
    descriptions: tuple[str, ...] = ()
    separators: tuple[tuple[str, str], ...] = ()
    unused: tuple[str, ...] = ()

    def sentence(self) -> str:
        """One line for people."""
        parted = {name: f" (parted at {_SEPARATOR_NAMES[mark]})" for name, mark in self.separators}
        parts = [f"id = {self.id}" if self.id else "id = the text itself", f"text = {self.text}"]
        if self.aliases:
            parts.append(f"aliases = {', '.join(name + parted.get(name, '') for name in self.aliases)}")
        if self.descriptions:
            parts.append(f"descriptions = {', '.join(self.descriptions)}")
        if self.unused:
            some = ", ".join(self.unused[:6]) + (", ..." if len(self.unused) > 6 else "")
            parts.append(f"passed over: {some}")
        return "; ".join(shorten(part, 200) for part in parts)


def choose_label_columns(table: Table, wanted: Wanted | None = None) -> LabelColumns:
    """The columns of a table of labels. Raises `BadInput` for a wanted column that is not there, and where none can be
    told to be the text."""
    wanted = wanted or Wanted()
    known = table.roles
    given = [wanted.id, wanted.text, *wanted.aliases, *wanted.descriptions]
    for name in given:
        if name is not None:
            require_column(table, name)
    if doubled := [name for name, count in Counter(name for name in given if name).items() if count > 1]:
        raise BadInput(f"The column '{doubled[0]}' is named for two roles; name it for one.")
    free = [name for name in table.columns if name not in given]
    uid = wanted.id or _take(
        free, known.get("id") or named(free, IDS) or _ending(free, _ID_ENDS) or _holds_codes(table, free)
    )
    text = wanted.text or _take(free, known.get("text") or named(free, TEXTS) or _ending(free, _TEXT_ENDS))
    aliases = wanted.aliases or _take_all(free, known.get("aliases") or _named_all(free, ALIASES))
    described = wanted.descriptions or _take_all(free, known.get("descriptions") or _named_all(free, DESCRIPTIONS))
    if text is None:
        text, described = _find_text(table, free, described, bool(wanted.descriptions))
        free = [name for name in free if name != text]
    if text is None:
        names = ", ".join(f"'{shorten(name, 30)}'" for name in table.columns[:8])
        raise BadInput(
            f"{table.file}: none of the columns {names} is known to be the labels' text; "
            f"{table.advise('--text', 'text')}."
        )
    return LabelColumns(uid, text, aliases, described, _separators(table, aliases), tuple(free))


def is_column_name(name: str) -> bool:
    """Whether a word is known as a name of columns, or ends as such."""
    folded = normalise(name)
    ends = len(name) <= 40 and bool(_ending([name], (*_ID_ENDS, *_TEXT_ENDS)))
    return folded in _KNOWN or ends


def require_column(table: Table, name: str) -> None:
    """Raise `BadInput` where a table has no such column."""
    if name not in table.columns:
        names = ", ".join(f"'{shorten(column, 30)}'" for column in table.columns[:12])
        raise BadInput(f"{table.file} has no column '{shorten(name)}'{_nearest(name, table.columns)}; it has {names}.")


def _nearest(name: str, columns: Sequence[str]) -> str:
    close = difflib.get_close_matches(name.casefold(), [column.casefold() for column in columns], 1)
    return f", but one named '{next(c for c in columns if c.casefold() == close[0])}'" if close else ""


def named(columns: Sequence[str], names: Iterable[str]) -> tuple[str, ...]:
    """The first of the columns by the order of `names`."""
    by_name = {normalise(column): column for column in reversed(columns)}
    return next(((by_name[name],) for name in names if name in by_name), ())


def _named_all(columns: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """All columns of these names, also numbered ones ("alias 1", "alias_2")."""
    return tuple(column for column in columns if normalise(column).rstrip("0123456789") in names)


def _ending(columns: Sequence[str], ends: tuple[str, ...]) -> tuple[str, ...]:
    """The only column whose name's last word is one of `ends`."""
    found = [name for name in columns if _LAST_WORD.split(name.strip())[-1].casefold() in ends]
    return (found[0],) if len(found) == 1 else ()


def _take(free: list[str], found: Sequence[str]) -> str | None:
    if not found or found[0] not in free:
        return None
    free.remove(found[0])
    return found[0]


def _take_all(free: list[str], found: Sequence[str]) -> tuple[str, ...]:
    taken = tuple(name for name in found if name in free)
    for name in taken:
        free.remove(name)
    return taken


def _find_text(
    table: Table, free: Sequence[str], described: tuple[str, ...], told: bool
) -> tuple[str | None, tuple[str, ...]]:
    """(the text's column by what the columns hold, those of descriptions): the only one that holds words, or what is
    called a description where there is nothing else."""
    wordy = [name for name in free if holds_words(table, name)]
    if len(wordy) == 1:
        return wordy[0], described
    if not wordy and len(described) == 1 and not told:
        return described[0], ()
    return None, described


def holds_words(table: Table, name: str) -> bool:
    """Whether most cells of a column are texts with letters in them."""
    place = table.column(name)
    cells = [row[place] for row in table.rows[:200]]
    texts = [cell for cell in cells if isinstance(cell, str) and sum(map(str.isalpha, cell)) >= 2]
    return bool(cells) and len(texts) > 0.8 * len(cells)


def _holds_codes(table: Table, free: Sequence[str]) -> tuple[str, ...]:
    """The first column where all its cells differ and look like codes: no blanks, some digit, no decimals."""
    first = table.columns[0]
    cells = [str(row[0]) for row in table.rows if row[0] is not None]
    if first not in free or len(cells) < len(table.rows) or len(set(cells)) < len(cells) or len(cells) < 2:
        return ()
    return (first,) if all(_CODE.fullmatch(cell) for cell in cells) else ()


def _separators(table: Table, columns: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """What parts the texts of a cell, of those columns in which anything does."""
    found = []
    for name in columns:
        place = table.column(name)
        counts = dict.fromkeys(SEPARATORS, 0)
        for row in table.rows:
            if isinstance(row[place], str):
                for mark in SEPARATORS:
                    counts[mark] += mark in row[place].strip()
        best = max(SEPARATORS, key=counts.__getitem__)  # of equals the surest
        if counts[best]:
            found.append((name, best))
    return tuple(found)


def split_cell(cell: Any, separator: str | None) -> list[Any]:
    """The texts of a cell: those of a list, or of a string, parted where it is; empty ones are left out."""
    if cell is None:
        return []
    parts = list(cell) if isinstance(cell, list | tuple) else [cell]
    if len(parts) == 1 and isinstance(parts[0], str) and separator:
        parts = parts[0].split(separator)
    stripped = [part.strip() if isinstance(part, str) else part for part in parts]
    return [part for part in stripped if part not in ("", None)]
