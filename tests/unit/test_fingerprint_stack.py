"""Tracebacks: which are the same problem and which are not. Every text below was printed by a real interpreter."""

from __future__ import annotations

import textwrap
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alert_bridge.fingerprint import Said, of
from alert_bridge.fingerprint.stacktrace import parse


def value(text: str) -> str:
    return of(Said(stacktrace=textwrap.dedent(text))).value


PRICE = """\
    Traceback (most recent call last):
      File "/home/ann/etl/main.py", line 4, in <module>
        run_daily("x")
      File "/home/ann/etl/steps.py", line 9, in run_daily
        return [enrich(row) for row in rows]
               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      File "/home/ann/etl/steps.py", line 9, in <listcomp>
        return [enrich(row) for row in rows]
                ^^^^^^^^^^^
      File "/home/ann/etl/enrich.py", line 3, in enrich
        total = row[key] * 2
                ~~~^^^^^
    KeyError: 'price'
    """

ELSEWHERE_LATER_ON_3_13 = """\
    Traceback (most recent call last):
      File "/srv/releases/20260114-7f3a91c/etl/cron.py", line 40, in <module>
        run_daily("x")
        ~~~~~~~~~^^^^^
      File "/srv/releases/20260114-7f3a91c/etl/steps.py", line 19, in run_daily
        return [enrich(row) for row in rows]
                ~~~~~~^^^^^
      File "/srv/releases/20260114-7f3a91c/etl/enrich.py", line 13, in enrich
        total = row[key] * 2
                ~~~^^^^^
    KeyError: 'amount_eur'
    """


def test_another_path_line_version_entry_point_and_key_is_the_same_problem() -> None:
    assert value(PRICE) == value(ELSEWHERE_LATER_ON_3_13)


def test_another_statement_in_the_same_function_is_another_problem() -> None:
    other = PRICE.replace("total = row[key] * 2", "label = row[key].upper()")

    assert value(PRICE) != value(other)


def test_another_caller_of_a_shared_function_is_another_problem() -> None:
    other = PRICE.replace("run_daily", "run_hourly")

    assert value(PRICE) != value(other)


def test_colours_and_the_prefix_of_a_log_shipper_change_nothing() -> None:
    plain = textwrap.dedent(PRICE)
    coloured = plain.replace("KeyError", "\x1b[1;35mKeyError\x1b[0m").replace("steps.py", "\x1b[35msteps.py\x1b[0m")
    shipped = "\n".join(f"2026-01-14T10:00:0{at % 10}Z worker-7 | {line}" for at, line in enumerate(plain.splitlines()))

    assert value(coloured) == value(plain)
    assert value(shipped) == value(plain)


def test_the_prefix_of_a_log_shipper_changes_nothing_in_a_group_either() -> None:
    plain = group(SHARD, SAVE)
    shipped = "\n".join(f"2026-01-14T10:00:0{at % 10}Z worker-7 | {line}" for at, line in enumerate(plain.splitlines()))

    assert value(shipped) == value(plain)
    assert "members" in dict(of(Said(stacktrace=shipped)).components)


def test_a_note_and_carriage_returns_change_nothing() -> None:
    plain = textwrap.dedent(PRICE)

    assert value(plain + "while reading row 17\n") == value(plain)
    assert value(plain.replace("\n", "\r\n")) == value(plain)


WRAPPED = """\
    Traceback (most recent call last):
      File "/app/store.py", line 5, in load
        return json.loads(text)
               ^^^^^^^^^^^^^^^^
      File "/usr/local/lib/python3.11/json/__init__.py", line 346, in loads
        return _default_decoder.decode(s)
               ^^^^^^^^^^^^^^^^^^^^^^^^^^
    json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)

    The above exception was the direct cause of the following exception:

    Traceback (most recent call last):
      File "/app/main.py", line 20, in <module>
        main()
      File "/app/main.py", line 12, in main
        load(path)
      File "/app/store.py", line 7, in load
        raise StoreError(f"cannot load {path}") from error
    store.StoreError: cannot load /data/a.json
    """


