"""`serve` as a process: what it answers to whom, and what it keeps of it."""

from __future__ import annotations

import gzip
import json
import resource
import sqlite3
import subprocess
import sys

import httpx
import pytest

from tests.servers.bridge import WAIT_WITHIN_S, BridgeProcess, alert, said, wait_for
from tests.servers.otlp_client import (
    JSON,
    as_json,
    logs_request,
    new_trace_id,
    post,
    record,
    span,
    spans_request,
)


def test_an_error_becomes_a_message_per_channel_and_an_info_none(bridge):
    answer = alert(bridge, record("alpha exploded"), record("beta is fine", 9))

    wait_for(lambda: said(bridge, "alpha exploded"))
    assert (answer.status, answer.body) == (200, b"")
    assert not said(bridge, "beta is fine")


def test_severity_by_text_only_and_none_at_all_are_told_apart(bridge):
    alert(bridge, record("gamma failed", 0, severity_text="ERROR"), record("delta is odd", 0))

    wait_for(lambda: said(bridge, "gamma failed"))
    assert not said(bridge, "delta is odd")


@pytest.mark.parametrize("how", [{"compress": True}, {}])
@pytest.mark.parametrize("form", ["protobuf", "json"])
def test_every_form_is_taken(bridge, how, form):
    text = f"form {form} {'zipped' if how else 'plain'} broke"
    body = logs_request(record(text))

    if form == "json":
        answer = post(f"{bridge.url}/alerts/v1/logs", as_json("logs", body), content_type=JSON, **how)
        assert json.loads(answer.body) == {"partialSuccess": {}}
    else:
        answer = post(f"{bridge.url}/alerts/v1/logs", body, **how)

    assert answer.status == 200
    wait_for(lambda: said(bridge, text))


BOMB = gzip.compress(b"\0" * 80_000_000)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"\xff\xff garbage", {}),
        (b"{not json", {"content-type": "application/json"}),
        (b"not gzip", {"content-encoding": "gzip"}),
        (BOMB, {"content-encoding": "gzip"}),
        (b"x", {"content-type": "text/plain"}),
        (b"x", {"content-encoding": "br"}),
        (b"\0" * (20 * 1024 * 1024 + 1), {}),
    ],
    ids=["garbage", "broken JSON", "no gzip", "gzip bomb", "content type", "encoding", "over the limit"],
)
def test_b22_what_is_no_request_is_answered_400_and_leaves_the_queue(bridge, body, headers):
    sent = {"content-type": "application/x-protobuf", **headers}

    answer = httpx.post(f"{bridge.url}/alerts/v1/logs", content=body, headers=sent)

    assert answer.status_code == 400


def test_b22_odd_content_is_kept_and_told(bridge):
    odd = [
        record("nul \0 in epsilon"),
        record("zeta", big="x" * 1_000_000),
        record("eta", **{f"key{number}": number for number in range(10_000)}),
    ]

    answer = alert(bridge, *odd)

    assert answer.status == 200
    for text in ("in epsilon", "zeta", "eta"):
        wait_for(lambda text=text: said(bridge, text))


def test_b22_a_lone_surrogate_does_not_cost_its_neighbours(bridge):
    body = as_json("logs", logs_request(record("theta SURROGATE"), record("iota is fine again")))

    answer = post(f"{bridge.url}/alerts/v1/logs", body.replace(b"SURROGATE", b"\\ud800"), content_type=JSON)

    assert answer.status == 200
    wait_for(lambda: said(bridge, "theta") and said(bridge, "iota"))


def test_b22_a_bad_record_is_a_dead_letter_and_the_rest_is_told(bridge):
    body = json.loads(as_json("logs", logs_request(record("kappa broke"), record("broken"))))
    body["resourceLogs"][0]["scopeLogs"][0]["logRecords"][1]["timeUnixNano"] = {"not": "a number"}

    answer = post(f"{bridge.url}/alerts/v1/logs", json.dumps(body).encode(), content_type=JSON)

    assert answer.status == 200
    assert json.loads(answer.body)["partialSuccess"]["rejectedLogRecords"] == "1"
    wait_for(lambda: said(bridge, "kappa broke"))
    reader = bridge.reader()
    assert reader.counters()["dead_letters"] >= 1
    reader.close()


def test_the_same_request_twice_counts_once(bridge):
    body = logs_request(record("lambda broke", uid="the-same-record"))

    for _ in range(3):
        post(f"{bridge.url}/alerts/v1/logs", body)

    wait_for(lambda: said(bridge, "lambda broke"))
    reader = bridge.reader()
    (incident,) = [one for one in reader.incidents() if "lambda" in one.title]
    assert incident.count == 1
    reader.close()


