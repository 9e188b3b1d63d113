"""The mutants of a module: which ones count, and the source that each is made of."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

# One or two replacements of each comparison and sum: the others die by the same tests, or change nothing.
OPERATORS = """
AddNot ExceptionReplacer NumberReplacer RemoveDecorator ZeroIterationForLoop
ReplaceAndWithOr ReplaceOrWithAnd ReplaceBreakWithContinue ReplaceContinueWithBreak
ReplaceFalseWithTrue ReplaceTrueWithFalse ReplaceUnaryOperator_Delete_Not ReplaceUnaryOperator_USub_UAdd
ReplaceBinaryOperator_Add_Sub ReplaceBinaryOperator_Sub_Add ReplaceBinaryOperator_Mul_Add
ReplaceBinaryOperator_Div_Mul ReplaceBinaryOperator_FloorDiv_Mul ReplaceBinaryOperator_Mod_Mul
ReplaceBinaryOperator_BitOr_BitAnd ReplaceBinaryOperator_BitAnd_BitOr
ReplaceComparisonOperator_Eq_NotEq ReplaceComparisonOperator_NotEq_Eq
ReplaceComparisonOperator_Is_IsNot ReplaceComparisonOperator_IsNot_Is
ReplaceComparisonOperator_Lt_LtE ReplaceComparisonOperator_Lt_GtE
ReplaceComparisonOperator_LtE_Lt ReplaceComparisonOperator_LtE_Gt
ReplaceComparisonOperator_Gt_GtE ReplaceComparisonOperator_Gt_LtE
ReplaceComparisonOperator_GtE_Gt ReplaceComparisonOperator_GtE_Lt
""".split()  # noqa: SIM905  (a list of 33 strings is no easier to read)
REGISTERS = ("check", "stream_check")  # the only decorators whose removal says something of a judgement
WORDS = (
    "title",
    "expected",
    "observed",
    "around",
    "limit",
)  # parameters that hold or bound what a report says
# Functions whose whole result is words, some of them of one module.
WORDINGS = """
__repr__ shown difference _show _excerpt counted brief error_text how _short _shown _went_on
agentsmithy_history._difference agentsmithy_requests._seen penguin_revision2._seen
penguin_resume._unequal penguin_resume._changed
""".split()  # noqa: SIM905

Place = tuple[int, int]  # line from 1, column from 0


@dataclass(frozen=True, slots=True)
class Mutant:
    """One mutation: where it is, and how it is made again. `text` is its line without indentation.

    `block`: which top-level statement of the module it is in, from 0; `occurrence`: the how-manieth place in it.
    """

    module: str
    operator: str
    block: int
    occurrence: int
    line: int
    column: int
    text: str

    @property
    def key(self) -> str:
        """What a survivor is known by: it outlives changes elsewhere in the module, but not of its line."""
        return f"{self.operator} at {self.column}: {self.text}"

    @property
    def standing(self) -> tuple[str, str, int, int, int, str]:
        """What stays the same where lines above it come or go."""
        return self.module, self.operator, self.block, self.occurrence, self.column, self.text

    @property
    def identity(self) -> tuple[str, str, int, int]:
        """What tells it from the module's other mutants."""
        return self.module, self.operator, self.block, self.occurrence


@dataclass(frozen=True, slots=True)
class Mutation:
    """A mutant with its module's source, and what that compiles to."""

    mutant: Mutant
    source: str
    code: CodeType


def mutants_of(root: Path, path: Path) -> Iterator[Mutation]:
    """The mutants of one module that count (see the head of `mutants.py`), in the order of their lines.

    Of mutants that compile to the same instructions one is given, and none that compiles to the module's own.
    """
    source = path.read_text(encoding="utf-8")
    lines, skipped, name = (
        source.splitlines(),
        _not_counted(source, path.stem),
        path.relative_to(root).as_posix(),
    )
    known = {instructions(compile(source, str(path), "exec"))}
    found: list[Mutation] = []
    for mutant, changed in _candidates(name, source, lines):
        place = mutant.line, mutant.column
        if any(first <= place < last for first, last in skipped):
            continue
        try:
            code = compile(changed, str(path), "exec")
        except SyntaxError:  # `not` before a walrus, or a `*` that is no product
            continue
        does = instructions(code)
        if does not in known:
            known.add(does)
            found.append(Mutation(mutant, changed, code))
    yield from sorted(found, key=lambda each: (each.mutant.line, each.mutant.column))


