# A script beside the documentation, not a package; it says what it made.
# ruff: noqa: INP001, T201
"""Regenerates docs/images: what the README shows. Run: `python docs/screenshots.py [--url http://127.0.0.1:4319]`.

Without `--url` the pictures are of one made-up month (tests/servers/month.py), so they stay the same until the pages
change. With it they are of a running bridge: its latest open incident and its latest previewed messages.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from alert_bridge.web import ChannelSetup, WebSettings  # noqa: E402 - this script runs from a checkout
from tests.servers import month, month_telemetry  # noqa: E402
from tests.servers.chromium import Tab, chromium, find  # noqa: E402
from tests.servers.pages import serving  # noqa: E402

IMAGES = HERE / "images"
MAX_BYTES = 200_000
DESKTOP, TALL, FLAT, PHONE = (1280, 860), (1280, 1080), (1280, 620), (390, 844)


@contextlib.contextmanager
def made_up_month() -> Iterator[str]:
    """The address of pages over the fixture."""
    settings = WebSettings(
        public_url=month.PUBLIC_URL,
        clock=lambda: month_telemetry.NOW,
        audiences=month.AUDIENCES,
        channels=(
            ChannelSetup("slack", previewed=True, detail="no token is set"),
            ChannelSetup("email", previewed=False),
        ),
    )
    with serving(*month.month(), settings) as client:
        yield str(client.base_url)


def first_link(tab: Tab, pattern: str) -> str:
    """The first link on the page that contains the pattern."""
    found = tab.run(f"(document.querySelector('main a[href*=\"{pattern}\"]') || {{}}).href || ''")
    if not found:
        sys.exit(f"There is no {pattern} on that page: let the demo run first, or leave --url away")
    return str(found)


def take(tab: Tab, name: str, url: str, size: tuple[int, int], *, dark: bool = False, selector: str = "") -> None:
    """One picture."""
    tab.size(*size, dark=dark)
    tab.open(url)
    if selector and not tab.run(f"!!document.querySelector({json.dumps(selector)})"):
        print(f"{name}: left as it is, because {url} has nothing of the kind")
        return
    picture = tab.picture(selector=selector)
    if len(picture) > MAX_BYTES:
        sys.exit(f"{name} has {len(picture):,} bytes; at most {MAX_BYTES:,} belong in a repository")
    if tab.run("document.documentElement.scrollWidth > innerWidth"):
        sys.exit(f"{name} is wider than its window: something overflows")
    (IMAGES / f"{name}.png").write_bytes(picture)
    print(f"docs/images/{name}.png {len(picture) / 1024:.0f} KiB")


def main() -> None:
    """Take them all."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--url", help="a running bridge; otherwise a made-up month")
    options = parser.parse_args()
    browser = find()
    if browser is None:
        sys.exit("Chromium is not on PATH; install chromium or google-chrome to take screenshots")
    IMAGES.mkdir(exist_ok=True)
    with contextlib.ExitStack() as stack:
        base = options.url.rstrip("/") if options.url else stack.enter_context(made_up_month())
        tab = stack.enter_context(chromium(browser)).tab()
        tab.size(*DESKTOP)
        tab.open(f"{base}/inbox?channel=slack&audience=infrastructure")
        incident = f"{base}/incidents/{month.FETCH}" if not options.url else first_link(tab, "/incidents/")
        for name, audience in (("slack", "infrastructure"), ("slack-outreach", "outreach")):
            address = f"{base}/inbox?channel=slack&audience={audience}"
            take(tab, name, address, DESKTOP, selector=".messages > li:last-child .slack")
        tab.open(f"{base}/inbox?channel=email")
        take(tab, "email", email_of(tab), (700, 980))
        take(tab, "overview", f"{base}/", DESKTOP)
        take(tab, "incident", incident, TALL)
        take(tab, "incident-dark", incident, TALL, dark=True)
        take(tab, "incident-phone", incident, PHONE)
        take(tab, "incident-phone-dark", incident, PHONE, dark=True)
        log = first_link(tab, "/log?around=")
        take(tab, "log", log, FLAT)
        take(tab, "log-phone-dark", log, PHONE, dark=True)


def email_of(tab: Tab) -> str:
    """The address of the first email's frame."""
    return str(tab.run("document.querySelector('iframe').src"))


if __name__ == "__main__":
    main()