def test_a_wrapper_with_the_same_cause_is_the_same_problem_whatever_its_message_holds() -> None:
    assert value(WRAPPED) == value(WRAPPED.replace("/data/a.json", "/data/b-2026.json"))


def test_the_number_of_retries_is_data() -> None:
    attempt = """\
Traceback (most recent call last):
  File "/app/fetch.py", line 7, in fetch
    return session.get(url)
ConnectionError: attempt {} was refused

During handling of the above exception, another exception occurred:

"""
    last = """\
Traceback (most recent call last):
  File "/app/main.py", line 3, in <module>
    main()
  File "/app/fetch.py", line 12, in fetch
    raise GaveUp(url)
fetch.GaveUp: https://example.org/a
"""

    assert value("".join(map(attempt.format, range(2))) + last) == value("".join(map(attempt.format, range(9))) + last)
    assert value(attempt.format(1) + last) != value(last)


def test_one_wrapper_around_two_causes_is_two_problems() -> None:
    missing = WRAPPED.replace(
        "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)",
        "FileNotFoundError: [Errno 2] No such file or directory: '/data/a.json'",
    )

    assert value(WRAPPED) != value(missing)


@pytest.mark.parametrize(("one", "other"), [("1", "137"), ("2", "3")])
def test_another_exit_code_is_another_problem(one: str, other: str) -> None:
    text = """\
        Traceback (most recent call last):
          File "/app/main.py", line 3, in step
            subprocess.run(command, check=True)
          File "/usr/local/lib/python3.11/subprocess.py", line 571, in run
            raise CalledProcessError(retcode, process.args,
        subprocess.CalledProcessError: Command '['fit', 'a']' returned non-zero exit status {}.
        """

    assert value(text.format(one)) != value(text.format(other))


GROUP = """\
      + Exception Group Traceback (most recent call last):
      |   File "/app/main.py", line 12, in <module>
      |     asyncio.run(main())
      |   File "/app/main.py", line 9, in main
      |     async with asyncio.TaskGroup() as tasks:
      |   File "/usr/local/lib/python3.11/asyncio/taskgroups.py", line 145, in __aexit__
      |     raise me from None
      | ExceptionGroup: unhandled errors in a TaskGroup ({count} sub-exceptions)
      +-+---------------- 1 ----------------
    {members}
        +------------------------------------
    """
SHARD = """\
    | Traceback (most recent call last):
    |   File "/app/main.py", line 4, in fetch
    |     if i in bad: raise ValueError(f"bad shard {i}")
    | ValueError: bad shard %d"""
SAVE = """\
    | Traceback (most recent call last):
    |   File "/app/main.py", line 7, in save
    |     raise OSError(28, "No space left")
    | OSError: [Errno 28] No space left"""


def group(*members: str) -> str:
    inside = members[0]
    for number, member in enumerate(members[1:], start=2):
        inside += f"\n    +---------------- {number} ----------------\n{member}"
    return textwrap.dedent(GROUP).format(count=len(members), members=inside)


def test_three_or_thirty_equal_failures_in_a_group_are_one_problem() -> None:
    few = of(Said(stacktrace=group(SHARD % 1, SHARD % 2, SHARD % 3)))
    many = of(Said(stacktrace=group(*(SHARD % number for number in range(30)))))

    assert few == many


def test_another_kind_of_failure_in_a_group_makes_it_another_problem() -> None:
    one = of(Said(stacktrace=group(SHARD % 1)))
    both = of(Said(stacktrace=group(SHARD % 1, SAVE)))

    assert one.value != both.value


def test_the_depth_of_a_recursion_does_not_matter() -> None:
    def walk(depth: int) -> int:
        return walk(depth + 1)

    def text_at(limit: int) -> str:
        import sys

        before = sys.getrecursionlimit()
        sys.setrecursionlimit(limit)
        try:
            walk(0)
        except RecursionError:
            return traceback.format_exc()
        finally:
            sys.setrecursionlimit(before)
        raise AssertionError

    assert value(text_at(300)) == value(text_at(900))


