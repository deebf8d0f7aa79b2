"""Folding: what is only the echo or the consequence of another error, and what never is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alert_bridge.fingerprint import fingerprint
from alert_bridge.incidents.folding import Known, Lineage, Trouble, fold_under, stands_alone, trouble_of
from alert_bridge.model import Record, Severity

PARENTS = {"step": "model", "model": "ensemble", "ensemble": "run", "other": "run"}
UPSTREAM = {"report": frozenset({"aggregate"}), "aggregate": frozenset({"fetch"})}

FETCH = Known("i1", "fetch failed", frozenset({"refused"}), frozenset({"step"}), frozenset({"fetch"}), Severity.ERROR)
TRAIN = Known("i2", "diverged", frozenset({"nan"}), frozenset({"other"}), frozenset({"train"}), Severity.ERROR)


def trouble(**parts: object) -> Trouble:
    plain = Trouble("p", "", "ensemble", "ensemble", Severity.ERROR, echo=False, child_ended=False, missing_input=False)
    return replace(plain, **parts)  # type: ignore[arg-type]


def folded(one: Trouble, *known: Known, stood_alone_before: bool = False) -> str | None:
    found = fold_under(one, Lineage(known, PARENTS, UPSTREAM), stood_alone_before=stood_alone_before)
    return found and f"{found.rule} of {found.incident_id}"


LEVELS = (Severity.WARNING, Severity.ERROR, Severity.CRITICAL)
SPANS = ("step", "model", "ensemble", "run", "other", "")
STAGES = ("fetch", "aggregate", "report", "train", "")


def troubles() -> st.SearchStrategy[Trouble]:
    flag = st.booleans()
    return st.builds(
        Trouble, st.sampled_from("pqr"), st.sampled_from(("", "refused", "nan")), st.sampled_from(SPANS),
        st.sampled_from(STAGES), st.sampled_from(LEVELS), flag, flag, flag, flag,
        st.just("a.py"), st.just("f"), st.integers(0, 6),
    )  # fmt: skip


def knowns() -> st.SearchStrategy[Known]:
    some = lambda values: st.frozensets(st.sampled_from(values), max_size=2)  # noqa: E731 - used right here
    places = st.frozensets(st.tuples(st.just("a.py"), st.just("f"), st.integers(1, 6)), max_size=2)
    return st.builds(
        Known, st.sampled_from(("i1", "i2", "i3")), st.sampled_from("pqr"), some(("refused", "nan")),
        some(SPANS[:-1]), some(STAGES[:-1]), st.sampled_from(LEVELS), places,
    )  # fmt: skip


def test_the_same_cause_reported_further_out_is_a_re_report() -> None:
    assert folded(trouble(root="refused"), FETCH, TRAIN) == "re-report of i1"


def test_the_same_cause_in_another_branch_of_the_run_is_a_problem_of_its_own() -> None:
    assert folded(trouble(root="refused", span="other"), FETCH) is None


def test_an_error_without_a_cause_of_its_own_above_one_problem_is_its_echo() -> None:
    assert folded(trouble(echo=True), FETCH, TRAIN) == "echo of i1"


def test_an_error_above_two_problems_is_the_echo_of_the_one_that_is_known_longest() -> None:
    assert folded(trouble(echo=True, span="run"), FETCH, TRAIN) == "echo of i1"
    assert folded(trouble(echo=True, span="run"), TRAIN, FETCH) == "echo of i2"


def test_what_is_worse_than_one_cause_but_not_than_another_is_told_with_that_one() -> None:
    grave = replace(TRAIN, severity=Severity.CRITICAL)

    assert folded(trouble(echo=True, span="run", severity=Severity.CRITICAL), FETCH, grave) == "echo of i2"


@given(st.data())
def test_the_more_is_known_of_a_run_the_more_is_folded_and_never_less(data: st.DataObject) -> None:
    one = data.draw(troubles())
    some = data.draw(st.lists(knowns(), max_size=4))
    more = [*some, *data.draw(st.lists(knowns(), max_size=3))]
    worse = [replace(known, severity=max(known.severity, data.draw(st.sampled_from(LEVELS)))) for known in more]
    fewer_parents = {span: above for span, above in PARENTS.items() if data.draw(st.booleans())}

    before = fold_under(one, Lineage(tuple(some), fewer_parents, {}), stood_alone_before=False)
    after = fold_under(one, Lineage(tuple(worse), PARENTS, UPSTREAM), stood_alone_before=False)

    assert before is None or after is not None


def test_a_plain_error_beside_a_problem_is_not_its_echo() -> None:
    assert folded(trouble(echo=True, span="step"), FETCH) is None


def test_a_word_that_a_child_ended_badly_is_an_echo_even_beside_the_problem() -> None:
    assert folded(trouble(echo=True, child_ended=True, span="step"), FETCH) == "echo of i1"


def test_an_exception_with_a_cause_of_its_own_is_never_an_echo() -> None:
    assert folded(trouble(root="disk full"), FETCH) is None


def test_a_missing_input_behind_a_failed_stage_is_a_consequence() -> None:
    assert folded(trouble(missing_input=True, stage="report"), FETCH) == "consequence of i1"


def test_another_error_behind_a_failed_stage_is_told() -> None:
    assert folded(trouble(stage="report"), FETCH) is None


def test_what_is_worse_than_its_cause_is_told() -> None:
    assert folded(trouble(echo=True, severity=Severity.CRITICAL), FETCH) is None


def test_that_an_exception_ended_its_process_does_not_make_it_worse_than_its_cause() -> None:
    worse = trouble(echo=True, severity=Severity.CRITICAL, uncaught=True)

    assert folded(worse, FETCH) == "echo of i1"


def test_what_stood_alone_in_an_earlier_run_is_told() -> None:
    alone = trouble(missing_input=True, stage="report")

    assert stands_alone(alone, Lineage((TRAIN,), PARENTS, UPSTREAM))
    assert not stands_alone(alone, Lineage((FETCH,), PARENTS, UPSTREAM))
    assert folded(alone, FETCH, stood_alone_before=True) is None


def test_stages_in_a_circle_do_no_harm() -> None:
    circle = {"a": frozenset({"b"}), "b": frozenset({"a"})}
    loop = {"x": "y", "y": "x"}

    one = trouble(missing_input=True, stage="a", echo=True, span="x")

    assert fold_under(one, Lineage((FETCH,), loop, circle), stood_alone_before=False) is None


CHAIN = """\
Traceback (most recent call last):
  File "/app/model.py", line 5, in fetch
    urlopen(url)
  File "/usr/local/lib/python3.11/urllib/request.py", line 1351, in do_open
    raise URLError(err)
