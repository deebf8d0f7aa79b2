"""B5 for an echo that comes both as bad as its cause and worse: it stands for itself, with all of its records."""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alert_bridge.model import Record, Severity
from tests.servers.engine import NS, START, Engine, a_record, only_mdd, passing_engine

STAGES = {"ensemble": "", "fetch": "ensemble"}


def said(number: int, body: str, stage: str, severity: Severity, **more: object) -> Record:
    record = a_record(body, severity, at=START + number * NS, stage=stage, uid=f"r{number}", **more)
    return Record(**{**{name: getattr(record, name) for name in record.__slots__}, "span_id": f"s-{stage}"})


@st.composite
def runs(draw: st.DrawFn) -> list[Record]:
    """Two stages, one in the other; the inner has the cause, the outer its echo, each as bad as drawn."""
    begun = [
        said(number, f"{stage} started", stage, Severity.INFO, event="pipeline.stage.start",
             attributes={"pipeline.stage.parent_span.id": f"s-{above}" if above else ""})
        for number, (stage, above) in enumerate(STAGES.items())
    ]  # fmt: skip
    levels = st.lists(st.sampled_from((Severity.ERROR, Severity.CRITICAL)), min_size=1, max_size=3)
    told = [
        *(("the source did not answer", "fetch", level) for level in draw(levels)),
        *(("giving up on the ensemble", "ensemble", level) for level in draw(levels)),
    ]
    return begun + [said(10 + number, *one) for number, one in enumerate(told)]


def split_of(engine: Engine) -> tuple[object, ...]:
    """By problem: how often it is counted as itself and when it began, and how often as part of which other."""
    incidents = {incident.id: incident for incident in engine.incidents()}
    own = sorted((one.title, one.count, one.first_event) for one in incidents.values() if not one.root_id)
    part: Counter[tuple[str, str]] = Counter()
    for incident in incidents.values():
        if not incident.root_id:
            part.update({(one.title, incident.title): one.events for one in engine.reader.folded(incident.id)})
    return own, sorted(part.items())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(runs(), st.randoms(use_true_random=False), st.integers(1, 4))
def test_b5_what_is_counted_as_itself_and_what_as_a_part_does_not_hang_on_the_order(run, chance, batch):
    shuffled = list(run)
    chance.shuffle(shuffled)

    with passing_engine(only_mdd()) as straight, passing_engine(only_mdd()) as mixed:
        straight.post(*run)
        for start in range(0, len(shuffled), batch):
            mixed.post(*shuffled[start : start + batch])

        assert split_of(mixed) == split_of(straight)
        assert sum(count for _, count, _ in split_of(mixed)[0]) + sum(n for _, n in split_of(mixed)[1]) == len(run) - 2
        assert {book.balance for book in mixed.books().values()} == {0}


def test_an_echo_that_turns_out_worse_than_its_cause_takes_its_earlier_records_along(engine):
    begun = [said(0, "fetch started", "fetch", Severity.INFO, event="pipeline.stage.start",
                  attributes={"pipeline.stage.parent_span.id": "s-ensemble"})]  # fmt: skip
    cause = said(1, "the source did not answer", "fetch", Severity.ERROR)
    echoes = [said(2 + n, "giving up on the ensemble", "ensemble", Severity.ERROR) for n in range(3)]
    engine.post(*begun, cause, *echoes)
    engine.at(30)

    engine.post(said(9, "giving up on the ensemble", "ensemble", Severity.CRITICAL))
    engine.at(60)

    assert split_of(engine) == (
        [("giving up on the ensemble", 4, START + 2 * NS), ("the source did not answer", 1, START + NS)],
        [],
    )
    last = [one.message for one in engine.slack.told if "giving up" in one.message.headline][-1]
    assert "4\N{MULTIPLICATION SIGN}" in " ".join(last.facts)
