"""A scripted W&B server, and a reader of the files that W&B writes. Speaks as much as wandb 0.31 asks for.

It keeps every request, so that tests can look for what must never be in one.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

# For a program of a test: nothing leaves the machine, W&B's own error reports neither.
OFFLINE = {"WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false"}
KEY = "0123456789abcdef" * 2 + "01234567"  # 40 characters, as W&B wants them
POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes  # unpacked
    at: float  # monotonic seconds


@dataclass(slots=True)
class _Script:
    status: int = 200
    refused: int = 0
    hang_s: float = 0.0
    requests: list[Request] = field(default_factory=list)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)  # name → variables of its UpsertBucket
    alerts: list[dict[str, Any]] = field(default_factory=list)
    history: dict[str, dict[int, str]] = field(default_factory=dict)  # run → line number → row
    ended: dict[str, int] = field(default_factory=dict)  # run → exit code
    changed: threading.Event = field(default_factory=threading.Event)


class WandbServer:
    """A server on a port of its own; `fail` and `hang` change how it answers from now on."""

    def __init__(self) -> None:
        self._script = _Script()
        script = self._script

        class Handler(_Handler):
            _script = script

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.environ = {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": KEY}
        self.online = {**self.environ, "WANDB_MODE": "online"}

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.hang(0.0)
        self._server.shutdown()
        self._server.server_close()

    def fail(self, status: int) -> None:
        """Answer everything with this status; 200: normally again."""
        self._script.status = status

    def hang(self, seconds: float) -> None:
        """Wait so long before each answer; 0: nobody waits any more."""
        self._script.hang_s = seconds
        if seconds:
            self._script.changed.clear()
        else:
            self._script.changed.set()

    @property
    def refused(self) -> int:
        """How many requests `fail` has turned away."""
        return self._script.refused

    @property
    def requests(self) -> list[Request]:
        return list(self._script.requests)

    @property
    def runs(self) -> dict[str, dict[str, Any]]:
        """What each run was created with, by its id."""
        return dict(self._script.runs)

    @property
    def alerts(self) -> list[dict[str, Any]]:
        return list(self._script.alerts)

    def history(self, run: str) -> list[dict[str, Any]]:
        """The rows of a run, in order: of those with the same `_step`, the one that came last."""
        lines = self._script.history.get(run, {})
        rows = {(row := json.loads(lines[number]))["_step"]: row for number in sorted(lines)}
        return [rows[step] for step in sorted(rows)]

    def exit_code(self, run: str) -> int | None:
        """How a run ended; None while it goes on."""
        return self._script.ended.get(run)

    def received(self) -> bytes:
        """Every byte that ever came: lines, headers, bodies."""
        parts = []
        for request in self.requests:
            parts += [request.method, request.path, *(f"{name}: {value}" for name, value in request.headers.items())]
        return "\n".join(parts).encode() + b"\n".join(request.body for request in self.requests)

    def own_telemetry(self) -> list[Request]:
        """What W&B sends about itself."""
        return [request for request in self.requests if "/otel/" in request.path]


class _Handler(BaseHTTPRequestHandler):
    _script: _Script
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nothing on the console."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        script = self._script
        script.requests.append(Request(self.command, self.path, dict(self.headers), body, time.monotonic()))
        if script.hang_s:
            script.changed.wait(script.hang_s)
        if script.status != 200:
            script.refused += 1
            self._answer(script.status, {"error": "scripted"})
        elif "/otel/" in self.path:
            self._answer(404, {})
        elif self.path.endswith("/file_stream"):
            self._stream(json.loads(body or b"{}"))
        elif self.path.startswith("/graphql"):
            self._answer(200, {"data": self._graphql(json.loads(body))})
        else:
            self._answer(200, {})

    do_PUT = do_POST  # noqa: N815 - the names that `http.server` calls
    do_GET = do_POST  # noqa: N815

    def _answer(self, status: int, said: object) -> None:
        body = json.dumps(said).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:  # whoever asked has gone
            self.close_connection = True

    def _stream(self, said: dict[str, Any]) -> None:
        run = self.path.split("/")[4]
        for name, part in (said.get("files") or {}).items():
            if name == "wandb-history.jsonl":
                lines = self._script.history.setdefault(run, {})
                lines.update(enumerate(part["content"], part["offset"]))
        if said.get("complete"):
            self._script.ended[run] = said.get("exitcode", 0)
        self._answer(200, {})

    def _graphql(self, said: dict[str, Any]) -> dict[str, Any]:
        query, variables = said.get("query", ""), said.get("variables") or {}
        if "upsertBucket" in query:
            name = variables.get("name") or "run"
            self._script.runs.setdefault(name, variables)
            lines = len(self._script.history.get(name, {}))
            project = {"name": variables.get("project") or "project", "entity": {"name": "team"}}
            bucket = {"id": f"id-{name}", "name": name, "displayName": variables.get("displayName") or name}
            bucket |= {"project": project, "config": "{}", "historyLineCount": lines, "sweepName": None}
            return {"upsertBucket": {"bucket": bucket, "inserted": not lines}}
        if "notifyScriptableRunAlert" in query:
            self._script.alerts.append(variables)
            return {"notifyScriptableRunAlert": {"success": True}}
        if "createRunFiles" in query:
            files = [{"name": name, "uploadUrl": "/upload"} for name in variables.get("files") or []]
            return {"createRunFiles": {"runID": "id", "uploadHeaders": [], "files": files}}
        if "__type" in query:
            return {"__type": {"fields": [], "inputFields": []}, **dict.fromkeys(("QueryType", "MutationType"))}
        viewer = {"id": "u", "username": "user", "entity": "team", "flags": "{}", "teams": {"edges": []}}
        return {"viewer": viewer, "model": None, "serverInfo": None}


def names_this_host(sent: bytes) -> bool:
    """Whether the name of this machine stands in it as a word: two letters, as some have, stand anywhere by chance."""
    name = re.escape(socket.gethostname().encode())
    return re.search(rb"(?<![\w-])" + name + rb"(?![\w-])", sent) is not None


def history(path: Path) -> list[dict[str, Any]]:
    """The rows that are in a `.wandb` file, in order; also of one whose writer was killed."""
    return [
        {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item}
        for record in records(path)
        if record.WhichOneof("record_type") == "history"
    ]


def axes(path: Path) -> dict[str, str]:
    """What each series of a `.wandb` file is drawn over."""
    return {
        record.metric.name: record.metric.step_metric
        for record in records(path)
        if record.WhichOneof("record_type") == "metric"
    }


def file_of_run(folder: Path, name: str) -> Path | None:
    """The `.wandb` file of the one run in a folder whose own folder has this name (a glob); None if there is none.

    Also while that is written anew, in place of one that is just taken away.
    """
    found: list[Path] = []
    for run in folder.glob(name):
        with contextlib.suppress(FileNotFoundError):
            found += run.glob("*.wandb")
    assert len(found) < 2, found
    return found[0] if found else None


def has_ended(path: Path) -> bool:
    """Whether the run in the file was finished; one that was just taken away is not."""
    try:
        return any(record.WhichOneof("record_type") == "exit" for record in records(path))
    except FileNotFoundError:
        return False


def records(path: Path) -> Iterator[Any]:
    """Records of a `.wandb` file: LevelDB's log framing around W&B's own protobuf messages."""
    from wandb.proto import wandb_internal_pb2

    data = path.read_bytes()
    at, parts, block, header = 7, b"", 32_768, 7
    while at + header <= len(data):
        left = block - at % block
        if left < header:
            at += left
            continue
        _, size, kind = struct.unpack("<IHB", data[at : at + header])
        chunk = data[at + header : at + header + size]
        at += header + size
        if (not kind and not size) or len(chunk) < size:
            return
        parts = chunk if kind in (1, 2) else parts + chunk
        if kind in (1, 4):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            yield record
