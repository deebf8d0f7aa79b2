"""The problems of one run and how they hang together, kept up to date while a transaction adds to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from alert_bridge.incidents.folding import Known, Lineage, Trouble
from alert_bridge.model import Incident

__all__ = ["Kinship"]


class Kinship:
    """What folding needs of a run: `lineage` at any moment, and the first trouble of each problem."""

    def __init__(self, lineage: Lineage, firsts: Mapping[str, Trouble]) -> None:
        self._known = {one.incident_id: one for one in lineage.known}
        self._firsts = dict(firsts)
        self._parents, self._upstream = lineage.parents, lineage.upstream

    @property
    def lineage(self) -> Lineage:
        """As it stands."""
        return Lineage(tuple(self._known.values()), self._parents, self._upstream)

    def known(self, incident_id: str) -> Known | None:
        """One problem."""
        return self._known.get(incident_id)

    def lineage_of(self, one: Known) -> Lineage:
        """As if this were the run's only problem."""
        return Lineage((one,), self._parents, self._upstream)

    def firsts_but(self, incident_id: str) -> Iterator[tuple[str, Trouble]]:
        """Every other problem with what its first record was."""
        return ((other, trouble) for other, trouble in list(self._firsts.items()) if other != incident_id)

    def sighted(self, incident: Incident, trouble: Trouble) -> None:
        """A problem showed."""
        place = {(trouble.file, trouble.function, trouble.line)} if trouble.line and not trouble.root else set()
        one = self._known.get(incident.id) or Known(
            incident.id, incident.fingerprint, frozenset(), frozenset(), frozenset(), incident.severity
        )
        self._firsts.setdefault(incident.id, trouble)
        self._known[incident.id] = replace(
            one,
            roots=one.roots | ({trouble.root} - {""}),
            spans=one.spans | ({trouble.span} - {""}),
            stages=one.stages | ({trouble.stage} - {""}),
            severity=max(one.severity, incident.severity),
            logged_at=one.logged_at | place,
        )

    def forget(self, incident_id: str) -> None:
        """A problem is told as part of another now."""
        self._known.pop(incident_id, None)
        self._firsts.pop(incident_id, None)
