"""A Slack API server that behaves like Slack where it matters to a sender, and misbehaves when a script says so.

Real sockets, a thread per request, port 0. It checks the token, resolves channel names to ids, gives each message a
`ts`, refuses edits of what it does not have and blocks that Slack would refuse, and keeps every call with its time.

    with SlackServer() as slack:
        slack.script(rate_limited(2.0), error("is_archived"))  # for the next two calls, whatever they are
        ...
        assert [call.method for call in slack.calls] == ["chat.postMessage", "chat.postMessage"]
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl

__all__ = ["Call", "Reply", "SlackServer", "close_after", "close_before", "error", "hang", "http_error", "rate_limited"]

TOKEN = "xoxb-test-0123456789-bot-token"
WEBHOOK_PATH = "/services/T0TEST/B0TEST/webhooksecret0123456789"

MAX_BLOCKS = 50
MAX_SECTION_CHARS = 3_000
MAX_BLOCKS_CHARS = 10_000  # bolt-js #2867: 9,597 were taken, 11,341 refused
MAX_UPDATE_TEXT_CHARS = 4_000


@dataclass(frozen=True, slots=True)
class Reply:
    """What to answer instead of behaving. ``takes`` says whether the message lands all the same."""

    status: int = 200
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    takes: bool = False
    hang_seconds: float = 0.0
    close: bool = False


def error(code: str) -> Reply:
    """`ok: false` with Slack's own word for what is wrong."""
    return Reply(body=json.dumps({"ok": False, "error": code}))


def rate_limited(retry_after_seconds: float | None) -> Reply:
    """429, with or without `Retry-After`."""
    headers = {} if retry_after_seconds is None else {"Retry-After": f"{retry_after_seconds:g}"}
    return Reply(429, json.dumps({"ok": False, "error": "ratelimited"}), headers)


def http_error(status: int, body: str = "") -> Reply:
    """Any status with any body, as a proxy or a webhook answers."""
    return Reply(status, body)


def hang(seconds: float, *, takes: bool = True) -> Reply:
    """Nothing for this long, then a closed connection."""
    return Reply(takes=takes, hang_seconds=seconds, close=True)


def close_before() -> Reply:
    """The connection closes without an answer; the message did not land."""
    return Reply(close=True)


def close_after() -> Reply:
    """The message lands, the answer is lost."""
    return Reply(takes=True, close=True)


@dataclass(frozen=True, slots=True)
class Call:
    """One request: ``method`` is the API method, or "webhook"; ``at`` is monotonic seconds at its arrival."""

    method: str
    payload: Mapping[str, Any]
    at: float
    token: str
    status: int  # 0: closed without an answer
    error: str


