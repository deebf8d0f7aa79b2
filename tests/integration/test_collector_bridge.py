"""A real Collector in front of the real bridge: the two halves keep each other's contract."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from alert_bridge.store.telemetry import Telemetry
from collector.process import Collector, free_port
from tests.servers.bridge import BridgeProcess, wait_for
from tests.servers.collector import collector_for
from tests.servers.otlp_client import logs_request, post, record

pytestmark = pytest.mark.collector

TOKEN = "the-bridge-knows-this"
WITHIN_SECONDS = 60.0


def send(collector: Collector, body: str, severity: int = 17) -> None:
    assert post(f"{collector.http_endpoint}/v1/logs", logs_request(record(body, severity))).status == 200


def told(bridge: BridgeProcess, text: str) -> int:
    """How many Slack messages about this were kept as previews."""
    reader = bridge.reader()
    try:
        return sum(one.channel == "slack" and text in one.payload for one in reader.previewed(limit=1_000))
    finally:
        reader.close()


def is_stored(bridge: BridgeProcess, text: str) -> bool:
    """Whether the lane that takes everything has brought it, and so has judged it, too."""
    telemetry = Telemetry(bridge.state)
    try:
        return bool(telemetry.search(text))
    finally:
        telemetry.close()


def test_an_error_is_told_once_although_both_lanes_bring_it_and_an_info_never(tmp_path: Path):
    with BridgeProcess(tmp_path / "bridge") as bridge, collector_for(tmp_path, bridge.url) as collector:
        bridge.wait_until_ready()

        send(collector, "nothing to see", severity=9)
        send(collector, "reconcile refused to publish")

        wait_for(lambda: told(bridge, "reconcile refused to publish") == 1, WITHIN_SECONDS)
        wait_for(lambda: is_stored(bridge, "nothing to see") and is_stored(bridge, "reconcile refused"), WITHIN_SECONDS)
        assert told(bridge, "reconcile refused to publish") == 1
        assert told(bridge, "nothing to see") == 0
        assert "Dropping data" not in collector.log.read_text()


def test_a_wrong_token_loses_nothing_and_the_alert_goes_out_when_it_is_mended(tmp_path: Path):
    file = tmp_path / "bridge_token"
    file.write_text("an-old-one\n")
    with (
        BridgeProcess(tmp_path / "bridge", environ={"PIPELINE_ALERTS_TOKEN": TOKEN}) as bridge,
        collector_for(tmp_path, bridge.url, BRIDGE_TOKEN_FILE=str(file)) as collector,
    ):
        bridge.wait_until_ready()
        send(collector, "disk is full")
        # The operator hears of it by the bridge itself, which cannot know what it turns away.
        wait_for(lambda: told(bridge, "token is missing or wrong") >= 1, WITHIN_SECONDS)
        assert told(bridge, "disk is full") == 0

        file.write_text(f"{TOKEN}\n")

        wait_for(lambda: told(bridge, "disk is full") == 1, WITHIN_SECONDS)
        assert "Dropping data" not in collector.log.read_text()


def test_a_collector_that_starts_before_the_bridge_disturbs_nobody_with_that(tmp_path: Path):
    # As the README starts them. What the Collector logs of its own reports meanwhile arrives with the bridge.
    port = free_port()
    complaint = "OpenTelemetry internal telemetry error"
    with collector_for(tmp_path, f"http://127.0.0.1:{port}") as collector:
        wait_for(lambda: complaint in collector.log.read_text(), WITHIN_SECONDS)
        with BridgeProcess(tmp_path / "bridge", port=port) as bridge:
            bridge.wait_until_ready()
            send(collector, "reconcile refused to publish")
            wait_for(lambda: is_stored(bridge, complaint) and is_stored(bridge, "reconcile refused"), WITHIN_SECONDS)
            wait_for(lambda: told(bridge, "reconcile refused to publish") == 1, WITHIN_SECONDS)

            with closing(bridge.reader()) as reader:
                incidents = reader.incidents(open_only=False)
            assert [incident.title for incident in incidents] == ["reconcile refused to publish"]


def test_an_alert_that_came_while_the_bridge_was_down_is_told_when_it_is_back(tmp_path: Path):
    with BridgeProcess(tmp_path / "bridge") as bridge, collector_for(tmp_path, bridge.url) as collector:
        bridge.wait_until_ready()
        bridge.kill()
        send(collector, "nobody is listening")
        collector.kill()

        collector.start()
        bridge.start()

        wait_for(lambda: told(bridge, "nobody is listening") == 1, WITHIN_SECONDS)
