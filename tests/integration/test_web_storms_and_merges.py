"""The incident's page where it is about more than one text: merged ones are seen and parted, a storm is no record."""

from __future__ import annotations

from html import unescape

import pytest

from alert_bridge.fingerprint.aliases import SETTLES_AFTER_S
from alert_bridge.web import WebSettings
from tests.servers.engine import Engine, a_record, only_mdd
from tests.servers.memory_store import MemoryTelemetry
from tests.servers.pages import serving
from tests.servers.storm import text_of

TABLES = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf")


@pytest.fixture
def engine(tmp_path):
    engine = Engine(tmp_path, only_mdd())
    yield engine
    engine.close()


def page_of(engine: Engine, title: str) -> str:
    incident = next(one for one in engine.incidents() if one.title == title)
    settings = WebSettings(public_url="http://bridge.test", clock=lambda: engine.now)
    with serving(engine.reader, MemoryTelemetry(), settings) as client:
        return unescape(client.get(f"/incidents/{incident.id}").text)


def test_merged_texts_are_seen_on_the_page_of_their_problem_with_how_to_part_them(engine):
    for name in TABLES:
        engine.post(a_record(f"could not refresh the {name} table of the warehouse", at=engine.now))
        engine.at(engine.seconds + 1)

    soon = page_of(engine, "could not refresh the alpha table of the warehouse")
    engine.at(engine.seconds + SETTLES_AFTER_S)
    merged = page_of(engine, "could not refresh the alpha table of the warehouse")

    assert "7 texts that differ in one word will soon be this one problem" in soon
    assert "7 texts that differ in one word are this one problem" in merged
    assert "could not refresh the golf table of the warehouse" in merged
    assert "pipeline-alerts explain --undo 'could not refresh the * table of the warehouse'" in merged


def test_a_problem_whose_text_is_like_no_other_says_nothing_of_merging(engine):
    engine.post(a_record("the disk is full", at=engine.now))

    assert "differ in one word" not in page_of(engine, "the disk is full")


def test_the_page_of_a_storm_names_no_exception_and_no_line_of_code_of_its_last_record(engine):
    for number in range(100):
        kind = f"{text_of(number).partition(' ')[0].title()}Error"
        said = {"exception.type": kind, "exception.message": "no", "code.function.name": "pick"}
        engine.post(a_record(text_of(number), at=engine.now, attributes=said))

    page = page_of(engine, "Many problems at once")

    assert "Told in this one message" in page
    assert 'class="reason"' not in page
    assert "<dt>Code</dt>" not in page
