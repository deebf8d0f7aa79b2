"""B22 for senders that never end: they are let go, and take neither the door nor the memory from the others."""

from __future__ import annotations

import asyncio
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from alert_bridge.errors import StoreBusy
from alert_bridge.service.arrivals import SMALL_BYTES, Arrivals, Impatient
from tests.servers.bridge import BridgeProcess, wait_for
from tests.servers.otlp_client import logs_request, post, record

POST = b"POST /body HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"
PIECE = b"a" * SMALL_BYTES
LET_GO_WITHIN_S = 30.0
MANY = 1_200


@contextmanager
def door(arrivals: Arrivals, *, head_within_s: float = 60.0) -> Iterator[int]:
    """The bridge's way to read a body, on a port of its own: answers how long the body was."""

    async def body(request: Request) -> Response:
        try:
            return PlainTextResponse(str(len(await arrivals.body(request))))
        except StoreBusy:
            return PlainTextResponse("busy", 503)
        except TimeoutError:
            return PlainTextResponse("late", 503, headers={"connection": "close"})

    class Hasty(Impatient):
        pass

    Hasty.head_within_s = head_within_s
    listening = socket.create_server(("127.0.0.1", 0))
    app = Starlette(routes=[Route("/body", body, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, http=Hasty, ws="none", lifespan="off", log_config=None))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])))
    thread.start()
    wait_for(lambda: server.started)
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        server.force_exit = True
        thread.join()
        listening.close()


@contextmanager
def calling(port: int, *pieces: bytes) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=LET_GO_WITHIN_S) as caller:
        for piece in pieces:
            caller.sendall(piece)
        yield caller


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def everything_from(caller: socket.socket) -> bytes:
    """All until the other side closes."""
    parts = []
    while part := caller.recv(65_536):
        parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("head", [b"", b"POST /body HTTP/1.1\r\nX-Never: "], ids=["nothing", "half a head"])
def test_b22_a_connection_whose_request_never_begins_is_closed(head):
    with door(Arrivals(), head_within_s=0.2) as port, calling(port, head) as caller:
        assert everything_from(caller) == b""


def test_b22_a_body_that_pauses_too_long_is_put_off_and_its_connection_closed():
    with door(Arrivals(pause_most_s=0.2)) as port, calling(port, POST, chunk(b"a")) as caller:
        answer = everything_from(caller)

    assert answer.startswith(b"HTTP/1.1 503")
    assert answer.endswith(b"late")


def test_b22_a_body_that_trickles_for_ever_is_put_off():
    with door(Arrivals(within_s=0.5)) as port, calling(port, POST) as caller:
        caller.settimeout(0.05)
        answer, deadline = b"", time.monotonic() + LET_GO_WITHIN_S
        while not answer and time.monotonic() < deadline:
            caller.sendall(chunk(b"a"))
            try:
                answer = caller.recv(65_536)
            except TimeoutError:
                continue

    assert answer.startswith(b"HTTP/1.1 503")


def test_b22_bodies_that_never_end_leave_room_for_those_that_do():
    arrivals = Arrivals(bytes_most=4 * SMALL_BYTES)
    with door(arrivals) as port, calling(port, POST, *[chunk(PIECE)] * 4):
        wait_for(lambda: arrivals.bytes_arriving == 4 * SMALL_BYTES)

        small = post(f"http://127.0.0.1:{port}/body", b"x" * 1_000)
        large = post(f"http://127.0.0.1:{port}/body", b"x" * 3 * SMALL_BYTES)

    assert (small.status, small.body) == (200, b"1000")
    assert large.status == 503
    wait_for(lambda: arrivals.bytes_arriving == 0)


def test_b22_more_hanging_senders_than_a_process_usually_may_have_files_keep_nobody_out(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4 * MANY:
        pytest.skip(f"this machine allows {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (1_024, hard))  # as the bridge is started
    hanging = []
    try:
        with BridgeProcess(tmp_path) as bridge:
            resource.setrlimit(resource.RLIMIT_NOFILE, (4 * MANY, hard))
            bridge.wait_until_ready()
            hanging = [socket.create_connection(("127.0.0.1", bridge.port)) for _ in range(MANY)]

            answer = post(f"{bridge.url}/alerts/v1/logs", logs_request(record("the disk is full")))
    finally:
        for one in hanging:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert answer.status == 200
