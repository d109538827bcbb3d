"""Where small faults can be put into a C source: token by token, inside function bodies only.

Comments, strings, preprocessor lines, static assertions, declarations' sizes and tables outside functions are left
alone. What does not compile is no fault; `c_faults.py` finds that out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""(?P<skip>\s+|//[^\n]*|/\*.*?\*/|^[ \t]*\#(?:\\\n|[^\n])*)
      | (?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
      | (?P<name>[A-Za-z_]\w*)
      | (?P<number>\.?\d(?:[eEpP][+-]|[\w.])*)
      | (?P<mark><<=|>>=|\.\.\.|->|\+\+|--|[<>=!]=|&&|\|\||<<|>>|[-+*/%&|^]=|.)""",
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)
_SWAPS = {
    "<": ("<=", ">="), "<=": ("<", ">"), ">": (">=", "<="), ">=": (">", "<"), "==": ("!=",), "!=": ("==",),
    "&&": ("||",), "||": ("&&",), "<<": (">>",), ">>": ("<<",), "+=": ("-=", "="), "-=": ("+=", "="),
    "*=": ("=",), "|=": ("&=", "="), "&=": ("|=", "="), "^=": ("=",), "<<=": (">>=",), ">>=": ("<<=",),
    "++": ("--",), "--": ("++",),
}  # fmt: skip
_BINARY_SWAPS = {
    "+": ("-",), "-": ("+",), "*": ("+",), "/": ("*",), "%": ("/",), "&": ("|",), "|": ("&",), "^": ("|",)
}  # fmt: skip
_UNARY_DROPS = {"-", "!", "~"}
_COPIES = {"memcpy", "memmove", "memset", "memcmp", "strncmp", "fwrite", "fread"}
_KEYWORDS = {"if", "else", "for", "while", "do", "switch", "case", "default", "return", "break", "continue", "goto"}
_TYPES = {
    *("const", "static", "struct", "union", "enum", "unsigned", "signed", "int", "char", "float", "double", "long"),
    *("short", "void", "_Bool", "bool", "register", "volatile", "extern", "_Alignas", "FILE", "typedef"),
}
_STATUS = re.compile(r"EXL_(OK|BAD_\w+|\w*_TOO_\w+|NO_\w+|INVALID_\w+|EMPTY_\w+|OUT_OF_MEMORY|FILE_\w+|BUNDLE_\w+)$")


@dataclass(frozen=True)
class Change:
    """The text at `begin` to `end` becomes `after`; `statement` are the lines, from 1, of the statement it is in."""

    begin: int
    end: int
    function: str
    kind: str
    after: str
    statement: range


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    begin: int

    @property
    def end(self) -> int:
        return self.begin + len(self.text)


@dataclass
class _Statement:
    """Tokens first to last, by place; a declaration's sizes are no place for a fault."""

    first: int
    last: int
    declares: bool
    header: bool = False  # what is in parentheses behind if, for, while, switch


@dataclass
class _Body:
    function: str
    tokens: list[_Token]
    closing: dict[int, int] = field(default_factory=dict)  # of each opening bracket its closing one

    def __post_init__(self) -> None:
        stack: list[int] = []
        for place, token in enumerate(self.tokens):
            if token.kind == "mark" and token.text in "([{":
                stack.append(place)
            elif token.kind == "mark" and token.text in ")]}" and stack:
                self.closing[stack.pop()] = place
        self.opening = {closing: opening for opening, closing in self.closing.items()}


def find_changes(source: str) -> list[Change]:
    """All changes of a file's text, in order."""
    starts = [0, *(match.end() for match in re.finditer("\n", source))]
    changes = [change for body in _bodies(source) for change in _changes(body, source, starts)]
    return sorted(changes, key=lambda change: (change.begin, change.end, change.after))


def _tokens(source: str) -> list[_Token]:
    found = []
    for match in _TOKEN.finditer(source):
        kind = match.lastgroup or "mark"
        if kind != "skip":
            found.append(_Token(kind, match.group(), match.start()))
    return found


def _bodies(source: str) -> Iterator[_Body]:
    tokens, at = _tokens(source), 0
    while at < len(tokens):
        if tokens[at].text != "{":
            at += 1
            continue
        end, depth = at, 0
        while end < len(tokens):
            depth += {"{": 1, "}": -1}.get(tokens[end].text, 0)
            if depth == 0:
                break
            end += 1
        if at and tokens[at - 1].text == ")":
            opening, depth = at - 1, 0
            while True:
                depth += {")": 1, "(": -1}.get(tokens[opening].text, 0)
                if depth == 0:
                    break
                opening -= 1
            name = tokens[opening - 1].text if tokens[opening - 1].text != ")" else tokens[opening - 2].text  # NAME(x)
            yield _Body(name, tokens[at : end + 1])
        at = end + 1


def _statements(body: _Body) -> Iterator[_Statement]:
    tokens, at = body.tokens, 1
    while at < len(tokens):
        text = tokens[at].text
        if text in ("{", "}", ";", "else", "do"):
            at += 1
        elif text in ("if", "for", "while", "switch") and tokens[at + 1].text == "(":
            last = body.closing[at + 1]
            yield _Statement(at, last, _declares(tokens, at + 2), header=True)
            at = last + 1
        elif text in ("case", "default"):
            while tokens[at].text != ":":
                at += 1
            at += 1
        else:
            last = at
            while last < len(tokens) and tokens[last].text != ";":
                last = body.closing.get(last, last) + 1
            yield _Statement(at, min(last, len(tokens) - 1), _declares(tokens, at))
            at = last + 1


