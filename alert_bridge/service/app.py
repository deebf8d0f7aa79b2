"""The HTTP surface of the alerts process: intake, relay of the bulk, health; then the pages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from alert_bridge.errors import IntakeError, StoreBusy
from alert_bridge.intake import Intake
from alert_bridge.service.answers import bad, busy, taken
from alert_bridge.service.arrivals import Arrivals, has_token, is_bulk_only
from alert_bridge.service.gauges import Gauges
from alert_bridge.service.relay import Relay
from alert_bridge.service.watch import Watch

__all__ = ["Doors", "application"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Doors:
    """What the routes lead to."""

    intake: Intake
    relay: Relay
    gauges: Gauges
    watch: Watch
    tokens: tuple[str, ...] = field(repr=False)
    on_refused: Callable[[], None]
    arrivals: Arrivals = field(default_factory=Arrivals)


def application(doors: Doors, pages: Sequence[BaseRoute]) -> Starlette:
    """The whole address: `POST /alerts/v1/logs`, `/v1/*`, health, metrics, pages."""

    async def alerts(request: Request) -> Response:
        return await _guarded(request, doors, lambda body: _take(request, doors, body))

    async def bulk(request: Request) -> Response:
        return await _guarded(request, doors, lambda body: _bulk(request, doors, body))

    async def healthz(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_request: Request) -> Response:
        ready, report = await doors.watch.report()
        return JSONResponse(report, 200 if ready else 503)

    async def metrics(_request: Request) -> Response:
        text = await asyncio.to_thread(doors.gauges.text)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    return Starlette(
        routes=[
            Route("/alerts/v1/logs", alerts, methods=["POST"]),
            Route("/v1/logs", bulk, methods=["POST"]),
            Route("/v1/traces", bulk, methods=["POST"]),
            Route("/v1/metrics", bulk, methods=["POST"]),
            Route("/healthz", healthz, methods=["GET"]),
            Route("/readyz", readyz, methods=["GET"]),
            Route("/metrics", metrics, methods=["GET"]),
            *pages,
        ]
    )


async def _guarded(request: Request, doors: Doors, answer: Callable[[bytes], Awaitable[Response]]) -> Response:
    """An OTLP path never answers with what makes a Collector throw data away, whatever happens."""
    try:
        if not has_token(request, doors.tokens):
            doors.on_refused()
            return busy(request, "the token is missing or wrong: set it in the sender, which keeps this until then")
        return await answer(await doors.arrivals.body(request))
    except IntakeError as error:
        doors.gauges.count("bad_requests")
        log.warning("A request to %s was refused: %s", request.url.path, error)
        return bad(request, str(error))
    except StoreBusy as error:
        doors.gauges.count("busy_answers")
        return busy(request, str(error))
    except ClientDisconnect:
        return busy(request, "the sender went away")
    except TimeoutError:
        doors.gauges.count("slow_requests")
        return busy(request, "the body did not come in time: send it again", closes=True)
    except Exception:  # an OTLP path must answer 503, never 500
        doors.gauges.count("failures")
        log.exception("A request to %s failed", request.url.path)
        return busy(request, "the bridge failed; its log says how")


async def _take(request: Request, doors: Doors, body: bytes) -> Response:
    headers = request.headers
    future = doors.intake.submit(body, headers.get("content-type", ""), headers.get("content-encoding", ""))
    result = await asyncio.wrap_future(future)
    return taken(request, result.rejected)


async def _bulk(request: Request, doors: Doors, body: bytes) -> Response:
    # Without a Collector in front nobody else brings the errors: then both lanes are fed from here, and both must hold.
    if request.url.path == "/v1/logs" and not is_bulk_only(request):
        kept, answer = await asyncio.gather(_take(request, doors, body), doors.relay.hand_on(request, body))
        return answer if answer.status_code != 200 else kept  # noqa: PLR2004 - HTTP's own number
    return await doors.relay.hand_on(request, body)
