"""W&B in the policy, and what W&B must not cost: nothing is loaded that was not asked for."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from alert_bridge.cli.policy_summary import summarise
from alert_bridge.errors import SettingsError
from alert_bridge.exporters.wandb import wandb_settings
from alert_bridge.model import Record, Severity
from alert_bridge.policy.load import load
from alert_bridge.routing import judge
from instrumentation import attributes as names
from tests.servers.exporters import TELLS_ALERTS

PROMOTES_ALERTS = """\
rules:
  - {match: {event_name: pipeline.wandb.alert, pipeline.wandb.alert.level: ERROR}, set: {severity: ERROR}}
"""
LOADED = """
import sys, json
{}
print(json.dumps(sorted({{"wandb", "prefect"}} & set(sys.modules))))
"""


@pytest.fixture
def policy(tmp_path):
    (tmp_path / "alerting.yaml").write_text(TELLS_ALERTS + PROMOTES_ALERTS)
    return load(tmp_path / "alerting.yaml")


def test_alerts_of_w_and_b_are_a_route_of_their_own(policy):
    assert [route.min_severity for route in policy.routes_to("wandb_alert")] == [Severity.ERROR]
    assert [route.min_severity for route in policy.routes_to("wandb")] == [Severity.TRACE]
    assert "W&B alerts: ERROR and worse" in " ".join(summarise(policy, 0))


@pytest.mark.parametrize(("level", "severity"), [("ERROR", Severity.ERROR), ("WARN", Severity.INFO)])
def test_a_rule_can_take_a_program_s_own_w_and_b_alert_seriously(policy, level, severity):
    said = {names.WANDB_ALERT_LEVEL: level}
    record = Record("u", 0, 0, Severity.INFO, "INFO", "W&B alert: odd: x", names.EVENT_WANDB_ALERT, said)

    assert judge(record, policy).severity is severity


@pytest.mark.parametrize(
    "what", ["import instrumentation", "from alert_bridge.cli import main; import alert_bridge.service.settings"]
)
def test_neither_library_is_loaded_before_something_is_exported(what):
    done = subprocess.run([sys.executable, "-c", LOADED.format(what)], capture_output=True, text=True, check=True)

    assert json.loads(done.stdout) == []


def test_help_loads_neither_library():
    code = (
        'import sys; sys.argv = ["pipeline-alerts", "--help"]\n'
        "from alert_bridge.cli import main\n"
        "try: main()\nexcept SystemExit: pass"
    )
    done = subprocess.run([sys.executable, "-c", LOADED.format(code)], capture_output=True, text=True, check=True)

    assert json.loads(done.stdout.splitlines()[-1]) == []


@pytest.mark.parametrize(
    ("environ", "mode"),
    [
        ({}, None),
        ({"WANDB_MODE": "disabled", "WANDB_API_KEY": "k"}, None),
        ({"WANDB_MODE": "offline"}, "offline"),
        ({"WANDB_MODE": "dryrun"}, "offline"),
        ({"WANDB_API_KEY": "k"}, "offline"),
        ({"WANDB_API_KEY": "k", "WANDB_MODE": "online"}, "online"),
    ],
)
def test_offline_is_the_default_and_online_a_choice(tmp_path, environ, mode):
    settings = wandb_settings(environ, state=tmp_path)

    assert (settings.mode if settings else None) == mode
    assert "key=" not in repr(settings)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"WANDB_MODE": "online"}, "needs WANDB_API_KEY"),
        ({"WANDB_MODE": "shared", "WANDB_API_KEY": "k"}, "'shared' is not one"),
        ({"WANDB_API_KEY": "k", "WANDB_BASE_URL": "http://wandb.example.org"}, "for all to read"),
        ({"WANDB_API_KEY": "k", "WANDB_BASE_URL": "wandb.example.org"}, "not a web address"),
    ],
)
def test_settings_that_cannot_work_are_said_at_the_start(tmp_path, environ, said):
    with pytest.raises(SettingsError, match=said):
        wandb_settings(environ, state=tmp_path)
