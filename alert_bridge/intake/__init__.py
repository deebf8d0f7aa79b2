"""From a request to a promise: records are judged, counted once, made into incidents and notices, in one transaction.

`sift` is pure; `take` is the transaction; `Intake` is the thread that runs it for all requests that wait at the time.
"""

from __future__ import annotations

from alert_bridge.intake.service import Intake, Request, Taken
from alert_bridge.intake.sifting import Sifted, sift
from alert_bridge.intake.take import take
from alert_bridge.intake.waiting import Taker, Waiting

__all__ = ["Intake", "Request", "Sifted", "Taken", "Taker", "Waiting", "sift", "take"]
