"""What every OTLP door of the bridge does first: read the body within its limit, and look at the token."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from starlette.requests import Request

from alert_bridge.errors import TooLarge
from alert_bridge.otlp import DEFAULT

DRAINED_BYTES = 64 * 1024 * 1024

__all__ = ["has_token", "read_body"]


async def read_body(request: Request) -> bytes:
    """The body, up to the limit that is also said to the sender.

    Raises:
        TooLarge: there is more. Some of the rest is read and thrown away, because most senders read no answer before
            they have sent everything: they would see a broken connection, and try again for ever.
    """
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= DEFAULT.body_bytes:
            chunks.append(chunk)
        elif size > DEFAULT.body_bytes + DRAINED_BYTES:
            break
    if size > DEFAULT.body_bytes:
        raise TooLarge(f"The body has more than {DEFAULT.body_bytes:,} bytes: send less at once")
    return b"".join(chunks)


def has_token(request: Request, tokens: Sequence[str]) -> bool:
    """Whether the request brings one of the tokens; yes where there are none."""
    if not tokens:
        return True
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return False
    # Every token is compared, so that the time taken says nothing about which one was close.
    return any([hmac.compare_digest(given.strip().encode(), token.encode()) for token in tokens])  # noqa: C419
