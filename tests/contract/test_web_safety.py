"""What holds for every page: headers, inert content, landmarks, kind answers."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser

import httpx
import pytest

from alert_bridge.model import Record, Severity, Span
from alert_bridge.store.interface import Previewed
from alert_bridge.web import WebSettings
from alert_bridge.web.incident import MAX_SPANS
from tests.servers.memory_store import MemoryControl, MemoryTelemetry
from tests.servers.month import AUDIENCES, FETCH, PUBLIC_URL, month
from tests.servers.month_telemetry import FAILING_UID, NOW, RUN, TRACE
from tests.servers.pages import serving

PAGES = (
    "/",
    f"/incidents/{FETCH}",
    f"/incidents/{FETCH}?at={FAILING_UID}",
    "/runs",
    f"/runs/{RUN}",
    f"/runs/{RUN}/log",
    f"/runs/{RUN}/log?around={FAILING_UID}&least=WARNING",
    f"/traces/{TRACE}",
    "/search?q=refused",
    "/inbox",
    "/inbox/1",
    "/inbox/2",
    "/channels",
)
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</pre></details></ol><h1>owned</h1>",
    "{{ 7777*7777 }}",
    "'; DROP TABLE runs; --",
    "\u202etxt.exe\x00\x1b[31m\ud800",
    "&lt;b&gt;",
)
VOID = {"meta", "link", "input", "br", "hr"}


class Page(HTMLParser):
    """Elements by nesting; ``broken`` are end tags without their start, ``unclosed`` starts without their end."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.broken: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:
            self.open.pop()
        else:
            self.broken.append(tag)

    def handle_data(self, data):
        self.words += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def pages() -> Iterator[httpx.Client]:
    with serving(*month(), settings()) as client:
        yield client


@pytest.fixture
def fresh() -> Iterator:
    """Starts pages over stores of one's own."""
    with contextlib.ExitStack() as stack:
        yield lambda *stores, **known: stack.enter_context(serving(*stores, settings(**known)))


def settings(**known) -> WebSettings:
    return WebSettings(
        **{"public_url": PUBLIC_URL, "clock": lambda: NOW, "audiences": AUDIENCES, "version": "0"} | known
    )


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_well_formed_and_has_its_landmarks(pages, path):
    answer = pages.get(path)

    page = Page(answer.text)
    assert answer.status_code == 200
    assert (page.broken, page.open) == ([], [])
    assert [len(page.all(tag)) for tag in ("main", "h1", "header", "footer")] == [1, 1, 1, 1]
    assert answer.text.partition("</head>")[0].count("<title>") == 1
    assert page.all("html") == [{"lang": "en"}]


@pytest.mark.parametrize("path", PAGES)
def test_headings_never_skip_a_level(pages, path):
    levels = [int(tag[1]) for tag, _ in Page(pages.get(path).text).elements if re.fullmatch("h[1-6]", tag)]

    assert levels[0] == 1
    assert all(later <= earlier + 1 for earlier, later in itertools.pairwise(levels))


@pytest.mark.parametrize("path", PAGES)
def test_no_id_stands_twice_and_every_local_anchor_has_its_target(pages, path):
    page = Page(pages.get(path).text)
    ids = [attributes["id"] for _, attributes in page.elements if attributes.get("id")]
    anchors = {attributes["href"][1:] for attributes in page.all("a") if (attributes.get("href") or "").startswith("#")}

    assert len(ids) == len(set(ids))
    assert anchors <= set(ids)


@pytest.mark.parametrize("path", PAGES)
def test_every_field_has_a_label_and_every_frame_a_title(pages, path):
    page = Page(pages.get(path).text)
    fields = [each for tag in ("input", "select") for each in page.all(tag) if each.get("type") != "hidden"]
    labels = {each.get("for") for each in page.all("label")}

    for field in fields:
        assert field.get("aria-label") or field.get("id") in labels or "label" in _around(pages.get(path).text, field)
    assert all(frame.get("title") and "sandbox" in frame for frame in page.all("iframe"))


def _around(text: str, field: dict[str, str | None]) -> str:
    return text[: text.index(f'name="{field["name"]}"')].rpartition("<label")[1] + "label"


@pytest.mark.parametrize("path", [*PAGES, "/nowhere", "/login", "/inbox/2/email", "/live", f"/runs/{RUN}/log.jsonl"])
def test_every_answer_carries_the_protective_headers(pages, path):
    headers = pages.get(path).headers

    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors" in policy
    assert "unsafe-inline" not in policy.replace(
        "style-src 'unsafe-inline'", "" if path.endswith("/email") else "X-unsafe-inline"
    )
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", PAGES)
def test_no_page_needs_an_inline_script_a_style_or_another_host(pages, path):
    page = Page(pages.get(path).text)

    assert all(script.get("src", "").startswith("/static/") for script in page.all("script"))
    assert page.all("style") == []
    for _, attributes in page.elements:
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        assert all((attributes.get(name) or "/").startswith("/") for name in ("src", "action"))


