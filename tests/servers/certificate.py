"""A certificate for loopback, made on the spot, so that no private key lies in the repository.

P-256 in plain integers: fit for a test's handshake, not for secrets (nothing here runs in constant time).
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

__all__ = ["write_certificate"]

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
EC_PUBLIC_KEY, PRIME256V1, ECDSA_SHA256 = "1.2.840.10045.2.1", "1.2.840.10045.3.1.7", "1.2.840.10045.4.3.2"

Point = tuple[int, int] | None


def write_certificate(folder: Path) -> tuple[Path, Path]:
    """Write `certificate.pem` and `key.pem` for 127.0.0.1 and localhost; the certificate is its own authority."""
    key = secrets.randbelow(N - 1) + 1
    public = _multiply(key, G)
    assert public is not None
    point = b"\x04" + public[0].to_bytes(32) + public[1].to_bytes(32)
    certificate, private = folder / "certificate.pem", folder / "key.pem"
    certificate.write_text(_pem("CERTIFICATE", _certificate(key, point)))
    private.touch(mode=0o600)
    curve = _tlv(0xA0, _oid(PRIME256V1))
    scalar = _tlv(0x04, key.to_bytes(32))
    private.write_text(_pem("EC PRIVATE KEY", _sequence(_integer(1), scalar, curve, _tlv(0xA1, _bits(point)))))
    return certificate, private


def _certificate(key: int, point: bytes) -> bytes:
    now = datetime.now(UTC)
    algorithm = _sequence(_oid(ECDSA_SHA256))
    name = _sequence(_tlv(0x31, _sequence(_oid("2.5.4.3"), _tlv(0x0C, b"localhost"))))
    validity = _sequence(_time(now - timedelta(hours=1)), _time(now + timedelta(days=1)))
    key_info = _sequence(_sequence(_oid(EC_PUBLIC_KEY), _oid(PRIME256V1)), _bits(point))
    key_id = hashlib.sha1(point, usedforsecurity=False).digest()
    names = _sequence(_tlv(0x82, b"localhost"), _tlv(0x87, bytes([127, 0, 0, 1])))
    extensions = _sequence(
        _extension("2.5.29.19", _sequence(_tlv(0x01, b"\xff")), critical=True),  # basicConstraints: CA
        _extension("2.5.29.15", _tlv(0x03, b"\x02\x84"), critical=True),  # keyUsage: digitalSignature, keyCertSign
        _extension("2.5.29.17", names, critical=False),
        _extension("2.5.29.14", _tlv(0x04, key_id), critical=False),
        _extension("2.5.29.35", _sequence(_tlv(0x80, key_id)), critical=False),
    )
    body = _sequence(
        _tlv(0xA0, _integer(2)),
        _integer(secrets.randbits(63) + 1),
        algorithm,
        name,
        validity,
        name,
        key_info,
        _tlv(0xA3, extensions),
    )
    return _sequence(body, algorithm, _bits(_sign(key, body)))


def _sign(key: int, message: bytes) -> bytes:
    digest = int.from_bytes(hashlib.sha256(message).digest())
    while True:
        nonce = secrets.randbelow(N - 1) + 1
        point = _multiply(nonce, G)
        assert point is not None
        r = point[0] % N
        s = pow(nonce, -1, N) * (digest + r * key) % N
        if r and s:
            return _sequence(_integer(r), _integer(s))


def _multiply(scalar: int, point: Point) -> Point:
    result: Point = None
    while scalar:
        if scalar & 1:
            result = _add(result, point)
        point = _add(point, point)
        scalar >>= 1
    return result


def _add(a: Point, b: Point) -> Point:
    if a is None or b is None:
        return a or b
    (x1, y1), (x2, y2) = a, b
    if x1 == x2 and (y1 + y2) % P == 0:
        return None
    slope = (3 * x1 * x1 - 3) * pow(2 * y1, -1, P) if a == b else (y2 - y1) * pow(x2 - x1, -1, P)
    x3 = (slope * slope - x1 - x2) % P
    return x3, (slope * (x1 - x3) - y1) % P


def _tlv(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    size = (length.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + length.to_bytes(size) + content


def _sequence(*parts: bytes) -> bytes:
    return _tlv(0x30, b"".join(parts))


def _integer(value: int) -> bytes:
    return _tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1))


def _bits(content: bytes) -> bytes:
    return _tlv(0x03, b"\x00" + content)


def _oid(dotted: str) -> bytes:
    first, second, *rest = (int(part) for part in dotted.split("."))
    encoded = bytearray([40 * first + second])
    for arc in rest:
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(arc & 0x7F | 0x80)
        encoded += bytes(reversed(groups))
    return _tlv(0x06, bytes(encoded))


def _time(moment: datetime) -> bytes:
    return _tlv(0x17, moment.strftime("%y%m%d%H%M%SZ").encode())


def _extension(oid: str, value: bytes, *, critical: bool) -> bytes:
    flag = _tlv(0x01, b"\xff") if critical else b""
    return _sequence(_oid(oid), flag, _tlv(0x04, value))


def _pem(label: str, der: bytes) -> str:
    lines = base64.encodebytes(der).decode().replace("\n", "")
    wrapped = "\n".join(lines[start : start + 64] for start in range(0, len(lines), 64))
    return f"-----BEGIN {label}-----\n{wrapped}\n-----END {label}-----\n"
