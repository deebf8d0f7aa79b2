"""B4, B5 and B15 with folding: a run's records in any order tell the same, and nothing hides behind what is over.

What does not depend on the order: which causes are told, how often each problem happened, and that every record is
counted with an incident that is told. What may: of two reports of one cause, which words it is told in; of two causes
of one echo, which of them counts it.
"""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alert_bridge.model import Record, Severity
from alert_bridge.policy.model import Route
from tests.servers.engine import NS, START, Engine, a_policy, a_record, only_mdd, passing_engine

WORDS = ("amber", "birch", "cedar", "delta", "ember")
STACK = """\
Traceback (most recent call last):
  File "/app/model.py", line 5, in fetch
    urlopen(url)
  File "/usr/local/lib/python3.11/urllib/request.py", line 1351, in do_open
    raise URLError(err)
urllib.error.URLError: <urlopen error [Errno 111] Connection refused>
"""
RAISED = """\
Traceback (most recent call last):
  File "/app/e.py", line {}, in reconcile
    raise RuntimeError("no")
RuntimeError: no
"""


def said(
    body: str, second: float, span: str, stage: str, severity: Severity = Severity.ERROR, *,
    event: str = "", run: str = "run-1", **attributes: object,
) -> Record:  # fmt: skip
    record = a_record(
        body, severity, at=START + int(second * NS), stage=stage, event=event, run=run, attributes=attributes,
        uid=f"{run} {second} {body}",
    )  # fmt: skip
    return Record(**{**{name: getattr(record, name) for name in record.__slots__}, "span_id": span})


def begins(stage: str, second: float, span: str, parent: str = "", needs: tuple[str, ...] = (), run: str = "run-1"):
    hangs = {"pipeline.stage.parent_span.id": parent, "pipeline.stage.upstream": needs}
    return said(f"{stage} started", second, span, stage, Severity.INFO, event="pipeline.stage.start", run=run, **hangs)


FAILED_RUN = (
    begins("ensemble", 0, "s-ensemble"),
    begins("fetch", 1, "s-fetch", "s-ensemble"),
    said("Error fetching data", 2, "s-fetch", "fetch", **{
        "exception.stacktrace": STACK, "exception.type": "urllib.error.URLError", "exception.message": "refused"}),
    said("fetch ended: failure", 3, "s-fetch", "fetch", event="pipeline.stage.end",
         **{"cicd.pipeline.task.run.result": "failure"}),
    said("Model failed with exit code 1", 4, "s-ensemble", "ensemble"),
    said("ensemble ended: failure", 5, "s-ensemble", "ensemble", event="pipeline.stage.end",
         **{"cicd.pipeline.task.run.result": "failure"}),
    said("Disk quota is nearly used up", 5.5, "s-other", "other"),
    said("monthly_run ended with exit code 1", 6, "", "", event="pipeline.run.end",
         **{"cicd.pipeline.result": "failure", "process.exit.code": 1}),
)  # fmt: skip


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.permutations(FAILED_RUN), st.integers(1, 8), st.lists(st.sampled_from(FAILED_RUN), max_size=4))
def test_b5_a_failed_run_tells_the_same_problems_in_any_order_batching_and_duplication(records, batch, again):
    with passing_engine(only_mdd()) as engine:
        sent = [*records, *again]
        for start in range(0, len(sent), batch):
            engine.post(*sent[start : start + batch])

        told = {incident.title: incident.count for incident in engine.incidents() if not incident.root_id}
        roots = {incident.title: incident.id for incident in engine.incidents()}
        under = sum(one.events for title in told for one in engine.reader.folded(roots[title]))
        balance = engine.books()["slack"].balance
    assert told == {"URLError: refused": 1, "Disk quota is nearly used up": 1}
    assert under == 4, "the echo and the three ends"
    assert balance == 0


@st.composite
def broken_runs(draw: st.DrawFn) -> list[Record]:
    """Stages that hang together somehow, and what goes wrong in them; each problem shows in one place.

    No stage needs one that it is a part of, not even by way of others: it would wait for ever.
    """
    names = ("fetch", "clean", "train", "merge", "report")[: draw(st.integers(2, 5))]
    records, spans, parents, reach = [], {}, {}, {}
    for number, name in enumerate(names):
        earlier = st.sampled_from(names[:number]) if number else st.nothing()
        parent = draw(st.one_of(st.just(""), earlier)) if number else ""
        spans[name], parents[name] = f"s-{name}", parent
        around = {parent} | reach.get(parent, set()) if parent else set()
        wanted = draw(st.sets(earlier, max_size=2)) if number else set()
        needs = tuple(sorted(one for one in wanted if not around & ({one} | reach[one])))
        reach[name] = around | {far for one in needs for far in ({one} | reach[one])}
        records.append(begins(name, number, spans[name], spans.get(parent, ""), needs))
    second = len(names)
    for number, name in enumerate(names):
        kinds = draw(st.sets(st.sampled_from(("cause", "again", "echo", "exit", "missing", "plain")), max_size=3))
        for kind in sorted(kinds):
            place = parents[name] or name if kind == "again" else name
            for copy in range(draw(st.integers(1, 2))):
                second += 1
                records.append(_of_kind(kind, WORDS[number], place, spans[place], second + copy / 10))
    return records


