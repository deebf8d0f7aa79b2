"""What commands do for a user whom the machine does not know: no name, no home, as in many a container."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from alert_bridge import cli
from alert_bridge.cli.wishes import login_name
from alert_bridge.errors import SettingsError
from alert_bridge.settings import secret, state_home
from collector import cache
from collector.configuration import completed
from collector.errors import CollectorError


@pytest.fixture(autouse=True)
def _stranger(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_known(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr("pwd.getpwuid", not_known)
    for name in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "XDG_STATE_HOME", "PIPELINE_ALERTS_STATE"):
        monkeypatch.delenv(name, raising=False)


def test_wishes_are_those_of_a_number() -> None:
    assert login_name() == f"user {os.getuid()}"


def test_a_command_that_needs_a_home_says_what_to_set(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["status"])

    assert end.value.code == 2
    assert capsys.readouterr().err == (
        "pipeline-alerts: this user has no home to keep state in: set PIPELINE_ALERTS_STATE, or HOME\n"
    )


def test_a_home_is_not_missed_where_all_is_named(tmp_path: Path) -> None:
    named = {"XDG_STATE_HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}

    assert state_home(named) == tmp_path / "pipeline-alerts"
    assert cache.home(named) == tmp_path / "pipeline-alerts" / "collector"
    assert completed({"OTELCOL_STATE_DIR": "/var/lib/otelcol"})["OTELCOL_STATE_DIR"] == "/var/lib/otelcol"


def test_a_collector_without_a_home_says_what_to_set() -> None:
    with pytest.raises(CollectorError, match="no home: set XDG_CACHE_HOME, or HOME"):
        cache.home({})
    with pytest.raises(CollectorError, match="no home: set XDG_STATE_HOME, or HOME"):
        completed({})


def test_a_secrets_file_that_is_no_text_says_so(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b"\xff\xfe")

    with pytest.raises(SettingsError, match="cannot be read: it is no text"):
        secret({"TOKEN_FILE": str(tmp_path / "token")}, "TOKEN")
