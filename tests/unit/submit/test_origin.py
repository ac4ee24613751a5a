"""Two functions never share a task; a function that is made anew takes its task over."""

from __future__ import annotations

import functools
import importlib
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from perdure import Perdure
from perdure.errors import DuplicateTask


@pytest.fixture
def app() -> Perdure:
    return Perdure()


def make(number: Any) -> Callable[[], Any]:
    def job() -> Any:
        return number

    return job


def make_by_default(number: int) -> Callable[..., int]:
    def job(n: int = number) -> int:
        return n

    return job


def make_by_keyword(number: int) -> Callable[..., int]:
    def job(*, n: int = number) -> int:
        return n

    return job


def make_deep(number: int) -> Callable[[], int]:
    helper = make(number)

    def job() -> Any:
        return helper()

    return job


def unnamed(function: Callable[[], Any]) -> Callable[[], Any]:
    """A decorator that does not say what it wraps."""

    def wrapper() -> Any:
        return function()

    return wrapper


def named(number: int) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    def decorate(function: Callable[[], Any]) -> Callable[[], Any]:
        @functools.wraps(function)
        def wrapper() -> Any:
            return function() + number

        return wrapper

    return decorate


def one() -> int:
    return 1


def two() -> int:
    return 2


class Odd:
    def __eq__(self, other: object) -> bool:
        raise RuntimeError("cannot be compared")

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (make(1), make(2)),
        (make(1), make(True)),
        (make(Odd()), make(Odd())),
        (make_by_default(1), make_by_default(2)),
        (make_by_keyword(1), make_by_keyword(2)),
        (make_deep(1), make_deep(2)),
        (lambda: 1, lambda: 2),
        (unnamed(one), unnamed(two)),
        (named(1)(one), named(2)(one)),
    ],
    ids=["factory", "types", "incomparable", "defaults", "keyword defaults", "deep", "lambdas", "decorated", "decorator"],
)
@pytest.mark.parametrize("name", [None, "shop.job"])
def test_different_functions_are_refused(app: Perdure, first: Any, second: Any, name: str | None) -> None:
    task = app.register(first, name=name)
    with pytest.raises(DuplicateTask, match="already; give another name="):
        app.register(second, name=name)
    assert app.tasks == {task.name: task}
    assert task.function is first


@pytest.mark.parametrize(
    "remade",
    [
        lambda: make(1),
        lambda: make([1, {"a": 2}]),
        lambda: make_by_default(1),
        lambda: make_deep(1),
        lambda: unnamed(one),
        lambda: named(1)(one),
        lambda: lambda: 1,
        lambda: one,
    ],
)
def test_the_same_function_made_again_is_no_other_one(app: Perdure, remade: Callable[[], Any]) -> None:
    app.register(remade(), name="shop.job")
    again = remade()
    app.register(again, name="shop.job")
    assert app.task("shop.job").function is again


def test_functions_of_one_factory_are_fine_under_names_of_their_own(app: Perdure) -> None:
    tasks = [app.register(make(number), name=f"shop.job-{number}") for number in range(3)]
    assert [task() for task in tasks] == [0, 1, 2]


def test_a_function_that_holds_itself_is_compared(app: Perdure) -> None:
    def recursive() -> Callable[[], Any]:
        def job() -> Any:
            return job

        return job

    app.register(recursive(), name="shop.job")
    app.register(recursive(), name="shop.job")


@pytest.fixture
def module_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, app: Perdure) -> Iterator[Callable[[str], Path]]:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr("builtins.the_app", app, raising=False)
    file = tmp_path / "shop_of_origin.py"

    def write(source: str) -> Path:
        file.write_text(source)
        importlib.invalidate_caches()
        return file

    yield write
    sys.modules.pop("shop_of_origin", None)


FACTORY = """
import tenacity
def make(number):
    def job():
        return number + {0}
    return job
def plain(function):
    def wrapper():
        return function()
    return wrapper
the_app.register(make({0}), name="of a factory")
the_app.register(lambda: {0}, name="lambda")
the_app.register(tenacity.retry(make({0})), name="retried")
@plain
def inner():
    return {0}
the_app.register(inner, name="decorated")
@the_app.job(name="top")
def top():
    return {0}
"""


@pytest.mark.parametrize("forget", [False, True], ids=["reload", "import again"])
def test_a_module_that_is_loaded_again_replaces_all_its_functions(
    app: Perdure, module_of: Callable[[str], Path], forget: bool
) -> None:
    module_of(FACTORY.format(1))
    module: Any = importlib.import_module("shop_of_origin")
    before = dict(app.tasks)
    for version in (200, 3000):  # of another size: a loader looks at that too
        module_of(FACTORY.format(version))
        if forget:
            del sys.modules["shop_of_origin"]
            module = importlib.import_module("shop_of_origin")
        else:
            importlib.reload(module)
        assert {name: task() % version for name, task in app.tasks.items()} == dict.fromkeys(before, 0)


@pytest.mark.parametrize(
    "source",
    [
        "@the_app.job\ndef a(): return 1\n@the_app.job\ndef a(): return 2\n",
        "a, b = the_app.job(lambda: 1), the_app.job(lambda: 2)\n",
    ],
    ids=["two of one name", "two lambdas in a line"],
)
def test_two_functions_of_one_name_in_a_module_are_refused(module_of: Callable[[str], Path], source: str) -> None:
    module_of(source)
    with pytest.raises(DuplicateTask):
        importlib.import_module("shop_of_origin")


@pytest.mark.slow
def test_two_functions_of_one_name_in_a_script_are_refused(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from perdure import Perdure\nfrom perdure.errors import DuplicateTask\napp = Perdure()\n"
        "@app.job\ndef a(): return 1\n"
        "try:\n    @app.job\n    def a(): return 2\nexcept DuplicateTask:\n    print('refused')\n"
    )
    for command in ([script.name], [str(script)], ["-m", "script"]):
        ran = subprocess.run([sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert ran.stdout == "refused\n"


def test_cells_of_a_notebook_are_run_again(app: Perdure) -> None:
    names: dict[str, Any] = {"app": app, "__name__": "__main__"}
    for cell, version in enumerate((1, 2, 2, 3)):
        source = f"@app.job\ndef work(): return {version}\n"
        exec(compile(source, f"/tmp/ipykernel_1/{cell % 2}.py", "exec"), names)
        assert app.task("__main__.work")() == version


def test_lambdas_and_functions_of_a_factory_in_a_notebook_are_refused(app: Perdure) -> None:
    names: dict[str, Any] = {"app": app, "__name__": "__main__"}
    for cell, source in enumerate(["app.job(lambda: 1)", "app.job(lambda: 1)"]):
        exec(compile(source, f"cell-{cell}", "exec"), names)
    with pytest.raises(DuplicateTask):
        exec(compile("app.job(lambda: 2)", "cell-3", "exec"), names)


def test_a_script_that_is_run_again_replaces_its_functions(tmp_path: Path, app: Perdure) -> None:
    script = tmp_path / "script.py"
    for version in (1, 2):
        script.write_text(f"job = app.job(name='shop.job')(lambda: {version})\n")
        runpy.run_path(str(script), init_globals={"app": app})
        assert app.task("shop.job")() == version