def test_without_a_collector_the_bulk_address_tells_too(bridge):
    answer = post(f"{bridge.url}/v1/logs", logs_request(record("mu broke", uid="mu-1"), record("mu before", 9)))

    assert answer.status == 200
    wait_for(lambda: said(bridge, "mu broke"))
    alert(bridge, record("mu broke", uid="mu-1"))
    reader = bridge.reader()
    assert [one.count for one in reader.incidents() if "mu broke" in one.title] == [1]
    reader.close()


def test_spans_are_handed_on(bridge):
    answer = post(f"{bridge.url}/v1/traces", spans_request(span(trace_id=new_trace_id())))

    assert answer.status == 200


def test_secrets_are_gone_before_anything_is_kept(bridge):
    alert(bridge, record("nu failed with password=hunter2-hunter2", **{"db.password": "hunter2-hunter2"}))

    wait_for(lambda: said(bridge, "nu failed"))
    for file in bridge.state.glob("control.db*"):
        assert b"hunter2" not in file.read_bytes()


def test_a_locked_store_is_503_with_retry_after_and_nothing_half_written(bridge):
    holder = sqlite3.connect(bridge.state / "control.db", isolation_level=None, timeout=WAIT_WITHIN_S)
    holder.execute("BEGIN IMMEDIATE")
    try:
        answer = alert(bridge, record("xi broke", uid="xi"))
    finally:
        holder.execute("ROLLBACK")
        holder.close()

    assert answer.status == 503
    assert int(answer.headers["retry-after"]) > 0
    assert alert(bridge, record("xi broke", uid="xi")).status == 200
    wait_for(lambda: said(bridge, "xi broke"))


def test_metrics_and_health_are_open_and_hold_the_books(bridge):
    assert alert(bridge, record("omicron broke", uid="omicron")).status == 200
    wait_for(lambda: "pipeline_alerts_delivery_seconds_bucket" in httpx.get(f"{bridge.url}/metrics").text)

    assert httpx.get(f"{bridge.url}/healthz").text == "ok\n"
    assert 'pipeline_alerts_records_balance{channel="slack"} 0' in httpx.get(f"{bridge.url}/metrics").text


def test_status_says_the_same_and_ends_with_0(bridge):
    assert alert(bridge, record("balance broke", uid="balance")).status == 200
    wait_for(lambda: said(bridge, "balance broke"))

    result = subprocess.run(
        [sys.executable, "-m", "alert_bridge.cli", "status", "--json", "--state", str(bridge.state)],
        capture_output=True,
        text=True,
    )

    found = json.loads(result.stdout)
    assert result.returncode == 0
    assert found["running"] is True
    assert {channel["channel"] for channel in found["channels"]} == {"slack", "email"}
    assert all(channel["books"]["balance"] == 0 for channel in found["channels"])


def test_a_wrong_token_is_503_counted_and_told_to_the_operator_once(tmp_path):
    with BridgeProcess(tmp_path, environ={"PIPELINE_ALERTS_TOKEN": "right-token old-token"}) as bridge:
        answers = [alert(bridge, record("omicron"), token=token) for token in ("", "wrong", "also wrong")]
        good = [alert(bridge, record("omicron"), token=token) for token in ("right-token", "old-token")]

        assert [answer.status for answer in answers] == [503, 503, 503]
        assert all("retry-after" in answer.headers for answer in answers)
        assert [answer.status for answer in good] == [200, 200]
        wait_for(lambda: said(bridge, "token is missing or wrong"))
        assert len(said(bridge, "token is missing or wrong")) == 1
        assert 'what="refused"} 3' in httpx.get(f"{bridge.url}/metrics").text
        assert b"right-token" not in bridge.log.read_bytes()


def test_a_full_disk_is_503_and_nothing_is_lost_when_it_has_room_again(tmp_path):
    with BridgeProcess(tmp_path) as bridge:
        bridge.wait_until_ready()
        alerts = bridge.children()["alerts"]
        free = resource.prlimit(alerts, resource.RLIMIT_FSIZE)
        # No file of this process may grow beyond a page: to SQLite that is a disk that takes nothing more.
        resource.prlimit(alerts, resource.RLIMIT_FSIZE, (4_096, free[1]))

        full = [alert(bridge, record("tau broke", uid=f"tau-{number}")) for number in range(3)]

        assert [answer.status for answer in full] == [503, 503, 503]
        resource.prlimit(alerts, resource.RLIMIT_FSIZE, free)
        again = [alert(bridge, record("tau broke", uid=f"tau-{number}")) for number in range(3)]
        assert [answer.status for answer in again] == [200, 200, 200]
        wait_for(lambda: said(bridge, "tau broke"))
        assert httpx.get(f"{bridge.url}/readyz").json()["unbalanced_channels"] == []
