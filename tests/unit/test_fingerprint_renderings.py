"""One failure, as interpreters, notebooks, consoles, clusters and log shippers print it: one problem each time."""

from __future__ import annotations

import io
import json
import runpy
import textwrap
import traceback

import pytest
from rich.console import Console

from alert_bridge.fingerprint import Said, of

JOB = """\
def share(part, whole):
    return part / whole


def report(rows):
    for row in rows:
        share(row, 0)


def main():
    report([3])


main()
"""
PLAIN = """\
Traceback (most recent call last):
  File "/srv/etl/start.py", line 3, in <module>
    main()
  File "/srv/etl/job.py", line 11, in main
    report([3])
  File "/srv/etl/job.py", line 7, in report
    share(row, 0)
  File "/srv/etl/job.py", line 2, in share
    return part / whole
           ~~~~~^~~~~~~
ZeroDivisionError: division by zero
"""
LAST_FRAMES = PLAIN.partition('  File "/srv/etl/job.py", line 11')[2]
NOTEBOOK = """\
---------------------------------------------------------------------------
ZeroDivisionError                         Traceback (most recent call last)
Cell In[7], line 2
      1 import job
----> 2 job.main()

File ~/etl/job.py:11, in main()
     10 def main():
---> 11     report([3])

File ~/etl/job.py:7, in report(rows)
      5 def report(rows):
      6     for row in rows:
----> 7         share(row, 0)

File ~/etl/job.py:2, in share(part, whole)
      1 def share(part, whole):
----> 2     return part / whole

ZeroDivisionError: division by zero
"""
OLD_NOTEBOOK = """\
---------------------------------------------------------------------------
ZeroDivisionError                         Traceback (most recent call last)
<ipython-input-2-b0b27c3c4f0f> in <module>
      1 import job
----> 2 job.main()

~/etl/job.py in main()
      9 def main():
---> 10     report([3])

~/etl/job.py in report(rows)
      4 def report(rows):
      5     for row in rows:
----> 6         share(row, 0)

~/etl/job.py in share(part, whole)
----> 2     return part / whole
      3

ZeroDivisionError: division by zero
"""
EXECUTED_NOTEBOOK = f"""\
Traceback (most recent call last):
  File "/env/lib/python3.11/site-packages/papermill/execute.py", line 131, in execute_notebook
    raise_for_execution_errors(nb, output_path)
  File "/env/lib/python3.11/site-packages/papermill/execute.py", line 251, in raise_for_execution_errors
    raise error
papermill.exceptions.PapermillExecutionError:
---------------------------------------------------------------------------
Exception encountered at "In [7]":
{NOTEBOOK}"""
WITH_VALUES = """\
Traceback (most recent call last):

  File "/srv/etl/start.py", line 12, in <module>
    main()
    └ <function main at 0x7f14bf40bf40>

> File "/srv/etl/job.py", line 11, in main
    report([3])
    └ <function report at 0x7f14bf40bf40>

  File "/srv/etl/job.py", line 7, in report
    share(row, 0)
    │     └ 3
    └ <function share at 0x7f4c3fda5ac0>

  File "/srv/etl/job.py", line 2, in share
    return part / whole
           │      └ 0
           └ 3

ZeroDivisionError: division by zero
"""
FROM_A_CLUSTER = f"""\
Traceback (most recent call last):
  File "/srv/etl/driver.py", line 9, in <module>
    ray.get(task.remote())
  File "/env/lib/python3.11/site-packages/ray/_private/worker.py", line 864, in get_objects
    raise value.as_instanceof_cause()
ray.exceptions.RayTaskError(ZeroDivisionError): ray::main() (pid=4242, ip=10.0.0.7)
  File "/srv/etl/job.py", line 11{LAST_FRAMES}"""
SHIPPED = "".join(f"2026-11-25T06:00:0{at % 10}Z node-7 etl[33]: {line}\n" for at, line in enumerate(PLAIN.split("\n")))


@pytest.mark.parametrize(
    "text",
    [NOTEBOOK, OLD_NOTEBOOK, EXECUTED_NOTEBOOK, WITH_VALUES, FROM_A_CLUSTER, SHIPPED, json.dumps(PLAIN)[1:-1]],
    ids=["notebook", "old notebook", "executed notebook", "with values", "cluster", "shipped", "in JSON"],
)
def test_however_a_traceback_is_drawn_it_is_the_same_problem(text: str) -> None:
    assert of(Said(stacktrace=text)) == of(Said(stacktrace=PLAIN))
    assert of(Said(body=text)) == of(Said(stacktrace=PLAIN))


@pytest.mark.parametrize("show_locals", [False, True])
def test_a_box_around_a_real_traceback_is_the_same_problem(tmp_path, show_locals: bool) -> None:
    (tmp_path / "job.py").write_text(JOB)
    console = Console(width=200, file=io.StringIO(), force_terminal=False)

    try:
        runpy.run_path(str(tmp_path / "job.py"))
    except ZeroDivisionError:
        plain = traceback.format_exc()
        console.print_exception(show_locals=show_locals)

    assert of(Said(body=console.file.getvalue())) == of(Said(stacktrace=plain))


@pytest.mark.parametrize(
    "heading",
    [
        "Exception in thread Thread-3 (work):",
        "Process ForkPoolWorker-2:",
        "Exception ignored in: <function Model.__del__ at 0x7f14bf40bf40>",
    ],
)
def test_a_heading_of_the_interpreter_belongs_to_its_traceback(heading: str) -> None:
    assert of(Said(body=f"{heading}\n{PLAIN}")) == of(Said(stacktrace=PLAIN))


def test_a_chain_drawn_by_a_notebook_keeps_its_cause() -> None:
    plain = textwrap.dedent("""\
        Traceback (most recent call last):
          File "<cell>", line 3, in wrap
            job.main(2)
          File "/srv/etl/job.py", line 8, in main
            report([x])
        ZeroDivisionError: division by zero

        The above exception was the direct cause of the following exception:

        Traceback (most recent call last):
          File "<cell>", line 6, in <module>
            wrap()
          File "<cell>", line 5, in wrap
            raise RuntimeError('no') from e
        RuntimeError: no
        """)
    drawn = textwrap.dedent("""\
        ---------------------------------------------------------------------------
        ZeroDivisionError                         Traceback (most recent call last)
        Cell In[1], line 3, in wrap()
              2 try:
        ----> 3     job.main(2)
              4 except ZeroDivisionError as e:

        File /home/ann/job.py:8, in main(x)
              7 def main(x):
        ----> 8     report([x])

        ZeroDivisionError: division by zero

        The above exception was the direct cause of the following exception:

        RuntimeError                              Traceback (most recent call last)
        Cell In[1], line 6
              4     except ZeroDivisionError as e:
              5         raise RuntimeError('no') from e
        ----> 6 wrap()

        Cell In[1], line 5, in wrap()
              3     job.main(2)
        ----> 5     raise RuntimeError('no') from e

        RuntimeError: no
        """)

    assert of(Said(stacktrace=drawn)) == of(Said(stacktrace=plain))


def test_two_stack_traces_that_cannot_be_read_are_told_apart_by_their_last_line() -> None:
    one, other = "frames unknown\nDiskFull: 3 bytes left", "frames unknown\nLinkDown: eth0"

    assert of(Said(stacktrace=one)).value != of(Said(stacktrace=other)).value
