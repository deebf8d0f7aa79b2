"""The problems of one run and how they hang together, kept up to date while a transaction adds to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from alert_bridge.incidents.folding import Known, Lineage, Trouble, ancestors_of
from alert_bridge.model import Incident

__all__ = ["Kinship"]


class Kinship:
    """What folding needs of a run: `lineage` at any moment, and everything that each problem said itself."""

    def __init__(self, lineage: Lineage, own: Mapping[str, Sequence[Trouble]]) -> None:
        self._known = {one.incident_id: one for one in lineage.known}
        self._own = {incident_id: list(troubles) for incident_id, troubles in own.items()}
        self._parents, self._upstream = lineage.parents, lineage.upstream

    @property
    def lineage(self) -> Lineage:
        """As it stands."""
        return Lineage(tuple(self._known.values()), self._parents, self._upstream)

    def lineage_of(self, incident_id: str) -> Lineage:
        """As if this were the run's only problem."""
        one = self._known.get(incident_id)
        return Lineage((one,) if one else (), self._parents, self._upstream)

    def latest_first(self) -> Iterator[tuple[str, Sequence[Trouble]]]:
        """Every problem that is told by itself, with what it said; some may be folded meanwhile."""
        for incident_id in reversed(list(self._known)):
            if incident_id in self._known and self._own.get(incident_id):
                yield incident_id, self._own[incident_id]

    def concerns(self, span: str, stage: str) -> bool:
        """Whether a stage that begins tells how problems that showed already hang together."""
        return any(
            stage in one.stages
            or any(span == other or span in ancestors_of(other, self._parents) for other in one.spans)
            for one in self._known.values()
        )

    def sighted(self, incident: Incident, trouble: Trouble) -> None:
        """A problem showed; it is told by this incident, whose own it need not be."""
        place = {(trouble.file, trouble.function, trouble.line)} if trouble.line and not trouble.root else set()
        one = self._known.get(incident.id) or Known(
            incident.id, incident.fingerprint, frozenset(), frozenset(), frozenset(), incident.severity
        )
        if trouble.problem == incident.fingerprint:
            self._own.setdefault(incident.id, []).append(trouble)
        self._known[incident.id] = replace(
            one,
            roots=one.roots | ({trouble.root} - {""}),
            spans=one.spans | ({trouble.span} - {""}),
            stages=one.stages | ({trouble.stage} - {""}),
            severity=max(one.severity, incident.severity),
            logged_at=one.logged_at | place,
        )

    def folded(self, incident_id: str, root: Incident) -> None:
        """A problem is told as part of another from now on, and shows where it showed."""
        one, under = self._known.pop(incident_id, None), self._known.get(root.id)
        self._own.pop(incident_id, None)
        if one is not None and under is not None:
            self._known[root.id] = replace(
                under,
                roots=under.roots | one.roots,
                spans=under.spans | one.spans,
                stages=under.stages | one.stages,
                severity=max(under.severity, root.severity),
                logged_at=under.logged_at | one.logged_at,
            )
