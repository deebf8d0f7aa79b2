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

        def step(*args: Any, **kwargs: Any) -> Any:
            return _each_later(function(*args, **kwargs), begin)

    elif inspect.isgeneratorfunction(function):

        def step(*args: Any, **kwargs: Any) -> Any:
            with begin() as stage:
                return (yield from _each(function(*args, **kwargs), stage))

    else:

        def step(*args: Any, **kwargs: Any) -> Any:
            with begin():
                return function(*args, **kwargs)

    return functools.wraps(function)(step)


def _each(made: Generator[Any, Any, Any], stage: Step) -> Generator[Any, Any, Any]:
    resume: Callable[[Any], Any] = made.send
    given: Any = None
    while True:
        try:
            value = resume(given)
        except StopIteration as end:
            return end.value
        stage.pause()
        try:
            given = yield value
            resume = made.send
        except GeneratorExit:
            stage.resume()
            made.close()
            raise
        except BaseException as error:  # noqa: BLE001 - the generator's to handle
            given, resume = error, made.throw
        stage.resume()


async def _each_later(made: AsyncGenerator[Any, Any], begin: Callable[[], Step]) -> AsyncGenerator[Any, Any]:
    resume: Callable[[Any], Any] = made.asend
    given: Any = None
    with begin() as stage:
        while True:
            try:
                value = await resume(given)
            except StopAsyncIteration:
                return
            stage.pause()
            try:
                given = yield value
                resume = made.asend
            except GeneratorExit:
                stage.resume()
                await made.aclose()
                raise
            except BaseException as error:  # noqa: BLE001 - the generator's to handle
                given, resume = error, made.athrow
            stage.resume()
