"""B20 for those beside a storm: a calm pipeline is told by itself and soon, and many pipelines are bounded, too."""

from __future__ import annotations

import pytest

from alert_bridge.incidents.storm import STORM_A_MINUTE, STORM_ALONE, STORM_ROOM, STORM_WAITING
from alert_bridge.model import Severity
from alert_bridge.policy.model import Route
from tests.servers.engine import Engine, a_record, only_mdd

BATCH = 250
SLACK_PAUSE_S = 1.1
WORDS = [f"{a}{b}{c}{d}" for a in "bdfgklmnprst" for b in "aeiou" for c in "klmnrst" for d in "aeiou"]


def of_pipeline(name: str, body: str, engine: Engine, **more):
    return a_record(body, at=engine.now, **{"cicd.pipeline.name": name, "service.name": name}, **more)


def text_of(number: int) -> str:
    return f"{WORDS[number % len(WORDS)]} {WORDS[number // 7 % len(WORDS)]} shelf"


def storm(engine: Engine, problems: int, *, pipelines: int = 1) -> None:
    """So many distinct errors within half a minute, each a run of its own, of so many pipelines in turn."""
    for start in range(0, problems, BATCH):
        numbers = range(start, min(start + BATCH, problems))
        engine.post(
            *(of_pipeline(f"p{number % pipelines}", text_of(number), engine, run=f"run-{number}") for number in numbers)
        )
        engine.at(engine.seconds + 30 * BATCH / problems)


def test_b20_an_error_of_another_pipeline_is_told_by_itself_and_next_while_one_storms(tmp_path):
    engine = Engine(tmp_path, only_mdd())
    storm(engine, 1_000)
    queued = engine.books()["slack"].queued
    came = engine.seconds

    engine.post(of_pipeline("calm", "the disk is full", engine, run="calm-1"))
    engine.at(came + 1.0 + 2 * SLACK_PAUSE_S)  # after the hold

    told = [one for one in engine.slack.posts if "calm: the disk is full" in one.message.headline]
    assert queued > 1_000 - STORM_WAITING - STORM_A_MINUTE
    assert len(told) == 1
    engine.close()


def test_b20_of_two_pipelines_that_storm_neither_gets_more_than_its_share(tmp_path):
    engine = Engine(tmp_path, only_mdd())

    storm(engine, 1_000, pipelines=2)
    engine.at(120)

    titles = sorted((incident.pipeline, incident.count) for incident in engine.incidents() if "Many" in incident.title)
    assert [pipeline for pipeline, _ in titles] == ["p0", "p1"]
    assert len(engine.slack.posts) <= STORM_WAITING + STORM_A_MINUTE + STORM_ROOM + 2
    engine.close()


@pytest.mark.parametrize("least", [Severity.ERROR, Severity.CRITICAL], ids=["told", "told nobody"])
def test_b20_a_storm_in_which_every_record_is_a_pipeline_of_its_own_is_bounded_with_exact_totals(tmp_path, least):
    engine = Engine(tmp_path, only_mdd(routes=(Route("slack", ("mdd",), least, 10),)))

    storm(engine, 1_000, pipelines=1_000)
    engine.at(180)

    everywhere = [incident for incident in engine.incidents() if incident.pipeline == "several pipelines"]
    shown = [incident for incident in engine.incidents() if incident.pipeline != "several pipelines"]
    assert len(everywhere) == 1
    assert everywhere[0].count + sum(incident.count for incident in shown) == 1_000
    assert len(shown) <= 2 * STORM_A_MINUTE + STORM_ROOM + STORM_ALONE
    told = len(everywhere + shown) if least is Severity.ERROR else 0
    assert len(engine.slack.posts) == told
    assert {book.balance for book in engine.books().values()} <= {0}
    engine.close()
