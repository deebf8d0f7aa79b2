"""The pages over the real SQLite stores, filled the way the intake fills them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from alert_bridge.intake.sifting import sift
from alert_bridge.intake.take import take
from alert_bridge.model import Record, Severity
from alert_bridge.outbox.planning import Rules
from alert_bridge.policy.load import load
from alert_bridge.store.control import ControlStore, open_reader
from alert_bridge.store.telemetry import Telemetry, TelemetryStore
from alert_bridge.web import WebSettings
from tests.servers.month import month
from tests.servers.month_telemetry import MS, NOW, RUN, TRACE, resource
from tests.servers.pages import serving

POLICY = """
version: 1
audiences:
  mdd: {name: "Model Development & Deployment", slack: "#alerts-mdd", email: [mdd@site.test]}
  infrastructure: {name: Infrastructure, slack: "#alerts-infra", email: [infra@site.test]}
  outreach: {name: Outreach, slack: "#alerts-outreach"}
routes:
  - {channel: slack, min_severity: ERROR, audiences: [mdd, infrastructure, outreach]}
  - {channel: email, min_severity: ERROR, audiences: [mdd, infrastructure]}
"""
LONG_RUN = "a/long run?#1"
LONG_LINES = 1300


def _long_run() -> list[Record]:
    return [
        Record(
            uid=f"long-{number}",
            time=NOW + number * MS,
            observed=NOW,
            severity=Severity.WARNING if number % 100 == 0 else Severity.INFO,
            severity_text="",
            body=f"line {number}",
            resource=resource(run=LONG_RUN),
        )
        for number in range(LONG_LINES)
    ]


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> Iterator[httpx.Client]:
    state: Path = tmp_path_factory.mktemp("state")
    (state / "alerting.yaml").write_text(POLICY)
    policy = load(state / "alerting.yaml")
    _, told = month()
    control, telemetry = ControlStore(state), TelemetryStore(state)
    telemetry.append_logs([*told.records, *_long_run()])
    telemetry.append_spans(told.spans)
    sifted = [each for record in told.records if (each := sift(record, policy, NOW)) is not None]
    with control.writing() as book:
        numbers = itertools.count(1)
        take(book, sifted, Rules(policy.grouping, frozenset({"slack"})), now=NOW, new_id=lambda: f"i{next(numbers)}")
    settings = WebSettings("http://testserver", clock=lambda: NOW, version="0")
    with serving(open_reader(state), Telemetry(state), settings) as client:
        yield client
    control.close()
    telemetry.close()


def incident_of(pages: httpx.Client, title: str) -> str:
    overview = pages.get("/").text
    before = overview[: overview.index(title)]
    return before[before.rindex('href="/incidents/') + 6 :].partition('"')[0]


def test_an_incident_leads_to_its_line_in_the_log_and_to_its_span(pages):
    address = incident_of(pages, "DataFetchError: queryset fatalities_cm")

    page = pages.get(f"{address}?at=7f3c-1007").text

    assert "?at=7f3c-1007#log" in pages.get(address).text
    assert 'id="r-7f3c-1007" class="error focus"' in page
    assert "the error was logged in this span" in page
    assert "Fetch of queryset fatalities_cm failed after 3 attempts" in page
    assert "#alerts-infra" in page
    assert "route" in page


def test_a_run_shows_its_result_its_stages_and_its_incidents(pages):
    page = pages.get(f"/runs/{RUN}").text

    assert "failure" in page
    assert "drift_check" in page
    assert "DataFetchError: queryset fatalities_cm" in page
    assert RUN in pages.get("/runs").text


def test_a_trace_shows_spans_and_records_in_one_list_by_time(pages):
    page = pages.get(f"/traces/{TRACE}?span={'f' * 16}").text

    moments = [part[:23] for part in page.partition("Everything by time")[2].split('<time datetime="')[1:]][:-1]
    assert moments == sorted(moments)
    assert page.index("begins, lasts 18.0 s") < page.index("failed, attempt 1 of 3")


def test_a_long_log_is_read_page_by_page_without_a_gap_or_a_repeat(pages):
    address, seen = "/runs/a%2Flong%20run%3F%231/log", []

    page = pages.get(f"{address}?around=long-40").text
    while True:
        seen += [int(part.partition("<")[0]) for part in page.split("<bdi>line ")[1:]]
        following = page.partition('rel="next" href="')[2].partition('"')[0]
        if not following:
            break
        page = pages.get(following.replace("&amp;", "&")).text

    assert sorted(set(seen)) == list(range(LONG_LINES))
    assert len(seen) - len(set(seen)) <= 2  # the line that a page is asked after is shown again, as its first


def test_a_level_filter_keeps_the_line_that_the_link_points_at(pages):
    page = pages.get("/runs/a%2Flong%20run%3F%231/log?around=long-450&least=WARNING").text

    lines = [int(part.partition("<")[0]) for part in page.split("<bdi>line ")[1:]]
    assert lines == [0, 100, 200, 300, 400, 450, 500, 600, 700, 800, 900, 1000, 1100, 1200]


def test_a_download_has_every_record_in_order(pages):
    with pages.stream("GET", "/runs/a%2Flong%20run%3F%231/log.jsonl") as answer:
        bodies = [json.loads(line)["body"] for line in answer.iter_lines()]

    assert bodies == [f"line {number}" for number in range(LONG_LINES)]
    assert answer.headers["content-disposition"] == 'attachment; filename="a_long_run_1.jsonl"'


@pytest.mark.parametrize(
    ("words", "address"),
    [(RUN, f"/runs/{RUN}"), (TRACE, f"/traces/{TRACE}"), (f"00-{TRACE}-{'f' * 16}-01", f"/traces/{TRACE}")],
)
def test_an_id_that_is_pasted_into_the_search_opens_its_page(pages, words, address):
    assert pages.get("/search", params={"q": words}).headers["location"] == address


def test_words_are_found_in_the_whole_store(pages):
    page = pages.get("/search", params={"q": "line 1234"}).text

    assert "/runs/a%2Flong%20run%3F%231/log?around=long-1234#r-long-1234" in page


def test_an_open_page_learns_that_the_list_has_changed(tmp_path):
    (tmp_path / "alerting.yaml").write_text(POLICY)
    policy = load(tmp_path / "alerting.yaml")
    sample = next(record for record in month()[1].records if record.uid == "7f3c-1007")
    store = ControlStore(tmp_path)
    TelemetryStore(tmp_path).close()

    def happens(uid: str) -> None:
        sifted = sift(replace(sample, uid=uid), policy, NOW)
        assert sifted is not None
        with store.writing() as book:
            take(book, [sifted], Rules(policy.grouping, frozenset()), now=NOW, new_id=lambda: "i1")

    with serving(
        open_reader(tmp_path), Telemetry(tmp_path), WebSettings("http://testserver", clock=lambda: NOW)
    ) as page:
        states = [page.get("/live").json()]
        happens("one")
        states += [page.get("/live").json(), page.get("/live").json()]
        happens("two")
        states += [page.get("/live").json(), page.get("/incidents/i1/live").json()]
    store.close()

    versions = [state["version"] for state in states[:4]]
    assert len(set(versions)) == 3
    assert versions[1] == versions[2]
    assert states[0]["text"] == "Nothing is open"
    assert states[1]["text"].startswith("1 open; newest: ERROR DataFetchError: queryset")
    assert "2 events by now, open" in states[4]["text"]
