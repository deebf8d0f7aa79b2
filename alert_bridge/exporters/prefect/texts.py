"""The artifacts' Markdown: one for each incident, and one that sums a run up. Pure; no record's text can spoil them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote

from alert_bridge.exporters.prefect.edges import parent_of
from alert_bridge.exporters.prefect.runs import Run, Stage
from alert_bridge.exporters.prefect.states import MARK, run_state, stage_state, took_in_words
from alert_bridge.messages.cause import body_of, sentence, stacktrace_of
from alert_bridge.messages.moments import clock, memory, moment
from alert_bridge.messages.text import clip, one_line, outer_parts, visible
from alert_bridge.model import Incident, IncidentState, Severity
from instrumentation import attributes as names

__all__ = ["incident_markdown", "slug", "standing", "summary_markdown", "trouble_of"]

MOST_STAGES = 200
MOST_INCIDENTS = 50
BODY_CHARS = 2_000
TRACE_HEAD_CHARS, TRACE_TAIL_CHARS = 1_500, 4_000
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#|~!&])")


def slug(text: str) -> str:
    """As the key of an artifact may be: lower-case letters, digits, dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:80] or "unknown"


def standing(incident: Incident) -> str:
    """One word per thing that a reader would want to know has changed."""
    folded = "folded" if incident.root_id else "own"
    return f"{incident.severity.name} {incident.state.value} {incident.count} {folded} {incident.acknowledged_by}"


def trouble_of(troubles: Sequence[str]) -> str:
    """What a run's state says of its incidents: the first, which is mostly the cause, and how many more."""
    if not troubles:
        return ""
    more = f" (and {len(troubles) - 1} more)" if len(troubles) > 1 else ""
    return f"{troubles[0]}{more}"


def incident_markdown(incident: Incident, run_id: str, public_url: str) -> str:
    """What failed, why, how often, since when, and the ways to the rest."""
    record = incident.sample
    links = [f"[Incident]({public_url}/incidents/{_part(incident.id)})"]
    if record.uid and record.run_id == run_id:
        uid = _part(record.uid)
        links.insert(0, f"[Full log]({public_url}/runs/{_part(run_id)}/log?around={uid}#r-{uid})")
    else:
        links.insert(0, f"[Full log]({public_url}/runs/{_part(run_id)}/log)")
    if record.trace_id:
        links.append(f"[Trace]({public_url}/traces/{_part(record.trace_id)})")
    if wandb_run := _web_address(record.text(names.WANDB_RUN_URL)):
        links.append(f"[W&B run]({wandb_run})")
    over = incident.state is IncidentState.RESOLVED
    facts = [
        f"**{incident.severity.name}**" + (f", resolved {moment(incident.resolved_at)}" if over else ", open"),
        f"{incident.count:,} record{'s' if incident.count != 1 else ''} since {moment(incident.first_event)}",
        f"seen {incident.seen_before}× before" if incident.seen_before else "new",  # noqa: RUF001 - the sign of times
    ]
    if incident.owner:
        facts.append(f"owner {_plain(incident.owner)}")
    if incident.acknowledged_by:
        facts.append(f"acknowledged by {_plain(incident.acknowledged_by)}")
    if incident.root_id:
        cause = f"[another incident]({public_url}/incidents/{_part(incident.root_id)})"
        facts.append(f"a consequence of {cause}")
    parts = [f"### {_plain(sentence(incident, over=over))}", " · ".join(facts), " · ".join(links)]
    if incident.effect:
        parts.append(_plain(incident.effect))
    if body := clip(body_of(record), BODY_CHARS):
        parts.append(_fenced(body))
    if trace := stacktrace_of(record):
        parts.append(_fenced(visible(outer_parts(trace.strip(), TRACE_HEAD_CHARS, TRACE_TAIL_CHARS))))
    return "\n\n".join(parts)


def summary_markdown(run: Run, incidents: Sequence[tuple[str, str]], public_url: str) -> str:
    """How the run went: result, stages, counts, incidents as (id, what it says)."""
    state = run_state(run)
    url = f"{public_url}/runs/{_part(run.key)}"
    parts = [
        f"## {_plain(run.pipeline)}: {state.name}",
        _plain(state.message.removesuffix(MARK)),
        f"[Run]({url}) · [Full log]({url}/log)"
        + (f" · [Trace]({public_url}/traces/{_part(run.trace_id)})" if run.trace_id else ""),
    ]
    if run.stages:
        parts += [f"### {len(run.stages)} stage{'s' if len(run.stages) != 1 else ''}", _stage_table(run)]
    parts += ["### Incidents", _incident_list(incidents, public_url)]
    parts += ["### Records", _counts(run)]
    if facts := _facts(run):
        parts += ["### Facts", facts]
    return "\n\n".join(parts)


def _stage_table(run: Run) -> str:
    stages = sorted(run.stages.values(), key=lambda stage: (stage.started, stage.key))
    rows = ["| Stage | State | Began (UTC) | Took |", "|---|---|---|---:|"]
    for stage in stages[:MOST_STAGES]:
        took = took_in_words(stage.ended - stage.started) if stage.ended else ""
        depth = _depth(run, stage)
        indent = "└" + "─" * (depth - 1) + " " if depth else ""  # spaces at the beginning of a cell are not shown
        rows.append(f"| {indent}{_plain(stage.title)} | {stage_state(stage).name} | {clock(stage.started)} | {took} |")
    if len(stages) > MOST_STAGES:
        rows.append(f"| … and {len(stages) - MOST_STAGES} more | | | |")
    return "\n".join(rows)


def _depth(run: Run, stage: Stage) -> int:
    depth, seen = 0, {stage.key}
    while (parent := parent_of(run, stage)) and parent not in seen:
        seen.add(parent)
        stage, depth = run.stages[parent], depth + 1
    return depth


def _incident_list(incidents: Sequence[tuple[str, str]], public_url: str) -> str:
    if not incidents:
        return "None."
    # Prefect shows the backslashes of a link's own text, so the text stands before its link.
    lines = [
        f"- {_plain(text)} [Incident]({public_url}/incidents/{_part(key)})" for key, text in incidents[:MOST_INCIDENTS]
    ]
    if len(incidents) > MOST_INCIDENTS:
        lines.append(f"- … and {len(incidents) - MOST_INCIDENTS} more")
    return "\n".join(lines)


def _counts(run: Run) -> str:
    counts = [(level.name, run.levels.get(level.name, 0)) for level in reversed(Severity)]
    return " · ".join(f"{name} {count:,}" for name, count in counts if count) or "None."


def _facts(run: Run) -> str:
    labels = {names.HOST_NAME: "host", names.VCS_REVISION: "revision", names.EXIT_CODE: "exit code"}
    facts = [f"{label} {_plain(run.facts[name])}" for name, label in labels.items() if run.facts.get(name)]
    peak = run.facts.get(names.PEAK_MEMORY, "")
    if peak.isdecimal():
        facts.append(f"peak memory {memory(float(peak))}")
    return " · ".join(facts)


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return _SPECIAL.sub(r"\\\1", one_line(text))


def _fenced(text: str) -> str:
    """A block that its own text cannot end."""
    longest = max((len(found) for found in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def _part(text: str) -> str:
    return quote(text, safe="", errors="replace")


def _web_address(text: str) -> str:
    """A link that Markdown cannot end early; empty if the text is none."""
    address = one_line(text)
    return quote(address, safe=":/?#@!$&*+,;=%~") if address.startswith(("https://", "http://")) else ""
