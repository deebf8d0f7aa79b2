"""What a stage is made of stays what it was: its kind, its name, what it answers and what it raises."""

from __future__ import annotations

import asyncio
import copy
import functools
import inspect
import pickle
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from instrumentation import stage
from instrumentation.journal import Journal
from tests.servers.own_journal import lines, own_journal, warnings


@pytest.fixture(autouse=True)
def journal(tmp_path: Path) -> Iterator[Journal]:
    with own_journal(tmp_path) as opened:
        yield opened


def plain() -> int:
    return 3


async def later() -> int:
    return 3


def each() -> Generator[Any, Any, str]:
    """Answers what it was sent, says what it was thrown, and how it ended."""
    got = None
    for _ in range(3):
        try:
            got = yield got
        except KeyError as error:
            got = repr(error)
    return "done"


async def each_later() -> AsyncIterator[Any]:
    got = None
    for _ in range(3):
        try:
            got = yield got
        except KeyError as error:
            got = repr(error)


def stubborn() -> Generator[int, None, None]:
    try:
        yield 1
    except GeneratorExit:
        yield 2


@pytest.mark.parametrize("function", [plain, later, each, each_later])
@pytest.mark.parametrize(
    "is_kind",
    [inspect.isfunction, inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction],
)
def test_a_function_stays_of_its_kind(function: Callable[..., Any], is_kind: Callable[[object], bool]) -> None:
    made = stage(function)

    assert is_kind(made) == is_kind(function)
    assert (made.__name__, made.__doc__, inspect.signature(made)) == (
        function.__name__,
        function.__doc__,
        inspect.signature(function),
    )


def drive(made: Generator[Any, Any, Any]) -> list[object]:
    """What a generator does on everything that can be done to it."""
    seen: list[object] = [next(made), made.send("a"), made.throw(KeyError("b"))]
    try:
        made.send("c")
    except StopIteration as end:
        seen.append(end.value)
    seen.append(list(made))
    return seen


def test_a_generator_is_driven_as_without_us(journal: Journal) -> None:
    assert drive(stage(each)()) == drive(each()) == [None, "a", "KeyError('b')", "done", []]
    assert len(lines(journal, "span")) == 1


@pytest.mark.parametrize("function", [each, stubborn])
@pytest.mark.parametrize("values", [0, 1])
def test_a_generator_is_closed_as_without_us(function: Callable[..., Any], values: int) -> None:
    def closed(made: Any) -> str:
        for _ in range(values):
            next(made)
        try:
            return repr(made.close())
        except RuntimeError as error:
            return repr(error)

    assert closed(stage(function)()) == closed(function())


def test_an_exception_of_a_generator_and_one_thrown_into_it_come_out_as_without_us() -> None:
    def thrown(made: Any) -> BaseException:
        next(made)
        with pytest.raises(ZeroDivisionError) as raised:
            made.throw(ZeroDivisionError("mine"))
        return raised.value

    assert repr(thrown(stage(each)())) == repr(thrown(each()))


def test_an_asynchronous_generator_is_driven_as_without_us(journal: Journal) -> None:
    async def drive_later(made: Any) -> list[object]:
        seen = [await anext(made), await made.asend("a"), await made.athrow(KeyError("b"))]
        seen.extend([one async for one in made])
        await made.aclose()
        return seen

    async def main() -> tuple[list[object], list[object]]:
        return await drive_later(stage(each_later)()), await drive_later(each_later())

    ours, theirs = asyncio.run(main())
    assert ours == theirs == [None, "a", "KeyError('b')"]
    assert len(lines(journal, "span")) == 1


class Model:
    @stage("built")
    @classmethod
    def above_classmethod(cls) -> str:
        return cls.__name__

    @classmethod
    @stage("built")
    def below_classmethod(cls) -> str:
        return cls.__name__

    @stage
    @staticmethod
    def above_staticmethod(value: int) -> int:
        return value

    @stage
    @property
    def above_property(self) -> int:
        """How many."""
        return 3

    @property
    @stage("asked")
    def below_property(self) -> int:
        return 3

    @stage
    def method(self) -> str:
        return type(self).__name__


def test_methods_of_each_kind_are_stages_with_decorators_in_any_order(journal: Journal) -> None:
    made: Any = Model()

    said = (made.above_classmethod(), made.below_classmethod(), Model.above_staticmethod(1), made.method())
    assert (*said, made.above_property, made.below_property) == ("Model", "Model", 1, "Model", 3, 3)
    assert Model.above_property.__doc__ == "How many."  # type: ignore[attr-defined]
    told = [line["na"] for line in lines(journal, "span")]
    assert told == ["built", "built", "above_staticmethod", "method", "above_property", "asked"]
    assert warnings(journal) == []


@stage
def at_module_level(value: int) -> int:
    return value


def test_a_decorated_function_can_be_pickled() -> None:
    assert pickle.loads(pickle.dumps(at_module_level))(3) == 3


def test_a_stage_that_somebody_is_in_can_be_copied_and_pickled(journal: Journal) -> None:
    with stage("train", model="heron") as entered:
        copies = [copy.deepcopy(entered), pickle.loads(pickle.dumps(entered))]
    for one in copies:
        with one:
            pass

    assert [(line["na"], line["d"]["pipeline.model.name"]) for line in lines(journal, "span")] == [
        ("train", "heron")
    ] * 3


def test_callables_without_a_name_are_stages(journal: Journal) -> None:
    class Nameless:
        def __call__(self) -> int:
            return 3

    assert (stage(functools.partial(plain))(), stage(Nameless())(), stage("named")(lambda: 3)()) == (3, 3, 3)
    assert [line["na"] for line in lines(journal, "span")] == ["partial", "Nameless", "named"]


@pytest.mark.parametrize("made", [Model, 5, None, "text"])
def test_what_is_no_function_stays_what_it_is_and_that_is_said_once(made: Any, journal: Journal) -> None:
    for _ in range(2):
        assert stage("x")(made) is made

    (warning,) = warnings(journal)
    assert "a stage is made of a function" in warning


def test_a_decorated_function_with_a_model_keeps_it(journal: Journal) -> None:
    stage(plain, model="heron")()  # type: ignore[call-overload]

    assert lines(journal, "span")[0]["d"]["pipeline.model.name"] == "heron"
