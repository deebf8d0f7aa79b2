"""The pages on a real server: uvicorn on a free port of the loopback, in a thread, ended by its own flag."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import uvicorn
from starlette.applications import Starlette

from alert_bridge.store.interface import ControlReader, TelemetryReader
from alert_bridge.web import WebSettings, routes

START_SECONDS = 60.0


@contextlib.contextmanager
def serving(control: ControlReader, telemetry: TelemetryReader, settings: WebSettings) -> Iterator[httpx.Client]:
    """A client whose `base_url` is the server's; redirects are not followed."""
    config = uvicorn.Config(
        Starlette(routes=routes(control, telemetry, settings)), log_level="error", lifespan="off", ws="none"
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not server.started:
            assert time.monotonic() < deadline, "the pages did not start"
            time.sleep(0.005)
        port = listener.getsockname()[1]
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join(START_SECONDS)
