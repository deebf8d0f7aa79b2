"""The W&B exporter against a scripted W&B server: online, through outages, and with `wandb sync` afterwards."""

from __future__ import annotations

import time

import pytest

from alert_bridge.model import MetricPoint, Severity
from alert_bridge.store.exports import export_states
from instrumentation import attributes as names
from tests.servers.exporters import TELLS_ALERTS, ExportersProcess
from tests.servers.pipeline import StoredPipeline
from tests.servers.wandb import KEY, WandbServer, names_this_host

RUN = "fatalities_003_559_a"
ID = f"{RUN}-otel"
PROMISED_END_S = 3.0


@pytest.fixture
def run(stored):
    """A run that has begun."""
    run = stored.run(RUN)
    run.start()
    return run


@pytest.fixture
def server():
    with WandbServer() as server:
        yield server


def measure(stored: StoredPipeline, steps: range, name: str = "loss", at: int = 0) -> None:
    resource = {names.SERVICE_NAME: "monthly_run", names.PIPELINE_NAME: "monthly_run", names.RUN_ID: RUN}
    stored.store.append_metrics(
        [
            MetricPoint(name, "1", "gauge", at or time.time_ns(), 1 / (1 + step), {names.METRIC_STEP: step}, resource)
            for step in steps
        ]
    )


def losses(server: WandbServer, run: str = ID, name: str = "loss") -> list[tuple[int, float]]:
    return sorted((row["step"], row[name]) for row in server.history(run) if name in row)


def wanted(steps: range) -> list[tuple[int, float]]:
    return [(step, 1 / (1 + step)) for step in steps]


def points_waiting(stored: StoredPipeline) -> int:
    return sum(book.waiting for state in export_states(stored.state) for book in state.books if book.signal == "points")


def test_figures_are_in_w_and_b_while_the_run_goes_on_and_the_end_is_told(stored, run, server):
    with ExportersProcess(stored.state, server.online) as exporters:
        measure(stored, range(30))
        exporters.until(lambda: len(losses(server)) == 30)
        is_going_on = server.exit_code(ID) is None
        run.end("failure", exit_code=7)
        exporters.until(lambda: server.exit_code(ID) is not None)

    assert is_going_on
    assert losses(server) == wanted(range(30))
    assert server.exit_code(ID) == 7
    assert server.own_telemetry() == []
    received = server.received()
    assert str(stored.state).encode() not in received
    assert not names_this_host(received)


def test_a_server_that_fails_gets_everything_later_and_nothing_twice(stored, run, server):
    measure(stored, range(10))
    with ExportersProcess(stored.state, server.online) as exporters:
        exporters.until(lambda: len(losses(server)) == 10)
        server.fail(500)
        measure(stored, range(10, 40))
        exporters.until(lambda: server.refused >= 2)  # it tried, and tried again
        server.fail(200)
        run.end()
        exporters.until(lambda: server.exit_code(ID) == 0)

    assert losses(server) == wanted(range(40))


def test_what_was_written_offline_is_brought_to_w_and_b_where_there_is_a_key(stored, run, server):
    measure(stored, range(25))
    with ExportersProcess(stored.state, server.environ) as exporters:
        run.end()
        exporters.until(lambda: server.exit_code(ID) == 0)
        exporters.until(lambda: not list((stored.state / "wandb" / "wandb").glob("offline-run-*")))

    assert losses(server) == wanted(range(25))
    assert server.own_telemetry() == []


def test_what_comes_after_the_sync_is_in_a_w_and_b_run_of_its_own_and_nothing_is_twice(stored, run, server):
    measure(stored, range(25))
    with ExportersProcess(stored.state, server.environ) as exporters:
        run.end()
        exporters.until(lambda: server.exit_code(ID) == 0)
        measure(stored, range(25, 30))
        exporters.until(lambda: server.exit_code(f"{ID}-2") == 0)
        exporters.until(lambda: not list((stored.state / "wandb" / "wandb").glob("offline-run-*")))
        run.log("a line that comes late")
        exporters.until(lambda: all(book.waiting == 0 for state in export_states(stored.state) for book in state.books))

    assert losses(server) == wanted(range(25))
    assert losses(server, f"{ID}-2") == wanted(range(25, 30))
    assert set(server.runs) == {ID, f"{ID}-2"}
    assert {variables["groupName"] for variables in server.runs.values()} == {RUN}


def test_a_restart_in_the_middle_doubles_nothing_also_where_it_writes_fewer_rows(stored, run, server):
    now = time.time_ns()
    with ExportersProcess(stored.state, server.online) as exporters:
        for name in ("loss", "score"):  # rows of their own now; of one time and step, so one row when written again
            measure(stored, range(20), name, now)
            exporters.until(lambda name=name: len(losses(server, name=name)) == 20)
        before = len(server.history(ID))
        exporters.kill()
    with ExportersProcess(stored.state, server.online) as exporters:
        measure(stored, range(20, 25))
        run.end()
        exporters.until(lambda: server.exit_code(ID) == 0)

    assert before >= 40
    assert len({row["_step"] for row in server.history(ID) if "loss" in row}) == 25
    assert losses(server) == wanted(range(25))
    assert losses(server, name="score") == wanted(range(20))


@pytest.mark.parametrize("trouble", ["refuses", "hangs"])
def test_with_w_and_b_away_the_end_takes_no_longer_and_what_waits_is_counted(stored, run, server, trouble):
    measure(stored, range(120))
    environ = dict(server.online)
    if trouble == "hangs":
        server.hang(60.0)
    else:
        environ["WANDB_BASE_URL"] = "http://127.0.0.1:9"
    with ExportersProcess(stored.state, environ) as exporters:
        exporters.until(lambda: any(one.last_failed_at for one in export_states(stored.state)))
        began = time.monotonic()
        code = exporters.stop()
        took = time.monotonic() - began

    assert took < PROMISED_END_S
    assert code == 0
    assert points_waiting(stored) == 120
    assert all(book.balance == 0 for state in export_states(stored.state) for book in state.books)
    assert KEY not in exporters.log.read_text() + export_states(stored.state)[0].last_error


def test_w_and_b_is_asked_to_alert_once_where_the_policy_says_so(stored, run, server):
    with ExportersProcess(stored.state, server.online, policy=TELLS_ALERTS) as exporters:
        run.log("forecasts of conflict fatalities for 191 countries could not be written at all", Severity.CRITICAL)
        run.log("only a warning", Severity.WARNING)
        exporters.until(lambda: server.alerts)
        run.end("failure", exit_code=1)
        exporters.until(lambda: server.exit_code(ID) is not None)

    (alert,) = server.alerts
    assert alert["severity"] == "ERROR"
    assert alert["title"].startswith("CRITICAL: forecasts of conflict fatalities")
    assert len(alert["title"]) < 64
    assert alert["waitDuration"] < 1_000_000_000
    assert RUN in alert["text"]
    assert "https://alerts.example.org/incidents/" in alert["text"]


def test_without_such_a_route_w_and_b_alerts_nobody(stored, run, server):
    with ExportersProcess(stored.state, server.online) as exporters:
        run.log("it broke", Severity.CRITICAL)
        run.end("failure", exit_code=1)
        exporters.until(lambda: server.exit_code(ID) is not None)

    assert server.alerts == []
