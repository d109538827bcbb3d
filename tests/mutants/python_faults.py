"""Small faults in edgexl's Python: where they can be put, and how they are tried.

A fault is put into a node of the syntax tree, never into what decides no answer: documentation, types, the words of
errors, assertions, progress, and the equal ones of `equivalent.py`.
"""

from __future__ import annotations

import ast
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from edgexl.base.fetch import cache_directory
from tests.mutants import BUDGET_SECONDS, Fault, Outcome
from tests.mutants.equivalent import is_equivalent
from tests.mutants.record import Record, record_tests
from tests.mutants.scratch import Scratch, scratch_copy
from tests.mutants.trial import Trials

FIRST = 6  # tests that are tried before all others
# The modules that decide answers.
MODULES = (
    *(
        "edgexl/data/metrics.py",
        "edgexl/compiler/recipe.py",
        "edgexl/target.py",
        "edgexl/use/evaluate.py",
        "edgexl/use/answer.py",
    ),
    *(
        "edgexl/use/labels.py",
        "edgexl/base/ragged.py",
        "edgexl/base/toml.py",
        "edgexl/base/gzipped_lines.py",
        "edgexl/runtime/answers.py",
        "edgexl/runtime/binding.py",
        "edgexl/runtime/library.py",
    ),
    *("edgexl/student/*", "edgexl/index/*", "edgexl/compiler/*", "edgexl/bundle/*", "edgexl/data/*"),
    *("edgexl/distill/*", "edgexl/predict/*", "edgexl/cli/answer.py", "edgexl/cli/labels.py"),
)
LEFT_OUT = (
    "edgexl/*/__init__.py",  # names only
    "edgexl/compiler/encoding/ray_workers.py",  # needs a cluster
    "edgexl/distill/characterize/pages.py",  # how a report looks
    "edgexl/distill/report.py",
    "edgexl/distill/finishing/table.py",
)

_SWAPS: dict[type[ast.AST], tuple[type[ast.AST], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,), ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,), ast.And: (ast.Or,), ast.Or: (ast.And,), ast.Add: (ast.Sub,), ast.Sub: (ast.Add,),
    ast.Mult: (ast.Add, ast.FloorDiv), ast.Div: (ast.Mult,), ast.FloorDiv: (ast.Mult,), ast.Mod: (ast.FloorDiv,),
    ast.BitAnd: (ast.BitOr,), ast.BitOr: (ast.BitAnd,), ast.LShift: (ast.RShift,), ast.RShift: (ast.LShift,),
    ast.Pow: (ast.Mult,),
}  # fmt: skip
_TWINS = (
    ("min", "max"), ("minimum", "maximum"), ("argmin", "argmax"), ("any", "all"), ("floor", "ceil"),
    ("zeros", "ones"), ("startswith", "endswith"), ("sum", "max"), ("mean", "max"), ("logical_and", "logical_or"),
)  # fmt: skip
_TWIN = {one: other for first, second in _TWINS for one, other in ((first, second), (second, first))}
_TWIN |= {"sum": "max", "max": "min", "sorted": "list", "cumsum": "asarray", "unique": "asarray"}
_DROPPED_CALLS = {
    *("abs", "sorted", "reversed", "sqrt", "log2", "log", "exp", "sort", "normalize", "clip", "nextafter", "round"),
    *("strip", "rstrip", "lstrip", "lower", "casefold", "set", "clamp"),
}  # a call that is left out: its first argument, or the object that the method is of, stays
# Dropped, these change nothing here: where there is one device, where text is UTF-8 unless told, and where checks are
# for the programmer.
_UNSEEN_ARGUMENTS = {"strict", "progress", "dtype", "device", "encoding"}
# Who reads these sees progress, or a program's words, not an answer.
_SPEAKERS = {"progress", "report", "print", "warn", "echo", "_note", "note", "info", "say", "tell", "told"}


@dataclass(frozen=True)
class _Place:
    """A node that can be changed: the text of it, and the changed texts by kind."""

    node: ast.AST
    function: str
    changes: tuple[tuple[str, str], ...]


def find_faults(root: Path) -> list[Fault]:
    """All faults that can be put into the modules that decide answers."""
    found = []
    for path in sorted((root / "edgexl").rglob("*.py")):
        name = str(path.relative_to(root))
        if any(fnmatch(name, one) for one in MODULES) and not any(fnmatch(name, one) for one in LEFT_OUT):
            found += faults_of(name, path.read_text())
    return found


