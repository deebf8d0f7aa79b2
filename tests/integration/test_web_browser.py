"""The pages in a real browser: nothing overflows, nothing is refused, links from elsewhere keep the session."""

from __future__ import annotations

import contextlib
import http.server
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from alert_bridge.web import WebSettings
from tests.servers.bridge import wait_for
from tests.servers.chromium import Tab, chromium, find
from tests.servers.month import AUDIENCES, FETCH, month
from tests.servers.month_telemetry import FAILING_UID, NOW, RUN, TRACE
from tests.servers.pages import serving

TOKEN = "correct horse battery staple"
PAGES = (
    "/",
    f"/incidents/{FETCH}",
    "/runs",
    f"/runs/{RUN}",
    f"/runs/{RUN}/log?around={FAILING_UID}",
    f"/traces/{TRACE}",
    "/search?q=refused",
    "/inbox",
    "/channels",
)
pytestmark = pytest.mark.skipif(find() is None, reason="no Chromium on PATH: how pages look and behave is not checked")


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    path = find()
    assert path is not None
    with chromium(path) as browser:
        yield browser.tab()


@pytest.fixture(scope="module")
def pages() -> Iterator[httpx.Client]:
    with serving(*month(), WebSettings("http://127.0.0.1", clock=lambda: NOW, audiences=AUDIENCES)) as client:
        yield client


CONTRAST = """
(() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return parse(getComputedStyle(document.body).backgroundColor);
  };
  const worst = {};
  for (const element of document.querySelectorAll("body *")) {
    const says = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!says || !element.checkVisibility()) continue;
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(ground(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) worst[element.className + " " + element.tagName] = ratio.toFixed(2);
  }
  return JSON.stringify(worst);
})()
"""


@pytest.mark.parametrize("path", PAGES)
def test_a_page_fits_phone_and_desktop_reads_well_in_both_schemes_and_loads_without_complaint(tab, pages, path):
    tab.complaints.clear()
    tab.open(f"{pages.base_url}{path}")

    overflow, weak = {}, {}
    for width in (390, 1280):
        for dark in (False, True):
            tab.size(width, 844, dark=dark)
            overflow[width] = tab.run("document.documentElement.scrollWidth - innerWidth")
            weak[width, dark] = tab.run(CONTRAST)  # texts below the 4.5:1 of WCAG AA

    assert overflow == {390: 0, 1280: 0}
    assert set(weak.values()) == {"{}"}
    assert [each for each in tab.complaints if not each.startswith("verbose")] == []


def test_the_link_of_a_message_scrolls_to_the_failing_line(tab, pages):
    tab.size(390, 844)

    tab.open(f"{pages.base_url}/runs/{RUN}/log?around={FAILING_UID}#r-{FAILING_UID}")

    top = tab.run(f"document.getElementById('r-{FAILING_UID}').getBoundingClientRect().top")
    assert 0 < top < 844


def test_a_span_is_opened_by_keyboard_alone(tab, pages):
    tab.size(1280, 844)
    tab.open(f"{pages.base_url}/runs/{RUN}")
    tab.run("document.querySelector('.spans summary').focus()")
    before = tab.run("document.querySelector('.spans details').open")

    for kind in ("keyDown", "keyUp"):
        tab.call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r", windowsVirtualKeyCode=13)

    assert before is True
    assert tab.run("document.querySelector('.spans details').open") is False


def test_times_are_given_in_the_readers_own_clock_too(tab, pages):
    tab.call("Emulation.setTimezoneOverride", timezoneId="Europe/Oslo")

    tab.open(f"{pages.base_url}/incidents/{FETCH}")

    shown = tab.run("document.querySelector('.facts time').textContent")
    tab.call("Emulation.setTimezoneOverride", timezoneId="")
    assert shown.startswith(("25 Nov 2026 19:41 UTC (08:41", "25 Nov 2026 19:41 UTC (20:41"))
    assert "your time)" in shown


LIST_AND_WORDS = """
[document.getElementById("main").textContent, document.querySelectorAll(".incident").length,
 document.querySelector("[aria-live=polite]").textContent]
"""


def test_an_open_list_shows_a_new_incident_and_says_so(tab):
    control, telemetry = month()
    new = replace(control.all_incidents[0], id="inc-new", title="The disk of forecast-01 is full")
    with serving(control, telemetry, WebSettings("http://127.0.0.1", clock=lambda: NOW)) as client:
        tab.open(f"{client.base_url}/")
        before = tab.run("document.querySelectorAll('.incident').length")

        control.all_incidents.append(new)

        seen = []

        def is_swapped() -> bool:
            seen[:] = tab.run(LIST_AND_WORDS)  # in one look: what is said stays for a moment only
            return "disk" in seen[0]

        wait_for(is_swapped)
        assert seen[1] == before + 1
        assert "4 open; newest" in seen[2]


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """A page of another site, as Slack or a web mailer is: `localhost` is no 127.0.0.1."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>elsewhere</title><p>elsewhere")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_a_link_from_another_site_opens_without_a_second_login_and_keeps_its_anchor(tab, elsewhere):
    with serving(*month(), WebSettings("http://127.0.0.1", TOKEN, clock=lambda: NOW)) as client:
        target = f"{client.base_url}/runs/{RUN}/log?around={FAILING_UID}#r-{FAILING_UID}"
        tab.open(target)
        assert "Sign in" in tab.run("document.title")
        tab.run(f"document.getElementById('token').value = '{TOKEN}'; document.querySelector('main form').submit()")
        arrived = _title_after(tab, "Log of")
        assert arrived.endswith(f"#r-{FAILING_UID}")

        tab.open(elsewhere)
        tab.run(f"location.href = '{target}'; 1")

        assert _title_after(tab, "Log of").endswith(f"#r-{FAILING_UID}")


def _title_after(tab: Tab, wanted: str) -> str:
    """The address once the title says what is wanted."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(RuntimeError):  # asked in the middle of a navigation
            title, address = tab.run("[document.title, location.href]")
            if wanted in title:
                return str(address)
        time.sleep(0.02)
    raise TimeoutError(wanted)
