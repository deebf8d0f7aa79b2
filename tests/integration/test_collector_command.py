"""`pipeline-alerts collector`: what a person gets to read, and how the process behaves."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.process import free_addresses
from tests.servers.collector import CONFIGURATION, collector_binary, collector_environ
from tests.servers.otlp_client import logs_request, post, record
from tests.servers.otlp_sink import ALERTS_PATH, OtlpSink

pytestmark = pytest.mark.collector

DEADLINE_SECONDS = 60.0
COMMAND = [sys.executable, "-m", "alert_bridge.cli", "collector"]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    settings = collector_environ(tmp_path / "state", "http://127.0.0.1:9")
    return {**settings, "OTELCOL": str(collector_binary()), "PYTHONPATH": str(CONFIGURATION.parent)}


@pytest.fixture
def sink() -> Iterator[OtlpSink]:
    with OtlpSink() as started:
        yield started


def collector(environ: dict[str, str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], env=environ, cwd=folder, capture_output=True, text=True, timeout=120)


def broken(folder: Path, old: str, new: str) -> Path:
    """The deployed configuration with one thing wrong in it."""
    text = CONFIGURATION.read_text()
    assert text.count(old) >= 1
    file = folder / "broken.yaml"
    file.write_text(text.replace(old, new))
    return file


def listening(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def wait_until_listening(address: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not listening(address):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("overlay", [None, "log_files", "clickhouse", "gateway"])
def test_check_finds_nothing_wrong_with_what_we_ship(environ, tmp_path, overlay):
    done = collector(environ, tmp_path, "check", *(["--overlay", overlay] if overlay else []))

    assert (done.returncode, done.stderr) == (0, "")
    assert {line.split()[0] for line in done.stdout.splitlines()} == {"ok"}


def test_check_accepts_tokens(environ, tmp_path):
    for name in ("OTELCOL_INGEST_TOKEN_FILE", "BRIDGE_TOKEN_FILE"):
        file = tmp_path / name
        file.write_text("a-token\n")
        environ[name] = str(file)

    done = collector(environ, tmp_path, "check", "--json")

    assert (done.returncode, done.stderr) == (0, "")
    findings = json.loads(done.stdout)["findings"]
    assert {finding["level"] for finding in findings} == {"ok"}
    assert sorted(findings[0]) == ["level", "message", "rule", "where"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        # Accepted by `otelcol validate`, and seen only in what a started Collector does:
        ("log.severity_number < SEVERITY_NUMBER_ERROR and", "log.severity_number < SEVERITY_NUMBER_INFO and",
         "an INFO record leaks to the alert lane"),
        ("log.severity_number < SEVERITY_NUMBER_ERROR and", "log.severity_number <= SEVERITY_NUMBER_ERROR and",
         "an ERROR record does not reach the alert lane"),
        ('not HasPrefix(log.event_name, "pipeline.")', 'not HasPrefix(log.event_name, "pipelines.")',
         "a lifecycle event at INFO does not reach the alert lane"),
        ("transform/severity, transform/identity]", "transform/identity]",
         "an ERROR record with its severity only as text does not reach the alert lane"),
        ("transform/severity, transform/identity]", "transform/severity]", "not the same log.record.uid"),
        ("[memory_limiter, redaction/secrets, transform/severity", "[memory_limiter, transform/severity",
         "a password comes out as it went in"),
        ("exporters: [forward/alerts, otlp_http/telemetry]", "exporters: [forward/alerts]",
         "does not arrive on the telemetry lane"),
        # Seen in the wiring:
        ("log.severity_number < SEVERITY_NUMBER_ERROR and", 'log.severity_number < "ERROR" and',
         "compares the number with a text"),
        ("extensions: [health_check, file_storage/alerts,", "extensions: [health_check,",
         "names file_storage/alerts, which service.extensions does not list"),
        ("${env:OTELCOL_LOG_LEVEL:-info}", "${env:OTELCOL_LOG_LEVEL}", "OTELCOL_LOG_LEVEL is not set"),
        # Seen by the Collector itself:
        ("HasPrefix(log.event_name", "HasPrefix(log.evnt_name", "evnt_name"),
    ],
)  # fmt: skip
def test_check_names_what_is_broken(environ, tmp_path, old, new, said):
    file = broken(tmp_path, old, new)

    done = collector(environ, tmp_path, "check", "--config", str(file))

    assert done.returncode == 1, done.stderr
    errors = [line for line in done.stdout.splitlines() if line.startswith("ERROR")]
    assert any(said in line for line in errors), done.stdout


def test_check_leaves_no_process_and_needs_no_free_default_port(environ, tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        environ["OTELCOL_HTTP_ADDR"] = f"127.0.0.1:{other.getsockname()[1]}"

        done = collector(environ, tmp_path, "check")

    assert done.returncode == 0, done.stdout
    assert not (tmp_path / "state").exists()


def test_a_configuration_that_is_not_there_is_wrong_usage(environ, tmp_path):
    done = collector(environ, tmp_path, "check", "--config", "nowhere.yaml")

    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr
        == "pipeline-alerts: nowhere.yaml is not a file: give the Collector's configuration with --config FILE\n"
    )


def test_run_takes_records_and_ends_orderly_on_sigterm(environ, tmp_path, sink):
    environ["BRIDGE_URL"] = f"{sink.url}/"
    with subprocess.Popen([*COMMAND, "run"], env=environ, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        wait_until_listening(environ["OTELCOL_HTTP_ADDR"])
        assert post(f"http://{environ['OTELCOL_HTTP_ADDR']}/v1/logs", logs_request(record("boom"))).status == 200
        assert sink.wait_for(lambda: sink.bodies(ALERTS_PATH) == ["boom"], DEADLINE_SECONDS)

        process.send_signal(signal.SIGTERM)

        assert process.wait(DEADLINE_SECONDS) == 0
    assert not listening(environ["OTELCOL_HTTP_ADDR"])
    assert (tmp_path / "state" / "alerts").is_dir()


def test_run_is_the_collector_so_that_killing_it_leaves_nothing_behind(environ, tmp_path):
    with subprocess.Popen([*COMMAND, "run"], env=environ, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        wait_until_listening(environ["OTELCOL_GRPC_ADDR"])

        os.kill(process.pid, signal.SIGKILL)
        process.wait()

    assert not listening(environ["OTELCOL_GRPC_ADDR"])


@pytest.mark.parametrize("setting", ["OTELCOL_HTTP_ADDR", "OTELCOL_GRPC_ADDR", "OTELCOL_HEALTH_ADDR"])
def test_run_names_a_busy_address_and_the_setting_that_moves_it(environ, tmp_path, setting):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        environ[setting] = f"127.0.0.1:{other.getsockname()[1]}"

        done = collector(environ, tmp_path, "run")

    assert (done.returncode, done.stdout) == (2, "")
    assert f"{environ[setting]} is in use by another program: end that, or set {setting}" in done.stderr


def test_run_names_a_state_folder_that_another_collector_works_in(environ, tmp_path):
    with subprocess.Popen([*COMMAND, "run"], env=environ, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        wait_until_listening(environ["OTELCOL_HTTP_ADDR"])

        done = collector({**environ, **free_addresses()}, tmp_path, "run")

        process.kill()
    assert done.returncode == 2
    assert (
        f"another Collector works in {tmp_path / 'state' / 'alerts'}: end that, or set OTELCOL_STATE_DIR" in done.stderr
    )


@pytest.mark.parametrize(
    "damage", [b"", b"\0" * 100, b"\0" * 40_000, b"garbage" * 9_000], ids=["empty", "short", "zeros", "garbage"]
)
def test_a_queue_file_that_cannot_be_opened_does_not_keep_the_collector_from_starting(environ, tmp_path, sink, damage):
    environ["BRIDGE_URL"] = sink.url
    folder = tmp_path / "state" / "alerts"
    folder.mkdir(parents=True)
    (folder / "exporter_otlp_http_alerts_logs").write_bytes(damage)
    said = tmp_path / "stderr"

    with (
        said.open("wb") as stderr,
        subprocess.Popen([*COMMAND, "run"], env=environ, cwd=tmp_path, stderr=stderr) as process,
    ):
        wait_until_listening(environ["OTELCOL_HTTP_ADDR"])
        assert post(f"http://{environ['OTELCOL_HTTP_ADDR']}/v1/logs", logs_request(record("boom"))).status == 200
        assert sink.wait_for(lambda: sink.bodies(ALERTS_PATH) == ["boom"], DEADLINE_SECONDS)
        process.terminate()

    kept = [file.read_bytes() for file in folder.glob("*.damaged-*")]
    assert kept == ([damage] if damage else [])
    assert ("was set aside" in said.read_text()) == bool(damage)


def test_a_sound_queue_file_is_left_alone_by_the_next_start(environ, tmp_path, sink):
    for number in range(2):
        bridge = "http://127.0.0.1:9" if number == 0 else sink.url
        settings = {**environ, "BRIDGE_URL": bridge}
        with subprocess.Popen([*COMMAND, "run"], env=settings, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
            wait_until_listening(environ["OTELCOL_HTTP_ADDR"])
            body = logs_request(record(f"boom {number}"))
            assert post(f"http://{environ['OTELCOL_HTTP_ADDR']}/v1/logs", body).status == 200
            if number == 1:
                assert sink.wait_for(lambda: len(sink.bodies(ALERTS_PATH)) == 2, DEADLINE_SECONDS)
            process.kill()

    assert sorted(sink.bodies(ALERTS_PATH)) == ["boom 0", "boom 1"]
    assert list((tmp_path / "state" / "alerts").glob("*.damaged-*")) == []


@pytest.mark.parametrize("content", [None, ""])
def test_run_refuses_a_token_file_that_is_missing_or_empty(environ, tmp_path, content):
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    environ["OTELCOL_INGEST_TOKEN_FILE"] = str(file)

    done = collector(environ, tmp_path, "run")

    assert done.returncode == 2
    assert f"{file} {'is empty' if content == '' else 'cannot be read'}" in done.stderr
    assert "turn everything away" in done.stderr


@pytest.mark.parametrize("verb", ["run", "check"])
def test_listening_beyond_loopback_without_a_token_is_refused(environ, tmp_path, verb):
    environ["OTELCOL_HTTP_ADDR"] = "0.0.0.0:0"

    done = collector(environ, tmp_path, verb)

    assert done.returncode == {"run": 2, "check": 1}[verb]
    assert "listens on 0.0.0.0:0 without a token: set OTELCOL_INGEST_TOKEN_FILE" in done.stderr + done.stdout


def test_path_and_install_name_the_collector_that_run_would_start(environ, tmp_path):
    path, installed = collector(environ, tmp_path, "path"), collector(environ, tmp_path, "install")

    assert (path.returncode, path.stdout) == (0, f"{environ['OTELCOL']}\n")
    assert (installed.returncode, installed.stdout) == (0, f"Collector: {environ['OTELCOL']}\n")


def test_install_without_network_or_go_is_one_sentence_and_exit_code_2(environ, tmp_path):
    bare = {"PATH": "", "HOME": str(tmp_path), "PYTHONPATH": environ["PYTHONPATH"], "https_proxy": "http://127.0.0.1:9"}

    done = collector(bare, tmp_path, "install")

    assert (done.returncode, done.stdout) == (2, "")
    last = done.stderr.splitlines()[-1]
    assert last.startswith("pipeline-alerts: no Collector can be had: ")
    assert "--from-file" in last
    assert "Traceback" not in done.stderr
