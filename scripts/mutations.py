"""The small changes that `scripts/mutate` makes. A person could make each of them by mistake.

A change replaces a piece of the text, so the text that is shown is the text that was run. Besides
the usual changes (comparisons, conditions, numbers) there are those that matter in this code: a
call left out, a clause of a DynamoDB expression left out, an item of a collection left out, a much
higher limit.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass

COMPARISONS = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
}
NEGATIONS = {
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.In: (" in ", " not in "),
    ast.NotIn: (" not in ", " in "),
    ast.Is: (" is ", " is not "),
    ast.IsNot: (" is not ", " is "),
}
CALLS = {"min": "max", "max": "min", "any": "all", "all": "any", "sorted": "list"}

CLAUSE = r"\w+(?:\(\w+\)| (?:[<>]=?|=) :\w+| IN \([^)]*\))"
EXPRESSIONS = [
    # A clause of a condition left out, the first or a later one; a boundary moved.
    (re.compile(rf" (?:AND|OR) {CLAUSE}"), ""),
    (re.compile(rf"{CLAUSE} (?:AND|OR) "), ""),
    (re.compile(r"(?<= )<(?= :)"), "<="),
    (re.compile(r"(?<= )<=(?= :)"), "<"),
    (re.compile(r"(?<= )>(?= :)"), ">="),
    (re.compile(r" AND (?=\()"), " OR "),
    (re.compile(r"(?<=\)) OR (?=\w)"), " AND "),
    # What an update sets or removes, and the attributes of a projection.
    (re.compile(r", \w+ = :\w+"), ""),
    (re.compile(r", \w+ :\w+"), ""),
    (re.compile(r"(?<=[A-Z]{3} )\w+ = :\w+, "), ""),
    (re.compile(r", [A-Za-z]\w+(?=[,\"])"), ""),
]


@dataclass(frozen=True)
class Mutant:
    """Bytes `start` to `end` of the text become `new`. `lines` are those of the statement."""

    start: int
    end: int
    new: str
    lines: range

    def apply(self, text: bytes) -> bytes:
        return text[: self.start] + self.new.encode() + text[self.end :]


def mutants(text: bytes) -> list[Mutant]:
    """All changes of a module that leave valid Python, in the order of the text, each once."""
    found: dict[bytes, Mutant] = {}
    before = ast.dump(ast.parse(text))
    for mutant in sorted(_Changes(text).make(), key=lambda m: (m.start, m.end, m.new)):
        changed = mutant.apply(text)
        try:
            if ast.dump(ast.parse(changed)) != before:
                found.setdefault(changed, mutant)
        except SyntaxError:
            pass
    return list(found.values())


class _Changes:
    def __init__(self, text: bytes) -> None:
        self.text = text
        self.starts = [0]
        for line in text.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.tree = ast.parse(text)
        self.left_out = {id(node) for part in self._no_code() for node in ast.walk(part)}
        self.conditions = {id(c) for node in ast.walk(self.tree) for c in self._conditions(node)}
        self.statement_of: dict[int, ast.stmt] = {}
        for statement in ast.walk(self.tree):  # outer ones first
            if isinstance(statement, ast.stmt):
                self.statement_of |= {id(node): statement for node in ast.walk(statement)}

    def _no_code(self) -> Iterator[ast.AST]:
        """Code that has no effect when run: annotations, type aliases, docstrings."""
        for node in ast.walk(self.tree):
            for name in ("annotation", "returns"):
                if part := getattr(node, name, None):
                    yield part
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                yield from node.decorator_list
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                yield node
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript):
                yield from [node] if node.col_offset == 0 else []
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                yield node

    def make(self) -> Iterator[Mutant]:
        for node in ast.walk(self.tree):
            if id(node) not in self.left_out:
                kind = type(node).__name__
                yield from getattr(self, f"of_{kind}", lambda _: ())(node)
                for condition in self._conditions(node):
                    for value in ("True", "False"):
                        yield self.replace(condition, value)
        yield from self.of_expressions()

    # Where a node is

    def at(self, line: int, column: int) -> int:
        return self.starts[line - 1] + column

    def span(self, node: ast.AST) -> tuple[int, int]:
        start = self.at(node.lineno, node.col_offset)
        return start, self.at(node.end_lineno, node.end_col_offset)

    def source(self, node: ast.AST) -> str:
        start, end = self.span(node)
        return self.text[start:end].decode()

    def replace(self, node: ast.AST, new: str) -> Mutant:
        return self.change(*self.span(node), new, self.statement_of[id(node)])

    def change(self, start: int, end: int, new: str, statement: ast.stmt) -> Mutant:
        body = getattr(statement, "body", None)
        last = body[0].lineno - 1 if body else statement.end_lineno
        return Mutant(start, end, new, range(statement.lineno, max(last, statement.lineno) + 1))

    def without(self, items: list[ast.AST], index: int, owner: ast.AST) -> Mutant:
        """Leaves out an item, with its comma."""
        spans = [self.span(item) for item in items]
        start, end = spans[index]
        if index + 1 < len(spans):
            end = spans[index + 1][0]
        elif index:
            start = spans[index - 1][1]
        return self.change(start, end, "", self.statement_of[id(owner)])

    # What is changed

    def _conditions(self, node: ast.AST) -> list[ast.expr]:
        tests = [node.test] if isinstance(node, ast.If | ast.IfExp | ast.While) else []
        tests += node.ifs if isinstance(node, ast.comprehension) else []
        return [test for test in tests if not isinstance(test, ast.Constant)]

    def of_Expr(self, node: ast.Expr) -> Iterator[Mutant]:
        if isinstance(node.value, ast.Call):
            yield self.replace(node, "pass")

    def of_AugAssign(self, node: ast.AugAssign) -> Iterator[Mutant]:
        yield self.replace(node, "pass")

    def of_Assign(self, node: ast.Assign) -> Iterator[Mutant]:
        """Leaves out an assignment if the name already has a value."""
        target = node.targets[-1]
        before = self.text[: self.span(node)[0]].rpartition(b"def ")[2].decode()
        known = isinstance(target, ast.Name) and re.search(rf"\b{target.id}\b[^=\n]*[=:]", before)
        if isinstance(target, ast.Attribute) or known:
            yield self.replace(node, "pass")

    def of_Raise(self, node: ast.Raise) -> Iterator[Mutant]:
        yield self.replace(node, "pass")

    def of_Break(self, node: ast.Break) -> Iterator[Mutant]:
        yield self.replace(node, "pass")

    def of_Continue(self, node: ast.Continue) -> Iterator[Mutant]:
        yield self.replace(node, "pass")

    def of_Compare(self, node: ast.Compare) -> Iterator[Mutant]:
        for left, operator, right in zip(
            [node.left, *node.comparators], node.ops, node.comparators, strict=False
        ):
            _, start = self.span(left)
            end, _ = self.span(right)
            known = COMPARISONS if id(node) in self.conditions else COMPARISONS | NEGATIONS
            if type(operator) not in known:  # a condition is made true and false anyway
                continue
            old, new = known[type(operator)]
            between = self.text[start:end].decode()
            yield self.change(start, end, between.replace(old, new, 1), self.statement_of[id(node)])

    def of_BoolOp(self, node: ast.BoolOp) -> Iterator[Mutant]:
        """Leaves out one side."""
        for index, (left, right) in enumerate(zip(node.values, node.values[1:], strict=False)):
            (start, left_end), (right_start, end) = self.span(left), self.span(right)
            statement = self.statement_of[id(node)]
            if index == 0:
                yield self.change(start, right_start, "", statement)
            yield self.change(left_end, end, "", statement)

    def of_UnaryOp(self, node: ast.UnaryOp) -> Iterator[Mutant]:
        if isinstance(node.op, ast.Not):
            yield self.replace(node, self.source(node.operand))

    def of_BinOp(self, node: ast.BinOp) -> Iterator[Mutant]:
        """Each side alone. Strings and products of numbers have their own changes."""
        if not isinstance(node.left, ast.Constant):
            yield self.replace(node, self.source(node.left))
        if not isinstance(node.right, ast.Constant):
            yield self.replace(node, self.source(node.right))

    def of_Constant(self, node: ast.Constant) -> Iterator[Mutant]:
        if isinstance(node.value, bool):
            yield self.replace(node, str(not node.value))
        elif isinstance(node.value, int | float):
            near = abs(node.value) < 10
            yield self.replace(node, repr(node.value + 1 if near else node.value * 10))
            yield self.replace(
                node, repr(node.value - 1 if near else type(node.value)(node.value / 10))
            )

    def of_JoinedStr(self, node: ast.JoinedStr) -> Iterator[Mutant]:
        """Leaves out a part of an f-string, so that separate values run together. Python 3.11 gives
        no positions inside f-strings, so the parts are searched for in the text."""
        start, end = self.span(node)
        source = self.text[start:end].decode()
        statement = self.statement_of[id(node)]
        if "\n" in source or '"""' in source:
            return
        for part in re.finditer(r"\{[^{}]*\}|(?<=[\"}])[^\"{}]+(?=[\"{])", source):
            before, after = source[: part.start()].encode(), source[: part.end()].encode()
            yield self.change(start + len(before), start + len(after), "", statement)

    def of_Call(self, node: ast.Call) -> Iterator[Mutant]:
        """Calls another function of the same kind, or leaves out a named argument."""
        if isinstance(node.func, ast.Name) and node.func.id in CALLS:
            yield self.replace(node.func, CALLS[node.func.id])
        named = [*node.args, *(keyword for keyword in node.keywords)]
        for index in range(len(node.args), len(named)):
            yield self.without(named, index, node)
        if isinstance(node.func, ast.Name) and node.func.id == "suppress":
            yield self.without(node.args, 0, node)

    def _items(self, node: ast.List | ast.Set | ast.Tuple) -> Iterator[Mutant]:
        if isinstance(node.ctx if hasattr(node, "ctx") else ast.Load(), ast.Load):
            for index in range(len(node.elts) if len(node.elts) > 1 else 0):
                yield self.without(node.elts, index, node)

    of_List = of_Set = of_Tuple = _items

    def of_Dict(self, node: ast.Dict) -> Iterator[Mutant]:
        """Leaves out an entry."""
        first = [key or value for key, value in zip(node.keys, node.values, strict=True)]
        spans = [
            (self.span(key)[0] - (0 if named else 2), self.span(value)[1])
            for key, named, value in zip(first, node.keys, node.values, strict=True)
        ]
        for index, (start, end) in enumerate(spans):
            if index + 1 < len(spans):
                end = spans[index + 1][0]
            elif index:
                start = spans[index - 1][1]
            yield self.change(start, end, "", self.statement_of[id(node)])

    def of_expressions(self) -> Iterator[Mutant]:
        """Changes DynamoDB expressions inside strings."""
        docstrings = {
            node.lineno
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        }
        statements = [node for node in ast.walk(self.tree) if isinstance(node, ast.stmt)]
        for token in tokenize.tokenize(io.BytesIO(self.text).readline):
            if token.type != tokenize.STRING or token.start[0] in docstrings:
                continue
            line = self.text[self.starts[token.start[0] - 1] :]
            column = len(line.decode()[: token.start[1]].encode())
            start = self.at(token.start[0], column)
            inner = [s for s in statements if s.lineno <= token.start[0] <= s.end_lineno]
            statement = max(inner, key=lambda s: s.lineno)
            for pattern, new in EXPRESSIONS:
                for match in pattern.finditer(token.string):
                    before = len(token.string[: match.start()].encode())
                    size = len(match[0].encode())
                    yield self.change(start + before, start + before + size, new, statement)
