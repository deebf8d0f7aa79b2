"""A loopback OTLP/HTTP receiver that keeps what it gets: the other end of a Collector under check."""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

__all__ = ["ALERTS_PATH", "LOGS_PATH", "Answer", "Request", "Sink"]

ALERTS_PATH = "/alerts/v1/logs"
LOGS_PATH = "/v1/logs"


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came, its body inflated."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    def records(self) -> Iterator[LogRecord]:
        """The log records in it."""
        for resource in ExportLogsServiceRequest.FromString(self.body).resource_logs:
            for scope in resource.scope_logs:
                yield from scope.log_records


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered with."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay_seconds: float = 0.0
    held_until: threading.Event | None = None  # it is set: nothing is answered before


class Sink:
    """Listens on a free loopback port. A context manager; every request is kept, then answered."""

    def __init__(self, answer: Callable[[Request], Answer] = lambda _: Answer(), port: int = 0) -> None:
        """`answer` decides on each request, at once and on one after the other. `port` 0: any free one."""
        sink = self
        self.answer = answer
        self._arrived = threading.Condition()
        self._requests: list[Request] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                body = gzip.decompress(content) if self.headers.get("Content-Encoding") == "gzip" else content
                request = Request(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                answer = sink._taken(request)
                time.sleep(answer.delay_seconds)
                if answer.held_until is not None:
                    answer.held_until.wait()
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - http.server's name
                pass

        self._server = _Server(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Its address, as a `BRIDGE_URL`."""
        return f"http://127.0.0.1:{self.port}"

    def requests(self, path: str) -> tuple[Request, ...]:
        """What has come to this path so far, in the order of arrival."""
        with self._arrived:
            return tuple(request for request in self._requests if request.path == path)

    def records(self, path: str) -> list[LogRecord]:
        """The log records that have come to this path so far."""
        return [record for request in self.requests(path) for record in request.records()]

    def wait_for(self, claim: Callable[[], bool], timeout_seconds: float) -> bool:
        """Whether the claim came true in time; looked at after each arrival."""
        with self._arrived:
            return self._arrived.wait_for(claim, timeout_seconds)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _taken(self, request: Request) -> Answer:
        # One step: who sees what the answer changed sees the request, too.
        with self._arrived:
            answer = self.answer(request)
            self._requests.append(request)
            self._arrived.notify_all()
        return answer


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    # A burst of connections must not be refused: refusing is what tests script, not what happens to them.
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._connections: set[Any] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Who is gone also takes nothing more on the connections that clients kept."""
        super().server_close()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed in the middle is no news."""