def _declares(tokens: list[_Token], at: int) -> bool:
    one, two, three = (tokens[min(at + i, len(tokens) - 1)] for i in range(3))
    if one.kind != "name" or one.text in _KEYWORDS:
        return False
    if one.text in _TYPES or one.text.endswith("_t") or two.kind == "name":
        return True
    return two.text == "*" and (three.kind == "name" or three.text == "*")


def _changes(body: _Body, source: str, starts: list[int]) -> Iterator[Change]:
    for statement in _statements(body):
        if body.tokens[statement.first].text in ("static_assert", "_Static_assert", "goto"):
            continue
        first, last = (_line(starts, body.tokens[place].begin) for place in (statement.first, statement.last))
        for begin, end, kind, after in (*_whole(body, statement, source), *_inside(body, statement, source)):
            yield Change(begin, end, body.function, kind, after, range(first, last + 1))


def _line(starts: list[int], begin: int) -> int:
    import bisect

    return bisect.bisect_right(starts, begin)


def _whole(body: _Body, statement: _Statement, source: str) -> Iterator[tuple[int, int, str, str]]:
    """A statement left out, a condition negated."""
    tokens = body.tokens
    first, last = tokens[statement.first], tokens[statement.last]
    if statement.header:
        if first.text == "if":
            opening = tokens[statement.first + 1]
            yield opening.begin, last.end, "condition", f"(!{source[opening.begin : last.end]})"
        return
    plain = not statement.declares and (first.kind == "name" or first.text in ("*", "++", "--"))
    if plain and first.text not in _KEYWORDS - {"break", "continue"} and last.text == ";":
        yield first.begin, last.begin, "statement", ""


def _inside(body: _Body, statement: _Statement, source: str) -> Iterator[tuple[int, int, str, str]]:
    tokens, sizes = body.tokens, statement.declares
    skip_to = statement.first
    for place in range(statement.first, statement.last + 1):
        token, before = tokens[place], tokens[place - 1]
        if token.text in ("=", "{"):
            sizes = False
        if place < skip_to:
            continue
        operand = before.kind in ("number", "string") or before.text == "]"
        operand |= before.kind == "name" and before.text not in _KEYWORDS
        operand |= before.text == ")" and not _is_cast(body, place - 1)
        if token.text == "[" and operand:
            closing = body.closing[place]
            if sizes:
                skip_to = closing
            elif not (closing == place + 2 and tokens[place + 1].kind == "number"):
                inner = source[token.end : tokens[closing].begin]
                for sign in "+-":
                    yield token.end, tokens[closing].begin, "index", f"({inner}) {sign} 1"
        elif token.kind == "number":
            yield from ((token.begin, token.end, "constant", after) for after in _other_numbers(token.text))
        elif token.kind == "name":
            yield from _at_name(body, place, source)
        elif token.text in _SWAPS and not (token.text == "<" and before.text == "include"):
            yield from ((token.begin, token.end, "operator", after) for after in _SWAPS[token.text])
        elif token.text in _BINARY_SWAPS and operand and not sizes:
            yield from ((token.begin, token.end, "operator", after) for after in _BINARY_SWAPS[token.text])
        elif token.text in _UNARY_DROPS and not operand:
            yield token.begin, token.end, "sign", ""
        elif token.text == "?":
            begin = _condition_begin(body, place, statement.first)
            yield begin, token.begin, "condition", f"!({source[begin : token.begin].strip()}) "


def _at_name(body: _Body, place: int, source: str) -> Iterator[tuple[int, int, str, str]]:
    tokens = body.tokens
    token, after = tokens[place], tokens[min(place + 1, len(tokens) - 1)]
    if token.text in _COPIES and after.text == "(":
        closing = tokens[body.closing[place + 1]]
        for change in ("- 1", "+ 1"):
            yield closing.begin, closing.begin, "length", f" {change}"
    elif _STATUS.match(token.text):
        other = "EXL_OUT_OF_MEMORY" if token.text == "EXL_OK" else "EXL_OK"
        yield token.begin, token.end, "status", other
        if token.text != "EXL_OK":
            yield token.begin, token.end, "status", "EXL_NO_SUCH_LABEL"
    elif token.text == "return" and after.kind == "name" and tokens[place + 2].text == ";":
        if _STATUS.match(after.text):
            return
        yield after.begin, after.end, "returned", "0"


def _is_cast(body: _Body, closing: int) -> bool:
    opening = body.opening.get(closing)
    if opening is None or closing - opening < 2:
        return False
    inner = body.tokens[opening + 1 : closing]
    named = all(token.kind == "name" or token.text == "*" for token in inner)
    return named and (inner[0].text in _TYPES or inner[0].text.endswith("_t") or inner[-1].text == "*")


def _condition_begin(body: _Body, place: int, first: int) -> int:
    """Where the condition of a `?` begins: behind the bracket, comma, assignment or return before it."""
    at = place - 1
    while at >= first:
        token = body.tokens[at]
        if token.text in ("(", "[", "{", ",", "=", "return", "?", ":", ";") or (
            token.text.endswith("=") and (token.text not in ("==", "!=", "<=", ">="))
        ):
            return body.tokens[at + 1].begin
        at = body.opening.get(at, at) - 1
    return body.tokens[first].begin


def _other_numbers(text: str) -> list[str]:
    whole = re.fullmatch(r"(0[xX][0-9a-fA-F]+|\d+)([uUlL]*)", text)
    if not whole:
        return [f"({text} + 1)"]
    digits, suffix = whole.groups()
    value = int(digits, 0) if digits.lower().startswith("0x") or digits == "0" else int(digits)
    show = hex if digits.lower().startswith("0x") else str
    return [show(other) + suffix for other in (value - 1, value + 1) if other >= 0]
