"""The parent of the bridge's processes, where the machine has no room for one."""

from __future__ import annotations

import errno
import logging
import signal
import socket
import time
from pathlib import Path

import pytest

from alert_bridge.service import parent
from alert_bridge.service.settings import ServiceSettings


def test_a_process_that_cannot_be_forked_is_tried_again_and_ends_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_room() -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr("os.fork", no_room)
    child = parent._Child(parent.TELEMETRY)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with socket.socket() as listening, caplog.at_level(logging.ERROR):
        settings = ServiceSettings(tmp_path / "alerting.yaml", tmp_path, "127.0.0.1", 0, "")

        parent._start(child, parent._Estate(settings, listening, -1, -1), parent._Orders(-1, -1))

    assert child.process is None
    assert 0 < child.restart_at - time.monotonic() <= parent.LONGEST_RESTART_WAIT_S
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
    assert "The telemetry process cannot be started (Resource temporarily unavailable)" in caplog.text
