"""What a problem means for people who do not act on it: effect, what is still valid, who is on it, when to expect news.

Says nothing that is not known: no cause, no path, no type, no trace. Words a policy sets (`effect`) go first.
"""

from __future__ import annotations

import re

from alert_bridge.messages.moments import moment
from alert_bridge.messages.text import clip, one_line, plain_name
from alert_bridge.model import Incident, IncidentState, Reason, Severity, Story

__all__ = ["effect_of", "headline_for_readers", "is_over", "paragraphs_for_readers", "pipeline_in_words"]

MAX_EFFECT_CHARS = 360

# The first that the stage's name contains. Each says only that the step has trouble, because that is all we know.
_STEPS = (
    (
        ("upload", "deliver", "publish", "export", "release", "push"),
        "Delivering this run's results ran into a problem.",
    ),
    (("drift", "quality", "validat", "sanity", "check"), "Checking the newest input data found a problem."),
    (("fetch", "ingest", "download", "extract", "load", "import"), "New input data could not be read as planned."),
    (("reconcil",), "Bringing forecasts of different levels into agreement ran into a problem."),
    (("aggregat", "ensemble", "combin", "merge"), "Combining the models' forecasts ran into a problem."),
    (("forecast", "predict", "infer", "score"), "Computing this run's forecasts ran into a problem."),
    (("train", "fit", "tune", "sweep", "calibrat"), "Updating a model ran into a problem."),
    (("report", "evaluat", "plot", "render", "map"), "Preparing this run's report ran into a problem."),
)
_ANY_STEP = "A step of this run ran into a problem."
_OPERATOR = "The alerting itself has a problem, so that news about pipelines may be late."

_CONSEQUENCE = {
    Severity.CRITICAL: "Please do not use or pass on this run's results until you hear that it is solved.",
    Severity.ERROR: "This run's results may be late or incomplete.",
}
_SAYS_VALIDITY = re.compile(r"\b(?:valid|unaffected|not affected|unchanged|can(?:not)? be trusted)\b", re.IGNORECASE)
_EARLIER_STAY = "Results of earlier runs are not changed by this."


def effect_of(incident: Incident, reason: Reason) -> str:
    """The policy's words, else words for the kind of stage. Constant for an incident whose policy does not change."""
    if incident.effect.strip():
        return clip(one_line(incident.effect), MAX_EFFECT_CHARS)
    if reason is Reason.OPERATOR:
        return _OPERATOR
    stage = incident.stage.lower()
    return next((words for parts, words in _STEPS if any(part in stage for part in parts)), _ANY_STEP)


def is_over(story: Story) -> bool:
    """Resolved, also where a count is put right after that."""
    return story.reason is Reason.RESOLVED or (
        story.reason is Reason.REPEATED and story.incident.state is IncidentState.RESOLVED
    )


def headline_for_readers(story: Story) -> str:
    """`Serious problem in monthly run: …`; the severity in everyday words."""
    incident = story.incident
    effect = effect_of(incident, story.reason)
    if is_over(story):
        return f"Solved in {pipeline_in_words(incident)}: “{effect}”"
    kind = "Serious problem" if incident.severity >= Severity.CRITICAL else "Problem"
    if incident.severity <= Severity.WARNING:
        kind = "For your information"
    return f"{kind} in {pipeline_in_words(incident)}: {effect}"


def paragraphs_for_readers(story: Story) -> tuple[tuple[str, str], ...]:
    """(heading, text): meaning, what is still valid, who is on it, when there will be news."""
    incident = story.incident
    effect = effect_of(incident, story.reason)
    if is_over(story):
        return (("When you hear more", "This is solved; nothing more will follow about it unless it comes back."),)
    paragraphs = []
    consequence = _CONSEQUENCE.get(incident.severity, "")
    if consequence and not incident.effect.strip() and story.reason is not Reason.OPERATOR:
        paragraphs.append(("What it means", consequence))
    if not _SAYS_VALIDITY.search(effect):
        paragraphs.append(("What is still valid", _EARLIER_STAY))
    paragraphs.append(("Who is on it", _who(story)))
    paragraphs.append(("When you hear more", _news(story)))
    return tuple(paragraphs)


def pipeline_in_words(incident: Incident) -> str:
    """`monthly_run` reads as `monthly run`; a path or an id does not get through."""
    return plain_name(incident.pipeline).replace("_", " ").strip() or "a pipeline"


def _who(story: Story) -> str:
    taken = plain_name((story.incident.assigned_to or story.incident.acknowledged_by).lstrip("@"))
    owner = plain_name(story.incident.owner.lstrip("@"))
    everyone = [name for audience in story.also_told if (name := _audience(audience))]
    told = [name for name in everyone if name != owner]
    if taken:
        return f"{taken} is working on it."
    also = f" {_listing(told)} {'know' if len(told) > 1 else 'knows'} too." if told else ""
    if owner:
        return f"{owner} is responsible{' and has been told' if owner in everyone else ''}.{also}"
    if told:
        return f"{_listing(told)} {'have' if len(told) > 1 else 'has'} been told."
    return "Nobody has taken it on yet."


def _audience(name: str) -> str:
    """Audience names are the policy's; an ampersand or a bracket in one is a name still."""
    return clip(one_line(name), 60)


def _listing(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _news(story: Story) -> str:
    if story.reminder_at > story.now:
        return f"When it is solved or gets worse; if it stays open, on {moment(story.reminder_at)} at the latest."
    return "When it is solved or gets worse. Until then it is still open."
