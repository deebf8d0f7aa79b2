"""Settings of the pipeline side, the structured log's keeping, and the manifest."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from instrumentation import git, manifest
from instrumentation.revision import git_revision
from instrumentation.sender.logfile import MAX_HELD, RunLog, keep_within, log_path
from instrumentation.settings import KNOWN, PREFIX, Settings, resource_of, state_home

DAY_S = 86_400


def test_ours_wins_over_opentelemetrys_and_both_over_the_default() -> None:
    ours, theirs = {"PIPELINE_ALERTS_ENDPOINT": "http://a:1/"}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://b:2"}

    assert Settings.from_environ({**ours, **theirs}).endpoint == "http://a:1"
    assert Settings.from_environ(theirs).endpoint == "http://b:2"
    assert Settings.from_environ({}).endpoint == "http://127.0.0.1:4318"


@pytest.mark.parametrize("endpoint", ["http://a_b.c:65535", "https://[::1]:4318", "http://u:p@h/otlp", "http://ä:1"])
def test_any_address_of_the_web_is_taken(endpoint: str) -> None:
    settings = Settings.from_environ({"PIPELINE_ALERTS_ENDPOINT": endpoint})

    assert (settings.endpoint, settings.problems) == (endpoint, ())


def test_a_secret_may_come_in_a_file_and_is_never_shown(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")

    settings = Settings.from_environ({"PIPELINE_ALERTS_INGEST_TOKEN_FILE": str(tmp_path / "token")})

    assert settings.token == "s3cret"
    assert "s3cret" not in repr(settings)


def test_a_misspelt_setting_is_said_with_what_was_meant() -> None:
    (problem,) = Settings.from_environ({"PIPELINE_ALERTS_LINGER_SECOND": "3", "OTHERS": "x"}).problems

    assert problem == "PIPELINE_ALERTS_LINGER_SECOND is no setting of ours: PIPELINE_ALERTS_LINGER_SECONDS is"


def test_every_documented_setting_is_known() -> None:
    text = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
    documented = set(re.findall(rf"`{PREFIX}([A-Z_]+)`", text))

    assert {name.removesuffix("_FILE") for name in documented} == KNOWN


@pytest.mark.parametrize(
    "environ",
    [
        {"PIPELINE_ALERTS_ENDPOINT": "localhost:4318"},
        {"PIPELINE_ALERTS_ENDPOINT": "http://127.0.0.1:43l8"},
        {"PIPELINE_ALERTS_ENDPOINT": "http://127.0.0.1:70000"},
        {"PIPELINE_ALERTS_ENDPOINT": "https://[::1"},
        {"PIPELINE_ALERTS_ENDPOINT": "http://"},
        {"PIPELINE_ALERTS_INGEST_TOKEN_FILE": "/nowhere"},
        {"PIPELINE_ALERTS_LINGER_SECONDS": "-1"},
        {"PIPELINE_ALERTS_JOURNAL_MB": "many"},
        {"PIPELINE_ALERTS_LOG_MB": "inf"},
        {"PIPELINE_ALERTS_ENDPOIN": "http://a:1"},
    ],
)
def test_a_wrong_setting_is_said_and_does_not_stop_anything(environ: dict[str, str]) -> None:
    settings = Settings.from_environ(environ)

    assert len(settings.problems) == 1
    assert settings.endpoint == "http://127.0.0.1:4318"


def test_state_lies_where_the_desktop_standard_says(tmp_path: Path) -> None:
    assert state_home({"XDG_STATE_HOME": str(tmp_path)}) == tmp_path / "pipeline-alerts"


def test_a_resource_is_ours_and_the_users_and_never_more_than_the_limit() -> None:
    given = {
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=prod%20eu,host.name=lie,"
        + ",".join(f"a{n}=1" for n in range(20))
    }

    resource = resource_of(given, pipeline="p", run_id="r", revision="abc")

    assert resource["deployment.environment.name"] == "prod eu"
    assert resource["host.name"] != "lie"
    assert (resource["service.name"], resource["cicd.pipeline.run.id"], resource["vcs.ref.head.revision"]) == (
        "p",
        "r",
        "abc",
    )
    assert len(resource) == 10


def test_the_log_rotates_and_keeps_its_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("instrumentation.sender.logfile.ROTATE_BYTES", 1000)
    log = RunLog(log_path(tmp_path, "a/b", "run 1"))
    for number in range(100):
        log.add([(number, 30, f'{{"n":{number},"pad":"{"x" * 50}"}}')])
        log.flush(0, everything=True)
    log.close()

    names = sorted(path.name for path in (tmp_path / "a_b").iterdir())
    assert "run_1.jsonl" in names
    assert len(names) > 3
    assert (tmp_path / "a_b" / "run_1.worst").read_text() == "30"


def test_a_line_that_comes_late_finds_its_place(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "x.jsonl")
    log.add([(2_000_000_000, 20, "second")])
    log.flush(2_000_000_000)
    log.add([(1_000_000_000, 20, "first")])

    log.close()

    assert (tmp_path / "x.jsonl").read_text() == "first\nsecond\n"


def test_a_level_that_a_full_disk_kept_from_being_noted_disturbs_nobody_and_may_have_been_any(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    for name in ("torn", "none"):
        (folder / f"{name}.jsonl").write_text("{}\n")
    (folder / "torn.worst").write_text("")

    keep_within(tmp_path, 1 << 20, now=time.time() + 100 * DAY_S)

    assert [path.name for path in folder.glob("*.jsonl")] == ["torn.jsonl"]


FULL = """
import resource, sys
from pathlib import Path
from instrumentation.sender.logfile import RunLog
log = RunLog(Path(sys.argv[1]))
everything = resource.getrlimit(resource.RLIMIT_FSIZE)
for limit in ((50, everything[1]), everything):
    resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    log.add([(number, 20, '{"is": "whole"}') for number in range(9)])
    log.flush(0, everything=True)
    print(log.trouble or "none")
