"""How long `pipeline-alerts ship` tries, where the receiver takes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from alert_bridge.cli.ship import command
from instrumentation.sender import linger
from instrumentation.sender.sender import Report

AWAY = Report(0, 0, is_complete=False, bytes_left=9, trouble="Connection refused", log_path=Path())
NO_ANSWER_YET = Report(0, 0, is_complete=False, bytes_left=9, trouble="", log_path=Path())
SLOW = Report(5, 0, is_complete=False, bytes_left=9, trouble="HTTP 503", log_path=Path())
DONE = Report(5, 0, is_complete=True, bytes_left=0, trouble="", log_path=Path())


def test_a_receiver_that_takes_nothing_of_one_run_is_not_waited_for_with_each_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = [SLOW, AWAY, NO_ANSWER_YET, AWAY, DONE, AWAY]
    for number in range(len(reports)):
        (tmp_path / f"run-{number}").mkdir()
        (tmp_path / f"run-{number}" / "1-a.jsonl").write_text("")
    given: list[float] = []
    monkeypatch.setattr(linger, "ship_folder", lambda _run, _settings, within: given.append(within) or reports.pop(0))

    done = CliRunner().invoke(command, [str(tmp_path), "--within", "30s"])

    assert given == [30.0, 30.0, 0.0, 0.0, 0.0, 30.0]
    assert done.exit_code == 1
    assert done.output.splitlines()[1] == "run-1: 0 sent, 9 bytes left: Connection refused"
