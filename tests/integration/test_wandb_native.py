"""Programs that use W&B themselves: under `run` they stay what they are, and their W&B runs are stages."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from instrumentation import attributes as names
from tests.servers import children
from tests.servers.receiver import Receiver
from tests.servers.shipping import wait_until_shipped
from tests.servers.wandb import OFFLINE, WandbServer, history, names_this_host, records

ROOT = Path(__file__).resolve().parents[2]
OWN_RUN = {**OFFLINE, "WANDB_RUN_ID": "own"}
TIMEOUT_S = 240

STAGES = """
import logging
import wandb
logging.basicConfig(level=logging.INFO)
logging.info("before")
run = wandb.init(project="orange_forecasting", job_type="train")
logging.info("training")
run.alert(title="Loss is odd", text="it grew", level="WARN")
wandb.log({"loss": 1.0})
wandb.finish()
logging.info("between")
with wandb.init(project="orange_forecasting", job_type="forecast"):
    logging.info("forecasting")
    raise SystemExit(4)
"""

LEFT_OPEN = """
import wandb
wandb.init(project="p", job_type="report")
wandb.log({"rows": 3})
int("x")
"""

FAILS_TO_ALERT = """
import wandb
run = wandb.init(project="p", job_type="train")
try:
    run.alert(title="t", text="x", level="WARNING")
except ValueError:
    import traceback
    traceback.print_exc()
