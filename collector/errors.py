"""What can go wrong with a Collector before it runs. Each text says what happened, to what, and what to do."""

from __future__ import annotations

__all__ = ["CollectorError"]


class CollectorError(Exception):
    """No Collector can be had, checked or started with what was given. The command line makes it exit code 2."""
