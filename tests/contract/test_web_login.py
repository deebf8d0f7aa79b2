"""The login where a token is set: a strict cookie, no token in an address, never a way to another site."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import httpx
import pytest

from alert_bridge.web import WebSettings
from alert_bridge.web.login import COOKIE, SESSION_SECONDS, session_is_valid, session_value
from tests.servers.month import AUDIENCES, FETCH, PUBLIC_URL, month
from tests.servers.month_telemetry import NOW, RUN, TRACE
from tests.servers.pages import serving

TOKEN = "correct horse battery staple"
PAGES = (
    "/",
    f"/incidents/{FETCH}",
    "/runs",
    f"/runs/{RUN}",
    f"/runs/{RUN}/log",
    f"/runs/{RUN}/log.jsonl",
    f"/traces/{TRACE}",
    "/search",
    "/inbox",
    "/inbox/2/email",
    "/channels",
    "/live",
    "/nowhere",
)


def settings(**known) -> WebSettings:
    return WebSettings(
        **{"public_url": PUBLIC_URL, "clock": lambda: NOW, "audiences": AUDIENCES, "version": "0"} | known
    )


@pytest.fixture(scope="module")
def guarded() -> Iterator[httpx.Client]:
    """Pages behind a login; each test starts without a cookie."""
    with serving(*month(), settings(token=TOKEN)) as client:
        yield client


@pytest.fixture
def visitor(guarded) -> httpx.Client:
    guarded.cookies.clear()
    guarded.headers["accept"] = "text/html"
    return guarded


@pytest.fixture
def fresh() -> Iterator:
    """Starts pages over stores of one's own."""
    with contextlib.ExitStack() as stack:
        yield lambda *stores, **known: stack.enter_context(serving(*stores, settings(**known)))


@pytest.mark.parametrize("path", PAGES)
def test_with_a_token_every_page_asks_for_the_login_first(visitor, path):
    answer = visitor.get(path)

    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login?next=%2F")


def test_a_login_opens_the_page_that_was_asked_for(visitor):
    answer = visitor.post("/login", data={"token": TOKEN, "next": f"/runs/{RUN}/log?around=a#r-a"})

    assert (answer.status_code, answer.headers["location"]) == (303, f"/runs/{RUN}/log?around=a#r-a")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert TOKEN not in str(answer.headers)
    assert visitor.get("/").status_code == 200
    assert visitor.post("/logout").headers["location"] == "/login"
    assert visitor.get("/").status_code == 303


def test_the_cookie_needs_https_where_the_pages_have_it(fresh):
    visitor = fresh(*month(), token=TOKEN, public_url="https://alerts.example.org")

    answer = visitor.post("/login", data={"token": TOKEN})

    assert "secure" in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize("wrong", ["", "correct horse", TOKEN + "x", "\udc80\u202e"])
def test_a_wrong_token_opens_nothing(visitor, wrong):
    answer = visitor.post("/login", data={"token": wrong.encode("utf-8", "replace").decode()})

    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert visitor.get("/").status_code == 303


@pytest.mark.parametrize("target", ["https://evil.test/", "//evil.test", "/\\evil.test", "javascript:x", "", "/a b"])
def test_a_login_never_leads_to_another_site(visitor, target):
    answer = visitor.post("/login", data={"token": TOKEN, "next": target})

    assert answer.headers["location"] == "/"


def test_a_session_ends_with_its_time_and_with_its_token():
    value = session_value(TOKEN, ends_at=1000)

    assert session_is_valid(TOKEN, value, now=999)
    assert not session_is_valid(TOKEN, value, now=1000)
    assert not session_is_valid("another token", value, now=999)
    assert not session_is_valid(TOKEN, value.replace("1000", "9999", 1), now=999)
    for broken in ("", ".", "1000", "x.y.z", value[:-1], "é." + value):
        assert not session_is_valid(TOKEN, broken, now=999)


def test_a_session_lasts_a_week(visitor):
    answer = visitor.post("/login", data={"token": TOKEN})

    value = answer.cookies[COOKIE]
    assert int(value.split(".")[0]) == NOW // 10**9 + SESSION_SECONDS


def test_a_script_reads_with_the_token_as_bearer(visitor):
    assert visitor.get(f"/runs/{RUN}/log.jsonl", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert visitor.get("/runs", headers={"authorization": "Bearer x", "accept": "*/*"}).status_code == 401


def test_a_link_from_another_site_is_asked_once_more_before_the_login_is_shown(visitor):
    answer = visitor.get(f"/incidents/{FETCH}", headers={"sec-fetch-site": "cross-site"})

    assert answer.status_code == 200
    assert f'content="0;url=/incidents/{FETCH}"' in answer.text
    assert "DataFetchError" not in answer.text


def test_the_token_shows_neither_in_a_page_nor_in_the_settings_text(visitor):
    visitor.post("/login", data={"token": TOKEN})

    assert TOKEN not in repr(settings(token=TOKEN))
    assert all(TOKEN not in visitor.get(path).text for path in PAGES)