def faults_of(path: str, source: str) -> list[Fault]:
    """All faults of one file."""
    lines = source.encode().splitlines(keepends=True)
    begins = [0]
    for line in lines:
        begins.append(begins[-1] + len(line))
    finder = _Finder()
    finder.visit(ast.parse(source))
    found = []
    for place in finder.places:
        node = place.node
        begin = begins[node.lineno - 1] + node.col_offset  # type: ignore[attr-defined]
        end = begins[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]
        before = source.encode()[begin:end].decode()
        for kind, after in place.changes:
            fault = Fault(path, node.lineno, begin, end, place.function, kind, before, after)  # type: ignore[attr-defined]
            if not is_equivalent(fault):
                found.append(fault)
    return found


def _parses(source: bytes) -> bool:
    try:
        compile(source, "fault", "exec", dont_inherit=True)
    except SyntaxError:
        return False
    return True


class _Finder(ast.NodeVisitor):
    """Collects the places of a module."""

    def __init__(self) -> None:
        self.places: list[_Place] = []
        self.names: list[str] = []

    def _add(self, node: ast.AST, *changes: tuple[str, ast.AST | str]) -> None:
        texts = tuple((kind, new if isinstance(new, str) else _text(new)) for kind, new in changes)
        texts = tuple((kind, text) for kind, text in texts if text != ast.unparse(node))
        if texts:
            self.places.append(_Place(node, ".".join(self.names), texts))

    # what is passed over

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """The places of what is inside an f-string are not known before Python 3.12."""

    def visit_Raise(self, node: ast.Raise) -> None:
        """An error's words decide nothing; whether it is raised does (`_statements`)."""

    def visit_Assert(self, node: ast.Assert) -> None:
        """For the type checker."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_Assign(self, node: ast.Assign) -> None:
        named = {target.id for target in node.targets if isinstance(target, ast.Name)}
        alias = not self.names and isinstance(node.value, ast.Subscript)
        if not alias and "__all__" not in named:
            self.visit(node.value)
            for target in node.targets:
                if not isinstance(target, ast.Name):
                    self.visit(target)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        if any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases):
            return
        self.names.append(node.name)
        self._statements(node.body)
        self.names.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if node.name in ("__repr__", "__str__"):
            return
        self.names.append(node.name)
        for default in [*node.args.defaults, *(one for one in node.args.kw_defaults if one is not None)]:
            self.visit(default)
        self._statements(node.body)
        self.names.pop()

    def visit_Module(self, node: ast.Module) -> None:
        self._statements(node.body)

    # statements

    def _statements(self, body: Sequence[ast.stmt]) -> None:
        for statement in body:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                continue
            if isinstance(statement, ast.Expr) and (_speaks(statement.value) or _moves(statement.value)):
                continue
            if isinstance(statement, ast.If) and (_is_for_types(statement) or _only_speaks(statement)):
                continue
            self._statement(statement)
            self.visit(statement)

    def _statement(self, statement: ast.stmt) -> None:
        match statement:
            case ast.Expr(ast.Call() | ast.Await()) | ast.AugAssign() | ast.Raise() | ast.Delete():
                self._add(statement, ("statement dropped", "pass"))
            case ast.Assign(targets=[ast.Subscript() | ast.Attribute()]):
                self._add(statement, ("statement dropped", "pass"))
            case ast.Break():
                self._add(statement, ("break", "continue"))
            case ast.Continue():
                self._add(statement, ("continue", "break"), ("continue", "pass"))
            case ast.Return(ast.BoolOp(values=[first, *_]) | ast.BinOp(left=first)):
                self._add(statement, ("return", f"return {_text(first)}"))

    def generic_visit(self, node: ast.AST) -> None:
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "type_params", "decorator_list", "bases"):
                continue
            if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
                self._statements(value)
                continue
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, ast.AST):
                    self.visit(one)

    # expressions

    def visit_If(self, node: ast.If | ast.While | ast.IfExp) -> None:
        self._condition(node.test)
        self.generic_visit(node)

    visit_While = visit_If
    visit_IfExp = visit_If

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for condition in node.ifs:
            self._add(condition, ("filter dropped", "True"))
        self.generic_visit(node)

    def _condition(self, test: ast.expr) -> None:
        match test:
            case ast.Compare(ops=[_]) | ast.Constant():
                pass  # by visit_Compare
            case ast.UnaryOp(ast.Not(), inner):
                self._add(test, ("condition", inner))
            case _:
                self._add(test, ("condition", f"(not {_text(test)})"))

    def visit_Compare(self, node: ast.Compare) -> None:
        for place, operator in enumerate(node.ops):
            for swap in _SWAPS.get(type(operator), ()):
                operators = [*node.ops[:place], swap(), *node.ops[place + 1 :]]
                self._add(node, ("comparison", ast.Compare(node.left, operators, node.comparators)))  # type: ignore[arg-type]
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        (swap,) = _SWAPS[type(node.op)]
        changes: list[tuple[str, ast.AST | str]] = [("and, or", ast.BoolOp(swap(), node.values))]  # type: ignore[arg-type]
        for place in range(len(node.values)):
            rest = node.values[:place] + node.values[place + 1 :]
            changes.append(("operand dropped", rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)))
        self._add(node, *changes)
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.operand, ast.Constant):
            if node.operand.value == 1 and isinstance(node.op, ast.USub):
                self._add(node, ("number", "0"))
            return
        self._add(node, ("sign" if isinstance(node.op, ast.USub) else "not", node.operand))
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        is_text = any(isinstance(side, ast.JoinedStr) or _is_words(side) for side in (node.left, node.right))
        if not is_text:
            swaps = _SWAPS.get(type(node.op), ())
            if isinstance(node.op, ast.Div) and (_is_words(node.left) or _is_words(node.right)):
                swaps = ()
            self._add(node, *(("operator", ast.BinOp(node.left, swap(), node.right)) for swap in swaps))  # type: ignore[arg-type]
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if isinstance(node.slice, ast.Constant) and node.slice.value == 0 and type(node.slice.value) is int:
            self._add(node.slice, ("number", "1"))  # of one element, the last is the first
            self.visit(node.value)
        else:
            self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, bool):
            self._add(node, ("flag", str(not value)))
        elif isinstance(value, int):
            self._add(node, ("number", str(value + 1)), ("number", f"({value - 1})" if value < 1 else str(value - 1)))
        elif isinstance(value, float) and value:
            self._add(node, ("number", repr(value * 2)), ("number", repr(value / 2)))
        elif isinstance(value, float):
            self._add(node, ("number", "1.0"))

    def visit_Slice(self, node: ast.Slice) -> None:
        lower, upper, step = (_text(one) if one else "" for one in (node.lower, node.upper, node.step))
        tail = f":{step}" if step else ""
        changes = []
        if lower:
            changes += [("slice", f"{lower} + 1:{upper}{tail}"), ("slice", f":{upper}{tail}")]
        if upper:
            changes += [("slice", f"{lower}:{upper} - 1{tail}"), ("slice", f"{lower}:{tail}")]
        if step:
            changes += [("slice", f"{lower}:{upper}")]
        self._add(node, *changes)
        self.generic_visit(node)

    def visit_keyword(self, node: ast.keyword) -> None:
        if node.arg not in _UNSEEN_ARGUMENTS or not isinstance(node.value, ast.Constant):
            self.visit(node.value)

    def visit_Call(self, node: ast.Call) -> None:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in _SPEAKERS or name in ("cast", "field", "TypeVar", "isinstance"):
            return
        changes: list[tuple[str, ast.AST | str]] = []
        for place, keyword in enumerate(node.keywords):
            if keyword.arg is not None and keyword.arg not in _UNSEEN_ARGUMENTS:
                rest = node.keywords[:place] + node.keywords[place + 1 :]
                changes.append(("argument dropped", ast.Call(node.func, node.args, rest)))
        starred = any(isinstance(one, ast.Starred) for one in node.args[:2])
        if len(node.args) > 1 and not starred and type(node.args[0]) is type(node.args[1]):
            swapped = [node.args[1], node.args[0], *node.args[2:]]
            changes.append(("arguments swapped", ast.Call(node.func, swapped, node.keywords)))
        if len(node.args) > 2 and not isinstance(node.args[-1], ast.Starred):
            changes.append(("argument dropped", ast.Call(node.func, node.args[:-1], node.keywords)))
        if name in _TWIN:
            twin = _TWIN[name]
            function = ast.Attribute(node.func.value, twin) if isinstance(node.func, ast.Attribute) else ast.Name(twin)
            changes.append(("twin", ast.Call(function, node.args, node.keywords)))
        if name in _DROPPED_CALLS:
            module = isinstance(node.func, ast.Attribute) and _is_module(node.func.value)
            of = node.func.value if isinstance(node.func, ast.Attribute) and not module else None
            kept = of or (node.args[0] if node.args else None)
            if kept is not None:
                changes.append(("call dropped", kept))
        self._add(node, *changes)
        self.generic_visit(node)


def _text(node: ast.AST) -> str:
    """The node's source, in parentheses where what surrounds it might bind more tightly."""
    text = ast.unparse(node)
    plain = isinstance(node, (ast.Name, ast.Constant, ast.Call, ast.Attribute, ast.Subscript, ast.stmt))
    return text if plain else f"({text})"