def _candidates(module: str, source: str, lines: list[str]) -> Iterator[tuple[Mutant, str]]:
    # One statement of the module at a time: parsing all of it for each mutant would take most of the time.
    before = ""
    for number, block in enumerate(get_ast(source).children):
        text = block.get_code()
        after = source[len(before) + len(text) :]
        for operator_name in OPERATORS:
            operator = get_operator(f"core/{operator_name}")()
            places = (place for node in ast_nodes(block) for place in operator.mutation_positions(node))
            for occurrence, (start, _) in enumerate(places):
                line = lines[start[0] - 1].strip()
                mutant = Mutant(module, operator_name, number, occurrence, *start, line)
                changed = mutate_code(text, operator, occurrence)
                assert changed is not None
                yield mutant, before + str(changed) + after
        before += text


def instructions(code: CodeType) -> object:
    """What code does, wherever it stands in its file: equal for two codes that do the same step by step."""
    constants = tuple(
        instructions(each) if isinstance(each, CodeType) else (type(each), repr(each))
        for each in code.co_consts
    )
    return own_instructions(code), constants


def own_instructions(code: CodeType) -> object:
    """The same without the functions and classes inside it."""
    names = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
    constants = tuple((type(each), repr(each)) for each in code.co_consts if not isinstance(each, CodeType))
    return code.co_qualname, code.co_code, code.co_exceptiontable, names, constants


def _not_counted(source: str, module: str) -> list[tuple[Place, Place]]:
    """Where a change is one of wording, of an annotation, or of what nothing but speed and tidiness rest on."""
    lines = source.splitlines()

    def place(line: int, offset: int) -> Place:
        return line, len(lines[line - 1].encode()[:offset].decode(errors="replace"))

    tree = ast.parse(source)
    found = [each for node in ast.walk(tree) for each in _uncounted_in(node, module)]
    # A name for a type: `Others = tuple[bytes | None, …]`.
    found += [
        each.value
        for each in tree.body
        if isinstance(each, ast.Assign) and isinstance(each.value, ast.Subscript)
    ]
    return [
        (place(node.lineno, node.col_offset), place(node.end_lineno, node.end_col_offset))  # type: ignore[attr-defined]
        for node in found
    ]


def _uncounted_in(node: ast.AST, module: str) -> Iterator[ast.AST]:
    match node:
        case ast.JoinedStr():
            yield node
        case ast.IfExp() if _is_words(node.body) and _is_words(node.orelse):
            yield node
        case ast.FunctionDef() | ast.ClassDef():
            # ast's decorators begin after their "@".
            for decorator in node.decorator_list:
                name = decorator.func if isinstance(decorator, ast.Call) else decorator
                if not (isinstance(name, ast.Name) and name.id in REGISTERS):
                    yield _with_sign(decorator)
            if isinstance(node, ast.FunctionDef):
                words = not {node.name, f"{module}.{node.name}"}.isdisjoint(WORDINGS)
                yield from [node] if words else _annotations(node)
        case ast.AnnAssign():
            yield node.annotation
        case ast.Call(func=ast.Name(id="Finding")):
            yield from node.args[:3]
        case ast.keyword(arg=name) if name in WORDS or name == "strict":  # `zip(strict=…)`: of equal lengths
            yield node.value


def _is_words(node: ast.expr) -> bool:
    """Whether it is a text in words; "" is none, it says that there is nothing to say."""
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str) and bool(node.value)
    )


def _with_sign(decorator: ast.expr) -> ast.expr:
    decorator.col_offset -= 1
    return decorator


def _annotations(function: ast.FunctionDef) -> Iterator[ast.expr]:
    arguments = function.args
    every = [
        *arguments.posonlyargs,
        *arguments.args,
        *arguments.kwonlyargs,
        arguments.vararg,
        arguments.kwarg,
    ]
    yield from (each.annotation for each in every if each is not None and each.annotation is not None)
    if function.returns is not None:
        yield function.returns