run.alert(title="t", text="x", level="LOUD")
"""

CANNOT_START = """
import wandb
wandb.init(project="p", job_type="train", mode="online", settings=wandb.Settings(init_timeout=1, api_key="0" * 40))
"""

WITHOUT_A_TYPE = """
import wandb
run = wandb.init(project="p")
run.finish()
"""


def stage_lines(kept: children.Kept) -> list[tuple[str, str, str]]:
    """Message, stage and result of every event of a stage."""
    return [
        (children.message(line), line.get("st", ""), line["d"].get(names.STAGE_RESULT, ""))
        for line in kept.logs
        if line.get("ev", "").startswith("pipeline.stage.")
    ]


def test_a_job_type_is_a_stage_from_init_to_finish(tmp_path: Path) -> None:
    ended = children.run(STAGES, tmp_path / "run", cwd=tmp_path, **OWN_RUN)

    kept = children.kept(tmp_path / "run")
    assert ended.code == 4
    assert stage_lines(kept) == [
        ("train started", "train", ""),
        ("train ended: success", "train", "success"),
        ("forecast started", "forecast", ""),
        ("forecast ended: failure", "forecast", "failure"),
    ]
    stages = {children.message(line): line.get("st", "") for line in kept.logs if line["g"] == "root"}
    assert stages == {"before": "", "training": "train", "between": "", "forecasting": "forecast"}
    spans = {line["na"]: line for line in kept.lines if line["k"] == "span"}
    (training,) = [line for line in kept.logs if line["m"] == "training"]
    assert training["sp"] == spans["train"]["sp"]
    assert spans["train"]["d"][names.STAGE] == "train"
    assert [(line["na"], line["d"][names.STAGE]) for line in kept.lines if line["k"] == "metric"] == [
        (names.STAGE_DURATION, "train"),
        (names.STAGE_DURATION, "forecast"),
    ]


def test_a_stage_that_the_program_leaves_open_ends_with_it(tmp_path: Path) -> None:
    ended = children.run(LEFT_OPEN, tmp_path / "run", cwd=tmp_path, **OWN_RUN)

    assert ended.code == 1
    assert stage_lines(children.kept(tmp_path / "run")) == [
        ("report started", "report", ""),
        ("report ended: failure", "report", "failure"),
    ]


def test_an_alert_of_the_program_is_an_event_of_its_stage(tmp_path: Path) -> None:
    children.run(STAGES, tmp_path / "run", cwd=tmp_path, **OWN_RUN)

    (alert,) = [line for line in children.kept(tmp_path / "run").logs if line.get("ev") == names.EVENT_WANDB_ALERT]
    assert children.message(alert) == "W&B alert: Loss is odd: it grew"
    assert (alert["l"], alert["st"], alert["d"]) == ("INFO", "train", {names.WANDB_ALERT_LEVEL: "WARN"})


def test_a_run_without_a_job_type_is_no_stage(tmp_path: Path) -> None:
    children.run(WITHOUT_A_TYPE, tmp_path / "run", cwd=tmp_path, **OWN_RUN)

    kept = children.kept(tmp_path / "run")
    assert [line for line in kept.lines if "ev" in line or line["k"] in ("span", "metric")] == []


def comparable(output: bytes) -> str:
    """Console output without what differs from run to run: times, folders, how long it took."""
    text = re.sub(r"run-\d{8}_\d{6}", "run-TIME", output.decode())
    return re.sub(r"\d+\.\d+s?\b|\(\d+s\)", "N", text)


def files_of(folder: Path) -> dict[str, object]:
    """What W&B wrote, as far as two runs can agree on it."""
    (path,) = folder.glob("wandb/*run-*/*.wandb")
    said: dict[str, object] = {
        str(file.relative_to(path.parent)): "" for file in path.parent.rglob("*") if file.is_file()
    }
    for name in ("requirements.txt", "config.yaml"):
        file = path.parent / "files" / name
        said[name] = sorted(file.read_text().splitlines()) if file.exists() else None
    metadata = path.parent / "files" / "wandb-metadata.json"
    if metadata.exists():
        said["metadata"] = {key: value for key, value in json.loads(metadata.read_text()).items() if key in _METADATA}
    said["history"] = [{key: value for key, value in row.items() if key[0] != "_"} for row in history(path)]
    said["kinds"] = {record.WhichOneof("record_type") for record in records(path)}
    return said


_METADATA = ("os", "python", "args", "program", "codePath", "email", "root", "host", "executable")


@pytest.mark.parametrize("program", [STAGES, LEFT_OPEN, FAILS_TO_ALERT], ids=["stages", "left open", "bad alert"])
def test_console_exit_code_and_files_are_what_they_are_without_us(tmp_path: Path, program: str) -> None:
    program = program.replace("wandb.finish()\n", "")  # one run, whose files can be compared
    (tmp_path / "work").mkdir()
    alone = children.run(program, cwd=tmp_path / "work", **OWN_RUN)
    own_files = files_of(tmp_path / "work")
    (tmp_path / "work").rename(tmp_path / "before")
    (tmp_path / "work").mkdir()

    under = children.run(program, tmp_path / "run", cwd=tmp_path / "work", **OWN_RUN)

    assert (under.code, comparable(under.out)) == (alone.code, comparable(alone.out))
    assert comparable(under.err) == comparable(alone.err)
    assert files_of(tmp_path / "work") == own_files


def test_a_w_and_b_that_cannot_start_fails_with_the_same_traceback(tmp_path: Path) -> None:
    more = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_ERROR_REPORTING": "false", "WANDB_RUN_ID": "own"}
    alone = children.run(CANNOT_START, cwd=tmp_path, **more)

    under = children.run(CANNOT_START, tmp_path / "run", cwd=tmp_path, **more)

    assert (under.code, comparable(under.err)) == (alone.code, comparable(alone.err))
    assert stage_lines(children.kept(tmp_path / "run")) == []


def run_command(environ: Mapping[str, str], cwd: Path, program: str) -> subprocess.CompletedProcess[bytes]:
    (cwd / "main.py").write_text(program)
    command = [sys.executable, "-m", "alert_bridge.cli", "run", "--pipeline", "orange", "--", sys.executable, "main.py"]
    return subprocess.run(command, cwd=cwd, env=dict(environ), capture_output=True, timeout=TIMEOUT_S)


def test_under_the_command_too_console_exit_code_and_files_are_what_they_are_without_us(tmp_path: Path) -> None:
    program = STAGES.replace("wandb.finish()\n", "")
    seen = []
    for under_run in (False, True):
        (tmp_path / "work").mkdir()
        plain = children.environment(**OWN_RUN, PIPELINE_ALERTS_LINGER_SECONDS="0", XDG_STATE_HOME=str(tmp_path))
        if under_run:
            done = run_command(plain, tmp_path / "work", program)
        else:
            (tmp_path / "work" / "main.py").write_text(program)
            command = [sys.executable, "main.py"]
            done = subprocess.run(command, cwd=tmp_path / "work", env=plain, capture_output=True, timeout=TIMEOUT_S)
        files = files_of(tmp_path / "work")
        seen.append((done.returncode, comparable(done.stdout), comparable(done.stderr), files))
        (tmp_path / "work").rename(tmp_path / f"before {under_run}")

    assert seen[0] == seen[1]


def test_w_and_b_s_own_telemetry_never_holds_our_token_run_id_or_host(tmp_path: Path) -> None:
    token, run_id = "our-ingest-token-0123456789", "fatalities_003_559_secret"
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "WANDB_"))}
    with WandbServer() as server, Receiver() as receiver:
        ours = {
            "PIPELINE_ALERTS_ENDPOINT": receiver.url,
            "PIPELINE_ALERTS_INGEST_TOKEN": token,
            "PIPELINE_ALERTS_RUN_ID": run_id,
            "XDG_STATE_HOME": str(tmp_path / "state"),
            "PYTHONPATH": str(ROOT),
        }
        program = STAGES.replace("raise SystemExit(4)", 'raise RuntimeError("for the error report")')
        done = run_command({**clean, **server.environ, **ours}, tmp_path, program)
        wait_until_shipped(ours)
        told = {record.event_name for record in receiver.records()}
        reports = server.own_telemetry()

    assert done.returncode == 1
    assert {names.EVENT_STAGE_START, names.EVENT_STAGE_END, names.EVENT_WANDB_ALERT} <= told
    assert reports, "W&B sends telemetry of its own, or this proves nothing"
    for report in reports:
        sent = f"{report.path} {dict(report.headers)}".encode() + report.body
        assert not [word for word in (token, run_id) if word.encode() in sent]
        assert not names_this_host(sent)


def test_the_address_of_the_w_and_b_run_is_on_what_is_told_of_it(tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "WANDB_"))}
    program = STAGES.replace("raise SystemExit(4)", 'logging.error("diverged"); raise SystemExit(4)')
    with WandbServer() as server, Receiver() as receiver:
        ours = {"PIPELINE_ALERTS_ENDPOINT": receiver.url, "XDG_STATE_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
        run_command({**clean, **server.environ, **ours}, tmp_path, program)
        wait_until_shipped(ours)
        told = receiver.records()
        opened = list(server.runs)

    (record,) = [record for record in told if record.body.string_value == "diverged"]
    said = {pair.key: pair.value.string_value for pair in record.attributes}
    assert said[names.STAGE] == "forecast"
    assert said[names.WANDB_RUN_URL] == f"{server.url}/team/orange_forecasting/runs/{opened[-1]}"
