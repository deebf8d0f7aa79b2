"""A receiver that comes and goes on one port: up, gone (refused), accepting but silent, or answering 503.

    with Receiver() as receiver:      # up
        receiver.go_silent()
        ...
        receiver.come_back()
        assert receiver.uids() == ...

What was taken is kept over all states; only what was answered with 200 counts as taken.
"""

from __future__ import annotations

import socket
import threading
from collections import Counter
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from tests.servers.otlp_sink import LOGS_PATH, Answer, OtlpSink, uid


class Receiver:
    """Owns one loopback port for its whole life."""

    def __init__(self) -> None:
        self._sink: OtlpSink | None = None
        self._silent: _Silent | None = None
        self._past: list[OtlpSink] = []
        self.port = 0
        self._start(status=200)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.go_away()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def come_back(self) -> None:
        """Up, and answering 200."""
        self.go_away()
        self._start(status=200)

    def refuse_service(self) -> None:
        """Up, and answering 503 to everything."""
        self.go_away()
        self._start(status=503)

    def go_silent(self) -> None:
        """Takes connections and never answers."""
        self.go_away()
        self._silent = _Silent(self.port)

    def go_away(self) -> None:
        """Connections are refused."""
        if self._sink is not None:
            self._sink.__exit__(None, None, None)
            self._past.append(self._sink)
            self._sink = None
        if self._silent is not None:
            self._silent.close()
            self._silent = None

    @property
    def is_waited_for(self) -> bool:
        """Whether it is silent and somebody waits for its answer."""
        return self._silent is not None and bool(self._silent.taken)

    def records(self) -> list[LogRecord]:
        """All log records taken so far, in the order of their arrival, duplicates too."""
        sinks = [*self._past, *([self._sink] if self._sink else [])]
        return [record for sink in sinks for record in sink.taken[LOGS_PATH]]

    def uids(self) -> Counter[str]:
        """How often each record was taken."""
        return Counter(uid(record) for record in self.records())

    def spans(self) -> list[Any]:
        return [span for sink in [*self._past, *([self._sink] if self._sink else [])] for span in sink.spans()]

    def _start(self, status: int) -> None:
        self._sink = OtlpSink(self.port)
        self._sink.__enter__()
        self.port = self._sink.port
        if status != 200:
            for path in (LOGS_PATH, "/v1/traces", "/v1/metrics"):
                self._sink.always(path, Answer(status))


class _Silent:
    def __init__(self, port: int) -> None:
        self._listening = socket.create_server(("127.0.0.1", port), backlog=64)
        self.taken: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.taken.append(connection)

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for connection in self.taken:
            connection.close()
