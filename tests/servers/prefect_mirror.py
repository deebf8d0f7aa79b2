"""The Prefect exporter as a test drives it: step by step, on a clock that can be put forward; and a run to show."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from alert_bridge.exporters import Follower
from alert_bridge.exporters.prefect import prefect_settings
from alert_bridge.exporters.prefect.exporter import PrefectExporter
from alert_bridge.model import Severity
from alert_bridge.store.exports import export_states
from alert_bridge.store.telemetry import Telemetry
from instrumentation import attributes as names
from tests.servers.pipeline import NS

PAGES = "http://bridge.test"


class DrivenMirror:
    """A follower that a test drives, on a clock that runs with the real one and can be put forward."""

    def __init__(self, state, prefect, **options) -> None:
        self.ahead = 0.0
        self.telemetry = Telemetry(state)
        options = {"least": lambda: Severity.TRACE, **options}
        self.exporter = PrefectExporter(
            prefect_settings(prefect.environ), public_url=PAGES, log_of_run=self.telemetry.run_records, **options
        )
        self.follower = Follower(self.exporter, state, clock=lambda: time.time_ns() + int(self.ahead * NS))

    def until(self, condition: Callable[[], bool], within_s: float = 240.0) -> None:
        """Let it work until this holds."""
        deadline = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline, f"not within {within_s} s"
            time.sleep(min(self.follower.step(), 0.05))

    def settle(self) -> None:
        """Let it work until everything is said and checked."""
        self.until(lambda: self.idle and not self.exporter.owes)

    @property
    def idle(self) -> bool:
        return bool(self.books) and all(book.waiting == 0 for book in self.books.values())

    @property
    def books(self):
        states = export_states(self.follower._state)
        return {book.signal: book for state in states for book in state.books}

    def end(self) -> None:
        """As the process does; a new `DrivenMirror` on the same state is its next life."""
        self.follower.stop()
        for part in (self.follower._source, self.follower._ledger):
            if part is not None:
                part.close()
        self.telemetry.close()


def a_good_run(stored, run_id: str, *, shift: float = 0.0):
    """Fetch, then two models side by side in an ensemble, then what needs both."""
    run = stored.run(run_id)
    run.shift = shift
    run.start()
    with run.stage("fetch"):
        run.log("42 series fetched")
        run.log("one is short", Severity.WARNING)
    with run.stage("ensemble"):
        with run.stage("train", model="heron"):
            run.log("epoch 1", Severity.DEBUG)
        with run.stage("train", model="delta"):
            run.log("epoch 1", Severity.DEBUG)
    with run.stage("deliver", upstream=("fetch",)):
        run.log("delivered")
    run.end()
    return run


def the_log(stored, run) -> Counter:
    """Every record of the run as the store has it, as Prefect should show it."""
    levels = {"TRACE": 5, "DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
    log: Counter = Counter()
    for one in stored.telemetry.run_records(run.id):
        model = one.text(names.MODEL_NAME)
        task = f"{one.stage} ({model})" if model else one.stage or None
        log[(one.scope, levels[one.severity.name], one.body, task)] += 1
    return log


def shape(seen) -> tuple:
    """A picture without ids, times and what the records say."""
    tasks = {name: (task.state, task.states[-1]) for name, task in seen.tasks.items()}
    artifacts = Counter({key.partition("-")[0]: len(data) for key, data in seen.artifacts.items()})
    states = tuple(dict.fromkeys(seen.states))  # its message may have changed once more, or once less
    return states, tasks, seen.parents, seen.upstream, seen.events, artifacts, sum(seen.logs.values())