def test_a_deep_traceback_keeps_its_outermost_and_innermost_exception() -> None:
    chain = parse(textwrap.dedent(WRAPPED))

    assert [one.type for one in chain] == ["json.decoder.JSONDecodeError", "store.StoreError"]
    assert [frame.function for frame in chain[0].frames] == ["load", "loads"]


@given(st.text(max_size=3000))
def test_no_text_makes_it_fail(text: str) -> None:
    of(Said(stacktrace=text, body=text))


@given(
    st.integers(0, len(PRICE) - 1),
    st.integers(0, len(PRICE) - 1),
    st.sampled_from([PRICE, WRAPPED, group(SHARD, SAVE)]),
)
def test_no_cut_of_a_real_traceback_makes_it_fail(start: int, end: int, text: str) -> None:
    of(Said(stacktrace=text[:start] + text[end:]))


CALLED_BY_MAIN = """\
    Traceback (most recent call last):
      File "/app/job.py", line 12, in <module>
        main()
      File "/app/job.py", line 9, in main
        check(rows)
      File "/app/job.py", line 3, in check
        assert rows, "no rows"
    AssertionError: no rows
    """


def test_what_calls_the_entry_point_only_says_how_it_was_started() -> None:
    from_a_command = CALLED_BY_MAIN.replace(
        '  File "/app/job.py", line 12, in <module>\n        main()\n',
        '  File "/app/cli.py", line 3, in command\n        job.main()\n',
    )

    assert value(from_a_command) == value(CALLED_BY_MAIN)


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        (
            "json.decoder.JSONDecodeError",
            "Expecting value: line 1 column 1 (char 0)",
            "Expecting ',' delimiter: line 3 column 9 (char 81)",
        ),
        (
            "UnicodeDecodeError",
            "'utf-8' codec can't decode byte 0xff in position 2: invalid start byte",
            "'utf-8' codec can't decode byte 0xe9 in position 0: invalid continuation byte",
        ),
    ],
)
def test_where_in_the_data_a_decoder_stopped_is_data(kind: str, one: str, other: str) -> None:
    text = """\
        Traceback (most recent call last):
          File "/app/feed.py", line 3, in read
            return decode(raw)
        {}: {}
        """

    assert value(text.format(kind, one)) == value(text.format(kind, other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/tmp/ipykernel_411/1862313817.py", "/tmp/ipykernel_9/23.py"),
        ("<ipython-input-3-8e2a1c>", "<ipython-input-17-00fa9b>"),
        ("C:\\Users\\ann\\etl\\job.py", "/srv/etl/job.py"),
        ("/opt/bundle-1.zip/job.py", "/opt/bundle-2.zip/job.py"),
    ],
)
def test_a_file_is_known_by_its_name_and_a_cell_of_a_notebook_by_its_text(one: str, other: str) -> None:
    text = """\
        Traceback (most recent call last):
          File "{}", line 3, in share
            return part / whole
        ZeroDivisionError: division by zero
        """

    assert value(text.format(one)) == value(text.format(other))


@pytest.mark.parametrize("frames", [1_000, 10_000])
def test_a_recursion_too_long_to_be_read_whole_is_known_by_its_ends(frames: int) -> None:
    def text_of(turns: int) -> str:
        turn = (
            '  File "/app/tree.py", line 12, in walk\n    return visit(node, depth)\n'
            '  File "/app/tree.py", line 14, in visit\n    return walk(node.child, depth + 1)\n'
        )
        return (
            'Traceback (most recent call last):\n  File "/app/main.py", line 20, in <module>\n    main()\n'
            f"{turn * turns}RecursionError: maximum recursion depth exceeded\n"
        )

    assert of(Said(stacktrace=text_of(frames))) == of(Said(stacktrace=text_of(20)))
    assert of(Said(stacktrace=text_of(20))).rung == "stack"


def test_the_address_of_a_value_is_data_also_where_type_names_are_kept() -> None:
    text = """\
        Traceback (most recent call last):
          File "/app/need.py", line 4, in need
            check(value)
        TypeError: need int, got <app.{} object at 0x{:012x}>
        """

    assert value(text.format("Model", 0x7F14BF40BF40)) == value(text.format("Model", 0x7F4C3FDA5AC0))