def hostile_stores() -> tuple[MemoryControl, MemoryTelemetry]:
    """A month whose every text is an attack."""
    control, telemetry = month()
    attack = " ".join(HOSTILE)
    evil = [
        replace(
            record,
            body=f"{attack}\n{attack}",
            uid=f"{record.uid}\"'<>{number}",
            attributes={**dict.fromkeys(record.attributes, attack), "exception.stacktrace": f"Traceback\n{attack}"},
        )
        for number, record in enumerate(telemetry.records)
    ]
    telemetry.records = [
        *evil,
        replace(evil[0], uid="long", body="A" * 1_000_000 + "\n" + "<script>" * 100_000),
        replace(evil[0], uid="evil-resource", resource={**evil[0].resource, "service.name": attack}),
    ]
    telemetry.spans = [
        replace(span, name=attack, status_message=attack, attributes={"<script>": attack, **span.attributes})
        for span in telemetry.spans
    ]
    (fetch, *others) = control.all_incidents
    control.all_incidents = [
        replace(
            fetch,
            title=attack,
            stage=attack,
            owner=attack,
            effect=attack,
            runbook="javascript:alert(1)",
            acknowledged_by=attack,
            fingerprint=attack,
            sample=evil[5],
        ),
        *others,
    ]
    control.all_occurrences[FETCH] = [
        replace(each, body=attack, stage=attack, record_uid=evil[5].uid if number == 0 else f"<{number}>")
        for number, each in enumerate(control.all_occurrences[FETCH])
    ]
    control.all_decisions = [replace(each, text=attack) for each in control.all_decisions]
    slack = {
        "text": attack,
        "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": f"<javascript:x|a> {attack}"}}],
    }
    mail = {"subject": attack, "from": attack, "to": attack, "text": attack, "html": attack}
    control.all_previewed = [
        Previewed(1, NOW, "slack", attack, (attack,), FETCH, json.dumps(slack), 1),
        Previewed(2, NOW, "email", attack, (attack,), FETCH, json.dumps(mail), 0),
        Previewed(3, NOW, "pager", attack, (), FETCH, "not JSON <script>", 0),
    ]
    return control, telemetry


@pytest.fixture(scope="module")
def hostile_pages() -> Iterator[httpx.Client]:
    with serving(*hostile_stores(), settings()) as client:
        yield client


@pytest.mark.parametrize("path", [*PAGES, f"/runs/{RUN}/log?around=long", "/inbox/3", "/search?q=%3Cscript%3E"])
def test_hostile_text_stays_text_on_every_page(hostile_pages, path):
    answer = hostile_pages.get(path)

    page = Page(answer.text)
    assert answer.status_code == 200
    assert (page.broken, page.open) == ([], [])
    assert len(page.all("h1")) == 1
    assert page.all("img") == []
    assert all(script.get("src", "").startswith("/static/") for script in page.all("script"))
    for link in page.all("a"):
        assert re.match(r"(/|#|\?|https?://)", link["href"] or "")
    assert not set(page.words) & {"\u202e", "\x00", "\x1b", "\x7f"}
    assert "60481729" not in page.words  # no template in a text is ever run


def test_a_line_of_a_megabyte_does_not_make_a_page_of_megabytes(hostile_pages):
    answer = hostile_pages.get(f"/runs/{RUN}/log?around=long")

    assert len(answer.content) < 600_000
    assert "more characters are in the download" in answer.text


def test_a_previewed_email_is_served_without_script_form_or_origin(hostile_pages):
    answer = hostile_pages.get("/inbox/2/email")

    policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";"))
    assert "script-src" not in policy
    assert policy["default-src"] == "'none'"
    assert policy["form-action"] == "'none'"
    assert policy["frame-ancestors"] == "'self'"
    assert "allow-scripts" not in policy["sandbox"]
    assert "allow-same-origin" not in policy["sandbox"]


def test_a_download_holds_every_character_as_stored(hostile_pages):
    answer = hostile_pages.get(f"/runs/{RUN}/log.jsonl")

    bodies = [json.loads(line)["body"] for line in answer.text.splitlines()]
    assert "A" * 1_000_000 + "\n" + "<script>" * 100_000 in bodies
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["content-disposition"].startswith("attachment")


