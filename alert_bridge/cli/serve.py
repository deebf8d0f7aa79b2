"""`pipeline-alerts serve`: the alert bridge, in the foreground."""

from __future__ import annotations

import gc
import logging
import os
import sys

import click

__all__ = ["command"]


@click.command("serve", help="Start the alert bridge and keep it running until it is told to end.")
@click.option("--policy", default="", metavar="FILE", help="PIPELINE_ALERTS_POLICY, else ./alerting.yaml.")
@click.option("--state", default="", metavar="DIR", help="Where its stores lie; PIPELINE_ALERTS_STATE.")
@click.option("--listen", default="", metavar="HOST:PORT", help="PIPELINE_ALERTS_LISTEN, else 127.0.0.1:4319.")
def command(policy: str, state: str, listen: str) -> None:
    """Supervise the service's processes."""
    # Importing makes little garbage and much that stays: looking through it costs a tenth of the start.
    gc.disable()  # `preload` has the last word
    from alert_bridge.service import service_settings
    from alert_bridge.service.parent import serve

    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s serve %(levelname)s %(name)s: %(message)s"
    )
    raise SystemExit(serve(service_settings(os.environ, policy=policy, state=state, listen=listen)))
