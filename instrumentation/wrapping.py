"""A function as a stage, whatever kind of function it is: each call is one, from its first statement to its last.

A generator's stage lasts until it is exhausted or closed. Between two values the code that asked for them runs, which
is not in the stage.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from types import TracebackType
from typing import Any, Protocol, Self

__all__ = ["as_stage"]


class Step(Protocol):
    """One stage, to be entered once; it can be left for a while."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


def as_stage(function: Callable[..., Any], begin: Callable[[], Step]) -> Callable[..., Any]:
    """The function, with a stage of its own around each call; of the same kind, with the same name and signature."""
    step: Callable[..., Any]
    if inspect.iscoroutinefunction(function):

        async def step(*args: Any, **kwargs: Any) -> Any:
            with begin():
                return await function(*args, **kwargs)

    elif inspect.isasyncgenfunction(function):
        step = _each_later(function, begin)
    elif inspect.isgeneratorfunction(function):
        step = _each(function, begin)
    else:

        def step(*args: Any, **kwargs: Any) -> Any:
            with begin():
                return function(*args, **kwargs)

    return functools.wraps(function)(step)


def _each(function: Callable[..., Any], begin: Callable[[], Step]) -> Callable[..., Any]:
    def step(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with begin() as stage:
            made = function(*args, **kwargs)
            resume, given = made.send, None
            while True:
                try:
                    value = resume(given)
                except StopIteration as end:
                    return end.value
                stage.pause()
                try:
                    given, resume = (yield value), made.send
                except BaseException as error:  # noqa: BLE001 - the generator's to handle, its end too
                    given, resume = error, made.throw
                stage.resume()

    return step


def _each_later(function: Callable[..., Any], begin: Callable[[], Step]) -> Callable[..., Any]:
    """As `_each`, which cannot serve: Python has no way to write a loop that waits for some and not for others."""

    async def step(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        with begin() as stage:
            made = function(*args, **kwargs)
            resume, given = made.asend, None
            while True:
                try:
                    value = await resume(given)
                except StopAsyncIteration:
                    return
                stage.pause()
                try:
                    given, resume = (yield value), made.asend
                except BaseException as error:  # noqa: BLE001 - the same
                    given, resume = error, made.athrow
                stage.resume()

    return step
