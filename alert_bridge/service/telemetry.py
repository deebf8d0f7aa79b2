"""The telemetry process: telemetry.db and the door to it, a UNIX socket for the alerts process and TCP if asked.

Every 200 means on disk: the store commits with synchronous=FULL, which costs bulk nothing measurable, because requests
that wait share a commit. What a rule promotes is with the alerts process before the 200, too.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from alert_bridge.errors import IntakeError, SettingsError, StoreBusy
from alert_bridge.model import Record
from alert_bridge.otlp import response
from alert_bridge.service.answers import bad, busy
from alert_bridge.service.arrivals import Arrivals, end_by_signal, has_token, is_bulk_only, serving
from alert_bridge.service.handover import Handover, is_alarming, is_promoted
from alert_bridge.service.keeper import Keeper
from alert_bridge.service.rulebook import FollowedPolicy, reload_by_signal
from alert_bridge.service.settings import ServiceSettings
from alert_bridge.service.sweeper import Sweeper
from alert_bridge.store.telemetry import TelemetryStore

__all__ = ["Doors", "application", "run"]

SOCKET_MODE = 0o600
SOCKET_BACKLOG = 128
SOCKET_PATH_BYTES_MOST = 107  # what the kernel's structure holds
STOP_WITHIN_S = 2.0
SWEEP_STEP_WITHIN_S = 0.5
THREAD_SWITCH_S = 0.001

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Doors:
    """What the routes lead to."""

    keeper: Keeper
    rules: FollowedPolicy
    handover: Handover
    tokens: tuple[str, ...]
    clock: Callable[[], int]
    arrivals: Arrivals = field(default_factory=Arrivals)


def application(doors: Doors) -> Starlette:
    """`POST /v1/logs|traces|metrics`, `/healthz` and `/metrics`."""

    async def keep(request: Request) -> Response:
        try:
            return await _keep(request, doors)
        except IntakeError as error:
            log.warning("A request to %s was refused: %s", request.url.path, error)
            return bad(request, str(error))
        except StoreBusy as error:
            return busy(request, str(error))
        except ClientDisconnect:
            return busy(request, "the sender went away")
        except TimeoutError:
            doors.keeper.totals["slow"] += 1
            return busy(request, "the body did not come in time: send it again", closes=True)
        except Exception:  # an OTLP path must answer 503, never 500, on which a Collector throws data away
            doors.keeper.totals["failures"] += 1
            log.exception("A request to %s failed", request.url.path)
            return busy(request, "the telemetry store failed; its log says how")

    async def healthz(_request: Request) -> Response:
        alive = doors.keeper.is_alive()
        return PlainTextResponse("ok\n" if alive else "the writer has ended\n", 200 if alive else 503)

    async def metrics(_request: Request) -> Response:
        return PlainTextResponse(_metrics(doors.keeper), media_type="text/plain; version=0.0.4")

    return Starlette(
        routes=[
            *(Route(f"/v1/{signal}", keep, methods=["POST"]) for signal in ("logs", "traces", "metrics")),
            Route("/healthz", healthz, methods=["GET"]),
            Route("/metrics", metrics, methods=["GET"]),
        ]
    )


async def _keep(request: Request, doors: Doors) -> Response:
    from_relay = request.scope["server"][1] is None  # a UNIX socket has no port: only the alerts process gets there
    if not from_relay and not has_token(request, doors.tokens):
        return busy(request, "the token is missing or wrong: set it in the sender, which keeps this until then")
    decide = is_promoted if from_relay or is_bulk_only(request) else is_alarming

    def alarming(record: Record) -> bool:
        return decide(record, doors.rules.policy, doors.clock())

    name = request.url.path.rpartition("/")[2]
    headers = request.headers
    future = doors.keeper.submit(
        name,
        await doors.arrivals.body(request),
        content_type=headers.get("content-type", ""),
        content_encoding=headers.get("content-encoding", ""),
        alarming=alarming,
    )
    kept = await asyncio.wrap_future(future)
    if kept.alarming:
        await doors.handover.tell(kept.alarming)
    message = f"{kept.rejected} could not be read; the bridge's telemetry store says why" if kept.rejected else ""
    body, content_type = response(name, headers.get("content-type", ""), kept.rejected, message)
    return Response(body, 200, headers={"content-type": content_type})


def _metrics(keeper: Keeper) -> str:
    lines = [
        "# HELP pipeline_alerts_telemetry_total What the telemetry process did since it started.",
        "# TYPE pipeline_alerts_telemetry_total counter",
        *(f'pipeline_alerts_telemetry_total{{what="{name}"}} {count}' for name, count in sorted(keeper.totals.items())),
        "# HELP pipeline_alerts_telemetry_requests_waiting Requests that wait for the writer.",
        "# TYPE pipeline_alerts_telemetry_requests_waiting gauge",
        f"pipeline_alerts_telemetry_requests_waiting {keeper.requests_waiting}",
    ]
    return "\n".join(lines) + "\n"


def run(
    settings: ServiceSettings,
    socket_path: Path,
    *,
    alerts_url: str = "",
    listening: socket.socket | None = None,
) -> None:
    """Serve until SIGTERM; SIGHUP reloads the policy.

    Args:
        settings: where state lies, which policy rules, which tokens are right.
        socket_path: where the alerts process hands bulk bodies on.
        alerts_url: where the alerts process answers; from the settings unless given.
        listening: a TCP socket too, for a Collector that comes directly.

    Raises:
        UsageError: the policy or the settings would not work.
    """
    sys.setswitchinterval(THREAD_SWITCH_S)
    rules = FollowedPolicy(settings)
    reload_by_signal(rules.reload)
    store = TelemetryStore(settings.state)
    keeper = Keeper(store, clock=time.time_ns)
    sweeper = Sweeper(store, policy=lambda: rules.policy, clock=time.time_ns)
    token = settings.tokens[0] if settings.tokens else ""
    handover = Handover(
        alerts_url or f"http://{_reachable(settings.host)}:{settings.port}",
        token,
        on_refused=lambda: keeper.totals.update(handover_refused=1),
    )
    app = application(Doors(keeper, rules, handover, settings.tokens, time.time_ns))
    server = uvicorn.Server(serving(app))
    end_by_signal(server)
    local = _bind(socket_path)
    keeper.start()
    sweeper.start()
    threading.Thread(target=handover.load, name="loading", daemon=True).start()
    try:
        server.run(sockets=[local] if listening is None else [local, listening])
    finally:
        socket_path.unlink(missing_ok=True)
        sweeper.stop()
        keeper.stop()
        keeper.join(STOP_WITHIN_S)
        sweeper.join(SWEEP_STEP_WITHIN_S)
        if not keeper.is_alive() and not sweeper.is_alive():
            store.close()


def _bind(path: Path) -> socket.socket:
    if len(str(path).encode()) > SOCKET_PATH_BYTES_MOST:
        raise SettingsError(f"{path} is too long for a UNIX socket: choose a --state with a shorter path")
    path.unlink(missing_ok=True)  # of a process that was killed; the state directory's lock says that nobody else lives
    local = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    local.bind(str(path))
    path.chmod(SOCKET_MODE)
    local.listen(SOCKET_BACKLOG)
    return local


def _reachable(host: str) -> str:
    """How a process on the same machine reaches what listens on this host."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - recognised, not bound
    return everywhere.get(host, f"[{host}]" if ":" in host else host)
