"""Laws of the engine: any order gives the same incidents and counts (B5); books balance whatever happens (B27)."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alert_bridge.errors import Ambiguous, Permanent, Retryable
from alert_bridge.intake import sift
from alert_bridge.model import Severity
from alert_bridge.policy.model import Match
from alert_bridge.quiet import QuietTime
from alert_bridge.silences import Silence
from tests.servers.engine import NS, START, Engine, a_policy, a_record, a_success, passing_engine

PROPERTY = settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
BODIES = ("disk is full", "value is missing", "cannot reach the store")
STAGES = ("", "fetch", "train")


@st.composite
def records(draw):
    drawn = draw(
        st.lists(
            st.tuples(
                st.sampled_from(BODIES),
                st.sampled_from((Severity.ERROR, Severity.CRITICAL, Severity.WARNING)),
                st.sampled_from((-3_600, -60, 0, 1, 3_600)),  # few, so that several come at one time
                st.sampled_from(("run-1", "run-2", "run-3")),
                st.sampled_from(STAGES),
            ),
            min_size=1,
            max_size=12,
        )
    )
    return [
        a_record(body, severity, at=START + second * NS, run=run, stage=stage, uid=f"r{number}")
        for number, (body, severity, second, run, stage) in enumerate(drawn)
    ]


def facts_of(engine: Engine):
    """What must not depend on the order of arrival."""
    return sorted(
        (
            incident.fingerprint,
            incident.severity,
            incident.state,
            incident.stage,
            incident.first_event,
            incident.last_event,
            incident.count,
            incident.run_ids,
            incident.sample.uid,
            tuple(
                (one.conversation.recipient.channel, one.conversation.recipient.address, one.conversation.matched)
                for one in engine.reader.deliveries(incident.id)
            ),
        )
        for incident in (engine.reader.incident(one.id) for one in engine.incidents())
    )


@PROPERTY
@given(records(), st.randoms(use_true_random=False), st.integers(1, 5))
def test_b5_any_order_any_batching_and_any_duplication_give_the_same_incidents(sent, random, batch):
    shuffled = [*sent, *random.sample(sent, random.randint(0, len(sent)))]
    random.shuffle(shuffled)

    with passing_engine(a_policy()) as straight, passing_engine(a_policy()) as mixed:
        straight.post(*sent)
        for start in range(0, len(shuffled), batch):
            mixed.post(*shuffled[start : start + batch])

        assert facts_of(mixed) == facts_of(straight)


@PROPERTY
@given(records())
def test_a_second_copy_of_a_request_counts_nothing(sent):
    with passing_engine(a_policy()) as engine:
        engine.post(*sent)
        before = facts_of(engine), engine.books()

        engine.post(*sent)

        assert (facts_of(engine), engine.books()) == before


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("post"), st.integers(0, 2), st.sampled_from((Severity.ERROR, Severity.CRITICAL))),
        st.tuples(st.just("again"), st.integers(0, 5), st.none()),
        st.tuples(st.just("wait"), st.integers(0, 40), st.none()),
        st.tuples(st.just("days"), st.integers(1, 3), st.none()),
        st.tuples(st.just("success"), st.integers(2, 9), st.none()),
        st.tuples(st.just("restart"), st.none(), st.none()),
        st.tuples(st.just("killed while sending"), st.none(), st.none()),
        st.tuples(st.just("slack"), st.sampled_from(("fine", "away", "refuses", "silent")), st.none()),
        st.tuples(st.just("email"), st.sampled_from(("fine", "away", "refuses")), st.none()),
        st.tuples(st.just("reload"), st.none(), st.none()),
        st.tuples(st.just("silence"), st.integers(0, 2), st.sampled_from((30, 3_600, 200_000))),
        st.tuples(st.just("end silence"), st.integers(0, 3), st.none()),
        st.tuples(st.just("quiet hours"), st.sampled_from((0, 1, 8)), st.none()),
        st.tuples(st.just("acknowledge"), st.integers(0, 3), st.none()),
        st.tuples(st.just("resolve"), st.integers(0, 3), st.none()),
    ),
    max_size=25,
)
ERRORS = {
    "fine": None,
    "away": Retryable("away", code="connection"),
    "refuses": Permanent("archived", code="is_archived"),
    "silent": Ambiguous("no answer", code="timeout"),
}


def quiet_for(engine: Engine, hours: int) -> tuple[QuietTime, ...]:
    begins = datetime.fromtimestamp(engine.now / NS, UTC)
    return (QuietTime(begins.time(), (begins + timedelta(hours=hours)).time(), ZoneInfo("UTC"), frozenset(range(7))),)


@PROPERTY
@given(STEPS)
def test_b27_books_balance_after_any_sequence_of_trouble(steps):  # noqa: C901, PLR0912, PLR0915 - a case a step
    posted, expected, silences = [], Counter(), []
    with passing_engine(a_policy()) as engine:
        for step, what, severity in steps:
            match step:
                case "post":
                    record = a_record(BODIES[what], severity, at=engine.now)
                    posted.append(record)
                    expected.update(one.channel for one in sift(record, engine.policy, engine.now).event.recipients)
                    engine.post(record)
                case "again" if posted:
                    engine.post(posted[what % len(posted)])
                case "wait":
                    engine.at(engine.seconds + what)
                case "days":
                    engine.at(engine.seconds + what * 86_400)
                case "success":
                    engine.post(a_success(f"run-{what}", engine.now))
                case "restart":
                    engine.restart()
                case "killed while sending":
                    with engine.store.writing() as book:
                        book.lease("slack", now=engine.now)
                    engine.restart()
                case "slack":
                    engine.slack.always = ERRORS[what]
                case "email":
                    engine.email.always = ERRORS[what]
                case "reload":
                    engine.reload(engine.policy)
                case "silence":
                    silences.append(f"s{len(silences)}")
                    muted = Match((("body", BODIES[what]),))
                    until = engine.now + severity * NS
                    with engine.store.writing() as book:
                        book.add_silence(Silence(silences[-1], muted, "kim", "planned", engine.now, until))
                case "end silence" if silences:
                    with engine.store.writing() as book:
                        book.end_silence(silences[what % len(silences)], author="kim", now=engine.now)
                case "quiet hours":
                    engine.reload(a_policy(quiet={"mdd": quiet_for(engine, what)} if what else {}))
                case "acknowledge" | "resolve" if engine.incidents():
                    incidents = engine.incidents()
                    with engine.store.writing() as book:
                        chosen = incidents[what % len(incidents)].id
                        book.give_order(step, chosen, author="kim", now=engine.now)

            books = engine.books()
            assert {channel: book.balance for channel, book in books.items() if book.balance} == {}
            # Fallbacks and the bridge's own troubles come on top of what these records asked for.
            assert all(books[channel].matched >= count for channel, count in expected.items())

        engine.slack.always = engine.email.always = None
        engine.longest_step = 3_600.0
        engine.reload(a_policy())
        engine.at(engine.seconds + 3 * 86_400)

        assert sum(book.queued for channel, book in engine.books().items() if channel == "slack") == 0
        assert all(book.balance == 0 for book in engine.books().values())


@PROPERTY
@given(st.lists(st.sampled_from(BODIES), min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_what_was_told_is_exactly_what_was_posted_when_nothing_goes_wrong(bodies, random):
    with passing_engine(a_policy()) as engine:
        for body in bodies:
            engine.at(engine.seconds + random.choice((0, 0.3, 2, 7)))
            engine.post(a_record(body, at=engine.now))

        engine.at(engine.seconds + 20)

        slack = engine.books()["slack"]
        assert (slack.matched, slack.delivered, slack.queued) == (3 * len(bodies), 3 * len(bodies), 0)