def _is_words(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_module(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id in ("np", "torch", "math", "functional", "F")


def _is_for_types(node: ast.If) -> bool:
    return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _speaks(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Attribute):
        return node.func.attr in _SPEAKERS
    return getattr(node.func, "id", "") in _SPEAKERS | {"log"}


def _moves(node: ast.AST) -> bool:
    """A module to a device: without a second device, nobody can tell."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("to", "cpu")


def _only_speaks(node: ast.If) -> bool:
    return not node.orelse and all(isinstance(one, ast.Expr) and _speaks(one.value) for one in node.body)


# Trying them


def try_faults(root: Path, faults: Sequence[Fault], record_first: bool = True) -> Iterator[Outcome]:
    """Each fault against the tests that cover it. Test files that are new or changed are first run once, to see what
    they cover."""
    place = cache_directory() / "mutants"
    with scratch_copy(root) as scratch:
        if record_first and (stale := Record(place, scratch.root).stale()):
            record_tests(scratch, place, stale)
        record = Record(place, scratch.root)
        trials = Trials(scratch)
        sound: dict[str, bool] = {}
        try:
            for fault in faults:
                source = (scratch.root / fault.path).read_bytes()
                if not _parses(fault.apply(source)):
                    continue
                if record.is_old():  # another process records, too
                    record = Record(place, scratch.root)
                covering = record.covering(fault.path, covered_lines(source.decode(), fault))
                yield _try(scratch, trials, fault, [one.test for one in covering], sound)
        finally:
            trials.close()


def _try(scratch: Scratch, trials: Trials, fault: Fault, tests: list[str], sound: dict[str, bool]) -> Outcome:
    """Run the tests with the fault. `sound`: of tests that failed before, whether they pass without a fault."""
    source = (scratch.root / fault.path).read_bytes()
    begun, left, run = time.perf_counter(), BUDGET_SECONDS, 0
    by, note = None, "" if tests else "no test covers it"
    # the first few, which see most faults, come alone: all of them together take seconds to be imported
    waiting = [tests[:FIRST], tests[FIRST:]]
    while waiting and left > 0:
        some = waiting.pop(0)
        if not some:
            continue
        scratch.write(fault.path, fault.apply(source))
        scratch.forget()
        said = trials.run(some, left)
        scratch.write(fault.path, source)
        left, run, note, by = left - said["cpu"], run + said["tests"], said["note"], said["by"]
        if said["seen"] and by in some:
            if by not in sound:
                scratch.forget()
                sound[by] = not trials.run([by], BUDGET_SECONDS)["seen"]
            if not sound[by]:  # it fails without the fault, too, and has seen nothing
                waiting.insert(0, [test for test in some if test != by])
                by = None
                continue
        if said["seen"]:
            return Outcome(fault, True, by, run, len(tests), time.perf_counter() - begun, note)
    return Outcome(fault, False, None, run, len(tests), time.perf_counter() - begun, note)


def covered_lines(source: str, fault: Fault) -> range:
    """The lines whose tests are a fault's: those of its statement; of what is run when a module is imported, the whole
    file's; of a parameter's default, its function's."""
    line = fault.line
    functions: list[ast.FunctionDef] = []
    statements: list[ast.stmt] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or line):
            statements.append(node)
            if isinstance(node, ast.FunctionDef):
                functions.append(node)
    if not functions:
        return range(1, len(source.splitlines()) + 1)
    function = max(functions, key=lambda one: one.lineno)
    if line < function.body[0].lineno:
        return range(function.body[0].lineno, (function.end_lineno or line) + 1)
    smallest = min(statements, key=lambda one: (one.end_lineno or one.lineno) - one.lineno)
    body: list[ast.stmt] = getattr(smallest, "body", [])
    end = body[0].lineno - 1 if body else smallest.end_lineno or line
    return range(smallest.lineno, max(end, line) + 1)
