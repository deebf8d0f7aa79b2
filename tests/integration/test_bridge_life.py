"""`serve` as a process: how it starts, or does not, reloads, survives and ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.servers.bridge import POLICY, START_WITHIN_S, BridgeProcess, alert, said, wait_for
from tests.servers.otlp_client import record

PROMISED_END_S = 3.0


def test_a_second_bridge_on_the_same_state_or_port_is_one_sentence_and_exit_code_2(bridge, tmp_path):
    other_port = subprocess.run(
        [sys.executable, "-m", "alert_bridge.cli", "serve", "--state", str(bridge.state), "--listen", "127.0.0.1:0"],
        capture_output=True,
        text=True,
    )
    other_state = subprocess.run(
        [
            sys.executable,
            "-m",
            "alert_bridge.cli",
            "serve",
            "--state",
            str(tmp_path),
            "--listen",
            f"127.0.0.1:{bridge.port}",
        ],
        capture_output=True,
        text=True,
    )

    for result, words in ((other_port, "Another bridge works on"), (other_state, "is taken by another program")):
        assert result.returncode == 2
        assert words in result.stderr
        assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "environ", "words"),
    [
        (["--listen", "0.0.0.0:0"], {}, "without a token"),
        (["--listen", "nonsense"], {}, "is not HOST:PORT"),
        (["--policy", "/nowhere.yaml"], {}, "/nowhere.yaml"),
        ([], {"SLACK_BOT_TOKEN": "xoxb-not-a-real-one"}, "example's #replace-me"),
        ([], {"PIPELINE_ALERTS_TOKEN_FILE": "/nowhere"}, "PIPELINE_ALERTS_TOKEN_FILE"),
    ],
    ids=["open to all", "no address", "no policy", "placeholders", "no token file"],
)
def test_what_would_not_work_does_not_start(tmp_path, arguments, environ, words):
    command = [sys.executable, "-m", "alert_bridge.cli", "serve", "--state", str(tmp_path), *arguments]
    if "--listen" not in arguments:
        command += ["--listen", "127.0.0.1:0"]

    result = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **environ}, timeout=START_WITHIN_S
    )

    assert result.returncode == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_a_process_that_is_killed_is_replaced_and_no_request_is_refused(tmp_path):
    with BridgeProcess(tmp_path) as bridge:
        bridge.wait_until_ready()
        before = bridge.children()

        os.kill(before["alerts"], signal.SIGKILL)
        answer = alert(bridge, record("pi broke"))

        assert answer.status == 200
        wait_for(lambda: said(bridge, "pi broke"))
        assert bridge.children()["alerts"] != before["alerts"]
        assert "ended by signal SIGKILL" in bridge.log.read_text(encoding="utf-8")


def test_b23_an_invalid_policy_keeps_the_old_one_with_a_visible_error_and_a_good_one_takes_its_place(tmp_path):
    with BridgeProcess(tmp_path) as bridge:
        bridge.wait_until_ready()
        bridge.policy.write_text("version: 1\naudience: {}\n", encoding="utf-8")
        bridge.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "audience" in httpx.get(f"{bridge.url}/readyz").json()["policy_problem"])
        alert(bridge, record("rho broke"))
        wait_for(lambda: said(bridge, "rho broke"))

        bridge.policy.write_text(POLICY.replace("#mdd", "#elsewhere"), encoding="utf-8")
        bridge.process.send_signal(signal.SIGHUP)
        wait_for(lambda: httpx.get(f"{bridge.url}/readyz").json()["policy_problem"] == "")
        alert(bridge, record("sigma broke"))
        wait_for(lambda: said(bridge, "sigma broke"))

        assert [one.address for one in said(bridge, "rho broke")] == ["#mdd"]
        assert [one.address for one in said(bridge, "sigma broke")] == ["#elsewhere"]


def test_sigterm_ends_it_orderly_within_three_seconds(tmp_path):
    bridge = BridgeProcess(tmp_path)
    bridge.start()
    bridge.wait_until_ready()

    began = time.monotonic()
    code = bridge.stop()
    ended_after = time.monotonic() - began

    assert code == 0
    assert ended_after <= PROMISED_END_S


def test_children_end_when_the_parent_is_killed(tmp_path):
    bridge = BridgeProcess(tmp_path)
    bridge.start()
    bridge.wait_until_ready()
    children = bridge.children()

    bridge.process.kill()
    bridge.process.wait()

    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children.values()))
    bridge._forget()
