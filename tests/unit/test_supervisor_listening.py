"""What the supervisor hears of a run does not hang on how its records were read together."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from instrumentation import attributes as names
from instrumentation.events import OWN_LOGGER
from instrumentation.sender.entry import LOG, SPAN, Entry
from instrumentation.sender.sources import Source
from instrumentation.supervisor.listening import MAX_PROCESSES, Listener, Place

STAGES = st.sampled_from(["", "fetch", "train"])
ENTRIES = st.builds(
    lambda kind, level, scope, body, event, stage, span: Entry(
        kind, 1, level, level >= 40 or event != "", scope, b"", body, event,
        {names.STAGE: stage, names.UNCAUGHT: level == 50, names.EXCEPTION_TYPE: "ValueError"} if stage else {},
        span_id=span,
    ),
    st.sampled_from([LOG, LOG, LOG, SPAN]),
    st.sampled_from([10, 20, 30, 40, 50]),
    st.sampled_from(["views", "urllib3.pool", OWN_LOGGER]),
    st.text("ab", max_size=3),
    st.sampled_from(["", names.EVENT_STAGE_START, names.EVENT_STAGE_END]),
    STAGES,
    st.sampled_from(["", "b7ad6b7169203331"]),
)  # fmt: skip


def heard(batches: Sequence[Sequence[Entry]]) -> Listener:
    listener, source = Listener(), Source.of({}, "c1", 7)
    for batch in batches:
        listener.hear(batch, source)
    listener.last_heard = 0.0
    return listener


@given(st.lists(ENTRIES, max_size=12), st.integers(0, 12))
def test_what_is_heard_does_not_hang_on_the_batches_it_came_in(entries: list[Entry], cut: int) -> None:
    one_by_one = heard([[entry] for entry in entries])

    assert heard([entries]) == one_by_one
    assert heard([entries[:cut], entries[cut:]]) == one_by_one


def entry(level: int = 20, scope: str = "views", **given: object) -> Entry:
    attributes = {name: value for name, value in given.items() if "." in name}
    return Entry(LOG, 1, level, level >= 40, scope, b"", str(given.get("body", "")), "", attributes)


def test_a_hung_download_that_goes_on_printing_is_no_sign_of_life() -> None:
    listener = Listener(last_heard=5.0)

    listener.hear(
        [entry(scope="urllib3.connectionpool"), entry(scope="httpx"), entry(level=10)], Source.of({}, "c2", 7)
    )

    assert listener.last_heard == 5.0


def test_what_the_supervisor_says_itself_is_no_record_of_the_program() -> None:
    listener = Listener()

    listener.hear([entry(level=50, scope=OWN_LOGGER, body="killed"), entry(body="Fetched")], Source.of({}, "c3", 7))

    assert listener.errors == 0
    assert listener.last_records(7) == "Fetched"


def test_of_very_many_processes_those_are_known_that_were_heard_last() -> None:
    listener = Listener()
    sources = [Source.of({}, f"m{pid}", pid) for pid in range(1, 3 * MAX_PROCESSES)]

    for source in sources:
        listener.hear([entry(body="main", **{names.STAGE: "all"})], sources[0])
        listener.hear([entry(body="worker", **{names.STAGE: "one"})], source)

    assert (listener.last_records(1)[-4:], listener.place_of(1)) == ("main", Place(stage="all"))
    assert (listener.last_records(2), listener.place_of(2)) == ("", Place())
    assert len(listener.recent) == len(listener.latest) == MAX_PROCESSES


def test_a_process_is_where_its_last_record_that_says_so_was() -> None:
    listener = Listener()

    listener.hear([entry(**{names.STAGE: "fetch"}), entry(**{names.STAGE: "train"}), entry()], Source.of({}, "c4", 7))

    assert listener.place_of(7) == Place(stage="train")
    assert listener.place_of(8) == Place()
