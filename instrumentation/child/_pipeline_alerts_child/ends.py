"""How a program ends: uncaught exceptions of the main thread, other threads, finalisers and multiprocessing children.

Only looks: `sys.excepthook` and `threading.excepthook` stay what the program made of them, and what it prints stays the
same. What dies without running any more code (signals, `os._exit`) is the parent's to report.
"""

import atexit
import sys
import time

from . import names

TYPE_CHECKING = False  # the real one costs every child the import of typing
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from .journal import Journal
    from .records import Encoder

MAX_DISABLED_NAMES = 50  # of loggers that a configuration disabled


class Reporter:
    """Writes a record for every end that it sees, each exception once.

    Args:
        journal: answers with where to write now, or with None where nothing shall be kept.
        place: where in the run this process was when it started, as `names.PLACE` of its environment said then.
    """

    def __init__(self, journal: "Callable[[], Journal | None]", place: dict[str, str]) -> None:
        self._journal = journal
        self._place = place
        self.logging: ModuleType | None = None
        self._encoder: Encoder | None = None
        self._ended_main: BaseException | None = None  # told already; only what `sys` keeps alive anyway

    def encoder(self) -> "Encoder":
        """The encoder of this process; imported when first needed."""
        if self._encoder is None:
            from .context import Context
            from .records import Encoder

            self._encoder = Encoder(Context(self._place))
        return self._encoder

    def watch_interpreter(self) -> None:
        """The main thread's end, seen at exit, and exceptions in finalisers and callbacks."""
        atexit.register(self.at_exit)
        previous = sys.unraisablehook

        def unraisablehook(unraisable: "Any", /) -> "Any":
            self.unraisable(unraisable)
            return previous(unraisable)

        sys.unraisablehook = unraisablehook

    def unraisable(self, unraisable: "Any") -> None:
        """An exception that Python only prints, because nobody is there to catch it."""
        try:
            self.uncaught(unraisable.exc_value, "uncaught in %s: %s: %s", _name(unraisable.object))
        except Exception:
            pass

    def watch_threads(self, threading: "Any") -> None:
        """Exceptions that end a thread, whatever `threading.excepthook` is by then; and the main thread's end early.

        At exit Python first waits for the other threads, which can take hours: its own list of calls before that wait
        sees the main thread's exception at once.
        """
        make = getattr(threading, "_make_invoke_excepthook", None)
        if make is not None:

            def make_invoke_excepthook() -> "Any":
                invoke = make()

                def invoke_excepthook(thread: "Any") -> "Any":
                    try:
                        self.uncaught(sys.exc_info()[1], "uncaught in thread %s: %s: %s", thread.name)
                    except Exception:
                        pass
                    return invoke(thread)

                return invoke_excepthook

            threading._make_invoke_excepthook = make_invoke_excepthook  # noqa: SLF001 - the only place before all hooks
        register = getattr(threading, "_register_atexit", None)
        if register is not None:
            register(self._main_ended)

    def watch_processes(self, util: "Any") -> None:
        """Exceptions that end a multiprocessing child: its last function runs while they are on their way."""
        original = util._exit_function  # noqa: SLF001 - called while the exception passes

        def exit_function(*args: "Any", **kwargs: "Any") -> "Any":
            try:
                error = sys.exc_info()[1]
                trace = getattr(error, "__traceback__", None)
                if trace is not None and trace.tb_frame.f_code.co_name == "_bootstrap":
                    self.uncaught(error, "uncaught %s: %s", level=names.CRITICAL)
            except Exception:
                pass
            return original(*args, **kwargs)

        util._exit_function = exit_function  # noqa: SLF001 - the same

    def uncaught(self, error: "BaseException | None", template: str, *where: str, level: int = names.ERROR) -> None:
        """Writes the record of an exception that nobody caught. `SystemExit` is not one."""
        journal = self._journal()
        if error is None or isinstance(error, SystemExit) or journal is None:
            return
        from .uncaught import line

        journal.owns(None)
        text = line(self.encoder().context, journal.next_number(), error, template, where, level)
        journal.append(text, level)

    def _main_ended(self) -> None:
        try:
            error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
            if error is self._ended_main or hasattr(sys, "ps1"):  # at a prompt, an error ends nothing
                return
            self._ended_main = error
            trace = getattr(error, "__traceback__", None)
            level = names.CRITICAL
            if isinstance(error, KeyboardInterrupt):
                level = names.WARNING  # a person's wish; the parent reports the signal
            elif trace is not None and trace.tb_frame.f_back is not None:
                level = names.ERROR  # printed by a library that called Python; the program went on
            loaded = len(sys.modules)
            self.uncaught(error, "uncaught %s: %s", level=level)
            if isinstance(error, KeyboardInterrupt) and len(sys.modules) != loaded:
                _stay_interrupted()
        except Exception:
            pass

    def at_exit(self) -> None:
        """The last look: the main thread's exception, and what the logging configuration switched off."""
        self._main_ended()
        try:
            self._name_disabled_loggers()
        except Exception:
            pass
        journal = self._journal()
        if journal is not None:
            journal.close()

    def _name_disabled_loggers(self) -> None:
        journal = self._journal()
        if self.logging is None or journal is None:
            return
        logger_type = self.logging.Logger  # a configuration marks placeholders too, which nobody logs to
        known = dict(self.logging.root.manager.loggerDict)
        disabled = sorted(name for name, it in known.items() if isinstance(it, logger_type) and it.disabled)
        if not disabled:
            return
        from .values import quote, text

        shown = disabled[:MAX_DISABLED_NAMES]
        more = "" if len(disabled) == len(shown) else ", …"
        journal.append(
            '{"k":"log","u":%d,"t":%d,"n":%d,"l":"INFO","g":"%s","m":%s,"a":[%d,%s],"d":{"%s":%s}}'
            % (
                journal.next_number(),
                time.time_ns(),
                names.INFO,
                names.OWN_LOGGER,
                quote("%d loggers are disabled by the logging configuration, their records reach nobody: %s"),
                len(disabled),
                quote(", ".join(shown) + more),
                names.DISABLED_LOGGERS,
                text(shown),
            ),
            names.INFO,
        )


def _stay_interrupted() -> None:
    """Python ends by SIGINT after an interrupt that nobody caught, unless it evaluated some source text since.

    Imports of ours may have, as named tuples do, and the exit code would be 1. So here it is again.
    """
    try:
        exec("raise KeyboardInterrupt")  # noqa: S102 - the point
    except KeyboardInterrupt:
        pass


def _name(value: object) -> str:
    return str(getattr(value, "__qualname__", None) or type(value).__name__)