def _of_kind(kind: str, word: str, stage: str, span: str, second: float) -> Record:
    """One record; ``says`` is the cause that it tells of, where it tells of one."""
    inner = STACK.replace("model.py", f"{word}.py").replace("in fetch", f"in {word}")
    outer = f"{inner}\nThe above exception was the direct cause of the following exception:\n\n" + RAISED.format(
        7
    ).replace("reconcile", f"outer_{word}")
    match kind:
        case "cause" | "again":
            raised = {
                "exception.stacktrace": inner if kind == "cause" else outer,
                "exception.type": "urllib.error.URLError" if kind == "cause" else "RuntimeError",
            }
            return said(f"{word} could not go on", second, span, stage, says=word, **raised)
        case "echo":
            return said(f"giving up on {word}", second, span, stage, says=f"echo {word}")
        case "exit":
            return said(f"{word} failed with exit code 1", second, span, stage, says=f"exit {word}")
        case "missing":
            return said(f"no such file: {word}.parquet", second, span, stage, says=f"missing {word}")
        case _:
            return said(f"the {word} of {word} is odd", second, span, stage, says=f"plain {word}",
                        **{"exception.type": "ValueError"})  # fmt: skip


def facts_of(engine: Engine, sent: int) -> tuple[object, ...]:
    """Which causes are told, how often each problem happened, and that nothing is missing."""
    told = [incident for incident in engine.incidents() if not incident.root_id]
    own = sum(incident.count for incident in told)
    under = sum(one.events for incident in told for one in engine.reader.folded(incident.id))
    issues = engine.reader._rows("SELECT fingerprint, events, first_seen, last_seen FROM issues ORDER BY fingerprint")
    assert own + under == sent
    assert not any(book.balance for book in engine.books().values())
    return sorted(incident.sample.text("says") for incident in told), [tuple(row) for row in issues]


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(broken_runs(), st.randoms(use_true_random=False), st.integers(1, 6))
def test_b4_and_b5_any_run_tells_the_same_causes_whatever_comes_first_be_it_the_starts_of_its_stages(
    run, chance, batch
):
    errors = sum(record.severity >= Severity.ERROR for record in run)
    shuffled = [*run, *chance.sample(run, chance.randint(0, len(run)))]
    chance.shuffle(shuffled)

    with passing_engine(only_mdd()) as straight, passing_engine(only_mdd()) as mixed:
        straight.post(*run)
        for start in range(0, len(shuffled), batch):
            mixed.post(*shuffled[start : start + batch])

        assert facts_of(mixed, errors) == facts_of(straight, errors)


def test_a_post_that_turns_out_to_be_an_echo_says_once_whose_part_it_is_and_is_silent_then(engine):
    engine.post(*FAILED_RUN[:2], FAILED_RUN[4])
    engine.at(5)
    (early,) = engine.slack.posts

    engine.post(FAILED_RUN[2])
    engine.at(3 * 86_400)

    root = next(incident for incident in engine.incidents() if not incident.root_id)
    edits = [one for one in engine.slack.told if one.message.incident_id == early.message.incident_id][1:]
    assert [edit.earlier for edit in edits] == [early.reference]
    assert edits[0].message.note == "Part of “URLError: refused”: see there what happens next."
    assert edits[0].message.links[0] == ("Told there", f"http://bridge.test/incidents/{root.id}")


def test_a_mail_that_turns_out_to_be_an_echo_is_followed_by_no_second_mail(tmp_path):
    engine = Engine(tmp_path, a_policy(routes=(Route("email", ("mdd",), Severity.ERROR, 10),)))
    engine.post(*FAILED_RUN[:2], FAILED_RUN[4])
    engine.at(20)

    engine.post(FAILED_RUN[2])
    engine.at(40)

    assert len(engine.email.told) == 2, "the echo, and its cause"
    assert engine.books()["email"].balance == 0
    engine.close()


def test_a_stage_that_is_known_late_explains_what_was_told_by_itself(engine):
    cause, echo = FAILED_RUN[2], FAILED_RUN[4]
    engine.post(echo)
    engine.post(cause)
    before = [incident.root_id for incident in engine.incidents()]

    engine.post(*FAILED_RUN[:2])
    engine.at(10)

    assert before == ["", ""]
    assert [bool(incident.root_id) for incident in engine.incidents()] == [True, False]
    assert len(engine.slack.posts) == 1


