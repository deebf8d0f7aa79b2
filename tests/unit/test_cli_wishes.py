"""What a person sees who waits for the bridge to act."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from alert_bridge.cli import wishes
from alert_bridge.cli.wishes import taken_up


def test_who_waits_for_a_slow_bridge_is_told_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(wishes, "SAY_AFTER_S", 0.0)
    looks = iter((False, False, False, True))
    with (tmp_path / "serve.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        is_done = taken_up(tmp_path, lambda: next(looks))

    assert is_done
    assert capsys.readouterr().err == "It is noted; waiting up to 30 s for the bridge, which is slow …\n"


def test_nobody_waits_for_a_bridge_that_does_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not taken_up(tmp_path, lambda: False)
    assert capsys.readouterr().err == ""
