"""What a run talks to: the data store it fetches from, and the partner it delivers to. Real HTTP, on loopback."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pipeline import faults
from pipeline.world import World

HANG_S = 3600


class Quiet(BaseHTTPRequestHandler):
    """A handler without an access log."""

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def data_store(world: World) -> Iterator[str]:
    """Serves the world's series; yields its URL. With `fetch_error` nothing listens there."""

    class Store(Quiet):
        def do_GET(self) -> None:
            if faults.is_on("fetch_hang"):
                time.sleep(HANG_S)
            body = json.dumps(world.at(self.path.strip("/"))).encode()
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    if faults.is_on("fetch_error"):
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            yield f"http://127.0.0.1:{closed.getsockname()[1]}"
        return
    with _serving(Store) as url:
        yield url


@contextmanager
def partner() -> Iterator[str]:
    """Takes deliveries; yields its URL. With `upload_denied` it refuses them."""

    class Partner(Quiet):
        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(HTTPStatus.FORBIDDEN if faults.is_on("upload_denied") else HTTPStatus.CREATED)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with _serving(Partner) as url:
        yield url


@contextmanager
def _serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
