"""Patterns as decorators: one way for functions and for coroutine functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")


def decorated(fn: Callable[P, R], call: Callable[..., Any], call_async: Callable[..., Any]) -> Callable[P, R]:
    """Return a function that is called through a pattern.

    Args:
        fn: A function, or a coroutine function.
        call: Calls a function with the arguments that follow it.
        call_async: Awaits a coroutine function likewise.
    """
    if inspect.iscoroutinefunction(fn):

        @wraps(fn)
        async def through_async(*args: Any, **kwargs: Any) -> Any:
            return await call_async(fn, *args, **kwargs)

        return cast("Callable[P, R]", through_async)

    @wraps(fn)
    def through(*args: P.args, **kwargs: P.kwargs) -> R:
        return cast("R", call(fn, *args, **kwargs))

    return through