def test_a_part_that_also_shows_where_nothing_explains_it_is_told_by_itself_again(engine):
    echo, elsewhere = FAILED_RUN[4], said("Model failed with exit code 1", 9, "s-far", "far")
    engine.post(*FAILED_RUN[:2], echo)
    engine.post(FAILED_RUN[2])
    engine.at(10)

    engine.post(elsewhere)
    engine.at(20)

    told = {incident.title: incident.count for incident in engine.incidents() if not incident.root_id}
    assert told == {"URLError: refused": 1, "Model failed with exit code 1": 2}
    assert engine.books()["slack"].balance == 0
    assert engine.books()["slack"].queued == 0


def test_a_part_of_one_run_hides_nothing_in_another(engine):
    engine.post(*FAILED_RUN[:2], FAILED_RUN[4])
    engine.post(FAILED_RUN[2])
    engine.at(10)
    posts = len(engine.slack.posts)

    engine.post(said("Model failed with exit code 1", 20, "x-ensemble", "ensemble", run="run-2"))
    engine.at(30)

    assert len(engine.slack.posts) == posts + 1
    assert "exit code 1" in engine.slack.posts[-1].message.headline
    assert [bool(incident.root_id) for incident in engine.incidents()] == [True, False, False]


def test_an_echo_that_came_before_its_cause_is_an_echo_in_later_runs_too(engine):
    engine.post(*FAILED_RUN[:2], FAILED_RUN[4])
    engine.post(FAILED_RUN[2])
    again = [
        begins("ensemble", 100, "t-ensemble", run="run-2"),
        begins("fetch", 101, "t-fetch", "t-ensemble", run="run-2"),
        said("Disk quota is nearly used up", 102, "t-fetch", "fetch", run="run-2"),
        said("Model failed with exit code 1", 103, "t-ensemble", "ensemble", run="run-2"),
    ]

    engine.post(*again)

    quota = next(incident for incident in engine.incidents() if incident.title == "Disk quota is nearly used up")
    assert [one.title for one in engine.reader.folded(quota.id)] == ["Model failed with exit code 1"]


def downstream(run: str, at: float) -> list[Record]:
    return [
        begins("fetch", at, f"{run}-f", run=run),
        begins("report", at + 1, f"{run}-r", needs=("fetch",), run=run),
    ]


def misses(run: str, at: float) -> Record:
    return said("No such file: forecasts.parquet", at, f"{run}-r", "report", run=run)


def test_b15_a_failed_stage_mutes_the_missing_input_behind_it_in_the_same_run(engine):
    engine.post(*downstream("run-1", 0), said("the store is down", 2, "run-1-f", "fetch"), misses("run-1", 3))
    engine.at(10)

    assert [post.message.headline for post in engine.slack.posts] == ["ERROR · monthly_run / fetch: the store is down"]
    root = engine.incidents()[0]
    assert [one.title for one in engine.reader.folded(root.id)] == ["No such file: forecasts.parquet"]


def test_b15_what_still_fails_when_its_cause_is_over_is_told(engine):
    engine.post(*downstream("run-1", 0), said("the store is down", 2, "run-1-f", "fetch"), misses("run-1", 3))
    engine.at(10)
    good = said("fetch ended", 22, "run-2-f", "fetch", Severity.INFO, event="pipeline.stage.end", run="run-2",
                **{"cicd.pipeline.task.run.result": "success"})  # fmt: skip

    engine.post(*downstream("run-2", 20), good, misses("run-2", 23))
    engine.at(40)

    assert "No such file: forecasts.parquet" in engine.slack.posts[-1].message.headline
    assert [incident.state.value for incident in engine.incidents()] == ["resolved", "open"]


def test_b15_the_same_in_another_run_is_not_muted(engine):
    engine.post(*downstream("run-1", 0), said("the store is down", 2, "run-1-f", "fetch"))
    engine.post(*downstream("run-2", 0), misses("run-2", 3))
    engine.at(10)

    assert len(engine.slack.posts) == 2


def test_a_log_call_and_the_raise_behind_it_are_one_message(engine):
    stack = RAISED.format(92)
    where = {"code.file.path": "/app/e.py", "code.function.name": "reconcile", "code.line.number": "91"}
    logged = said("Reconciliation input is absent", 1, "s", "reconcile", Severity.CRITICAL, **where)
    raised = {"exception.stacktrace": stack, "exception.type": "RuntimeError", "pipeline.uncaught": True}

    engine.post(logged, said("uncaught RuntimeError: no", 2, "", "", Severity.CRITICAL, **raised))
    engine.at(10)

    assert len(engine.slack.posts) == 1


def test_a_raise_elsewhere_in_the_function_is_a_message_of_its_own(engine):
    stack = RAISED.format(120)
    where = {"code.file.path": "/app/e.py", "code.function.name": "reconcile", "code.line.number": "91"}
    raised = {"exception.stacktrace": stack, "exception.type": "RuntimeError", "pipeline.uncaught": True}

    engine.post(
        said("Weights are absent", 1, "s", "reconcile", Severity.CRITICAL, **where),
        said("uncaught RuntimeError: no", 2, "", "", Severity.CRITICAL, **raised),
    )
    engine.at(10)

    assert len(engine.slack.posts) == 2
