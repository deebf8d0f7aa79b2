"""Any value becomes valid JSON of bounded size."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import json
import math
import pathlib
import uuid
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instrumentation.child._pipeline_alerts_child import values


def back(value: object) -> Any:
    return json.loads(values.text(value), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


@dataclasses.dataclass
class Model:
    name: str
    month: int
    parent: Any = None


class Unshowable:
    def __str__(self) -> str:
        raise RuntimeError("no")


class Level(enum.IntEnum):
    PGM = 2


class Celsius(float):
    pass


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (5, 5),
        (2**63 - 1, 2**63 - 1),
        (2**63, str(2**63)),
        (-(2**70), str(-(2**70))),
        pytest.param(10**5000, f"<int of {(10**5000).bit_length()} bits>", id="10**5000"),
        (0.1, 0.1),
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (Level.PGM, 2),
        (Celsius(1.5), 1.5),
        ("é\n\0", "é\n\0"),
        ("file \udce9", "file \\udce9"),
        ("\U0001f600", "\U0001f600"),
        (b"abc\xff", "abc\\xff"),
        (bytearray(b"x"), "x"),
        (pathlib.PurePosixPath("/data/x"), "/data/x"),
        (dt.datetime(2026, 11, 1, tzinfo=dt.UTC), "2026-11-01T00:00:00+00:00"),
        (dt.date(2026, 11, 1), "2026-11-01"),
        (decimal.Decimal("1.10"), "1.10"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (ValueError("bad"), "bad"),
        (1 + 2j, "(1+2j)"),
        (Unshowable(), "<Unshowable: str() raised RuntimeError>"),
        ({"a": [1, (2,)], 3: {"b": None}}, {"a": [1, [2]], "3": {"b": None}}),
        (Model("m", 540), {"name": "m", "month": 540, "parent": None}),
    ],
)
def test_a_value_is_told_as_itself_or_as_its_text(value: object, expected: object) -> None:
    assert back(value) == expected


def test_a_value_that_contains_itself_ends() -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    model = Model("m", 1)
    model.parent = {"child": model}

    assert back(loop) == [1, "<cycle>"]
    assert back(model)["parent"]["child"] == "<cycle>"


def test_the_same_value_twice_is_no_cycle() -> None:
    shared = [1]

    assert back([shared, shared]) == [[1], [1]]


def test_depth_items_values_and_characters_have_limits_that_are_said() -> None:
    deep: Any = "x"
    for _ in range(values.MAX_DEPTH + 2):
        deep = [deep]
    wide = list(range(values.MAX_ITEMS + 5))
    many = [[i] * 100 for i in range(200)]

    assert f"deeper than {values.MAX_DEPTH} levels" in values.text(deep)
    assert back(wide)[-1] == "<5 more>"
    assert "more than" in values.text(many)
    assert back("y" * (values.MAX_TEXT_CHARS + 7)).endswith("… [7 characters cut]")
    assert len(back(["y" * 100_000])[0]) < values.MAX_NESTED_CHARS + 50


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (np.float64("nan"), "NaN"),
        (np.int64(3), 3),
        (np.uint64(2**63), str(2**63)),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.arange(3), [0, 1, 2]),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array(0.5), 0.5),
        (np.zeros((100, 100), "float32"), "<array of shape (100, 100), float32>"),
        (np.datetime64("2026-11-26T02:00"), "2026-11-26T02:00"),
    ],
)
def test_numbers_and_small_arrays_of_numpy_are_told_as_numbers(value: object, expected: object) -> None:
    assert back(value) == expected


_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates() | st.decimals()
_ANYTHING = st.recursive(
    _LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner), max_leaves=30
)


@given(_ANYTHING)
def test_whatever_comes_the_text_is_strict_ascii_json_on_one_line(value: object) -> None:
    text = values.text(value)

    text.encode("ascii")
    assert "\n" not in text
    back(value)


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_no_lone_surrogate_survives(text: str) -> None:
    back(text).encode("utf-8")
