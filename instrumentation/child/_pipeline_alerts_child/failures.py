"""An exception as the `e` field of a journal line: qualified type, `str()`, and the whole chain as Python prints it."""

from .values import MAX_TEXT_CHARS, describe, quote

MAX_TRACE_CHARS = 262_144  # of a stack trace; cut in the middle, because the cause and the last frame stand at its ends


def failure(exc_info: object, exc_text: object = None) -> str:
    """`,"e":{…}` for the `exc_info` of a record, or for the text that a queue made of it; nothing without either."""
    error = exc_info[1] if type(exc_info) is tuple and len(exc_info) > 1 else exc_info
    if not isinstance(error, BaseException):
        return ',"e":{"s":%s}' % _trace(str(exc_text)) if exc_text else ""
    return ',"e":{"t":%s,"m":%s,"s":%s}' % (
        quote(qualified(type(error))),
        quote(describe(error)),
        _trace(stack_trace(error)),
    )


def qualified(kind: type) -> str:
    """The type's name with its module, as OpenTelemetry wants `exception.type`; built-in ones without."""
    name = getattr(kind, "__qualname__", kind.__name__)
    module = getattr(kind, "__module__", None)
    return "%s.%s" % (module, name) if isinstance(module, str) and module != "builtins" else name


def stack_trace(error: BaseException) -> str:
    """The traceback with causes, contexts, groups and notes, as the interpreter would print it."""
    try:
        import traceback

        return "".join(traceback.format_exception(type(error), error, error.__traceback__))
    except Exception as failed:
        return "%s: %s\n<no stack trace: %s>\n" % (qualified(type(error)), describe(error), type(failed).__name__)


def _trace(trace: str) -> str:
    cut = len(trace) - MAX_TRACE_CHARS
    if cut > 0:
        half = MAX_TRACE_CHARS // 2
        trace = "%s\n… [%d characters cut] …\n%s" % (trace[:half], cut, trace[-half:])
    return quote(trace, MAX_TRACE_CHARS + MAX_TEXT_CHARS)
