"""A program with W&B runs of its own, the whole way: what is told of it leads to the W&B run that it happened in."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.servers.bridge import wait_for
from tests.servers.wandb import WandbServer
from tests.servers.whole_way import WholeWay

PROGRAM = """
import logging, os, signal
import wandb

wandb.init(project="orange", job_type="train")
logging.error("loss is nan")
wandb.finish()
wandb.init(project="orange", job_type="forecast")
logging.warning("forecasting")
os.kill(os.getpid(), signal.SIGKILL)
"""
TOLD_WITHIN_S = 60.0


@pytest.mark.slow
def test_message_mail_and_pages_lead_to_the_programs_own_w_and_b_run(tmp_path):
    with WandbServer() as wandb, WholeWay(tmp_path) as way:
        way.run(PROGRAM, PIPELINE_ALERTS_RUN_ID="run-1", **wandb.environ)
        wait_for(lambda: way.posts("loss is nan") and way.posts("SIGKILL"), TOLD_WITHIN_S)
        wait_for(lambda: way.mails("loss is nan") and way.mails("SIGKILL"), TOLD_WITHIN_S)
        training, forecasting = (f"{wandb.url}/team/orange/runs/{name}" for name in wandb.runs)
        wait_for(lambda: f'href="{training}"' in httpx.get(f"{way.bridge.url}/runs/run-1").text, TOLD_WITHIN_S)

        posts = {text: json.dumps(way.posts(text)) for text in ("loss is nan", "SIGKILL")}
        mails = {text: way.mails(text)[0] for text in ("loss is nan", "SIGKILL")}
        control = way.bridge.reader()
        pages = {
            incident.title: httpx.get(f"{way.bridge.url}/incidents/{incident.id}").text
            for incident in control.incidents_of_run("run-1")
        }
        control.close()

    for text, own, other in (("loss is nan", training, forecasting), ("SIGKILL", forecasting, training)):
        (page,) = [page for title, page in pages.items() if text in title]
        assert own in posts[text]
        assert own in mails[text].part("plain")
        for html in (mails[text].part("html"), page):
            assert f'href="{own}"' in html
            assert f'href="{other}"' not in html
