"""Public docstrings of the library say what a caller must know: parameters, units of numbers, what is raised, sources."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import perdure

ROOT = Path(perdure.__file__).parent
#: Classes that applications get hold of: those of ``perdure``, and what their attributes and the documentation name.
FACADES = {
    *perdure.__all__, "Alerts", "Breakers", "Bulkheads", "Checkpoint", "CircuitBreaker", "DeadLetters", "FailoverGroup",
    "Fallback", "Faults", "Health", "Inbox", "Jobs", "KeysetCursor", "LetterFinding", "LetterReplaying",
    "LetterResolving", "Permits", "PrimaryBackup", "RateLimit", "ResourcePool", "RetryBudget", "Service", "StatePolicy",
    "TextLines", "Timeout", "Timeouts", "Workers",
}  # fmt: skip
#: Parameters that say the same everywhere: who did something, from where, and why.
SAID_ONCE = {"by", "source", "reason"}
UNIT = re.compile(r"\b(seconds?|s|ms|milliseconds|epoch|share|rate|times|factor|bytes|tokens|units|per)\b", re.IGNORECASE)
#: What is raised to say that the caller's program is wrong, and needs no mention.
PROGRAMMING = {"AssertionError", "NotImplementedError", "AttributeError", "KeyError", "StopIteration"}
#: Patterns that others have described first: their files name the source.
SOURCED = {
    "CircuitBreaker": "Nygard", "BreakerState": "Nygard", "Permits": "Nygard", "RateLimit": "Token_bucket",
    "RetryBudget": "docs.aws.amazon.com", "RetryPolicy": "exponential-backoff-and-jitter", "Inbox": "idempotent-consumer",
    "ReplicatedStore": "ABD", "PrimaryBackup": "Budhiraja",
}  # fmt: skip


@dataclass(frozen=True)
class Public:
    """A public function with the docstring that describes it; that of its class when it is ``__init__``."""

    file: Path
    owner: str
    function: ast.FunctionDef | ast.AsyncFunctionDef
    doc: str

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.function.lineno} {self.owner}{self.function.name}"

    @property
    def parameters(self) -> list[ast.arg]:
        arguments = self.function.args
        found = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        return [each for each in found if each.arg not in ("self", "cls")]

    @property
    def has_args(self) -> bool:
        return re.search(r"^\s*Args:", self.doc, re.MULTILINE) is not None

    @property
    def is_explained_elsewhere(self) -> bool:
        other = r"\b(?:see|those of|as) :(?:meth|func|class):|Return the handle of"
        return re.search(other, self.doc, re.IGNORECASE) is not None

    def explains(self, parameter: str) -> bool:
        return re.search(rf"^\s*\*{{0,2}}{parameter}:", self.doc, re.MULTILINE) is not None


def publics() -> Iterator[Public]:
    for file in sorted(ROOT.rglob("*.py")):
        if "migrations" not in file.parts:
            yield from of_body(file, ast.parse(file.read_text()), "", "")


def of_body(file: Path, body: ast.AST, owner: str, doc: str) -> Iterator[Public]:
    for node in ast.iter_child_nodes(body):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from of_body(file, node, f"{node.name}.", ast.get_docstring(node) or "")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not is_other(node):
            if node.name == "__init__":
                yield Public(file, owner, node, doc)
            elif not node.name.startswith("_"):
                yield Public(file, owner, node, ast.get_docstring(node) or "")


def is_other(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether it is only another signature of a function that is described elsewhere."""
    decorators = [ast.unparse(decorator) for decorator in function.decorator_list]
    return any("overload" in name or ".setter" in name for name in decorators)


def raised(function: ast.AST) -> Iterator[str]:
    """Yield the names of exceptions that a function raises itself, not those of functions within."""
    for node in ast.iter_child_nodes(function):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.Raise) and node.exc is not None:
            kind = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            name = ast.unparse(kind).rpartition(".")[2]
            if name[:1].isupper() and name not in PROGRAMMING:
                yield name
        yield from raised(node)


def test_an_args_section_explains_every_parameter() -> None:
    missing = {
        str(each): [parameter.arg for parameter in each.parameters if not each.explains(parameter.arg)]
        for each in publics()
        if each.has_args
    }
    assert {where: names for where, names in missing.items() if names} == {}


def test_sections_have_one_name_each() -> None:
    others = re.compile(r"^\s*(Parameters|Arguments|Params|Throws|Return):\s*$", re.MULTILINE)
    assert [str(file) for file in ROOT.rglob("*.py") if others.search(file.read_text())] == []


def test_what_applications_call_explains_its_parameters() -> None:
    """With one parameter a sentence may do."""
    bare = [
        str(each)
        for each in publics()
        if each.owner.rstrip(".") in FACADES
        and each.function.name != "__init__"
        and len({parameter.arg for parameter in each.parameters} - SAID_ONCE) > 1
        and not (each.has_args or each.is_explained_elsewhere)
    ]
    assert bare == []


def test_what_is_raised_is_said() -> None:
    unsaid = {
        str(each): sorted({name for name in raised(each.function) if name not in each.doc})
        for each in publics()
        if not each.is_explained_elsewhere
    }
    assert {where: names for where, names in unsaid.items() if names} == {}


def test_numbers_that_are_no_counts_have_a_unit() -> None:
    """Within the ledger all are seconds, those of moments since the epoch."""
    bare = [
        f"{each}({parameter.arg})"
        for each in publics()
        if "ledger" not in each.file.parts and not each.is_explained_elsewhere
        for parameter in each.parameters
        if parameter.annotation is not None
        and re.fullmatch(r"float( \| None)?", ast.unparse(parameter.annotation))
        and not UNIT.search(each.doc)
    ]
    assert bare == []


@pytest.mark.parametrize("name", SOURCED)
def test_a_pattern_names_its_source(name: str) -> None:
    [file] = [file for file in ROOT.rglob("*.py") if re.search(rf"^class {name}\b", file.read_text(), re.MULTILINE)]
    assert SOURCED[name] in file.read_text()
