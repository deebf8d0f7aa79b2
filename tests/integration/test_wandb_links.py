"""From our pages to the W&B run that the program itself has."""

from __future__ import annotations

import time

import pytest

from alert_bridge.model import Severity, Span
from alert_bridge.store.control import open_reader
from alert_bridge.web import WebSettings
from instrumentation import attributes as names
from tests.servers.pages import serving
from tests.servers.pipeline import StoredPipeline

OWN_RUN = "https://wandb.example.org/views/orange_forecasting/runs/4q1x"
OTHER_RUN = "https://wandb.example.org/views/orange_forecasting/runs/9z8y"


@pytest.fixture
def pages(tmp_path):
    with StoredPipeline(tmp_path / "state") as stored:
        run = stored.run("run-1")
        run.start()
        run.log("diverged", Severity.ERROR, **{names.WANDB_RUN_URL: OWN_RUN})
        run.log("odd", Severity.CRITICAL, **{names.WANDB_RUN_URL: "javascript:alert(1)"})
        for number, url in enumerate((OWN_RUN, OTHER_RUN, "javascript:alert(1)", OWN_RUN)):
            said = {names.STAGE: "train", names.WANDB_RUN_URL: url}
            resource = {names.SERVICE_NAME: "monthly_run", names.RUN_ID: run.id}
            span = Span(run.trace_id, f"{number:016x}", "", "train", 1, run.began + number, run.began + 9, 0)
            stored.store.append_spans([_with(span, said, resource)])
        settings = WebSettings("https://alerts.example.org", clock=time.time_ns, version="0")
        with serving(open_reader(stored.state), stored.telemetry, settings) as client:
            yield client, open_reader(stored.state)


def _with(span: Span, said: dict, resource: dict) -> Span:
    return Span(
        span.trace_id, span.span_id, "", span.name, 1, span.start, span.end, 0, attributes=said, resource=resource
    )


def links(page: str) -> list[str]:
    """Where the page leads outside, in order."""
    return [part.partition('"')[0] for part in page.split('<a href="')[1:] if not part.startswith(("/", "#", "?"))]


def test_the_run_page_leads_to_each_of_its_w_and_b_runs_once(pages):
    client, _ = pages

    assert links(client.get("/runs/run-1").text) == [OWN_RUN, OTHER_RUN]


def test_the_incident_page_leads_to_the_w_and_b_run_that_it_happened_in(pages):
    client, control = pages
    incidents = {incident.title: incident.id for incident in control.incidents()}

    assert links(client.get(f"/incidents/{incidents['diverged']}").text) == [OWN_RUN]
    assert links(client.get(f"/incidents/{incidents['odd']}").text) == []