@pytest.mark.parametrize(
    "path",
    ["/incidents/none", "/runs/none", "/runs/none/log", "/runs/none/log.jsonl", f"/traces/{'0' * 32}", "/inbox/999",
     "/x/y", "/inbox/1/email", "/incidents/none/live", "/incidents/%00%ff"],
)  # fmt: skip
def test_an_unknown_address_is_answered_with_what_to_do(pages, path):
    answer = pages.get(path)

    page = Page(answer.text)
    assert answer.status_code == 404
    assert "There is no" in page.words or "has no" in page.words
    assert any(link["href"] == "/" for link in page.all("a"))


@pytest.mark.parametrize("path", ["/", f"/incidents/{FETCH}", "/live"])
def test_a_store_that_cannot_be_read_is_a_page_and_not_a_traceback(fresh, path):
    control, telemetry = month()
    control.busy = True

    answer = fresh(control, telemetry).get(path)

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert "Nothing is lost" in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("host", ["attacker.test", "127.0.0.1.attacker.test", "[", ""])
def test_without_a_token_a_foreign_host_name_is_refused(pages, host):
    answer = pages.get("/runs", headers={"host": host})

    assert answer.status_code == 421
    assert RUN not in answer.text


def test_the_files_beside_the_pages_are_exactly_those_and_may_be_kept(pages):
    sheet = Page(pages.get("/").text).all("link")[1]["href"]

    assert "immutable" in pages.get(sheet).headers["cache-control"]
    assert pages.get("/static/../site.py").status_code == 404
    assert pages.get("/static/%2e%2e%2fsite.py").status_code == 404


def test_a_record_without_a_run_still_has_its_page(fresh):
    control, telemetry = month()
    lone = Record("lone", NOW, NOW, Severity.ERROR, "ERROR", "no run, no trace")
    control.all_incidents[0] = replace(control.all_incidents[0], sample=lone, run_ids=())

    answer = fresh(control, telemetry).get(f"/incidents/{FETCH}")

    assert answer.status_code == 200
    assert "no run, no trace" in answer.text


def test_spans_of_a_broken_sender_still_make_a_page(fresh):
    control, telemetry = month()
    telemetry.spans = [Span(TRACE, "a", "a", "", 1, 5, -5, 2), Span(TRACE, "b", "c", "", 1, 0, 0, 0)]

    assert fresh(control, telemetry).get(f"/runs/{RUN}").status_code == 200


def test_in_a_run_of_thousands_of_deep_spans_the_failing_one_is_drawn_and_the_log_stays_near(fresh):
    control, telemetry = month()
    (failing,) = [span for span in telemetry.spans if span.span_id == "f" * 16]
    chain = [replace(failing, span_id=f"{number:016x}", parent_id=f"{number - 1:016x}", name=f"step_{number}", status=0)
             for number in range(1, 21)]  # fmt: skip
    many = [replace(failing, span_id=f"{number:016x}", parent_id=f"{1:016x}", status=0) for number in range(100, 2100)]
    telemetry.spans = [*chain, *many, replace(failing, parent_id=chain[-1].span_id)]

    page = Page(fresh(control, telemetry).get(f"/incidents/{FETCH}").text)

    assert len([each for each in page.all("span") if each.get("class") == "name"]) == MAX_SPANS
    assert "the error was logged in this span" in page.words
    path = " ".join(page.words.replace("\u203a", "").split())
    assert "step_1 then step_2 then … 13 between … then step_16" in path
    assert f"{2021 - MAX_SPANS:,} more spans are not drawn" in page.words
    assert any(each.get("href") == f"/runs/{RUN}#spans-h" for each in page.all("a"))


def test_a_traceback_that_was_logged_as_a_message_is_shown_as_one_and_named_by_its_end(fresh):
    control, telemetry = month()
    (logged,) = [record for record in telemetry.records if record.uid == "7f3c-1008"]
    sample = replace(logged, attributes={"cicd.pipeline.task.name": "fetch_data"})
    control.all_incidents[0] = replace(control.all_incidents[0], sample=sample)
    kept = [replace(each, body=each.body[:120]) for each in control.all_occurrences[FETCH]]
    control.all_occurrences[FETCH] = [*kept, replace(kept[1], record_uid="long gone")]

    text = fresh(control, telemetry).get(f"/incidents/{FETCH}").text

    _, _, top = text.partition('class="stack"')
    assert "pipeline.model.DataFetchError: queryset fatalities_cm" in top.partition("</details>\n</section>")[0]
    _, _, table = text.partition("Occurrences, the latest first")
    rows = re.findall(r'<td class="clip"><bdi>(.*?)</bdi>', table)
    assert rows[1].startswith("pipeline.model.DataFetchError: queryset fatalities_cm could not be fetched")
    assert rows[-1] == control.all_incidents[0].title