"""


def test_a_line_that_found_the_disk_full_does_not_spoil_the_next_one(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"

    done = subprocess.run([sys.executable, "-c", FULL, str(file)], capture_output=True, text=True, check=True)

    assert done.stdout == "File too large\nnone\n"
    assert [line for line in file.read_text().splitlines() if line != '{"is": "whole"}'] == ['{"']


def test_lines_of_the_future_do_not_fill_memory(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "x.jsonl")
    for _ in range(3):
        log.add([(9_000_000_000_000_000_000, 20, "x")] * MAX_HELD)
        log.flush(1_000_000_000)

    assert log.path.stat().st_size >= 2 * MAX_HELD * len("x\n")


def test_logs_are_kept_by_the_worst_level_that_their_run_reached(tmp_path: Path) -> None:
    for name, worst, age_days in (
        ("old-info", 20, 40),
        ("old-error", 40, 40),
        ("new-info", 20, 1),
        ("ancient-error", 50, 400),
        ("error-of-2026.11", 40, 40),
    ):
        log = RunLog(tmp_path / "p" / f"{name}.jsonl")
        log.add([(1, worst, "x")])
        log.close()
        os.utime(log.path, (time.time() - age_days * DAY_S,) * 2)

    removed = keep_within(tmp_path, 1_000_000)

    assert {path.stem for path in removed} == {"old-info", "ancient-error"}


def test_over_the_cap_the_mildest_and_oldest_go_first(tmp_path: Path) -> None:
    for name, worst, age_days in (("a", 20, 2), ("b", 20, 1), ("c", 40, 3)):
        log = RunLog(tmp_path / "p" / f"{name}.jsonl")
        log.add([(1, worst, "x" * 999)])
        log.close()
        os.utime(log.path, (time.time() - age_days * DAY_S,) * 2)

    removed = keep_within(tmp_path, 2100)

    assert [path.stem for path in removed] == ["a"]


def test_a_disk_that_takes_no_log_is_remembered_and_not_raised(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    log = RunLog(tmp_path / "file" / "x.jsonl")
    log.add([(1, 20, "x")])

    log.flush(0, everything=True)

    assert log.trouble in {"File exists", "Not a directory"}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init")
    (tmp_path / "config.yaml").write_text("month: 559\n")
    git("add", ".")
    git("commit", "-m", "x")
    git("remote", "add", "origin", "https://kim:s3cret@example.org/x.git")
    return tmp_path


def test_the_revision_is_read_without_starting_git(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=repository, capture_output=True, text=True
    ).stdout.strip()
    (repository / "deep").mkdir()
    monkeypatch.setenv("PATH", "")

    assert git_revision(repository / "deep") == expected


def test_a_packed_or_detached_head_is_read_too(repository: Path) -> None:
    expected = git_revision(repository)
    subprocess.run(["git", "pack-refs", "--all"], cwd=repository, check=True)
    packed = git_revision(repository)
    subprocess.run(["git", "checkout", "-q", "--detach"], cwd=repository, check=True)

    assert (packed, git_revision(repository)) == (expected, expected)


def test_outside_of_a_repository_there_is_no_revision(tmp_path: Path) -> None:
    assert git_revision(tmp_path) == ""


def test_git_says_what_it_can_of_a_work_tree_without_a_commit_or_an_origin(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)

    assert git.ask(tmp_path)() == git.WorkTree(branch="HEAD", origin="", is_dirty=False)
    assert git.ask(tmp_path / "nowhere")() == git.WorkTree()


def test_a_manifest_names_what_explains_a_change_and_no_secret(repository: Path) -> None:
    (repository / "config.yaml").write_text("month: 560\n")
    command = ["python", "main.py", "--config", "config.yaml", "--token", "s3cret"]
    environ = {"SLURM_JOB_ID": "4711", "SECRET": "s3cret"}

    found = manifest.collect(command, environ, repository, manifest.site_packages_of(sys.executable), "3.9.1")

    assert found["pipeline.vcs.dirty"] is True
    assert found["vcs.ref.head.name"] == "main"
    assert found["pipeline.scheduler.slurm.job_id"] == "4711"
    assert found["process.runtime.version"] == "3.9.1"
    assert set(found["pipeline.inputs"]) == {"config.yaml"}  # type: ignore[call-overload]
    assert "click" in found["pipeline.packages"]  # type: ignore[operator]
    assert "s3cret" not in str(found)