urllib.error.URLError: <urlopen error [Errno 111] Connection refused>
"""
OUTER = (
    CHAIN
    + """
The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/app/model.py", line 30, in main
    fetch(url)
  File "/app/model.py", line 9, in fetch
    raise DataFetchError(f"no {level} data") from error
model.DataFetchError: no cm data
"""
)


def record(body: str, stacktrace: str = "", kind: str = "", message: str = "") -> Trouble:
    attributes = {"exception.stacktrace": stacktrace, "exception.type": kind, "exception.message": message}
    one = Record("u", 1, 1, Severity.ERROR, "ERROR", body, attributes={k: v for k, v in attributes.items() if v})
    return trouble_of(one, fingerprint(one), Severity.ERROR)


def test_an_exception_and_what_was_raised_from_it_have_the_same_root() -> None:
    inner = record("Error fetching data", CHAIN, "urllib.error.URLError", "<urlopen error>")
    outer = record("uncaught", OUTER, "model.DataFetchError", "no cm data")

    assert inner.root == outer.root != ""
    assert inner.problem != outer.problem


@pytest.mark.parametrize(
    ("body", "child_ended"),
    [
        ("Model quiet_delta failed with exit code 137", True),
        ("Command '['fit']' returned non-zero exit status 1.", True),
        ("Reconciliation input is missing", False),
        ("Upload refused: HTTP 403", False),
    ],
)
def test_words_say_whether_a_child_process_ended(body: str, *, child_ended: bool) -> None:
    assert record(body).child_ended is child_ended


def test_words_say_whether_an_input_is_missing() -> None:
    assert record("Reconciliation input is missing: no country totals").missing_input
    assert not record("Upload refused: HTTP 403").missing_input
