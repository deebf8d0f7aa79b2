"""B23 beyond a process's end: a broken file on the disk takes no process down that must start again."""

from __future__ import annotations

import os
import signal

import httpx
import pytest

from tests.servers.bridge import POLICY, BridgeProcess, alert, said, wait_for
from tests.servers.otlp_client import logs_request, post, record


def told_to(bridge: BridgeProcess, words: str) -> list[str]:
    return [one.address for one in said(bridge, words)]


def problem_of(bridge: BridgeProcess) -> str | None:
    try:
        return str(httpx.get(f"{bridge.url}/readyz", timeout=5).json()["policy_problem"])
    except httpx.HTTPError:
        return None


@pytest.mark.parametrize("broken", ["{{{{", "", None], ids=["no YAML", "empty", "gone"])
def test_b23_a_process_that_is_killed_while_the_file_is_broken_goes_on_with_the_policy_in_force(tmp_path, broken):
    with BridgeProcess(tmp_path) as bridge:
        bridge.wait_until_ready()
        bridge.policy.unlink() if broken is None else bridge.policy.write_text(broken, encoding="utf-8")

        for role in ("telemetry", "alerts"):
            before = bridge.children()[role]
            os.kill(before, signal.SIGKILL)
            wait_for(lambda role=role, before=before: bridge.children().get(role, before) != before)
            bridge.wait_until_ready()
        wait_for(lambda: bool(problem_of(bridge)))
        answer = post(f"{bridge.url}/v1/logs", logs_request(record("alpha broke")))

        assert answer.status == 200
        wait_for(lambda: told_to(bridge, "alpha broke") == ["#mdd"])

        bridge.policy.write_text(POLICY.replace("#mdd", "#elsewhere"), encoding="utf-8")
        bridge.process.send_signal(signal.SIGHUP)
        wait_for(lambda: problem_of(bridge) == "")
        post(f"{bridge.url}/v1/logs", logs_request(record("beta broke")))
        wait_for(lambda: told_to(bridge, "beta broke") == ["#elsewhere"])


def test_b23_a_policy_that_was_taken_by_a_reload_goes_on_after_a_kill_too(tmp_path):
    with BridgeProcess(tmp_path) as bridge:
        bridge.wait_until_ready()
        bridge.policy.write_text(POLICY.replace("#mdd", "#elsewhere"), encoding="utf-8")
        bridge.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "#elsewhere" in (bridge.state / "policy.in-force.yaml").read_text(encoding="utf-8"))
        bridge.policy.write_text("{{{{", encoding="utf-8")
        before = bridge.children()["alerts"]

        os.kill(before, signal.SIGKILL)
        wait_for(lambda: bridge.children().get("alerts", before) != before)
        bridge.wait_until_ready()
        alert(bridge, record("gamma broke"))

        wait_for(lambda: told_to(bridge, "gamma broke") == ["#elsewhere"])
