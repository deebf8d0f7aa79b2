"""Any Python value as JSON text: valid whatever comes, bounded in size, never raising. Imports nothing of the value's.

Text is ASCII with escapes, so that a line is the same in every locale; lone surrogates (undecodable file names) become
a visible backslash escape, because strict readers refuse them.
"""

TYPE_CHECKING = False  # the real one costs every child the import of typing
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["MAX_TEXT_CHARS", "PLAIN", "ascii_quote", "describe", "quote", "text"]

try:
    from _json import encode_basestring_ascii as ascii_quote
except ImportError:  # an interpreter without the accelerator
    from json.encoder import py_encode_basestring_ascii as ascii_quote

MAX_TEXT_CHARS = 65_536  # of one string
MAX_NESTED_CHARS = 4_096  # of one string inside a container
MAX_DEPTH = 8  # containers within containers
MAX_ITEMS = 256  # of one container
MAX_NODES = 4_096  # values in one record
MAX_ARRAY_ITEMS = 64  # of a numpy array; larger ones are described
MAX_INT_BITS = 8_192  # of a whole number that is written out; Python refuses longer ones, or takes seconds
_INT64 = 1 << 63  # what OTLP can carry as a number
_INFINITY = float("inf")


def quote(value: str, limit: int = MAX_TEXT_CHARS) -> str:
    """A string as JSON text of at most `limit` characters of it, with a note of how much was cut."""
    if len(value) > limit:
        value = "%s… [%d characters cut]" % (value[:limit], len(value) - limit)
    quoted = ascii_quote(value)
    if "\\ud" in quoted:  # a pair is fine, a lone half is not: one pass makes sure of both
        quoted = ascii_quote(value.encode("utf-8", "backslashreplace").decode("utf-8"))
    return quoted


def text(value: object) -> str:
    """Any value as JSON text: containers as arrays and objects, everything unknown as its `str()`."""
    return _encode(value, 0, [MAX_NODES], ())


def describe(value: object) -> str:
    """`str(value)`, or what can be said of a value whose `__str__` raises."""
    try:
        return str(value)
    except Exception as error:
        return "<%s: str() raised %s>" % (type(value).__name__, type(error).__name__)


def _encode(value: object, depth: int, budget: list[int], parents: tuple[int, ...]) -> str:
    kind = type(value)
    budget[0] -= 1
    if budget[0] < 0:
        return '"<cut: more than %d values>"' % MAX_NODES
    try:
        if kind in _SCALARS:
            return quote(str(value), MAX_NESTED_CHARS) if depth and kind is str else _SCALARS[kind](value)
        if isinstance(value, _CONTAINERS) or hasattr(kind, "__dataclass_fields__"):
            if id(value) in parents:
                return '"<cycle>"'
            if depth >= MAX_DEPTH:
                return '"<%s: deeper than %d levels>"' % (kind.__name__, MAX_DEPTH)
            return _container(value, depth + 1, budget, (*parents, id(value)))
        return _scalar(value)
    except Exception as error:
        return quote("<%s: %s>" % (kind.__name__, type(error).__name__))


def _container(value: object, depth: int, budget: list[int], parents: tuple[int, ...]) -> str:
    parts: list[str] = []
    if isinstance(value, _SEQUENCES):
        for item in value:
            if len(parts) == MAX_ITEMS:
                parts.append('"<%d more>"' % (len(value) - MAX_ITEMS))
                break
            parts.append(_encode(item, depth, budget, parents))
        return "[%s]" % ",".join(parts)
    if not isinstance(value, dict):  # a dataclass; `asdict` would copy deeply
        value = {name: getattr(value, name, None) for name in value.__dataclass_fields__}  # type: ignore[attr-defined]
    for key, item in value.items():
        if len(parts) == MAX_ITEMS:
            parts.append('"<more>":%d' % (len(value) - MAX_ITEMS))
            break
        parts.append("%s:%s" % (quote(describe(key)), _encode(item, depth, budget, parents)))
    return "{%s}" % ",".join(parts)


def _scalar(value: object) -> str:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return quote(bytes(value[: MAX_TEXT_CHARS + 1]).decode("utf-8", "backslashreplace"))
    if isinstance(value, str):
        return quote(str.__str__(value))
    if isinstance(value, int) and type(value).__str__ is int.__repr__:
        return _int(int(value))
    if isinstance(value, float):
        return _float(float(value))
    if _is_numpy(value):
        if getattr(value, "size", 1) > MAX_ARRAY_ITEMS:
            return quote("<array of shape %s, %s>" % (value.shape, value.dtype))  # type: ignore[attr-defined]
        item = _numpy_item(value)
        if type(item) in _SCALARS or isinstance(item, list):
            return text(item)
    return quote(_iso(value) or describe(value))


def _iso(value: object) -> str:
    """Dates and times of any library, unambiguously."""
    isoformat = getattr(value, "isoformat", None)
    return str(isoformat()) if callable(isoformat) and not isinstance(value, type) else ""


def _int(value: int) -> str:
    if -_INT64 <= value < _INT64:
        return int.__repr__(value)
    if value.bit_length() > MAX_INT_BITS:
        return '"<int of %d bits>"' % value.bit_length()
    return '"%d"' % value


def _float(value: float) -> str:
    if -_INFINITY < value < _INFINITY:
        return float.__repr__(value)
    return '"NaN"' if value != value else '"Infinity"' if value > 0 else '"-Infinity"'  # noqa: PLR0124 - only NaN differs from itself


def _is_numpy(value: object) -> bool:
    return type(value).__module__.partition(".")[0] == "numpy" and hasattr(value, "dtype")


def _numpy_item(value: object) -> object:
    return value.tolist()  # type: ignore[attr-defined] # a scalar's is the Python number, an array's a list of them


PLAIN = frozenset((str, int, float, bool, type(None)))  # what is formatted without a word of the program's own
_SEQUENCES = (list, tuple, set, frozenset)
_CONTAINERS = (dict, *_SEQUENCES)
_SCALARS: "dict[type, Callable[[Any], str]]" = {
    str: quote,
    int: _int,
    float: _float,
    bool: lambda value: "true" if value else "false",
    type(None): lambda _: "null",
}
