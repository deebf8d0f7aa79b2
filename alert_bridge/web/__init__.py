"""The pages: views of both stores for people and browsers, and forms for what people want. They decide nothing."""

from __future__ import annotations

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from alert_bridge.store.interface import ControlReader, TelemetryReader, Wishes
from alert_bridge.web import channels, inbox, incident, login, logs, overview, runs, wishes
from alert_bridge.web.security import SecurityHeaders
from alert_bridge.web.settings import ChannelSetup, WebSettings
from alert_bridge.web.site import HERE, NotFound, Page, Site, endpoint

__all__ = ["ChannelSetup", "WebSettings", "routes"]

_STATIC_MAX_AGE_SECONDS = 31_536_000  # an address changes with its content

# `:path`, because a run's id is the user's and may have slashes; the longer addresses come first.
_PAGES: tuple[tuple[str, Page], ...] = (
    ("/", overview.open_incidents),
    ("/live", overview.incidents_changed),
    ("/incidents/{incident_id:path}/live", incident.incident_changed),
    ("/incidents/{incident_id:path}", incident.show_incident),
    ("/runs", runs.show_runs),
    ("/runs/{run_id:path}/log.jsonl", logs.download_log),
    ("/runs/{run_id:path}/log", logs.show_log),
    ("/runs/{run_id:path}", runs.show_run),
    ("/traces/{trace_id}", logs.show_trace),
    ("/search", logs.search),
    ("/inbox", inbox.show_inbox),
    ("/inbox/{message_id:int}", inbox.show_message),
    ("/inbox/{message_id:int}/email", inbox.show_email),
    ("/channels", channels.show_channels),
    ("/silences", wishes.show_silences),
    ("/login", login.show_login),
)


def routes(
    control: ControlReader, telemetry: TelemetryReader, settings: WebSettings, asking: Wishes | None = None
) -> list[BaseRoute]:
    """All pages, to be put after every other route: the last one answers any unknown address with a page."""
    site = Site(control, telemetry, settings, asking)
    around = [Middleware(SecurityHeaders), Middleware(login.Guard, site=site)]

    async def log_in(request: Request) -> Response:
        return await login.log_in(site, request)

    async def log_out(_request: Request) -> Response:
        return login.log_out(site)

    return [
        *(Route(path, endpoint(site, page), methods=["GET"], middleware=around) for path, page in _PAGES),
        Route("/login", log_in, methods=["POST"], middleware=around),
        Route("/logout", log_out, methods=["POST"], middleware=around),
        *(Route(path, wishes.posted(site, act), methods=["POST"], middleware=around) for path, act in wishes.ACTS),
        Route("/static/{name}", _static, methods=["GET"], middleware=around),
        Route("/{path:path}", endpoint(site, _unknown), methods=["GET"], middleware=around),
    ]


def _unknown(_site: Site, _request: Request) -> Response:
    raise NotFound(
        "There is no page at this address", "The list of incidents, the runs and the inbox are in the bar above."
    )


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _STATIC_FILES:
        return Response("There is no such file.\n", 404, media_type="text/plain")
    return FileResponse(
        HERE / "static" / name, headers={"Cache-Control": f"public, max-age={_STATIC_MAX_AGE_SECONDS}, immutable"}
    )


_STATIC_FILES = frozenset(file.name for file in (HERE / "static").iterdir() if file.is_file())
