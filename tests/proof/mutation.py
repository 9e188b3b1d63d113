"""Mutants of a module, and trying one: what `mutants.py` builds on."""

from __future__ import annotations

import ast
import importlib.abc
import importlib.util
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

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
MEMORY = 4 * 2**30  # bytes that a trial may take: a mutant that collects without end is killed

Place = tuple[int, int]  # line from 1, column from 0


@dataclass(frozen=True, slots=True)
class Mutant:
    """One mutation: where it is, and how it is made again. `text` is its line without indentation."""

    module: str
    operator: str
    occurrence: int
    line: int
    column: int
    text: str

    @property
    def key(self) -> str:
        """What a survivor is known by: it outlives changes elsewhere in the module, but not of its line."""
        return f"{self.operator} at {self.column}: {self.text}"

    def source(self, original: str) -> str:
        """The module's source with the mutation; without an operator it is the original."""
        if not self.operator:
            return original
        mutated = mutate_code(original, get_operator(f"core/{self.operator}")(), self.occurrence)
        if mutated is None:
            raise ValueError(f"{self.module}: no place for {self.key}")
        return str(mutated)


def mutants_of(root: Path, path: Path) -> Iterator[Mutant]:
    """The mutants of one module that count: see the head of `mutants.py`."""
    source = path.read_text(encoding="utf-8")
    tree, lines, skipped = get_ast(source), source.splitlines(), _not_counted(source)
    module = path.relative_to(root).as_posix()
    for name in OPERATORS:
        operator = get_operator(f"core/{name}")()
        places = (place for node in ast_nodes(tree) for place in operator.mutation_positions(node))
        for occurrence, (start, _) in enumerate(places):
            if not any(first <= start < last for first, last in skipped):
                yield Mutant(module, name, occurrence, *start, lines[start[0] - 1].strip())


def _not_counted(source: str) -> list[tuple[Place, Place]]:
    """Where a change is one of wording, or of an annotation."""
    lines = source.splitlines()

    def place(line: int, offset: int) -> Place:
        return line, len(lines[line - 1].encode()[:offset].decode(errors="replace"))

    found: list[ast.AST] = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.JoinedStr():
                found.append(node)
            case ast.FunctionDef(name="__repr__"):
                found.append(node)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                found += [each.annotation for each in arguments if each.annotation is not None]
                found += [node.returns] if node.returns is not None else []
            case ast.AnnAssign():
                found.append(node.annotation)
    return [
        (place(node.lineno, node.col_offset), place(node.end_lineno, node.end_col_offset))  # type: ignore[attr-defined]
        for node in found
    ]


def fork(mutant: Mutant, root: Path, tests: Sequence[str], seconds: float, log: Path) -> int:
    """Try a mutant in a child process; returns its id. It exits with pytest's status, 0 where all tests pass.

    The mutated source exists in the child's import system alone. It must be forked from a process that has not
    imported the package yet. `seconds` bounds it (wall clock): the alarm's default action ends it.
    """
    original = (root / mutant.module).read_text(encoding="utf-8")
    mutated = mutant.source(original)
    child = os.fork()
    if child:
        return child
    status = 70
    try:
        signal.alarm(max(1, round(seconds)))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        with log.open("wb") as out:
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
        os.chdir(root)
        sys.path.insert(0, str(root))
        sys.meta_path.insert(0, _Mutated(mutant.module, str(root / mutant.module), mutated))
        import pytest

        quiet = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:cov", "--tb=line"]
        # pytest's rewriting of asserts would load the package from disk, past the mutation.
        quiet += ["--assert=plain", "--hypothesis-seed=0"]
        status = int(pytest.main([*quiet, *tests]))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


class _Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds one module, and executes the mutated source for it."""

    def __init__(self, module: str, path: str, source: str) -> None:
        self._name = module.removesuffix(".py").replace("/", ".")
        self._path = path
        self._source = source

    def find_spec(self, fullname: str, path: object, target: ModuleType | None = None) -> ModuleSpec | None:
        """The spec of the mutated module; no other."""
        if fullname != self._name:
            return None
        return importlib.util.spec_from_file_location(fullname, self._path, loader=self)

    def exec_module(self, module: ModuleType) -> None:
        """Execute it."""
        exec(compile(self._source, self._path, "exec"), module.__dict__)


class Trials:
    """Runs up to `workers` trials at once. `log`s of children go to `scratch`."""

    def __init__(self, workers: int, scratch: Path) -> None:
        self._workers = workers
        self._scratch = scratch
        self._running: dict[int, tuple[Mutant, float, Path]] = {}

    def run(
        self, work: Iterator[tuple[Mutant, Path, Sequence[str], float]]
    ) -> Iterator[tuple[Mutant, bool, float, str]]:
        """Yields mutant, whether it was killed, seconds, and the end of what its tests said."""
        for number, (mutant, root, tests, seconds) in enumerate(work):
            while len(self._running) >= self._workers:
                yield self._wait()
            log = self._scratch / f"{number}.log"
            child = fork(mutant, root, tests, seconds, log)
            self._running[child] = (mutant, time.monotonic(), log)
        while self._running:
            yield self._wait()

    def _wait(self) -> tuple[Mutant, bool, float, str]:
        child, status = os.wait()
        mutant, began, log = self._running.pop(child)
        said = log.read_text(encoding="utf-8", errors="replace")[-2000:] if log.exists() else ""
        log.unlink(missing_ok=True)
        return mutant, status != 0, time.monotonic() - began, said
