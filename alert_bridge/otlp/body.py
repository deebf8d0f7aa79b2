"""The bytes of a request: which form they claim to have, and how they unpack without filling memory."""

from __future__ import annotations

import enum
import zlib

from alert_bridge.errors import TooLarge, Undecodable
from alert_bridge.otlp.limits import Limits

__all__ = ["Form", "form_of", "inflate"]

_GZIP_WINDOW_BITS = 31  # 15 bits, plus 16 for "with gzip's header"


class Form(enum.Enum):
    """The two encodings of OTLP/HTTP, under their content types."""

    PROTOBUF = "application/x-protobuf"
    JSON = "application/json"


_FORMS = {
    "application/x-protobuf": Form.PROTOBUF,
    "application/protobuf": Form.PROTOBUF,
    "application/json": Form.JSON,
}


def form_of(content_type: str) -> Form:
    """The form that a `Content-Type` names.

    Raises:
        Undecodable: it names neither; says which do.
    """
    name = content_type.partition(";")[0].strip().lower()
    if name not in _FORMS:
        raise Undecodable(
            f"Content-Type {name[:80] or '(none)'!r} is not OTLP: send application/x-protobuf or application/json"
        )
    return _FORMS[name]


def inflate(body: bytes, content_encoding: str, limits: Limits) -> bytes:
    """The body without its `Content-Encoding`: gzip (also of several members), identity or none.

    Raises:
        TooLarge: as sent or unpacked it is over a limit. Unpacking stops there, so a bomb costs no more memory.
        Undecodable: an unknown encoding, or not the gzip that it claims to be.
    """
    if len(body) > limits.body_bytes:
        raise TooLarge(f"The body has {len(body):,} bytes; at most {limits.body_bytes:,} are taken: send less at once")
    match content_encoding.strip().lower():
        case "" | "identity":
            plain = body
        case "gzip" | "x-gzip":
            plain = _gunzip(body, limits.inflated_bytes)
        case other:
            raise Undecodable(f"Content-Encoding {other[:80]!r} is not taken: send gzip or none")
    if len(plain) > limits.inflated_bytes:
        raise _too_large_inside(limits.inflated_bytes)
    return plain


def _gunzip(body: bytes, most_bytes: int) -> bytes:
    parts: list[bytes] = []
    room = most_bytes
    rest = body
    while rest:
        unpacker = zlib.decompressobj(_GZIP_WINDOW_BITS)
        try:
            part = unpacker.decompress(rest, room + 1)
        except zlib.error as error:
            raise Undecodable(f"The body says gzip and is not: {error}") from error
        if len(part) > room:
            raise _too_large_inside(most_bytes)
        if not unpacker.eof:
            raise Undecodable("The gzip body ends too early: it was cut on its way")
        parts.append(part)
        room -= len(part)
        rest = unpacker.unused_data
    return b"".join(parts)


def _too_large_inside(most_bytes: int) -> TooLarge:
    return TooLarge(f"The body has more than {most_bytes:,} bytes once unpacked: send less at once")