class SlackServer:
    """Runs while entered. All that it knows may be read from any thread."""

    def __init__(self, *, enforce_pace: bool = False) -> None:
        self.token = TOKEN
        self.enforce_pace = enforce_pace  # 429 for a second post to a channel within one second
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._script: deque[Reply] = deque()
        self._calls: list[Call] = []
        self._messages: dict[tuple[str, str], dict[str, Any]] = {}
        self._edits: dict[tuple[str, str], int] = {}
        self._last_post: dict[str, float] = {}
        self._counter = 0
        self._released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="slack-server")

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/api/"

    @property
    def webhook_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}{WEBHOOK_PATH}"

    @property
    def calls(self) -> list[Call]:
        """Every request that was read, in order of arrival."""
        with self._lock:
            return sorted(self._calls, key=lambda call: call.at)

    @property
    def messages(self) -> list[dict[str, Any]]:
        """What the channels show now, oldest first: each message's payload in its latest edition."""
        with self._lock:
            return [dict(message) for message in self._messages.values()]

    @property
    def edits(self) -> int:
        """How many edits were taken."""
        with self._lock:
            return sum(self._edits.values())

    def script(self, *replies: Reply) -> None:
        """Answer the next calls so, in order; after that behave again."""
        with self._lock:
            self._script.extend(replies)

    def delete(self, channel: str, ts: str) -> None:
        """As a person in Slack would: an edit of this message answers `message_not_found` from now on."""
        with self._lock:
            del self._messages[channel, ts]

    def wait_for_calls(self, count: int, within_seconds: float = 60.0) -> list[Call]:
        """The calls once there are this many; fails with what there is when the time is over."""
        deadline = time.monotonic() + within_seconds
        with self._changed:
            while len(self._calls) < count:
                left = deadline - time.monotonic()
                assert left > 0, f"{count} calls expected, got {self._calls}"
                self._changed.wait(left)
        return self.calls

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, path: str, token: str, payload: Mapping[str, Any], at: float) -> Reply:
        """Take the next scripted reply, else behave; record the call."""
        method = "webhook" if path.startswith("/services/") else path.removeprefix("/api/")
        with self._changed:
            reply = self._script.popleft() if self._script else None
            if reply is None or reply.takes:
                behaved = self._behave(path, method, token, payload, at)
                reply = reply or behaved
            status = 0 if reply.close else reply.status
            self._calls.append(Call(method, payload, at, token, status, _error_of(reply)))
            self._changed.notify_all()
        if reply.hang_seconds:
            self._released.wait(reply.hang_seconds)
        return reply

    def _behave(self, path: str, method: str, token: str, payload: Mapping[str, Any], at: float) -> Reply:
        if method == "webhook":
            return self._webhook(path, payload)
        if token != self.token:
            return error("invalid_auth" if token else "not_authed")
        wrong = _wrong_with(payload)
        if wrong:
            return error(wrong)
        if method == "chat.postMessage":
            return self._post(payload, at)
        if method == "chat.update":
            return self._update(payload)
        if method == "auth.test":
            return _ok(team="T0TEST", user="pipeline-alerts")
        return error("unknown_method")

    def _webhook(self, path: str, payload: Mapping[str, Any]) -> Reply:
        if path != WEBHOOK_PATH:
            return Reply(404, "no_service")
        if not payload.get("text") and not payload.get("blocks"):
            return Reply(400, "no_text")
        if _wrong_with(payload):
            return Reply(400, "invalid_blocks")
        self._keep("C0WEBHOOK", payload)
        return Reply(200, "ok")

    def _post(self, payload: Mapping[str, Any], at: float) -> Reply:
        channel = _channel_id(str(payload.get("channel", "")))
        if not channel:
            return error("channel_not_found")
        last = self._last_post.get(channel)
        if self.enforce_pace and last is not None and at - last < 1:
            return rate_limited(1)
        self._last_post[channel] = at
        ts = self._keep(channel, payload)
        return _ok(channel=channel, ts=ts, message={"text": payload.get("text", "")})

    def _update(self, payload: Mapping[str, Any]) -> Reply:
        channel, ts = str(payload.get("channel", "")), str(payload.get("ts", ""))
        if not channel.startswith(("C", "D", "G")):
            return error("channel_not_found")  # an edit needs the id that the post answered
        if (channel, ts) not in self._messages:
            return error("message_not_found")
        if len(str(payload.get("text", ""))) > MAX_UPDATE_TEXT_CHARS:
            return error("msg_too_long")
        self._messages[channel, ts] = dict(payload)
        self._edits[channel, ts] = self._edits.get((channel, ts), 0) + 1
        return _ok(channel=channel, ts=ts, text=payload.get("text", ""))

    def _keep(self, channel: str, payload: Mapping[str, Any]) -> str:
        self._counter += 1
        ts = f"{1_700_000_000 + self._counter}.{self._counter:06d}"
        self._messages[channel, ts] = dict(payload)
        return ts


def _channel_id(name: str) -> str:
    if name.startswith("#") and len(name) > 1:
        return "C0" + name[1:].upper().replace("-", "")
    if name.startswith("@"):
        return "D0" + name[1:].upper()
    if name[:1] in {"U", "W"}:
        return "D0" + name[1:]  # a post to a person answers with the conversation that it opened
    return name if name[:1] in {"C", "D", "G"} else ""


def _wrong_with(payload: Mapping[str, Any]) -> str:
    blocks = payload.get("blocks") or []
    if not isinstance(blocks, list) or len(blocks) > MAX_BLOCKS:
        return "invalid_blocks"
    texts = [block.get("text", {}).get("text", "") for block in blocks if block.get("type") == "section"]
    if any(not text or len(text) > MAX_SECTION_CHARS for text in texts):
        return "invalid_blocks"
    if len(json.dumps(blocks)) > MAX_BLOCKS_CHARS:
        return "msg_blocks_too_long"
    return ""


def _ok(**fields: Any) -> Reply:
    return Reply(body=json.dumps({"ok": True, **fields}))


def _error_of(reply: Reply) -> str:
    try:
        parsed = json.loads(reply.body)
    except ValueError:
        return "" if reply.body == "ok" else reply.body
    return str(parsed.get("error", "")) if isinstance(parsed, dict) else ""


def _handler_of(server: SlackServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            at = time.monotonic()
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            reply = server.answer(self.path, token, _payload(self.headers.get("Content-Type", ""), raw), at)
            if reply.close:
                self.close_connection = True
                return
            body = reply.body.encode()
            self.send_response(reply.status)
            self.send_header("Content-Type", "application/json" if body[:1] == b"{" else "text/plain")
            self.send_header("Content-Length", str(len(body)))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Silence: tests read `calls`."""

        def handle(self) -> None:
            try:
                super().handle()
            except (ConnectionError, TimeoutError):
                self.close_connection = True  # the client gave up first, which some tests are about

    return Handler


def _payload(content_type: str, raw: bytes) -> dict[str, Any]:
    if content_type.startswith("application/json"):
        parsed = json.loads(raw)
        return parsed if isinstance(parsed, dict) else {}
    fields: dict[str, Any] = dict(parse_qsl(raw.decode(), keep_blank_values=True))
    if "blocks" in fields:
        fields["blocks"] = json.loads(fields["blocks"])
    return fields
