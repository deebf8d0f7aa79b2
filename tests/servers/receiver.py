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

from collector.process import free_port
from tests.servers.otlp_sink import LOGS_PATH, METRICS_PATH, TRACES_PATH, Answer, OtlpSink, uid

OK = 200


class Receiver:
    """Owns one loopback port for its whole life: one that nobody is given by chance while it is away, or afterwards."""

    def __init__(self) -> None:
        self._sink: OtlpSink | None = None
        self._silent: _Silent | None = None
        self._taking: list[OtlpSink] = []  # now or before
        self.port = free_port()
        self._start(status=OK)

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
        self._start(status=OK)

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
            self._sink = None
        if self._silent is not None:
            self._silent.close()
            self._silent = None

    @property
    def is_waited_for(self) -> bool:
        """Whether it is silent and somebody waits for its answer."""
        return self._silent is not None and bool(self._silent.taken)

    def records(self) -> list[LogRecord]:
        """The log records taken so far, in the order of their arrival, each once, as who goes by the identity has them.

        What a sender has to give up before it is answered, at the end of a program, is sent again.
        """
        first: dict[str | int, LogRecord] = {}
        for record in self._taken():
            first.setdefault(uid(record) or id(record), record)
        return list(first.values())

    def uids(self) -> Counter[str]:
        """How often each record was taken."""
        return Counter(uid(record) for record in self._taken())

    def spans(self) -> list[Any]:
        """The spans, likewise; one that two ways bring is not the same in every byte, and there twice."""
        taken = [span for sink in self._taking for span in sink.spans()]
        return list({span.SerializeToString(): span for span in taken}.values())

    def _taken(self) -> list[LogRecord]:
        return [record for sink in self._taking for record in sink.taken[LOGS_PATH]]

    def _start(self, status: int) -> None:
        self._sink = OtlpSink(self.port)
        if status == OK:
            self._taking.append(self._sink)
        for path in (LOGS_PATH, TRACES_PATH, METRICS_PATH):
            self._sink.always(path, Answer(status))
        self._sink.__enter__()


class _Silent:
    def __init__(self, port: int) -> None:
        self._listening = socket.create_server(("127.0.0.1", port), backlog=64)
        self.taken: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.taken.append(connection)

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listening.close()
        for connection in self.taken:
            connection.close()
